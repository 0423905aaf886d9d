//! The completions of shells.

use std::path::Path;
use std::process::Command;

use crate::support::workspace::Golden;

fn workspace() -> Golden {
    let image = |name: &str| {
        format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n")
    };
    Golden::new()
        .workspace("[[registry]]\nname = \"team\"\nhost = \"127.0.0.1:1\"\n\n[[registry]]\nname = \"public\"\nhost = \"127.0.0.1:2\"\n")
        .image("app", &image("app"))
        .image("net", &image("dotnet/aspnet"))
        .image("apt", &image("apt-tools"))
}

/// The candidates that bash shows for the last of `words`, and the errors.
fn bash_in(golden: &Golden, directory: &Path, words: &[&str]) -> (Vec<String>, String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_golden"));
    let script = "source <(golden completions bash)\n\
        COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))\n\
        _clap_complete_golden golden \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"\n\
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let path = std::env::var("PATH").unwrap();
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "bash", "golden"])
        .args(words)
        .current_dir(directory)
        .env(
            "PATH",
            format!("{}:{path}", binary.parent().unwrap().display()),
        )
        .env("XDG_CACHE_HOME", golden.path().join(".cache"));
    let output = bash.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    let errors = String::from_utf8(output.stderr).unwrap();
    (lines.map(str::to_owned).collect(), errors)
}

#[track_caller]
fn bash(golden: &Golden, words: &[&str]) -> Vec<String> {
    let (found, errors) = bash_in(golden, golden.path(), words);
    assert_eq!(errors, "");
    found
}

#[test]
fn bash_completes_the_images_of_the_workspace() {
    let golden = workspace();
    for words in [
        &["build", "a"][..],
        &["plan", "dotnet/aspnet", "a"],
        &["inspect", "a"],
        &["promote", "a"],
        &["delete", "a"],
        &["bump", "a"],
        &["ls", "a"],
        &["channels", "a"],
        &["lifecycle", "apply", "a"],
        &["new", "--base", "a"],
    ] {
        assert_eq!(bash(&golden, words), ["app", "apt-tools"], "{words:?}");
    }
    assert_eq!(bash(&golden, &["build", "dot"]), ["dotnet/aspnet"]);
    assert_eq!(bash(&golden, &["build", "x"]), [""; 0]);
    // `-w` names another workspace.
    let other = workspace();
    other.write(
        "extra/image.toml",
        "[image]\nname = \"axis\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n",
    );
    let directory = other.path().to_str().unwrap();
    let found = bash(&golden, &["-w", directory, "build", "ax"]);
    assert_eq!(found, ["axis"]);
}

#[test]
fn bash_completes_registries_formats_and_rules() {
    let golden = workspace();
    assert_eq!(
        bash(&golden, &["build", "--registry", ""]),
        ["public", "team"]
    );
    assert_eq!(bash(&golden, &["plan", "--registry", "t"]), ["team"]);
    assert_eq!(bash(&golden, &["diff", "--format", "m"]), ["markdown"]);
    assert_eq!(
        bash(&golden, &["matrix", "--format", ""]),
        ["github", "gitlab", "json"]
    );
    assert_eq!(
        bash(&golden, &["check", "--explain", "spec.cy"]),
        ["spec.cycle"]
    );
    assert_eq!(
        bash(&golden, &["check", "--explain", "base.req"]),
        ["base.require_digest"]
    );
    assert_eq!(bash(&golden, &["chan"]), ["channels"]);
}

#[test]
fn completions_show_no_errors_and_run_nothing() {
    // There is no workspace.
    let golden = Golden::new();
    assert_eq!(bash(&golden, &["build", "a"]), [""; 0]);
    // Files are broken, a name is hostile, and a registry would be a pattern of the shell.
    let golden = Golden::new().workspace(
        "[[registry]]\nname = \"*\"\nhost = \"127.0.0.1:1\"\n[[registry]]\nname = \"$(touch ran)\"\n",
    );
    golden.write("a/image.toml", "[image\n");
    golden.write("b/image.toml", "[image]\nname = \"a$(touch ran)\"\n");
    golden.write("c/image.toml", "[image]\nname = \"a-{{ git.commit }}\"\n");
    golden.write("d/image.toml", "[image]\nname = \"app\"\nversion = 1\n");
    assert_eq!(bash(&golden, &["build", "a"]), ["app"]);
    assert_eq!(bash(&golden, &["build", "--registry", ""]), [""; 0]);
    golden.write("golden.toml", "[[registry\n");
    assert_eq!(bash(&golden, &["build", "a"]), [""; 0]);
    assert!(!golden.path().join("ran").exists());
    assert!(!golden.path().join(".golden").exists());
    // An unknown shell is no shell.
    let golden = golden.env("GOLDEN_COMPLETE", "none");
    let run = golden.run(&["tags", "1.2.3"]).exit(0);
    assert!(run.stdout.contains("1.2.3"), "{}", run.stdout);
}

/// The word at the cursor as bash passes it: the line, `$2`, and the candidates that it inserts.
#[test]
fn bash_quotes_candidates_as_the_word_is_quoted() {
    let golden = Golden::new()
        .workspace("")
        .file("it's \\ `$HOME; x/file", "")
        .file("other place/golden.toml", "");
    let script = golden.run(&["completions", "bash"]).exit(0).stdout;
    // bash 3.2 has no assignment of printf to an element.
    assert!(!script.contains("printf -v"), "{script}");
    let binary = Path::new(env!("CARGO_BIN_EXE_golden"));
    let path = std::env::var("PATH").unwrap();
    let script = "source <(golden completions bash)\n\
        COMP_WORDS=(golden serve \"$1\"); COMP_CWORD=2\n\
        _golden_complete golden \"$2\" serve\n\
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    for (typed, passed, expected) in [
        ("it", "it", r"it\'s\ \\\ \`\$HOME\;\ x/"),
        (r"it\'", r"it\'", r"it\'s\ \\\ \`\$HOME\;\ x/"),
        ("\"it's", "it's", r"it's \\ \`\$HOME; x/"),
        ("'it", "it", r"it'\''s \ `$HOME; x/"),
        ("\"oth", "oth", "other place/"),
        // The cursor is before the last two letters.
        ("\"other", "oth", "other place/"),
        ("other", "oth", r"other\ place/"),
        // bash makes a word of its own of `=`, and passes none.
        ("=", "", r"it\'s\ \\\ \`\$HOME\;\ x/"),
    ] {
        let mut bash = Command::new("bash");
        bash.args(["-c", script, "bash", typed, passed])
            .current_dir(golden.path())
            .env(
                "PATH",
                format!("{}:{path}", binary.parent().unwrap().display()),
            );
        let output = bash.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let first = text.lines().find(|line| line.ends_with('/'));
        assert_eq!(first.unwrap_or_default(), expected, "{typed}");
    }
}

/// zsh and fish run golden in the same way; their scripts name the variable and the words.
#[test]
fn other_shells_complete_the_same_names() {
    let golden = workspace();
    for shell in ["zsh", "fish"] {
        let script = golden.run(&["completions", shell]).exit(0).stdout;
        assert!(script.contains("GOLDEN_COMPLETE"), "{script}");
        let run = golden
            .command(&["--", "golden", "build", "a"])
            .env("GOLDEN_COMPLETE", shell)
            .env("_CLAP_COMPLETE_INDEX", "2")
            .output()
            .unwrap();
        let text = String::from_utf8(run.stdout).unwrap();
        assert!(text.contains("app") && text.contains("apt-tools"), "{text}");
        assert!(!text.contains("aspnet"), "{text}");
    }
}
