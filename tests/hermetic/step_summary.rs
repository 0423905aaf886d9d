//! The summary and the outputs of a step of GitHub Actions.

use serde_json::Value;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

/// The table of the registry in golden.toml.
fn table(registry: &FakeRegistry) -> String {
    format!(
        "[[registry]]\nname = \"t\"\nhost = \"{}\"\n",
        registry.host()
    )
}

/// A workspace in a step of GitHub Actions that writes its summary to `summary.md`.
fn in_github(registry: &FakeRegistry) -> Golden {
    Golden::new()
        .workspace(&table(registry))
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", "summary.md")
}

#[test]
fn a_step_of_github_actions_gets_a_summary_and_outputs() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let golden = in_github(&registry)
        .env("SOURCE_DATE_EPOCH", "0")
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
    golden.write("golden.toml", table(&registry) + "[sbom]\n");
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
fn a_summary_shows_what_changed_since_the_version_before() {
    let registry = FakeRegistry::start(Behaviour::default());
    let (golden, host) = (in_github(&registry), registry.host());
    let publish = |version: &str, label: &str, files: &str| {
        golden.write(
            "app/image.toml",
            format!(
                "[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"scratch\"\n\
                 platforms = [\"linux/amd64\"]\n[labels]\nteam = \"{label}\"\n{files}"
            ),
        );
        let file = golden.path().join("summary.md");
        drop(std::fs::remove_file(&file));
        golden.run(&["build", "--push"]).exit(0);
        std::fs::read_to_string(file).unwrap()
    };
    let file = |name: &str| format!("[[files]]\ncontent = \"x\"\ntarget = \"/{name}\"\n");
    let summary = publish("1.0.0", "a", "");
    assert!(!summary.contains("<details>"), "{summary}");
    let summary = publish("1.0.1", "b", &file("new"));
    let title =
        format!("\n<details><summary>app:1.0.1: changes since {host}/app:1.0.0</summary>\n\n");
    let (_, difference) = summary.split_once(&title).expect(&summary);
    assert!(
        difference.contains("- changed `label team` `a → b`\n"),
        "{summary}"
    );
    assert!(
        difference.contains("- added `/new` `1 B, 0644`\n"),
        "{summary}"
    );
    assert!(difference.ends_with("\n</details>\n"), "{summary}");
    let (from, to) = (format!("{host}/app:1.0.0"), format!("{host}/app:1.0.1"));
    let markdown = golden
        .run(&["diff", &from, &to, "--format", "markdown"])
        .exit(0);
    assert!(difference.starts_with(&markdown.stdout), "{summary}");
    // A long difference is cut.
    let files: String = (0..300).map(|n| file(&format!("file-{n}"))).collect();
    let summary = publish("1.0.2", "b", &files);
    assert!(summary.contains("and 200 more files"), "{summary}");
    let files: String = (0..300).map(|n| format!("label-{n} = \"x\"\n")).collect();
    let summary = publish("1.0.3", "b", &files);
    assert!(summary.contains(" more lines\n\n</details>\n"), "{summary}");
    // The same version is not published again, and is not compared.
    let summary = publish("1.0.3", "b", &files);
    assert!(!summary.contains("<details>"), "{summary}");
}

#[test]
fn a_difference_that_cannot_be_read_is_a_note_in_the_summary() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = in_github(&registry);
    let publish = |version: &str, platform: &str| {
        golden.write(
            "app/image.toml",
            format!(
                "[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"scratch\"\nplatforms = [\"{platform}\"]\n"
            ),
        );
        golden.run(&["build", "--push"]).exit(0);
        std::fs::read_to_string(golden.path().join("summary.md")).unwrap()
    };
    publish("1.0.0", "linux/amd64");
    // Version 1.0.0 has no image for this platform.
    let summary = publish("1.0.1", "linux/arm64");
    let note = "\napp:1.0.1 is not compared with the version before it: ";
    assert!(summary.contains(note), "{summary}");
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
