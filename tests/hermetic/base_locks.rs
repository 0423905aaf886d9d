//! The identity of a base: the manifest for the image's platform. Neither the index around it nor
//! the form of the pin counts.

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

const BASE: &str = "base/b";

/// A registry with a base of one platform, and a workspace that publishes to it.
fn setup(base: &str) -> (FakeRegistry, Golden, String) {
    let registry = FakeRegistry::start(Behaviour::default());
    let amd = registry.image_for(BASE, "amd64", "BASE=1", &[]);
    registry.index_for(BASE, &[("amd64", &amd)], &["1"]);
    let golden = Golden::new().workspace(&format!(
        "[[registry]]\nname = \"t\"\nhost = \"{}\"\n",
        registry.host()
    ));
    let golden = golden.image("app", &image(&registry, base));
    (registry, golden, amd)
}

fn image(registry: &FakeRegistry, base: &str) -> String {
    let base = base.replace("HOST", &registry.host());
    format!(
        "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = {base}\nplatforms = [\"linux/amd64\"]\n\
         [[files]]\ncontent = \"x\"\ntarget = \"/x\"\n"
    )
}

fn lock(golden: &Golden) -> String {
    std::fs::File::open(golden.path().join("golden.lock"))
        .map(std::io::read_to_string)
        .unwrap()
        .unwrap()
}

const PUBLISH: [&str; 4] = ["build", "--push", "--engine", "embedded"];

#[test]
fn a_build_adds_a_missing_base_to_the_lock_and_reports_it() {
    let (registry, golden, amd) = setup("\"HOST/base/b:1\"");
    golden.run(&["plan"]).exit(0);
    golden.run(&["check"]).exit(0);
    assert!(!golden.path().join("golden.lock").exists());
    let refused = golden
        .run(&["build", "--push", "--engine", "embedded", "--locked"])
        .exit(1);
    assert!(
        refused.stderr.contains("--locked refuses to change it"),
        "{}",
        refused.stderr
    );
    assert!(!golden.path().join("golden.lock").exists());

    let index = registry.tags(BASE)["1"].clone();
    let built = golden.run(&PUBLISH).exit(0);
    let line = format!(
        "locked {}/base/b:1 at {index} in golden.lock; commit this file",
        registry.host()
    );
    assert!(built.stderr.contains(&line), "{}", built.stderr);
    let text = lock(&golden);
    assert!(
        text.contains(&index) && text.contains(&format!("\"linux/amd64\" = \"{amd}\"")),
        "{text}"
    );

    // The base moves; the build follows the lock and reports nothing.
    let moved = registry.image_for(BASE, "amd64", "BASE=2", &[]);
    registry.index_for(BASE, &[("amd64", &moved)], &["1"]);
    let built = golden
        .run(&["build", "--push", "--engine", "embedded", "--locked"])
        .exit(0);
    assert!(
        built.stdout.contains("unchanged") && !built.stderr.contains("locked "),
        "{}",
        built.stderr
    );
    assert_eq!(lock(&golden), text);
    golden.run(&["plan"]).exit(0);

    // A second image adds its own entry and does not change the other.
    registry.image_for("base/c", "amd64", "BASE=c", &["1"]);
    golden.write(
        "other/image.toml",
        image(&registry, "\"HOST/base/c:1\"").replace("\"app\"", "\"other\""),
    );
    golden.run(&PUBLISH).exit(0);
    assert!(
        lock(&golden).contains("base/c:1") && lock(&golden).contains(&index),
        "{}",
        lock(&golden)
    );
}

#[test]
fn a_checkout_of_the_lock_with_crlf_is_not_rewritten() {
    let (_registry, golden, _) = setup("\"HOST/base/b:1\"");
    golden.run(&["update"]).exit(0);
    let windows = lock(&golden).replace('\n', "\r\n");
    golden.write("golden.lock", &windows);
    golden.run(&["update"]).exit(0);
    assert_eq!(lock(&golden), windows);
    golden.run(&["outdated"]).exit(0);
}

#[test]
fn an_index_that_gains_another_platform_changes_nothing() {
    for base in [
        "\"HOST/base/b:1\"",
        "{ ref = \"HOST/base/b\", version = \"1\" }",
    ] {
        let (registry, golden, amd) = setup(base);
        golden.run(&PUBLISH).exit(0);
        let arm = registry.image_for(BASE, "arm64", "BASE=arm", &[]);
        registry.index_for(BASE, &[("arm64", &arm), ("amd64", &amd)], &["1"]);
        golden.run(&["outdated"]).exit(5);
        golden.run(&["update"]).exit(0);
        let run = golden.run(&PUBLISH).exit(0);
        assert!(run.stdout.contains("unchanged"), "{}", run.stdout);
        // The same holds without a lock.
        std::fs::remove_file(golden.path().join("golden.lock")).unwrap();
        let plan = golden.run(&["plan"]).exit(0);
        assert!(plan.stdout.contains("skip"), "{}", plan.stdout);
        // A different image for the platform is a different base.
        let moved = registry.image_for(BASE, "amd64", "BASE=2", &[]);
        registry.index_for(BASE, &[("arm64", &arm), ("amd64", &moved)], &["1"]);
        golden.run(&["plan"]).exit(4);
    }
}

