//! golden.lock: its content, the commands that follow it, and those that change it; with a real
//! registry.

use serde_json::Value;

use crate::support::services;
use crate::support::workspace::Golden;

/// A namespace for one test.
fn namespace() -> String {
    format!(
        "lock/{}",
        std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()
    )
}

/// Publishes a version of a base for two platforms, with its moving tags, as a distribution does.
/// `day` is its creation date.
fn publish(namespace: &str, name: &str, version: &str, day: u64) {
    let registry = services::registry();
    let epoch = (1_790_000_000 + day * 86_400).to_string();
    let upstream = Golden::new()
        .workspace(&format!("[[registry]]\nname = \"up\"\nhost = \"{registry}\"\nnamespace = \"{namespace}\"\n"))
        .image(
            "base",
            &format!(
                "[image]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"x\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n[tags]\nextra = [\"slim\", \"bookworm\"]\n"
            ),
        )
        .env("SOURCE_DATE_EPOCH", &epoch);
    upstream
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(0);
}

/// A workspace with one image on a version requirement, and one on a tag.
fn workspace(namespace: &str) -> Golden {
    let registry = services::registry();
    let image = |name: &str, base: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\ndescription = \"x\"\nbase = {base}\n"
        )
    };
    let requirement = format!("{{ ref = \"{registry}/{namespace}/debian\", version = \"12\" }}");
    Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"team\"\nhost = \"{registry}\"\nnamespace = \"{namespace}/ours\"\n"
        ))
        .image("app", &image("app", &requirement))
        .image("tool", &image("tool", &format!("\"{registry}/{namespace}/alpine:3\"")))
}

fn lock(golden: &Golden) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(golden.path().join("golden.lock"));
    std::io::Read::read_to_string(&mut file.unwrap(), &mut text).unwrap();
    text
}

