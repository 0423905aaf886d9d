//! Completions in interactive shells: the keys of a user, and the words that the command then gets.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;

use crate::support::workspace::Golden;

/// The shells, and the line that loads the completions.
const SHELLS: [(&str, &str); 3] = [
    ("bash --norc -i", "source <(golden completions bash)"),
    (
        "zsh -f -i",
        "autoload -U compinit; compinit -u -d ./dump; source <(golden completions zsh)",
    ),
    (
        "fish --private --no-config -i",
        "golden completions fish | source",
    ),
];

/// Types a line that ends with a tab, and then puts a command before it that prints its words.
fn words(golden: &Golden, shell: &str, load: &str, line: &str) -> Vec<String> {
    let programs = Path::new(env!("CARGO_BIN_EXE_golden")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    // A shell that waits for the end of a quote would wait for ever.
    let mut script = Command::new("timeout");
    script
        .args(["60", "script", "--quiet", "--command", shell, "/dev/null"])
        .current_dir(golden.path())
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("HOME", golden.path())
        .env("XDG_CACHE_HOME", golden.path().join(".cache"))
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "dumb")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut running = script.spawn().unwrap();
    let mut keyboard = running.stdin.take().unwrap();
    // ^A and ^E move the cursor to the start and to the end of the line.
    let keys = format!("{load}\n{line}\t\u{1}printf '<%s>' \u{5}\nexit\n");
    keyboard.write_all(keys.as_bytes()).unwrap();
    let output = running.wait_with_output().unwrap();
    drop(keyboard);
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let printed = Regex::new(r"<golden>((?:<[^>]*>)*)").unwrap();
    let Some(found) = printed.captures_iter(&output).last() else {
        panic!("{shell}: {line}: {output:?}");
    };
    let words = found[1].trim_matches(['<', '>']).split("><");
    words.map(str::to_owned).collect()
}

#[test]
fn interactive_shells_complete_names_and_files() {
    let image = |name: &str| {
        format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n")
    };
    let golden = Golden::new()
        .workspace("[[registry]]\nname = \"team\"\nhost = \"127.0.0.1:1\"\n")
        .image("app", &image("dotnet/aspnet"))
        .file("list of users", "")
        .file("it's $HOME; x/file", "")
        .file("user's $HOME", "")
        .file("other place/golden.toml", "")
        .file("other place/axis/image.toml", image("axis"));
    std::thread::scope(|scope| {
        for (shell, load) in SHELLS {
            let golden = &golden;
            scope.spawn(move || {
                for (line, expected) in [
                    ("golden build dot", &["build", "dotnet/aspnet"][..]),
                    ("golden plan --registry t", &["plan", "--registry", "team"]),
                    ("golden diff --format m", &["diff", "--format", "markdown"]),
                    (
                        "golden check --explain spec.cy",
                        &["check", "--explain", "spec.cycle"],
                    ),
                    ("golden chann", &["channels"]),
                    (
                        "golden serve --htpasswd li",
                        &["serve", "--htpasswd", "list of users"],
                    ),
                    (
                        "golden serve --htpasswd list\\ o",
                        &["serve", "--htpasswd", "list of users"],
                    ),
                    (
                        "golden serve --htpasswd \"list o",
                        &["serve", "--htpasswd", "list of users"],
                    ),
                    ("golden serve it", &["serve", "it's $HOME; x/"]),
                    (
                        "golden serve --htpasswd \"user's",
                        &["serve", "--htpasswd", "user's $HOME"],
                    ),
                    (
                        "golden serve --htpasswd 'us",
                        &["serve", "--htpasswd", "user's $HOME"],
                    ),
                    (
                        "golden -w other\\ place build ax",
                        &["-w", "other place", "build", "axis"],
                    ),
                    (
                        "golden -w 'other place' build ax",
                        &["-w", "other place", "build", "axis"],
                    ),
                    ("golden -w oth", &["-w", "other place/"]),
                ] {
                    let found = words(golden, shell, load, line);
                    assert_eq!(found, expected, "{shell}: {line}");
                }
            });
        }
    });
}