#[test]
fn a_pin_that_follows_a_new_index_with_the_same_image_changes_nothing() {
    let (registry, golden, amd) = setup("\"HOST/base/b:1\"");
    let pinned = |digest: &str| image(&registry, &format!("\"HOST/base/b:1@{digest}\""));
    let first = registry.tags(BASE)["1"].clone();
    golden.write("app/image.toml", pinned(&first));
    golden.run(&PUBLISH).exit(0);
    assert!(
        !golden.path().join("golden.lock").exists(),
        "a pinned base needs no lock"
    );
    let arm = registry.image_for(BASE, "arm64", "BASE=arm", &[]);
    let second = registry.index_for(BASE, &[("arm64", &arm), ("amd64", &amd)], &["1"]);
    golden.write("app/image.toml", pinned(&second));
    let run = golden.run(&PUBLISH).exit(0);
    assert!(run.stdout.contains("unchanged"), "{}", run.stdout);
    // A pin to the platform's manifest names the same base.
    golden.write("app/image.toml", pinned(&amd));
    golden.run(&["plan"]).exit(0);
}

#[test]
fn outdated_reports_a_pin_whose_tag_has_moved() {
    let (registry, golden, amd) = setup("\"HOST/base/b:1\"");
    let first = registry.tags(BASE)["1"].clone();
    golden.write(
        "app/image.toml",
        image(&registry, &format!("\"HOST/base/b:1@{first}\"")),
    );
    let run = golden.run(&["outdated"]).exit(0);
    assert_eq!(
        run.stderr.lines().last(),
        Some("All bases match golden.lock.")
    );
    // A pin to the platform's manifest matches the tag.
    golden.write(
        "app/image.toml",
        image(&registry, &format!("\"HOST/base/b:1@{amd}\"")),
    );
    golden.run(&["outdated"]).exit(0);

    golden.write(
        "app/image.toml",
        image(&registry, &format!("\"HOST/base/b:1@{first}\"")),
    );
    let moved = registry.image_for(BASE, "amd64", "BASE=2", &[]);
    let second = registry.index_for(BASE, &[("amd64", &moved)], &["1"]);
    for arguments in [
        &["outdated"][..],
        &["outdated", "**/b:*"],
        &["outdated", &format!("{}/base/b:1", registry.host())],
    ] {
        let run = golden.run(arguments).exit(5);
        assert!(
            run.stdout.contains("base/b:1@") && run.stdout.contains(" → sha256:"),
            "{}",
            run.stdout
        );
        assert!(run.stderr.contains("1 of 1 base moved"), "{}", run.stderr);
        assert!(
            run.stderr.contains("write the new digest into the spec"),
            "{}",
            run.stderr
        );
    }
    let update = golden.run(&["update"]).exit(0);
    assert!(
        update.stderr.contains("is pinned in the spec of app:1.0.0"),
        "{}",
        update.stderr
    );
    assert!(update.stderr.contains(&second), "{}", update.stderr);
    assert!(!golden.path().join("golden.lock").exists() || !lock(&golden).contains("[[base]]"));
}

#[test]
fn a_requirement_selects_calendar_versions() {
    let (registry, golden, amd) = setup("\"scratch\"");
    for tag in ["2025.11.1", "2026.01.3", "2026.02.0", "8.5.1.2", "8.5.1.10"] {
        registry.index_for("base/calendar", &[("amd64", &amd)], &[tag]);
    }
    for (requirement, tag) in [
        ("*", "2026.02.0"),
        ("~2026.01", "2026.01.3"),
        ("2025", "2025.11.1"),
        ("8.5", "8.5.1.10"),
    ] {
        let base = format!("{{ ref = \"HOST/base/calendar\", version = \"{requirement}\" }}");
        golden.write("app/image.toml", image(&registry, &base));
        registry.image_for("base/calendar", "amd64", "BASE=1", &[]);
        let plan = golden.run(&["plan"]).exit(0);
        assert!(
            plan.stdout.contains(&format!("base/calendar:{tag}@")),
            "{requirement}: {}",
            plan.stdout
        );
    }
}
