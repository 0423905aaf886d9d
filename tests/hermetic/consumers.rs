//! `golden audit --dockerfile`, `--compose` and `--kubernetes`: the images that files of other
//! programs name.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::{Value, json};

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

/// A registry with versions of a base.
fn registry() -> FakeRegistry {
    let registry = FakeRegistry::start(Behaviour::default());
    for (content, tags) in [
        ("a", &["1.2.3"][..]),
        ("b", &["1.2.5", "1.2", "latest"]),
        ("c", &["1.2.9-slim"]),
        ("d", &["1.2.4-slim"]),
    ] {
        registry.image("golden/base", content, tags);
    }
    registry
}

fn golden(registry: &FakeRegistry, policy: &str) -> Golden {
    let host = registry.host();
    Golden::new()
        .workspace(policy)
        .file(
            "services/a/Dockerfile",
            format!("# a comment\nFROM {host}/golden/base:1.2.3 AS build\r\nFROM build\nFROM scratch\nRUN x\n"),
        )
        .file(
            "services/b/Dockerfile",
            format!("ARG VERSION=1.2.4-slim\nFROM {host}/golden/base:${{VERSION}}\nFROM ${{UNKNOWN}}\n"),
        )
}

fn rules(stdout: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(stdout).unwrap();
    let found = document["diagnostics"].as_array().unwrap().iter();
    found
        .map(|one| {
            format!(
                "{} {}:{}:{}",
                one["rule"].as_str().unwrap(),
                one["file"].as_str().unwrap(),
                one["line"],
                one["column"]
            )
        })
        .collect()
}

