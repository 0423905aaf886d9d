//! `golden --version`, and the build script that records the commit.

use std::path::Path;
use std::process::Command;

use crate::sources::root;
use crate::support::workspace::{Golden, Run};

/// The first commit of [`Golden::git`] has this date.
const DATE: &str = "2026-01-02";

/// A package with the build script of golden, whose program prints the version.
fn package() -> Golden {
    let script = std::fs::read_to_string(root().join("src/build.rs")).unwrap();
    Golden::new()
        .file(
            "Cargo.toml",
            "[package]\nname = \"tiny\"\nversion = \"1.2.3\"\nedition = \"2024\"\nbuild = \"src/build.rs\"\n\
             [profile.dist]\ninherits = \"release\"\nopt-level = 1\n[profile.release]\nopt-level = 0\n",
        )
        .file("src/main.rs", "fn main() { println!(\"{}\", env!(\"GOLDEN_VERSION\")) }\n")
        .file("src/build.rs", script)
        .file(".gitignore", "target\nCargo.lock\n")
}

/// Builds the package, and returns the version that it prints, and if cargo compiled it.
fn build(directory: &Path, profile: &str, environment: &[(&str, &str)]) -> (String, bool) {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(program)
        .args(["build", "--offline", "--profile", profile])
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", directory.join("target"))
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let built = Run::of(built).exit(0);
    let program = directory.join("target").join(profile).join("tiny");
    let version = Run::of(Command::new(program).output().unwrap()).exit(0);
    let is_compiled = built.stderr.contains("Compiling tiny");
    (version.stdout.trim_end().to_owned(), is_compiled)
}

/// The version of the commit that is checked out in a directory.
fn expected(golden: &Golden, directory: &str) -> String {
    let hash = golden.git(&["-C", directory, "rev-parse", "--short=7", "HEAD"]);
    format!("1.2.3 ({hash} {DATE})")
}

#[test]
fn the_version_has_a_short_and_a_long_form() {
    let number = env!("CARGO_PKG_VERSION");
    let golden = Golden::new();
    let short = golden.run(&["-V"]).exit(0).stdout;
    assert_eq!(short, format!("golden {number}\n"));
    // The tests may be run in an optimised build.
    let long = golden.run(&["--version"]).exit(0).stdout;
    let commit = regex::Regex::new(r"^( \([0-9a-f]{7,} \d{4}-\d{2}-\d{2}\))?\n$").unwrap();
    let rest = long.strip_prefix(&format!("golden {number}")).unwrap();
    assert!(commit.is_match(rest), "{long}");
}

#[test]
fn an_optimised_build_has_the_commit_and_compiles_only_after_another_one() {
    let golden = package();
    golden.git(&["init", "--quiet", "--initial-branch", "main"]);
    golden.git(&["add", "."]);
    golden.git(&["commit", "--quiet", "--message", "one"]);
    let first = expected(&golden, ".");
    let build = || build(golden.path(), "dist", &[]);
    assert_eq!(build(), (first.clone(), true));
    assert_eq!(build(), (first.clone(), false));
    golden.git(&["commit", "--quiet", "--allow-empty", "--message", "two"]);
    let second = expected(&golden, ".");
    assert_ne!(first, second);
    assert_eq!(build(), (second.clone(), true));
    // Without a file for the branch, and without a branch.
    golden.git(&["pack-refs", "--all"]);
    assert_eq!(build().0, second);
    assert_eq!(build(), (second.clone(), false));
    golden.git(&["commit", "--quiet", "--allow-empty", "--message", "three"]);
    assert_eq!(build(), (expected(&golden, "."), true));
    golden.git(&["checkout", "--quiet", "--detach", "HEAD~1"]);
    assert_eq!(build(), (second.clone(), true));
    assert_eq!(build(), (second, false));
}

/// Then only the file of the branch reports a commit, and `packed-refs` may take its place.
#[test]
fn an_optimised_build_without_logs_of_git_has_the_commit() {
    let golden = package();
    golden.git(&["init", "--quiet", "--initial-branch", "team/main"]);
    golden.git(&["config", "core.logAllRefUpdates", "false"]);
    let build = || build(golden.path(), "dist", &[]);
    // The branch has no commit and no file.
    assert_eq!(build(), ("1.2.3".to_owned(), true));
    golden.git(&["add", "."]);
    golden.git(&["commit", "--quiet", "--message", "one"]);
    assert_eq!(build(), (expected(&golden, "."), true));
    golden.git(&["pack-refs", "--all"]);
    assert!(!golden.path().join(".git/refs/heads/team/main").exists());
    assert_eq!(build().0, expected(&golden, "."));
    assert_eq!(build(), (expected(&golden, "."), false));
    golden.git(&["commit", "--quiet", "--allow-empty", "--message", "two"]);
    assert_eq!(build(), (expected(&golden, "."), true));
    assert_eq!(build(), (expected(&golden, "."), false));
}