fn locked(golden: &Golden, base: &str) -> toml::Table {
    let file: toml::Table = lock(golden).parse().unwrap();
    let entries = file["base"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(toml::Value::as_table);
    entries
        .clone()
        .find(|entry| entry["base"].as_str().unwrap().contains(base))
        .unwrap()
        .clone()
}

/// The states of alpine, debian, app and tool in the graph.
fn states(golden: &Golden) -> Vec<&'static str> {
    let graph: Value =
        serde_json::from_str(&golden.run(&["graph", "--format", "json"]).exit(0).stdout).unwrap();
    let known = ["current", "stale", "unknown"];
    let state = |node: &Value| {
        known
            .into_iter()
            .find(|word| node["state"] == *word)
            .unwrap()
    };
    graph["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(state)
        .collect()
}

#[test]
fn a_missing_base_hides_no_other_base() {
    let namespace = namespace();
    publish(&namespace, "debian", "12.4.0", 1);
    publish(&namespace, "alpine", "3.20.0", 1);
    let golden = workspace(&namespace);
    golden.run(&["update"]).exit(0);
    let before = lock(&golden);
    publish(&namespace, "debian", "12.5.0", 2);
    let alpine = format!("{}/{namespace}/alpine", services::registry());
    golden
        .run(&["delete", &format!("{alpine}:3.20.0"), "--all-tags", "--yes"])
        .exit(0);

    let outdated = golden.run(&["outdated"]).exit(1);
    assert!(
        outdated.stdout.contains("→ 12.5.0 sha256:"),
        "{}",
        outdated.stdout
    );
    assert!(outdated.stderr.contains(&alpine), "{}", outdated.stderr);
    assert!(
        outdated.stderr.contains("1 could not be read"),
        "{}",
        outdated.stderr
    );
    let json: Value =
        serde_json::from_str(&golden.run(&["outdated", "--format", "json"]).exit(1).stdout)
            .unwrap();
    assert_eq!(json["bases"][0]["change"], "moved");
    assert!(
        json["lost"][0]["error"].as_str().unwrap().contains(&alpine),
        "{json}"
    );

    // Without a base argument, the lock is refreshed completely or not at all.
    let update = golden.run(&["update"]).exit(1);
    assert!(
        update.stderr.contains("golden.lock is unchanged"),
        "{}",
        update.stderr
    );
    assert_eq!(lock(&golden), before);
    golden.run(&["update", "**/debian*"]).exit(0);
    let graph = golden.run(&["graph"]).exit(0);
    assert!(
        graph.stderr.contains("cannot determine whether"),
        "{}",
        graph.stderr
    );
}

#[test]
fn a_lock_is_created_followed_and_refreshed() {
    let namespace = namespace();
    let registry = services::registry();
    publish(&namespace, "debian", "12.4.0", 1);
    publish(&namespace, "debian", "13.0.0", 1);
    publish(&namespace, "alpine", "3.20.0", 1);
    let golden = workspace(&namespace);

    // No base is locked: this is reported, and --locked refuses to lock one.
    let outdated = golden.run(&["outdated"]).exit(5);
    assert!(
        outdated.stdout.contains("not locked → 12.4.0 sha256:"),
        "{}",
        outdated.stdout
    );
    for command in [&["plan", "--locked"][..], &["build", "--locked"]] {
        let run = golden.run(command).exit(1);
        assert!(
            run.stderr.contains("--locked refuses to change it"),
            "{}",
            run.stderr
        );
    }
    assert!(!golden.path().join("golden.lock").exists());

    golden.run(&["update"]).exit(0);
    let debian = locked(&golden, "debian");
    assert_eq!(
        debian["base"].as_str().unwrap(),
        format!("{registry}/{namespace}/debian ^12")
    );
    assert_eq!(
        debian["reference"].as_str().unwrap(),
        format!("{registry}/{namespace}/debian:12.4.0")
    );
    let platforms = debian["platforms"].as_table().unwrap();
    assert_eq!(
        platforms.keys().collect::<Vec<_>>(),
        ["linux/amd64", "linux/arm64"]
    );
    golden.run(&["outdated"]).exit(0);
    golden.run(&["build", "--push", "--locked"]).exit(0);

    assert_eq!(
        states(&golden),
        ["current", "current", "current", "current"]
    );

    // Both bases move; the lock is kept until `golden update` runs.
    publish(&namespace, "debian", "12.5.0", 2);
    publish(&namespace, "alpine", "3.21.0", 2);
    let before = lock(&golden);
    let outdated = golden.run(&["outdated"]).exit(5);
    let lines: Vec<&str> = outdated.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", outdated.stdout);
    assert!(
        lines[1].contains("12.4.0 sha256:") && lines[1].contains("→ 12.5.0 sha256:"),
        "{}",
        lines[1]
    );
    assert!(
        lines[1].contains("(2026-09-22)") && lines[1].contains("(2026-09-23)"),
        "{}",
        lines[1]
    );
    assert!(lines[1].ends_with("app:1.0.0"), "{}", lines[1]);
    golden.run(&["build", "--push", "--locked"]).exit(0);
    assert_eq!(lock(&golden), before);

    let json: Value =
        serde_json::from_str(&golden.run(&["outdated", "--format", "json"]).exit(5).stdout)
            .unwrap();
    assert_eq!(json["schema"], 1);
    let base = &json["bases"][1];
    assert_eq!(
        (&base["change"], &base["images"]),
        (&"moved".into(), &serde_json::json!(["app:1.0.0"]))
    );
    assert_eq!(base["locked"]["digest"].as_str(), debian["digest"].as_str());
    assert_ne!(base["current"]["digest"], base["locked"]["digest"]);

    assert_eq!(states(&golden), ["stale", "stale", "stale", "stale"]);

    // One base is refreshed: by name, by glob, or by a reference in another form.
    let update = golden.run(&["update", "**/debian*"]).exit(0);
    assert!(
        update.stdout.contains("→ 12.5.0 sha256:") && !update.stdout.contains("alpine"),
        "{}",
        update.stdout
    );
    assert_eq!(
        locked(&golden, "debian")["reference"].as_str().unwrap(),
        format!("{registry}/{namespace}/debian:12.5.0")
    );
    let svg = golden.run(&["graph", "--format", "svg"]).exit(0).stdout;
    // The two bases and their images, and the three of the legend.
    let colours = ["#d3f9d8", "#ffe3e3", "#f1f3f5"].map(|colour| svg.matches(colour).count());
    assert_eq!(
        (states(&golden), colours),
        (vec!["stale", "current", "current", "stale"], [3, 3, 1])
    );
    let rest = golden.run(&["outdated"]).exit(5);
    assert!(
        rest.stdout.contains("alpine") && !rest.stdout.contains("debian"),
        "{}",
        rest.stdout
    );
    let unknown = golden.run(&["update", "debain"]).exit(2);
    assert!(
        unknown
            .stderr
            .contains("no image of this workspace is built on `debain`"),
        "{}",
        unknown.stderr
    );

    // The published version cannot get the new base silently; the reason has both digests.
    let plan = golden.run(&["plan", "app"]).exit(4);
    let (was, now) = (
        debian["digest"].as_str().unwrap(),
        locked(&golden, "debian"),
    );
    assert!(plan.stdout.contains("base changed"), "{}", plan.stdout);
    assert!(
        !plan.stdout.contains(was) && plan.stdout.contains(now["digest"].as_str().unwrap()),
        "{}",
        plan.stdout
    );

    // An entry that no image uses is removed from the lock.
    golden.run(&["update", "**/alpine:3"]).exit(0);
    std::fs::remove_dir_all(golden.path().join("tool")).unwrap();
    let update = golden.run(&["update"]).exit(0);
    assert!(
        update.stdout.contains("no longer used"),
        "{}",
        update.stdout
    );
    assert!(!lock(&golden).contains("alpine"));
}

#[test]
fn a_single_image_is_locked_with_its_platform() {
    let golden = Golden::new().workspace("").image(
        "app",
        &format!(
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"{}\"\n",
            services::base_busybox()
        ),
    );
    golden.run(&["update"]).exit(0);
    let entry = locked(&golden, "busybox");
    let platforms = entry["platforms"].as_table().unwrap();
    assert_eq!(platforms.keys().collect::<Vec<_>>(), ["linux/amd64"]);
    assert_eq!(platforms["linux/amd64"], entry["digest"]);
}

#[test]
fn a_lock_that_is_not_a_file_is_exit_1() {
    let golden = Golden::new().workspace("").image(
        "a",
        "[image]\nname = \"a\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n",
    );
    golden.write("golden.lock/x", "");
    let run = golden.run(&["update"]).exit(1);
    assert!(run.stderr.contains("golden.lock"), "{}", run.stderr);
}

#[test]
fn a_badly_merged_lock_is_reported_with_its_line() {
    let golden = Golden::new().workspace("").image(
        "app",
        &format!(
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"{}\"\n",
            services::base_busybox()
        ),
    );
    golden.run(&["update"]).exit(0);
    let text = lock(&golden);
    let (_, entry) = text.split_once("\n[[base]]").unwrap();
    golden.write("golden.lock", format!("{text}\n[[base]]{entry}"));
    let run = golden.run(&["plan"]).exit(2);
    assert!(
        run.stderr.contains("golden.lock:") && run.stderr.contains("is locked twice"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("golden update"), "{}", run.stderr);
    golden.write("golden.lock", format!("<<<<<<< ours\n{text}"));
    let run = golden.run(&["plan"]).exit(2);
    assert!(run.stderr.contains("line 1"), "{}", run.stderr);
}