#[test]
fn the_from_lines_of_dockerfiles_are_checked_and_corrected_in_place() {
    let registry = registry();
    let host = registry.host();
    let golden = golden(&registry, "");
    let audit = ["audit", "--dockerfile", "services/**/Dockerfile"];
    let run = golden
        .run(&[&audit[..], &["--format", "json"]].concat())
        .exit(3);
    assert_eq!(
        rules(&run.stdout),
        [
            "base.outdated services/a/Dockerfile:2:6",
            "base.outdated services/b/Dockerfile:2:6"
        ]
    );
    let run = golden.run(&audit).exit(3);
    assert!(
        run.stderr
            .contains("is outdated: 1.2.5 is the newest patch")
            && run
                .stderr
                .contains(&format!("write {host}/golden/base:1.2.9-slim"))
            && run
                .stderr
                .contains("services/b/Dockerfile:3: the image cannot be checked"),
        "{}",
        run.stderr
    );
    let run = golden
        .run(&[&audit[..], &["--format", "github"]].concat())
        .exit(3);
    assert!(
        run.stdout
            .starts_with("::error file=services/a/Dockerfile,line=2,endLine=2,col=6"),
        "{}",
        run.stdout
    );
    let run = golden
        .run(&[&audit[..], &["--format", "sarif"]].concat())
        .exit(3);
    assert!(
        run.stdout.contains("\"uri\": \"services/a/Dockerfile\""),
        "{}",
        run.stdout
    );
    let run = golden.run(&[&audit[..], &["--fix"]].concat()).exit(0);
    assert!(
        run.stderr.contains("corrected services/a/Dockerfile"),
        "{}",
        run.stderr
    );
    let read = |path: &str| std::fs::read_to_string(golden.path().join(path)).unwrap();
    assert_eq!(
        read("services/a/Dockerfile"),
        format!(
            "# a comment\nFROM {host}/golden/base:1.2.5 AS build\r\nFROM build\nFROM scratch\nRUN x\n"
        )
    );
    assert_eq!(
        read("services/b/Dockerfile"),
        format!(
            "ARG VERSION=1.2.9-slim\nFROM {host}/golden/base:${{VERSION}}\nFROM ${{UNKNOWN}}\n"
        )
    );
    let run = golden.run(&audit).exit(0);
    assert!(
        run.stderr.contains("2 files checked, 1 not checked"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_policy_about_bases_applies_to_files() {
    let registry = registry();
    let host = registry.host();
    let golden = golden(
        &registry,
        "[policy.base]\nallow = [\"registry.example.com/**\"]\nrequire_digest = true\n[policy.severity]\n\"base.outdated\" = \"off\"\n",
    );
    let audit = ["audit", "--dockerfile", "services/a/Dockerfile"];
    let run = golden
        .run(&[&audit[..], &["--format", "json"]].concat())
        .exit(3);
    assert_eq!(
        rules(&run.stdout),
        [
            "base.allow services/a/Dockerfile:2:6",
            "base.require_digest services/a/Dockerfile:2:6"
        ]
    );
    assert!(!run.stdout.contains("golden update"), "{}", run.stdout);
    // A correction adds the digest; the base is still not allowed.
    let run = golden
        .run(&[&audit[..], &["--fix", "--format", "json"]].concat())
        .exit(3);
    assert_eq!(rules(&run.stdout), ["base.allow services/a/Dockerfile:2:6"]);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["fixed"], json!(["services/a/Dockerfile"]));
    let text = std::fs::read_to_string(golden.path().join("services/a/Dockerfile")).unwrap();
    let digest = &registry.tags("golden/base")["1.2.5"];
    assert!(
        text.contains(&format!("FROM {host}/golden/base:1.2.5@{digest} AS build")),
        "{text}"
    );
    let excepted = "[policy.base]\nrequire_digest = true\n[[policy.except]]\nrule = \"base.require_digest\"\n\
        images = [\"services/b/*\"]\nreason = \"later\"\nuntil = 2999-01-01\n[policy.severity]\n\"base.outdated\" = \"warn\"\n";
    golden.write("golden.toml", excepted);
    let run = golden
        .run(&["audit", "--dockerfile", "services/b/Dockerfile"])
        .exit(0);
    assert!(
        run.stderr.contains("warning[base.outdated]"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_changed_digest_is_outdated_unless_golden_lock_has_it() {
    let registry = registry();
    let host = registry.host();
    let old = registry.tags("golden/base")["1.2.3"].clone();
    let new = registry.tags("golden/base")["1.2"].clone();
    let golden = Golden::new().workspace("");
    golden.write("Dockerfile", format!("FROM {host}/golden/base:1.2@{old}\n"));
    let run = golden.run(&["audit", "--dockerfile", "Dockerfile"]).exit(3);
    assert!(
        run.stderr.contains("its digest is sha256:"),
        "{}",
        run.stderr
    );
    let lock = format!(
        "version = 1\n[[base]]\nbase = \"{host}/golden/base:1.2\"\nreference = \"{host}/golden/base:1.2\"\ndigest = \"{old}\"\n"
    );
    golden.write("golden.lock", lock);
    golden.run(&["audit", "--dockerfile", "Dockerfile"]).exit(0);
    std::fs::remove_file(golden.path().join("golden.lock")).unwrap();
    golden
        .run(&["audit", "--dockerfile", "Dockerfile", "--fix"])
        .exit(0);
    let text = std::fs::read_to_string(golden.path().join("Dockerfile")).unwrap();
    assert_eq!(text, format!("FROM {host}/golden/base:1.2@{new}\n"));
}

#[test]
fn a_patch_or_a_digest_that_the_policy_refuses_is_not_proposed() {
    let registry = registry();
    let host = registry.host();
    registry.image("golden/base", "e", &["1.2.4"]);
    let old = registry.tags("golden/base")["1.2.3"].clone();
    let golden = Golden::new().workspace("");
    let revoke = |tag: &str| {
        let image = format!("{host}/golden/base:{tag}");
        golden
            .run(&["revoke", &image, "--reason", "CVE-2026-1234", "--yes"])
            .exit(0);
    };
    let fixed = |text: &str| {
        golden.write("Dockerfile", format!("FROM {host}/golden/base:{text}\n"));
        golden
            .run(&["audit", "--dockerfile", "Dockerfile", "--fix"])
            .exit(0);
        let text = std::fs::read_to_string(golden.path().join("Dockerfile")).unwrap();
        text.trim_end().rsplit_once("base:").unwrap().1.to_owned()
    };
    assert_eq!(fixed("1.2.3"), "1.2.5");
    // The tag 1.2 has the digest of 1.2.5.
    revoke("1.2.5");
    assert_eq!(fixed("1.2.3"), "1.2.4");
    let pinned = format!("1.2@{old}");
    assert_eq!(fixed(&pinned), pinned);
    revoke("1.2.4");
    assert_eq!(fixed("1.2.3"), "1.2.3");
    assert_eq!(fixed("1.2.4-slim"), "1.2.9-slim");
}

#[test]
fn a_patch_without_the_required_signature_is_not_proposed() {
    let registry = registry();
    let host = registry.host();
    let policy = "[policy.base]\nsigned_by = [\"team\"]\n[[trust]]\nname = \"team\"\nimages = [\"other/**\"]\nverify = [\"true\"]\n";
    let golden = Golden::new()
        .workspace(policy)
        .file("Dockerfile", format!("FROM {host}/golden/base:1.2.3\n"));
    let audit = ["audit", "--dockerfile", "Dockerfile", "--format", "json"];
    let run = golden.run(&audit).exit(3);
    assert_eq!(rules(&run.stdout), ["base.signed_by Dockerfile:1:6"]);
    let off = format!("{policy}[policy.severity]\n\"base.signed_by\" = \"off\"\n");
    golden.write("golden.toml", off);
    let run = golden.run(&audit).exit(3);
    assert_eq!(rules(&run.stdout), ["base.outdated Dockerfile:1:6"]);
}

#[test]
fn the_tags_are_read_only_for_images_that_can_have_a_newer_patch() {
    let registry = registry();
    let host = registry.host();
    let golden = Golden::new().workspace("");
    for (tag, is_read) in [("latest", false), ("1.2", false), ("1.2.5", true)] {
        golden.write("Dockerfile", format!("FROM {host}/golden/base:{tag}\n"));
        golden.run(&["audit", "--dockerfile", "Dockerfile"]).exit(0);
        let requests = registry.requests();
        let has_read = requests.iter().any(|one| one.contains("/tags/list"));
        assert_eq!(has_read, is_read, "{tag}: {requests:?}");
    }
}

#[test]
fn a_correction_keeps_the_link_and_the_mode_of_a_file() {
    let registry = registry();
    let host = registry.host();
    let golden = Golden::new().workspace("").file(
        "shared/base.txt",
        format!("FROM {host}/golden/base:1.2.3\n"),
    );
    let file = golden.path().join("shared/base.txt");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let link = golden.path().join("Dockerfile");
    symlink("shared/base.txt", &link).unwrap();
    golden
        .run(&["audit", "--dockerfile", "Dockerfile", "--fix"])
        .exit(0);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        format!("FROM {host}/golden/base:1.2.5\n")
    );
    assert!(link.symlink_metadata().unwrap().is_symlink());
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
}

#[test]
fn an_absolute_glob_matches_below_the_current_directory() {
    let registry = registry();
    let golden = golden(&registry, "");
    let root = golden.path().canonicalize().unwrap();
    for (glob, files) in [
        ("services/**/Dockerfile", 2),
        ("services/b/Dockerfile", 1),
        ("./services/*/Docker*", 2),
    ] {
        let absolute = root.join(glob.trim_start_matches("./"));
        for glob in [glob, absolute.to_str().unwrap()] {
            let run = golden
                .run(&["audit", "--dockerfile", glob, "--format", "json"])
                .exit(3);
            assert_eq!(rules(&run.stdout).len(), files, "{glob}: {}", run.stdout);
        }
    }
}

#[test]
fn compose_files_and_kubernetes_manifests_are_checked_too() {
    let registry = registry();
    let host = registry.host();
    let golden = Golden::new().workspace("");
    golden.write(
        "compose.yaml",
        format!("services:\n  web:\n    image: \"{host}/golden/base:1.2.3\" # pinned\n  own:\n    build: .\n    image: {host}/none/x:1.0.0\n"),
    );
    golden.write(
        "deploy/app.yaml",
        format!("spec:\n  containers:\n    - image: {host}/golden/base:1.2.3\n      name: app\n"),
    );
    let audit = [
        "audit",
        "--compose",
        "compose.yaml",
        "--kubernetes",
        "deploy/*.yaml",
    ];
    let run = golden
        .run(&[&audit[..], &["--format", "json"]].concat())
        .exit(3);
    assert_eq!(
        rules(&run.stdout),
        [
            "base.outdated compose.yaml:3:13",
            "base.outdated deploy/app.yaml:3:14"
        ]
    );
    golden.run(&[&audit[..], &["--fix"]].concat()).exit(0);
    let text = std::fs::read_to_string(golden.path().join("compose.yaml")).unwrap();
    assert!(
        text.contains(&format!("image: \"{host}/golden/base:1.2.5\" # pinned\n")),
        "{text}"
    );
}

#[test]
fn a_file_or_an_image_that_cannot_be_read_is_reported_and_the_others_are_checked() {
    let registry = registry();
    let host = registry.host();
    let golden = Golden::new().workspace("");
    golden.write("a.Dockerfile", "RUN x\n");
    golden.write(
        "b.Dockerfile",
        format!("FROM {host}/golden/none:1.0.0\nFROM {host}/golden/base:1.2.3\n"),
    );
    let run = golden
        .run(&["audit", "--dockerfile", "*.Dockerfile"])
        .exit(1);
    assert!(
        run.stderr
            .contains("a.Dockerfile is not a Dockerfile that golden can read")
            && run.stderr.contains("golden/none:1.0.0 cannot be checked")
            && run.stderr.contains("1.2.5 is the newest patch"),
        "{}",
        run.stderr
    );
    let run = golden.run(&["audit", "--dockerfile", "none/*"]).exit(2);
    assert!(
        run.stderr.contains("no file matches `none/*`"),
        "{}",
        run.stderr
    );
    // A directory that cannot be read does not hide another glob that matches nothing.
    let globs = [
        "audit",
        "--dockerfile",
        "a.Dockerfile/x/*",
        "--dockerfile",
        "none/*",
    ];
    let run = golden.run(&globs).exit(2);
    assert!(
        run.stderr.contains("no file matches `none/*`"),
        "{}",
        run.stderr
    );
    golden
        .run(&["audit", "--dockerfile", "*.Dockerfile", "a/b"])
        .exit(2);
    golden.run(&["audit", "a/b", "--fix"]).exit(2);
}

#[test]
fn no_file_is_corrected_if_one_of_them_cannot_be_written() {
    let registry = registry();
    let golden = golden(&registry, "");
    let read = |name: &str| std::fs::read(golden.path().join(name)).unwrap();
    let files = ["services/a/Dockerfile", "services/b/Dockerfile"];
    let before = files.map(read);
    for (directory, mode) in [("", 0o777), ("services/a", 0o777), ("services/b", 0o555)] {
        golden.set_mode(directory, mode);
    }
    for file in files {
        golden.set_mode(file, 0o666);
    }
    let args = ["audit", "--dockerfile", "services/**/Dockerfile", "--fix"];
    let run = golden.run_without_root(&args).exit(1);
    let stderr = run
        .stderr
        .replace(golden.path().to_str().unwrap(), "WORKSPACE");
    assert!(
        stderr.ends_with(
            "error: cannot write WORKSPACE/services/b/Dockerfile: Permission denied (os error 13)\n"
        ),
        "{stderr}"
    );
    assert_eq!(files.map(read), before);
    golden.set_mode("services/b", 0o755);
    golden.run(&args).exit(0);
    assert_ne!(files.map(read)[0], before[0]);
}
