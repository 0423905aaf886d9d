//! The command line as a whole: help, usage errors, exit codes, formats.

use crate::support::workspace::{Golden, Run};

#[test]
fn an_unknown_command_is_a_usage_error() {
    let run = Golden::new().run(&["bulid"]).exit(2);
    assert!(run.stderr.contains("build"), "{}", run.stderr);
    assert!(run.stdout.is_empty());
}

#[test]
fn every_chapter_is_shown_even_if_a_command_has_its_name() {
    let commands = Golden::new().run(&["--help"]).exit(0).stdout;
    let mut both = Vec::new();
    for topic in golden::help::TOPICS {
        let shown = Golden::new().run(&["help", topic.name]).exit(0).stdout;
        let text = topic.text();
        let title = text.lines().next().unwrap().trim_start_matches("# ");
        let is_title = |line: &str| line.eq_ignore_ascii_case(title);
        assert!(shown.lines().any(is_title), "{}: {shown}", topic.name);
        if commands.contains(&format!("\n  {} ", topic.name)) {
            both.push(topic.name);
            assert!(shown.contains("Usage: golden"), "{}: {shown}", topic.name);
            let pointer = format!("`golden {} --help` shows only this text.", topic.name);
            assert!(shown.contains(&pointer), "{shown}");
        }
    }
    assert_eq!(both, ["tags", "lifecycle"]);
}

