//! The configuration of Renovate that the repository ships finds the bases of images.

use regex::Regex;
use serde_json::Value;

fn preset() -> Value {
    let path = format!("{}/images/ci/renovate.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The dependencies that the manager of a file finds, as `NAME VALUE DIGEST`.
fn found(file: &str, text: &str) -> Vec<String> {
    let preset = preset();
    let managers = preset["customManagers"].as_array().unwrap();
    let of_file = |manager: &&Value| {
        let pattern = manager["managerFilePatterns"][0].as_str().unwrap();
        let pattern = pattern.trim_start_matches('/').trim_end_matches('/');
        Regex::new(pattern).unwrap().is_match(file)
    };
    let manager = managers.iter().find(of_file).unwrap();
    assert_eq!(manager["datasourceTemplate"], "docker");
    let pattern = Regex::new(manager["matchStrings"][0].as_str().unwrap()).unwrap();
    let dependencies = pattern.captures_iter(text).map(|captures| {
        let get = |name| captures.name(name).map_or("", |found| found.as_str());
        let parts = [get("depName"), get("currentValue"), get("currentDigest")];
        parts.join(" ").trim_end().to_owned()
    });
    dependencies.collect()
}

#[test]
fn the_bases_of_specs_are_found() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    for (text, expected) in [
        (
            "base = \"docker.io/library/debian:12.8\"\n",
            "docker.io/library/debian 12.8",
        ),
        (
            "base=\"registry.example.com:5000/a/b:1.2-slim\"",
            "registry.example.com:5000/a/b 1.2-slim",
        ),
        ("base = \"scratch\"\n", ""),
        ("base = { image = \"other\" }\n", ""),
        ("base = \"{{ vars.debian }}\"\n", ""),
        ("# base = \"docker.io/library/debian:12\"\n", ""),
    ] {
        assert_eq!(
            found("team/app/image.toml", text).join(""),
            expected,
            "{text}"
        );
    }
    let pinned = format!("[image]\nbase = \"docker.io/library/debian:12@{digest}\"\n");
    assert_eq!(
        found("image.toml", &pinned),
        [format!("docker.io/library/debian 12 {digest}")]
    );
    let variables = "[vars]\ndebian = \"docker.io/library/debian:12\"\nowner = \"team:a\"\nurl = \"https://example.com/a\"\n";
    assert_eq!(
        found("golden.toml", variables),
        ["docker.io/library/debian 12"]
    );
    let tasks = &preset()["packageRules"][0]["postUpgradeTasks"];
    assert_eq!(tasks["commands"][0], "golden update");
}