/// A reftable repository has no files for its branches and logs, so the build script cannot watch
/// them.
#[test]
fn an_optimised_build_in_a_reftable_repository_has_the_commit() {
    let golden = package();
    let mut init = Command::new("git");
    let init = init
        .args(["init", "--quiet", "--initial-branch", "main"])
        .arg("--ref-format=reftable")
        .current_dir(golden.path());
    let run = init.output().unwrap();
    let message = String::from_utf8_lossy(&run.stderr);
    assert!(
        run.status.success(),
        "this test needs git 2.45 or later, which has the format: {message}"
    );
    golden.git(&["add", "."]);
    golden.git(&["commit", "--quiet", "--message", "one"]);
    golden.git(&["worktree", "add", "--quiet", "other"]);
    for directory in [".", "other"] {
        let build = || build(&golden.path().join(directory), "dist", &[]);
        let commit = |message: &str| {
            let commit = ["commit", "--quiet", "--allow-empty", "--message", message];
            golden.git(&[["-C", directory].as_slice(), &commit].concat());
        };
        assert_eq!(build(), (expected(&golden, directory), true));
        assert_eq!(build(), (expected(&golden, directory), false));
        commit("two");
        assert_eq!(build(), (expected(&golden, directory), true));
        golden.git(&["-C", directory, "checkout", "--quiet", "--detach", "HEAD~1"]);
        assert_eq!(build(), (expected(&golden, directory), true));
        assert_eq!(build(), (expected(&golden, directory), false));
    }
}

#[test]
fn an_optimised_build_in_a_worktree_has_the_commit_of_the_worktree() {
    let golden = package();
    golden.git(&["init", "--quiet", "--initial-branch", "main"]);
    golden.git(&["add", "."]);
    golden.git(&["commit", "--quiet", "--message", "one"]);
    golden.git(&["worktree", "add", "--quiet", "other"]);
    let other = golden.path().join("other");
    // A hook of git sets the variable.
    let build = || build(&other, "dist", &[("GIT_DIR", "/nowhere")]);
    assert_eq!(build(), (expected(&golden, "other"), true));
    let commit = ["commit", "--quiet", "--allow-empty", "--message"];
    golden.git(&[["-C", "other"].as_slice(), &commit, &["two"]].concat());
    assert_eq!(build(), (expected(&golden, "other"), true));
    golden.git(&[commit.as_slice(), &["three"]].concat());
    assert_eq!(build(), (expected(&golden, "other"), false));
    assert_ne!(expected(&golden, "other"), expected(&golden, "."));
}

#[test]
fn a_build_without_a_commit_has_the_version_alone() {
    let alone = "1.2.3".to_owned();
    // An unpacked archive inside another repository.
    let golden = package();
    let nested = Golden::new();
    nested.git(&["init", "--quiet"]);
    nested.git(&["commit", "--quiet", "--allow-empty", "--message", "one"]);
    let inside = nested.path().join("golden");
    let mut copy = Command::new("cp");
    assert!(
        copy.arg("-r")
            .arg(golden.path())
            .arg(&inside)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(build(&inside, "dist", &[]), (alone.clone(), true));
    // A repository without a commit, and a `.git` that git cannot read.
    golden.git(&["init", "--quiet", "--initial-branch", "main"]);
    assert_eq!(build(golden.path(), "dist", &[]).0, alone);
    std::fs::write(inside.join(".git"), "gitdir: /nowhere\n").unwrap();
    std::fs::remove_dir_all(inside.join("target")).unwrap();
    assert_eq!(build(&inside, "dist", &[]), (alone.clone(), true));
    assert_eq!(build(&inside, "dist", &[]), (alone.clone(), false));
    // A build without optimisation does not compile again for each commit.
    golden.git(&["add", "."]);
    golden.git(&["commit", "--quiet", "--message", "one"]);
    assert_eq!(build(golden.path(), "release", &[]), (alone.clone(), true));
    golden.git(&["commit", "--quiet", "--allow-empty", "--message", "two"]);
    assert_eq!(build(golden.path(), "release", &[]), (alone, false));
}
