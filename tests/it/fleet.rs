//! Fleets, without a registry: cycles, collisions, what changed, and the graph.

use std::process::Command;

use crate::support::workspace::Golden;

fn image(name: &str, base: &str) -> String {
    format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = {base}\n")
}

fn git(golden: &Golden, args: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
    let status = Command::new("git")
        .args(identity)
        .args(args)
        .current_dir(golden.path())
        .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
        .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
        .output()
        .unwrap();
    assert!(status.status.success(), "{args:?}: {}", String::from_utf8_lossy(&status.stderr));
}

fn three() -> Golden {
    Golden::new()
        .workspace("")
        .image("a", &image("a", "\"scratch\""))
        .image("b", &image("b", "{ image = \"a\" }"))
        .image("c", &image("c", "{ image = \"b\", version = \"1\" }"))
        .image("d", &image("d", "\"scratch\""))
}

fn jobs(golden: &Golden, args: &[&str]) -> Vec<Vec<String>> {
    let run = golden.run(&[&["matrix", "--format", "json"], args].concat()).exit(0);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let name = |job: &serde_json::Value| job["image"].as_str().unwrap().to_owned();
    let wave = |wave: &serde_json::Value| wave.as_array().unwrap().iter().map(name).collect();
    json["waves"].as_array().unwrap().iter().map(wave).collect()
}

#[test]
fn a_cycle_is_shown() {
    let run = Golden::new()
        .workspace("")
        .image("a", &image("a", "{ image = \"c\" }"))
        .image("b", &image("b", "{ image = \"a\" }"))
        .image("c", &image("c", "{ image = \"b\" }"))
        .image("d", &image("d", "{ image = \"c\" }"))
        .run(&["check"])
        .exit(2);
    insta::assert_snapshot!(run.stderr);
}

#[test]
fn collisions_show_both_places() {
    let run = Golden::new()
        .workspace("")
        .image("a", &image("same", "\"scratch\""))
        .image("b", &image("same", "\"scratch\""))
        .run(&["check"])
        .exit(2);
    insta::assert_snapshot!(run.stderr);
    // Several versions of one image share the moving tags: the highest has them.
    Golden::new()
        .workspace("")
        .image("a", &image("same", "\"scratch\""))
        .image("b", &image("same", "\"scratch\"").replace("1.0.0", "1.1.0"))
        .run(&["check"])
        .exit(0);
}

#[test]
fn what_changed_and_what_is_built_on_it() {
    let golden = three();
    git(&golden, &["init", "-q"]);
    git(&golden, &["add", "-A"]);
    git(&golden, &["commit", "-qm", "one"]);
    assert_eq!(jobs(&golden, &["--changed", "HEAD"]), Vec::<Vec<String>>::new());
    golden.write("b/new-file", "x");
    assert_eq!(jobs(&golden, &["--changed", "HEAD"]), [["b"], ["c"]]);
    git(&golden, &["add", "-A"]);
    git(&golden, &["commit", "-qm", "two"]);
    assert_eq!(jobs(&golden, &["--changed", "HEAD"]), Vec::<Vec<String>>::new());
    assert_eq!(jobs(&golden, &["--changed", "HEAD~1"]), [["b"], ["c"]]);
    golden.write("golden.toml", "[vars]\nx = \"1\"\n");
    assert_eq!(jobs(&golden, &["--changed", "HEAD"]), [vec!["a", "d"], vec!["b"], vec!["c"]]);
    golden.run(&["matrix", "--changed", "nonsense"]).exit(2);
    golden.run(&["matrix", "--changed", "--output=x"]).exit(2);
}

#[test]
fn the_graph_of_a_fleet() {
    let golden = three();
    golden.write("e/image.toml", image("e", "\"registry.example.com/debian:12\""));
    insta::assert_snapshot!(golden.run(&["graph"]).exit(0).stdout);
    assert!(golden.run(&["graph", "--format", "dot"]).exit(0).stdout.starts_with("digraph"));
    assert!(golden.run(&["graph", "--format", "svg"]).exit(0).stdout.starts_with("<svg"));
    assert_eq!(jobs(&golden, &["c"]), [["a"], ["b"], ["c"]]);
}

#[test]
fn a_broken_lock_is_told() {
    let golden = three();
    for lock in ["nonsense", "version = 2", "version = 1\n[[base]]\nbase = 1\n"] {
        golden.write("golden.lock", lock);
        let run = golden.run(&["check"]).exit(2);
        assert!(run.stderr.contains("golden.lock"), "{}", run.stderr);
    }
}
