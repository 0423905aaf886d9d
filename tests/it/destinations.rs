//! Images of the embedded engine are written to the requested destination, and other tools can read
//! them.

use std::process::Command;

use crate::support::assembling::docker;
use crate::support::services;
use crate::support::workspace::{Golden, Run};

fn workspace() -> Golden {
    let text = format!(
        "[image]\nname = \"at-hand\"\nversion = \"1.2.3\"\nbase = \"{}\"\n\
         [[files]]\ncontent = \"hello\\n\"\ntarget = \"/srv/hello\"\n[config]\ncmd = [\"cat\", \"/srv/hello\"]\n",
        services::base_busybox()
    );
    Golden::new()
        .workspace("")
        .image("image", &text)
        .env("DOCKER_HOST", services::docker_host())
}

#[test]
fn a_loaded_image_runs_under_every_name() {
    workspace()
        .run(&["build", "--engine", "embedded", "--load"])
        .exit(0);
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        assert_eq!(
            docker(&["run", "--rm", &format!("localhost/at-hand:{tag}")]),
            "hello"
        );
    }
}

#[test]
fn an_archive_is_loaded_by_docker() {
    let golden = workspace();
    let run = golden
        .run(&["build", "--to", "docker-archive:at-hand.tar"])
        .exit(0);
    let look = run
        .stderr
        .lines()
        .find_map(|line| line.split_once("next: "))
        .unwrap()
        .1;
    assert!(
        look.starts_with("docker load -i ") && look.ends_with("/at-hand.tar"),
        "{look}"
    );
    let loaded = Command::new("sh")
        .args(["-c", look])
        .env("DOCKER_HOST", services::docker_host())
        .output()
        .unwrap();
    let said = String::from_utf8(loaded.stdout).unwrap();
    assert!(
        said.contains("Loaded image: localhost/at-hand:1.2.3"),
        "{said}"
    );
    assert_eq!(docker(&["run", "--rm", "localhost/at-hand:1.2.3"]), "hello");
}

/// A pipe represents devices too, which a test must not endanger.
#[cfg(unix)]
#[test]
fn an_archive_replaces_only_a_regular_file() {
    let golden = workspace();
    let status = Command::new("mkfifo")
        .arg(golden.path().join("pipe"))
        .status()
        .unwrap();
    assert!(status.success());
    golden.write("directory/kept", "");
    std::os::unix::fs::symlink("pipe", golden.path().join("to-pipe")).unwrap();
    for place in ["pipe", "to-pipe", "directory"] {
        let run = golden
            .run(&["build", "--to", &format!("docker-archive:{place}")])
            .exit(2);
        assert!(
            run.stderr
                .contains("is not a regular file, so golden does not write to it"),
            "{}",
            run.stderr
        );
    }
    let kind = std::fs::metadata(golden.path().join("to-pipe"))
        .unwrap()
        .file_type();
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&kind));

    golden.write("disk/old.tar", "old");
    std::os::unix::fs::symlink("disk/old.tar", golden.path().join("link.tar")).unwrap();
    golden
        .run(&["build", "--to", "docker-archive:link.tar"])
        .exit(0);
    assert!(golden.path().join("link.tar").is_symlink());
    assert!(
        std::fs::metadata(golden.path().join("disk/old.tar"))
            .unwrap()
            .len()
            > 1024
    );
}

#[test]
fn an_archive_of_several_platforms_is_refused() {
    let golden = Golden::new().workspace("").image(
        "image",
        "[image]\nname = \"many\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n\
         platforms = [\"linux/amd64\", \"linux/arm64\"]\n",
    );
    let run = golden
        .run(&["build", "--to", "docker-archive:many.tar"])
        .exit(2);
    assert!(
        run.stderr
            .contains("has several platforms, but a docker archive can contain only one"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("write it with --to oci:DIR"),
        "{}",
        run.stderr
    );
    assert!(!golden.path().join("many.tar").exists());
    let golden = golden.env("DOCKER_HOST", services::docker_host());
    let run = golden
        .run(&["build", "--engine", "embedded", "--load"])
        .exit(1);
    assert!(
        run.stderr.contains(
            "has several platforms, but the image store of the engine (overlay2) holds only one"
        ),
        "{}",
        run.stderr
    );
}

/// The first command of the README on a machine without an engine, a network or a home directory.
#[test]
fn a_build_needs_nothing_and_its_result_can_be_inspected() {
    let golden = Golden::new();
    let images = concat!(env!("CARGO_MANIFEST_DIR"), "/images");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(images)
        .arg(golden.path())
        .status()
        .unwrap();
    assert!(copied.success());
    let home = tempfile::tempdir().unwrap();
    let alone = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .arg("-n")
            .args(args)
            .current_dir(golden.path())
            .env_clear();
        command
            .env("HOME", home.path())
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        command.env("PATH", "/usr/bin:/bin");
        Run::of(command.output().unwrap())
    };
    let run = alone(&[env!("CARGO_BIN_EXE_golden"), "build", "static"]).exit(0);
    assert!(
        run.stderr
            .contains("engine: embedded (no commands to run, and no Docker Engine answers)"),
        "{}",
        run.stderr
    );
    let after = |text: &str| {
        let line = run.stderr.lines().find_map(|line| line.split_once(text));
        line.unwrap_or_else(|| panic!("{text}: {}", run.stderr))
            .1
            .to_owned()
    };
    let place = after("written to ");
    assert!(
        place.ends_with("/images/.golden/oci:static:1.0.0"),
        "{place}"
    );
    let look = after("next: ");
    let shown = alone(&["sh", "-c", &look]).exit(0);
    assert!(
        shown.stdout.contains("static:1.0.0") && shown.stdout.contains("linux/"),
        "{look}: {}",
        shown.stdout
    );
    assert!(shown.stdout.contains("65532:65532"), "{}", shown.stdout);
}
