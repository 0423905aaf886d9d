//! The shipped workspaces, images/ and images/golden/, in a fresh clone.

use std::process::Command;

use serde_json::Value;

use crate::sources::root;
use crate::support::workspace::{Golden, Run};

const PAGE: &str = include_str!("../../images/README.md");

/// A copy of images/ without the files that git ignores.
fn clone() -> Golden {
    let golden = Golden::new().env("SOURCE_DATE_EPOCH", "0");
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(root().join("images")).arg(golden.path());
    assert!(copy.status().unwrap().success());
    for ignored in [".golden", "golden/.golden", "golden/static"] {
        drop(std::fs::remove_dir_all(
            golden.path().join("images").join(ignored),
        ));
    }
    drop(std::fs::remove_file(
        golden.path().join("images/golden/program"),
    ));
    golden
}

/// The commands of golden on the page.
fn commands() -> Vec<Vec<&'static str>> {
    let lines = PAGE.lines().filter_map(|line| line.strip_prefix("golden "));
    lines.map(|line| line.split(' ').collect()).collect()
}

#[test]
fn the_shipped_images_pass_the_check_in_a_fresh_clone() {
    let run = clone().run(&["-w", "images", "check"]).exit(0);
    assert!(
        run.stderr.starts_with("3 images are valid;"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_image_of_golden_names_the_files_that_a_clone_lacks() {
    let run = clone().run(&["-w", "images/golden", "check"]).exit(2);
    for missing in ["`program` does not exist", "`static` does not exist"] {
        assert!(run.stderr.contains(missing), "{}", run.stderr);
    }
    assert!(run.stderr.contains("2 errors in 1 file"), "{}", run.stderr);
}

#[test]
fn the_commands_of_the_page_build_the_image_of_golden() {
    let golden = clone();
    golden.write("images/golden/program", "the program");
    let runs: Vec<Run> = commands()
        .iter()
        .map(|args| golden.run(args).exit(0))
        .collect();
    assert_eq!(runs.len(), 2, "{:?}", commands());
    assert!(!runs[1].stderr.contains("warning"), "{}", runs[1].stderr);
    let layout = "oci:images/golden/.golden/oci:golden:0.1.0";
    let run = golden.run(&["inspect", layout, "--format", "json"]).exit(0);
    let image: Value = serde_json::from_str(&run.stdout).unwrap();
    let config = &image["images"][0]["config"];
    assert_eq!(
        config["config"]["Entrypoint"][0], "/usr/local/bin/golden",
        "{image:#}"
    );
    assert_eq!(config["config"]["User"], "65532:65532");
    // The file of the program is in the image, and the certificates and users are those of `static`.
    let tested = golden
        .run(&["-w", "images/golden", "test", "golden"])
        .exit(0);
    assert!(tested.stdout.contains("1 passed"), "{}", tested.stdout);
}

#[test]
fn the_image_of_golden_has_the_version_of_golden() {
    let spec = std::fs::read_to_string(root().join("images/golden/spec.toml")).unwrap();
    let version = format!("\nversion = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    assert!(spec.contains(&version), "the next version is {version}");
}