#[test]
fn a_command_lists_its_own_formats() {
    let run = Golden::new().run(&["ls", "--format", "sarif"]).exit(2);
    insta::assert_snapshot!(run.stderr, @"error: `golden ls` does not support the format `sarif` (supported: text, json)");
    let run = Golden::new().run(&["--format", "jsn", "check"]).exit(2);
    insta::assert_snapshot!(run.stderr, @r"
    error: `golden check` does not support the format `jsn` (supported: text, json, github, gitlab, sarif)
      help: did you mean --format json?
    ");
    Golden::new()
        .run(&["completions", "bash", "--format", "json"])
        .exit(2);
}

#[test]
fn global_options_are_accepted_anywhere() {
    for args in [
        ["--format", "json", "check", "--explain", "env.deny_secrets"],
        ["check", "--explain", "env.deny_secrets", "--format", "json"],
        ["check", "--format", "json", "--explain", "env.deny_secrets"],
    ] {
        let run = Golden::new().run(&args).exit(0);
        let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(document["schema"], 1);
        assert_eq!(document["rule"], "env.deny_secrets");
    }
    for args in [
        ["key", "new", "--out", "a", "--format", "json"],
        ["key", "--format", "json", "new", "--out", "b"],
        ["--format", "json", "key", "new", "--out", "c"],
    ] {
        let golden = Golden::new().env("GOLDEN_SIGNING_PASSWORD", "");
        let run = golden.run(&args).exit(0);
        let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(document["schema"], 1);
    }
    let help = Golden::new().run(&["lifecycle", "apply", "-h"]).exit(0);
    assert!(
        help.stdout.contains("[possible values: text, json]"),
        "{}",
        help.stdout
    );
}

#[test]
fn a_rule_is_explained() {
    let run = Golden::new()
        .run(&["check", "--explain", "base.deny_tags"])
        .exit(0);
    insta::assert_snapshot!(run.stdout);
    let run = Golden::new()
        .run(&["check", "--explain", "base.denytags"])
        .exit(2);
    assert!(
        run.stderr.contains("did you mean `base.deny_tags`?"),
        "{}",
        run.stderr
    );
}

#[test]
fn init_refuses_to_overwrite() {
    let golden = Golden::new();
    let run = golden.run(&["init"]).exit(0);
    insta::assert_snapshot!(run.stderr, @r"
    wrote golden.toml
    wrote example/image.toml
    next: golden check, then golden build
    ");
    assert_eq!(run.stdout, "");
    golden.write("example/image.toml", "mine");
    let run = golden.run(&["init"]).exit(2);
    insta::assert_snapshot!(run.stderr, @r"
    error: golden.toml already exists; nothing was written
      help: `golden new NAME` creates an image in a workspace; `golden init DIR` creates another workspace
    ");
    let inside = golden.run(&["init", "other/deep"]).exit(2);
    assert!(
        inside.stderr.contains("is inside the workspace"),
        "{}",
        inside.stderr
    );
    assert!(
        inside.stderr.contains("`golden new NAME` creates an image"),
        "{}",
        inside.stderr
    );
    assert!(!golden.path().join("other").exists());
    let golden = Golden::new();
    let other = golden.run(&["init", "other", "--format", "json"]).exit(0);
    let document: serde_json::Value = serde_json::from_str(&other.stdout).unwrap();
    assert_eq!(
        document["files"],
        serde_json::json!(["other/golden.toml", "other/example/image.toml"])
    );
}

#[test]
fn new_creates_an_image_that_passes_the_check() {
    let golden = Golden::new();
    golden.run(&["init"]).exit(0);
    let run = golden.run(&["new", "team/app"]).exit(0);
    insta::assert_snapshot!(run.stderr, @r"
    wrote team/app/image.toml
    next: golden check team/app, then golden build team/app
    ");
    golden.run(&["new", "child", "--base", "team/app"]).exit(0);
    golden.run(&["new", "web", "--base", "debian:12"]).exit(0);
    golden.run(&["check"]).exit(0);
    let graph = golden.run(&["graph"]).exit(0);
    assert!(
        graph.stdout.contains("child:0.1.0") && graph.stdout.contains("debian:12"),
        "{}",
        graph.stdout
    );

    let again = golden.run(&["new", "web"]).exit(2);
    assert!(
        again
            .stderr
            .contains("already has an image `web`: web/image.toml"),
        "{}",
        again.stderr
    );
    for arguments in [
        &["new", "Bad Name"][..],
        &["new", "../x"],
        &["new", "y", "--base", "not a base"],
    ] {
        golden.run(arguments).exit(2);
    }
    assert!(!golden.path().join("y").exists());
    let outside = Golden::new();
    outside.run(&["new", "app"]).exit(2);
}

#[test]
fn new_warns_if_the_workspace_does_not_find_the_image() {
    let golden = Golden::new().workspace("[workspace]\nimages = [\"images/*/image.toml\"]\n");
    let run = golden.run(&["new", "app"]).exit(0);
    assert!(
        run.stderr
            .contains("add app/image.toml to `images` in golden.toml"),
        "{}",
        run.stderr
    );
}

#[test]
fn completions_and_manual_pages_are_written() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = Golden::new().run(&["completions", shell]).exit(0);
        assert!(
            run.stdout.contains("golden") && run.stderr.is_empty(),
            "{shell}: {}",
            run.stderr
        );
    }
    let run = Golden::new().run(&["man"]).exit(0);
    assert!(
        run.stdout.contains(".SH \"EXIT STATUS\"") && run.stdout.starts_with(".ie"),
        "{}",
        run.stdout
    );
    let run = Golden::new().run(&["man", "build"]).exit(0);
    assert!(run.stdout.contains("push"), "{}", run.stdout);
    Golden::new().run(&["man", "bild"]).exit(2);
}

#[test]
fn help_lists_every_command() {
    let run = Golden::new().run(&["--help"]).exit(0);
    for command in [
        "init",
        "new",
        "check",
        "render",
        "plan",
        "build",
        "push",
        "tags",
        "verify",
        "audit",
        "ls",
        "inspect",
        "delete",
        "promote",
        "rollback",
        "outdated",
        "update",
        "graph",
        "matrix",
        "prune",
        "schema",
        "completions",
        "man",
    ] {
        assert!(
            run.stdout.contains(&format!("\n  {command} ")),
            "{command}: {}",
            run.stdout
        );
    }
}

#[test]
fn an_unwritable_stream_is_reported_on_the_other() {
    let full = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let golden = Golden::new();
    let run = golden
        .command(&["tags", "1.2.3"])
        .stdout(full())
        .output()
        .unwrap();
    let stderr = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.starts_with("error: cannot write to stdout: "),
        "{stderr}"
    );
    golden.write("existing", "2.0.0\n1.9.0\n");
    let kept = ["tags", "1.2.3", "--existing", "existing"];
    let run = golden.command(&kept).stderr(full()).output().unwrap();
    assert_eq!(
        (run.status.code(), run.stdout.as_slice()),
        (Some(0), &b"1.2.3\n1.2\n"[..])
    );
}

#[test]
fn a_deleted_current_directory_is_an_error() {
    let golden = Golden::new();
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-c",
        "mkdir gone && cd gone && rmdir ../gone && exec \"$1\" tags 1.2.3",
        "sh",
    ]);
    let output = shell
        .arg(env!("CARGO_BIN_EXE_golden"))
        .current_dir(golden.path())
        .output()
        .unwrap();
    let run = Run::of(output).exit(1);
    assert!(
        run.stderr
            .starts_with("error: cannot read the current directory: "),
        "{}",
        run.stderr
    );
}

#[test]
fn an_ssh_agent_that_is_not_available_is_named() {
    let golden = Golden::new().workspace("").image(
        "app",
        "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n",
    );
    let golden = golden.file("key", "not a key\n");
    for (value, words) in [
        (
            "other",
            "`--ssh other` does not have the form default, default=SOCKET or default=KEY",
        ),
        ("other=key", "`--ssh other=key` does not have the form"),
        ("default=", "`--ssh default=` does not have the form"),
        ("default", "no ssh agent runs: SSH_AUTH_SOCK is not set"),
        ("default=none", "none: No such file or directory"),
        ("default=key", "ssh-add failed for "),
    ] {
        let run = golden.run(&["build", "--ssh", value]).exit(2);
        assert!(run.stderr.contains(words), "{value}: {}", run.stderr);
    }
    let golden = golden.env("SSH_AUTH_SOCK", "/nowhere/agent");
    let run = golden.run(&["build", "--ssh", "default"]).exit(2);
    let words = "the ssh agent at /nowhere/agent does not answer";
    assert!(run.stderr.contains(words), "{}", run.stderr);
}
