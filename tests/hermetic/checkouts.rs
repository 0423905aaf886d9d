//! The same files in another checkout: line endings, and repositories that git refuses to read.

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
        git.current_dir(golden.path()).args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
        ]);
        assert!(git.args(args).status().unwrap().success(), "{args:?}");
    }
    golden
}

const IMAGE: &str = "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n";

/// The same checkout, owned by another user, with no git configuration that allows it.
fn of_another_user(golden: Golden) -> Golden {
    for path in [golden.path().to_owned(), golden.path().join(".git")] {
        std::os::unix::fs::chown(path, Some(12_345), None).unwrap();
    }
    let home = golden.path().join("home");
    golden.env("HOME", home.to_str().unwrap())
}

/// The warnings of a check.
fn warnings(golden: &Golden) -> Vec<String> {
    let run = golden.run(&["check"]).exit(0);
    run.stderr
        .lines()
        .filter(|line| line.starts_with("warning"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_checkout_that_git_refuses_gives_a_warning_with_its_message() {
    let golden = committed(IMAGE);
    assert_eq!(warnings(&golden), Vec::<String>::new());
    let expected = "warning: git does not read this checkout, so the labels `revision` and `source` are omitted and \
                times are 1970-01-01: ";

    let config = golden.path().join(".git/config");
    let sound = std::fs::File::open(&config)
        .map(std::io::read_to_string)
        .unwrap()
        .unwrap();
    golden.write(".git/config", format!("{sound}[broken\n"));
    let found = warnings(&golden);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with(expected) && found[0].contains("bad config line"),
        "{found:?}"
    );
    golden.write(".git/config", sound);

    let golden = golden.env("PATH", "/nonexistent");
    assert_eq!(
        warnings(&golden),
        [format!("{expected}the program `git` is not in PATH")]
    );
    let golden = golden.env("SOURCE_DATE_EPOCH", "0");
    let found = warnings(&golden);
    assert!(found[0].contains("`source` are omitted: "), "{found:?}");
}

#[test]
fn a_checkout_of_another_user_gives_a_warning_that_quotes_git() {
    let golden = of_another_user(committed(IMAGE));
    let found = warnings(&golden);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("detected dubious ownership in repository at"),
        "{found:?}"
    );
    assert!(
        found[0].contains("git config --global --add safe.directory"),
        "{found:?}"
    );
}

#[test]
fn a_workspace_outside_of_git_gives_no_warning() {
    let golden = Golden::new().workspace("").image("app", IMAGE);
    assert_eq!(warnings(&golden), Vec::<String>::new());
    let golden = golden.env("PATH", "/nonexistent");
    assert_eq!(warnings(&golden), Vec::<String>::new());
    // A repository without a commit is not refused.
    let golden = Golden::new().workspace("").image("app", IMAGE);
    Command::new("git")
        .arg("init")
        .arg("-q")
        .current_dir(golden.path())
        .status()
        .unwrap();
    assert_eq!(warnings(&golden), Vec::<String>::new());
}

#[test]
fn a_template_that_needs_git_reports_why_git_is_unavailable() {
    let image = format!("{IMAGE}[tags]\nextra = [\"{{{{ git.short }}}}\"]\n");
    let golden = committed(&image);
    golden.run(&["check"]).exit(0);
    let golden = of_another_user(golden);
    let run = golden.run(&["check"]).exit(2);
    assert!(
        run.stderr.contains("`git.short` is not defined"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains("git does not read this checkout: fatal: detected dubious"),
        "{}",
        run.stderr
    );
    let outside = Golden::new()
        .workspace("")
        .image("app", &image)
        .run(&["check"])
        .exit(2);
    assert!(
        outside
            .stderr
            .contains("the workspace is not in a git repository with a commit"),
        "{}",
        outside.stderr
    );
}

const WORKSPACE: &str = r#"[workspace]
templates = ["templates"]
[vars]
text = """one
two"""
[defaults.labels]
team = "a"
"#;

const TEXTS: &str = r#"[image]
name = "app"
version = "1.0.0"
base = "scratch"
[labels]
note = """
a
b"""
var = "{{ vars.text }}"
[env]
E = '''
c
d'''
[[files]]
target = "/run.sh"
mode = "0755"
content = """
#!/bin/sh
echo started
"""
[[files]]
target = "/data.txt"
source = "data.txt"
"#;

const STEPS: &str = r#"[image]
name = "app"
version = "1.0.0"
base = "debian:12"
template = "own"
[[run]]
script = """
echo a
echo b
"""
"#;

/// A workspace in which every line of specs and templates ends in `line_end`.
fn with_line_ends(line_end: &str, image: &str) -> Golden {
    let with = |text: &str| text.replace('\n', line_end);
    Golden::new()
        .workspace(&with(WORKSPACE))
        .file(
            "templates/own.Dockerfile.j2",
            with("{{ from }}\n{{ steps }}\n# end\n"),
        )
        .file("app/data.txt", "kept\r\nas it is\n")
        .image("app", &with(image))
}

#[test]
fn a_checkout_with_crlf_builds_the_same_image() {
    let built = |line_end: &str| {
        let golden = with_line_ends(line_end, TEXTS);
        golden
            .run(&["build", "--engine", "embedded", "--to", "oci:out"])
            .exit(0);
        let index = std::fs::File::open(golden.path().join("out/index.json")).unwrap();
        std::io::read_to_string(index).unwrap()
    };
    assert_eq!(built("\r\n"), built("\n"));
}

#[test]
fn a_step_and_a_template_of_a_checkout_with_crlf_render_the_same() {
    let rendered = |line_end: &str| {
        with_line_ends(line_end, STEPS)
            .run(&["render"])
            .exit(0)
            .stdout
    };
    let text = rendered("\n");
    assert!(!text.contains('\r') && text.contains("# end"), "{text}");
    assert_eq!(rendered("\r\n"), text);
}
