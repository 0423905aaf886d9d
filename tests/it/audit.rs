//! `golden audit` on images of a real registry.

use crate::support::publisher::fresh_name;
use crate::support::services;
use crate::support::workspace::Golden;

#[test]
fn a_published_image_is_checked_by_its_config() {
    let registry = services::registry();
    let name = fresh_name("audit");
    let image = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n[env]\nDB_PASSWORD = \"hunter2hunter2\"\n[config]\nexpose = [80]\n"
    );
    let golden = Golden::new().workspace("").image("app", &image);
    golden
        .run(&[
            "build",
            "--engine",
            "embedded",
            "--push",
            "--registry",
            registry,
        ])
        .exit(0);
    let reference = format!("{registry}/{name}:1.0.0");

    // No rule is set, so no rule is violated.
    golden.run(&["audit", &reference]).exit(0);

    golden.write(
        "golden.toml",
        "[policy]\nrequired_labels = [\"owner\", \"version\"]\n[policy.config]\ndeny_root = true\nports = { min = 1024 }\n[policy.env]\ndeny_secrets = true\n",
    );
    let run = golden
        .run(&["audit", &reference, "--format", "json"])
        .exit(3);
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let rules: Vec<&str> = document["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["rule"].as_str().unwrap())
        .collect();
    assert_eq!(
        rules,
        [
            "config.deny_root",
            "config.ports",
            "env.deny_secrets",
            "required_labels"
        ]
    );
    assert!(
        document["diagnostics"]
            .as_array()
            .unwrap()
            .iter()
            .all(|found| found["image"] == reference.as_str())
    );

    for format in ["text", "json", "github", "sarif"] {
        let run = golden
            .run(&["audit", &reference, "--format", format, "-vv"])
            .exit(3);
        assert!(!(run.stdout + &run.stderr).contains("hunter2"), "{format}");
    }

    // A missing image does not prevent the check of the others.
    let missing = format!("{registry}/{name}:9.9.9");
    let run = golden.run(&["audit", &missing, &reference]).exit(1);
    assert!(
        run.stderr.contains("required_labels") && run.stderr.contains("has no tag `9.9.9`"),
        "{}",
        run.stderr
    );
}
