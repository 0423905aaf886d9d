//! The same files in another checkout: line endings, and repositories that git does not read.

use std::process::Command;

use crate::support::workspace::Golden;

/// A workspace that is a git repository with one commit.
fn committed(image: &str) -> Golden {
    let golden = Golden::new().workspace("").image("app", image);
    for args in [
        &["init", "-q"][..],
        &["remote", "add", "origin", "https://git.example.com/o/r.git"],
        &["add", "-A"],
        &["commit", "-qm", "x"],
    ] {
        let mut git = Command::new("git");
        git.current_dir(golden.path()).args(["-c", "user.name=t", "-c", "user.email=t@example.com"]);
        assert!(git.args(args).status().unwrap().success(), "{args:?}");
    }
    golden
}

const IMAGE: &str = "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n";

/// The warnings of a check.
fn warnings(golden: &Golden) -> Vec<String> {
    let run = golden.run(&["check"]).exit(0);
    run.stderr.lines().filter(|line| line.starts_with("warning")).map(str::to_owned).collect()
}

#[test]
fn a_checkout_that_git_does_not_read_is_a_warning_in_gits_words() {
    let golden = committed(IMAGE);
    assert_eq!(warnings(&golden), Vec::<String>::new());
    let said = "warning: git does not read this checkout, so the labels `revision` and `source` are omitted and \
                times are 1970-01-01: ";

    let config = golden.path().join(".git/config");
    let sound = std::fs::File::open(&config).map(std::io::read_to_string).unwrap().unwrap();
    golden.write(".git/config", format!("{sound}[broken\n"));
    let found = warnings(&golden);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(said) && found[0].contains("bad config line"), "{found:?}");
    golden.write(".git/config", sound);

    let golden = golden.env("PATH", "/nonexistent");
    assert_eq!(warnings(&golden), [format!("{said}the program `git` is not in PATH")]);
    let golden = golden.env("SOURCE_DATE_EPOCH", "0");
    let found = warnings(&golden);
    assert!(found[0].contains("`source` are omitted: "), "{found:?}");
}

#[test]
fn a_checkout_of_another_user_is_a_warning_that_quotes_git() {
    let golden = committed(IMAGE).env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
    let found = warnings(&golden);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("detected dubious ownership in repository at"), "{found:?}");
    assert!(found[0].contains("git config --global --add safe.directory"), "{found:?}");
}

#[test]
fn a_workspace_outside_of_git_is_no_warning() {
    let golden = Golden::new().workspace("").image("app", IMAGE);
    assert_eq!(warnings(&golden), Vec::<String>::new());
    let golden = golden.env("PATH", "/nonexistent");
    assert_eq!(warnings(&golden), Vec::<String>::new());
    // A repository without a commit is not refused.
    let golden = Golden::new().workspace("").image("app", IMAGE);
    Command::new("git").arg("init").arg("-q").current_dir(golden.path()).status().unwrap();
    assert_eq!(warnings(&golden), Vec::<String>::new());
}

#[test]
fn a_template_that_needs_git_says_why_there_is_none() {
    let image = format!("{IMAGE}[tags]\nextra = [\"{{{{ git.short }}}}\"]\n");
    let golden = committed(&image);
    golden.run(&["check"]).exit(0);
    let golden = golden.env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
    let run = golden.run(&["check"]).exit(2);
    assert!(run.stderr.contains("`git.short` is not defined"), "{}", run.stderr);
    assert!(
        run.stderr.contains("git does not read this checkout: fatal: detected dubious"),
        "{}",
        run.stderr
    );
    let outside = Golden::new().workspace("").image("app", &image).run(&["check"]).exit(2);
    assert!(
        outside.stderr.contains("the workspace is in no git repository that has a commit"),
        "{}",
        outside.stderr
    );
}
