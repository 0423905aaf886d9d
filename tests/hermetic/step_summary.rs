//! The summary and the outputs of a step of GitHub Actions.

use serde_json::Value;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

#[test]
fn a_step_of_github_actions_gets_a_summary_and_outputs() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n");
    let golden = Golden::new()
        .workspace(&table)
        .env("SOURCE_DATE_EPOCH", "0")
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", "summary.md")
        .env("GITHUB_OUTPUT", "outputs");
    for name in ["app", "tool"] {
        golden.write(
            &format!("{name}/image.toml"),
            format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n"),
        );
    }
    let read = |file: &str| std::fs::read_to_string(golden.path().join(file)).unwrap();
    golden.run(&["build", "--push"]).exit(0);
    let summary = read("summary.md");
    let digest = registry.tags("app")["1.0.0"].clone();
    assert!(
        summary.starts_with("### golden\n\n| image | outcome | result | size | time |\n| --- |"),
        "{summary}"
    );
    let row = format!("| app:1.0.0 | published | {host}/app:1.0.0 (1.0, 1, latest) |");
    assert!(summary.contains(&row), "{summary}");
    assert!(
        summary.contains(&format!("- `{host}/app@{digest}`\n")),
        "{summary}"
    );
    assert!(summary.contains("\n2 images: 2 published in "), "{summary}");
    let outputs = read("outputs");
    let mut lines = outputs.lines();
    assert_eq!(lines.next(), Some("published=true"));
    let images = lines.next().unwrap().strip_prefix("images=").unwrap();
    let images: Value = serde_json::from_str(images).unwrap();
    assert_eq!(images[0]["image"], "app");
    assert_eq!(images[0]["reference"], format!("{host}/app@{digest}"));
    assert_eq!(images[0]["tags"][3], "latest");
    assert_eq!(images.as_array().unwrap().len(), 2);
    // Another step appends, and nothing is published.
    golden.run(&["build", "--push"]).exit(0);
    assert_eq!(read("summary.md").matches("### golden").count(), 2);
    assert!(read("outputs").ends_with("published=false\nimages=[]\n"));
    // The images get artifacts, but no tag moves.
    golden.write("golden.toml", format!("{table}[sbom]\n"));
    golden.run(&["build", "--push"]).exit(0);
    let outputs = read("outputs");
    let last = outputs.rsplit("published=").next().unwrap();
    assert!(last.starts_with("false\nimages=[{"), "{last}");
    // A new tag on an unchanged image.
    let file = golden.path().join("app/image.toml");
    let spec = std::fs::read_to_string(file).unwrap();
    golden.write(
        "app/image.toml",
        format!("{spec}[tags]\nextra = [\"stable\"]\n"),
    );
    golden.run(&["build", "--push"]).exit(0);
    let summary = read("summary.md");
    assert!(summary.contains("| app:1.0.0 | retagged |"), "{summary}");
    let outputs = read("outputs");
    let last = outputs.rsplit("published=").next().unwrap();
    assert!(last.starts_with("true\nimages=[{"), "{last}");
}

#[test]
fn without_github_actions_no_file_is_written() {
    let golden = Golden::new()
        .workspace("")
        .env("GITHUB_STEP_SUMMARY", "summary.md")
        .env("GITHUB_OUTPUT", "outputs");
    golden.write(
        "app/image.toml",
        "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n",
    );
    let golden = golden.env("GITHUB_ACTIONS", "false");
    golden.run(&["build"]).exit(0);
    assert!(!golden.path().join("summary.md").exists());
    assert!(!golden.path().join("outputs").exists());
    // A file that cannot be written does not fail the build.
    let golden = golden
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", "none/outputs");
    let run = golden.run(&["build"]).exit(0);
    assert!(run.stderr.contains("GITHUB_OUTPUT: "), "{}", run.stderr);
    assert!(golden.path().join("summary.md").exists());
}
