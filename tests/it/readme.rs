//! The README is true: its excerpts are what the program prints, its TOML parses, its commands exist.
//!
//! Each console block is run in order, in one workspace; `GOLDEN_README=write cargo test readme` writes what was
//! printed into the file.

use std::path::Path;
use std::process::Command;

use regex::Regex;

use crate::support::services;
use crate::support::snapshot::redacted;
use crate::support::workspace::Golden;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
fn readme() -> String {
    std::fs::read_to_string(README).unwrap()
}

/// The blocks of the page whose fence says `info`.
pub(crate) fn blocks(info: &str) -> Vec<String> {
    let page = readme();
    let (mut blocks, mut open) = (Vec::new(), None::<Vec<&str>>);
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(fence)) if fence == info => open = Some(Vec::new()),
            (None, Some(_)) => open = Some(vec!["another block"]),
            (Some(_), Some(_)) => {
                let lines = open.take().unwrap_or_default();
                if lines.first() != Some(&"another block") {
                    blocks.push(lines.join("\n") + "\n");
                }
            }
            (Some(lines), None) => lines.push(line),
            (None, None) => {}
        }
    }
    blocks
}

/// The workspace that the page's excerpts work on: its own first two TOML blocks, and one with mistakes.
fn workspace() -> Golden {
    let local = |text: &str| text.replace("localhost:5000", services::registry());
    let (files, images) = (blocks("toml workspace"), blocks("toml image"));
    let golden = Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .env("SOURCE_DATE_EPOCH", "0")
        .file("work/golden.toml", local(&files[0]))
        .image("work/app", &local(&images[0]).replace("base/busybox:1.36", services::base_busybox().split_once('/').unwrap().1))
        .file("broken/golden.toml", "")
        .file("broken/image.toml", "[image]\nname = \"app\"\nversion = \"1.2\"\nbase = \"debian:12\"\n\n[lables]\nowner = \"me\"\n\n[config]\nexpose = [70000]\n");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("images"), &golden.path().join("images"));
    golden
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-R").arg(from).arg(to).status().unwrap().success());
}

/// What a command says: what it tells people (stderr), then its data (stdout).
fn run(golden: &Golden, line: &str) -> String {
    let directory = Path::new(env!("CARGO_BIN_EXE_golden")).parent().unwrap().to_str().unwrap().to_owned();
    // The program that cargo would run is the one under test, and it stands in the clone.
    let command =
        line.replace("cargo run --release --", "golden").replace("localhost:5000", services::registry());
    let mut shell = Command::new("sh");
    // What names a folder is run beside the workspaces, the rest in the page's own.
    let beside = ["cargo run", "golden init", " -w "].iter().any(|part| line.contains(part));
    shell.args(["-c", &command]);
    shell.current_dir(if beside { golden.path().to_owned() } else { golden.path().join("work") });
    shell.envs(golden.command(&[]).get_envs().filter_map(|(key, value)| Some((key, value?))));
    shell.env("PATH", format!("{directory}:{}", std::env::var_os("PATH").unwrap().to_str().unwrap()));
    let output = shell.output().unwrap();
    let output = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
    output
        .replace(services::registry(), "localhost:5000")
        .replace(golden.path().to_str().unwrap(), "/home/me")
}

/// A console block with its commands run anew.
fn rerun(golden: &Golden, block: &str) -> String {
    let mut page = String::new();
    for line in block.lines().filter(|line| line.starts_with("$ ")) {
        let output = run(golden, line.trim_start_matches("$ "));
        page.extend([line, "\n", output.trim_end(), if output.trim_end().is_empty() { "" } else { "\n" }]);
    }
    page
}

#[test]
fn every_excerpt_is_what_the_program_prints() {
    let golden = workspace();
    let repositories = Command::new("curl")
        .args(["-s", &format!("http://{}/v2/_catalog", services::registry())])
        .output()
        .unwrap();
    let catalog = String::from_utf8(repositories.stdout).unwrap();
    let fresh = !catalog.contains("\"golden/app\"") && !catalog.contains("\"production/app\"");
    if !fresh {
        for reference in ["golden/app", "production/app"] {
            for tag in crate::support::curl::tags(reference) {
                let reference = format!("{}/{reference}:{tag}", services::registry());
                drop(golden.run(&["delete", &reference, "--all-tags", "--yes"]));
            }
        }
    }
    let mut page = readme();
    let mut differences = Vec::new();
    for block in blocks("console") {
        let now = rerun(&golden, &block);
        if redacted(&now) != redacted(&block) {
            differences.push(format!("the page says:\n{block}\nthe program prints:\n{now}"));
            page = page.replace(&format!("```console\n{block}```"), &format!("```console\n{now}```"));
        }
    }
    if std::env::var_os("GOLDEN_README").is_some_and(|value| value == "write") {
        #[expect(clippy::disallowed_methods, reason = "the page itself")]
        std::fs::write(README, page).unwrap();
        return;
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_toml_block_has_only_known_keys() {
    for (kind, blocks) in [("workspace", blocks("toml workspace")), ("image", blocks("toml image"))] {
        assert!(blocks.len() >= 2, "the page has no {kind} blocks");
        for block in blocks {
            let golden = match kind {
                "workspace" => Golden::new()
                    .workspace(&block)
                    .image("app", "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n"),
                _ => Golden::new().workspace("").image("app", &block),
            };
            let run = golden.run(&["check"]);
            for word in ["unknown", "TOML", "expected"] {
                assert!(!run.stderr.contains(word), "{block}\n{}", run.stderr);
            }
        }
    }
}

#[test]
fn every_command_of_the_page_exists() {
    let help = Golden::new().run(&["--help"]).exit(0).stdout;
    let page = readme();
    let named = Regex::new(r"(?m)golden (?:-w \S+ )?([a-z]+)\b(?: [-\w]+)?`").unwrap();
    for capture in named.captures_iter(&page) {
        let command = &capture[1];
        assert!(help.contains(&format!("  {command} ")), "`golden {command}` is not a command:\n{help}");
    }
}
