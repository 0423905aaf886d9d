//! The README and the guide match the program: their excerpts are its real output, their TOML
//! parses, and their commands exist.
//!
//! Each console block is run in the order of the pages, in one workspace. `GOLDEN_GUIDE=write cargo
//! test guide` writes the real output into the files. Digests are numbered in the order in which a
//! page shows them, so that equal digests have equal numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use golden::help::TOPICS;
use regex::Regex;

use crate::support::served::Served;
use crate::support::snapshot::redacted;
use crate::support::workspace::Golden;

const PICTURE: &str = "src/help/first-run.svg";

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(page)
}

#[expect(clippy::disallowed_methods, reason = "the test owns this file")]
fn read(page: &str) -> String {
    std::fs::read_to_string(path(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// README.md and the chapters of the guide, in reading order.
fn pages() -> Vec<String> {
    let chapters = TOPICS
        .iter()
        .map(|topic| format!("src/help/{}.md", topic.name));
    std::iter::once("README.md".to_owned())
        .chain(chapters)
        .collect()
}

/// The blocks of a page whose fence has this `info` string.
fn blocks(page: &str, info: &str) -> Vec<String> {
    let (mut blocks, mut open) = (Vec::new(), None::<(bool, String)>);
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(fence)) => open = Some((fence == info, String::new())),
            (Some((wanted, text)), Some(_)) => {
                blocks.extend(wanted.then(|| std::mem::take(text)));
                open = None;
            }
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The workspaces of the guide's excerpts, from the TOML blocks of its first chapter: `bases`, whose
/// image the reader publishes first, and `work`. The registry is empty.
fn workspace(registry: &Served) -> Golden {
    let local = |text: &str| text.replace("localhost:5000", registry.host());
    let page = read("src/help/getting-started.md");
    let (files, images) = (blocks(&page, "toml workspace"), blocks(&page, "toml image"));
    Golden::new()
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .env("SOURCE_DATE_EPOCH", "0")
        .file("work/golden.toml", local(&files[0]))
        .image("work/app", &local(&images[1]))
        .file("bases/golden.toml", "")
        .image("bases/os", &images[0])
}

/// The output of a command, both streams in the order in which a terminal shows them.
fn run(golden: &Golden, registry: &Served, line: &str) -> String {
    let directory = Path::new(env!("CARGO_BIN_EXE_golden"))
        .parent()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let command = format!(
        "exec 2>&1; {}",
        line.replace("localhost:5000", registry.host())
    );
    let mut shell = Command::new("sh");
    // A command that names a directory is run next to the workspaces, the others in the guide's
    // own.
    let outside = ["golden init", " -w ", "cd first", "cp -r team"]
        .iter()
        .any(|part| line.contains(part));
    shell.args(["-c", &command]);
    shell.current_dir(if outside {
        golden.path().to_owned()
    } else {
        golden.path().join("work")
    });
    shell.envs(
        golden
            .command(&[])
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    shell.env(
        "PATH",
        format!(
            "{directory}:{}",
            std::env::var_os("PATH").unwrap().to_str().unwrap()
        ),
    );
    let output = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    output
        .replace(registry.host(), "localhost:5000")
        .replace(golden.path().to_str().unwrap(), "/home/me")
}

/// A console block with its commands run again.
fn rerun(golden: &Golden, registry: &Served, block: &str) -> String {
    let mut text = String::new();
    for line in block.lines().filter(|line| line.starts_with("$ ")) {
        let output = run(golden, registry, line.trim_start_matches("$ "));
        text.extend([
            line,
            "\n",
            output.trim_end(),
            if output.trim_end().is_empty() {
                ""
            } else {
                "\n"
            },
        ]);
    }
    text
}

/// Digests as `<digest-1>`, `<digest-2>`, …: equal numbers for equal digests, whether they are
/// shown short or in full.
#[derive(Default)]
struct Numbers(BTreeMap<String, usize>);

impl Numbers {
    fn number(&mut self, text: &str) -> String {
        let digest = Regex::new(r"sha256:([0-9a-f]{12})([0-9a-f]{52})?(  +)?").unwrap();
        let replaced = digest.replace_all(text, |found: &regex::Captures<'_>| {
            let next = self.0.len() + 1;
            let number = *self.0.entry(found[1].to_owned()).or_insert(next);
            let short = format!("<digest-{number}>");
            // The next column keeps its position.
            let columns = found.get(3).map_or(0, |_| found[0].chars().count());
            format!("{short:columns$}")
        });
        // A duration ends the rows of a summary, and differs in each run.
        let duration = Regex::new(r"(?m)\d+\.\d s$").unwrap();
        duration.replace_all(&replaced, "0.1 s").into_owned()
    }
}

fn writes() -> bool {
    std::env::var_os("GOLDEN_GUIDE").is_some_and(|value| value == "write")
}

#[expect(clippy::disallowed_methods, reason = "the test updates this page")]
fn write(page: &str, text: &str) {
    std::fs::write(path(page), text).unwrap();
}

#[test]
fn every_excerpt_is_what_the_program_prints() {
    let registry = Served::start(&[]);
    let golden = workspace(&registry);
    let mut differences = Vec::new();
    for name in pages() {
        let mut page = read(&name);
        let mut numbers = Numbers::default();
        for block in blocks(&page.clone(), "console") {
            let now = numbers.number(&rerun(&golden, &registry, &block));
            if redacted(&now) != redacted(&block) {
                differences.push(format!("{name} says:\n{block}\nthe program prints:\n{now}"));
                page = page.replace(
                    &format!("```console\n{block}```"),
                    &format!("```console\n{now}```"),
                );
            }
        }
        if writes() {
            write(&name, &page);
        }
    }
    assert!(
        writes() || differences.is_empty(),
        "{}",
        differences.join("\n")
    );
}

#[test]
fn every_toml_block_has_only_known_keys() {
    let mut count = 0;
    for name in pages() {
        let page = read(&name);
        for (kind, blocks) in [
            ("workspace", blocks(&page, "toml workspace")),
            ("image", blocks(&page, "toml image")),
        ] {
            for block in blocks {
                count += 1;
                let golden = match kind {
                    "workspace" => Golden::new().workspace(&block).image(
                        "app",
                        "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n",
                    ),
                    _ => Golden::new().workspace("").image("app", &block),
                };
                let run = golden.run(&["check", "--format", "json"]);
                let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
                for diagnostic in document["diagnostics"].as_array().unwrap() {
                    let rule = diagnostic["rule"].as_str().unwrap();
                    // A block names files and git facts that do not exist here.
                    assert!(
                        !rule.starts_with("spec.unknown")
                            && rule != "spec.syntax"
                            && rule != "spec.type",
                        "{name}: {diagnostic}"
                    );
                }
            }
        }
    }
    assert!(count >= 6, "the guide has {count} blocks of TOML");
}

#[test]
fn every_command_of_the_guide_exists() {
    let help = Golden::new().run(&["--help"]).exit(0).stdout;
    let named = Regex::new(r"(?m)golden (?:-w \S+ )?([a-z]+)\b(?: [-\w]+)?`").unwrap();
    for name in pages() {
        for capture in named.captures_iter(&read(&name)) {
            let command = &capture[1];
            assert!(
                help.contains(&format!("  {command} ")),
                "{name}: `golden {command}` is not a command:\n{help}"
            );
        }
    }
}

#[test]
fn the_readme_is_short() {
    let length = read("README.md").len();
    assert!(length <= 8 << 10, "README.md has {length} bytes");
}

#[test]
fn every_topic_is_shown_by_help() {
    for topic in TOPICS {
        let run = Golden::new().run(&["help", topic.name]).exit(0);
        assert!(
            run.stdout.lines().count() > 5 && !run.stdout.contains("```"),
            "{}",
            run.stdout
        );
    }
    let run = Golden::new().run(&["help", "tgas"]).exit(2);
    insta::assert_snapshot!(run.stderr, @r"
    error: `tgas` is neither a command nor a topic of the guide
      help: did you mean `golden help tags`?
    ");
    let run = Golden::new().run(&["help", "promote"]).exit(0);
    assert!(run.stdout.contains("--no-referrers"), "{}", run.stdout);
}

#[test]
fn every_link_leads_to_a_file() {
    let link = Regex::new(r"\]\(([^)#:]+)\)").unwrap();
    for name in pages() {
        for capture in link.captures_iter(&read(&name)) {
            let target = path(&name).parent().unwrap().join(&capture[1]);
            assert!(
                target.exists(),
                "{name}: {} does not exist",
                target.display()
            );
        }
    }
}

/// The picture of a terminal in the README: the same lines as a real run.
#[test]
fn the_picture_shows_a_real_run() {
    let registry = Served::start(&[]);
    let golden = workspace(&registry);
    let base = "golden -w bases build --push --registry localhost:5000";
    run(&golden, &registry, base);
    let mut numbers = Numbers::default();
    let commands = [
        "golden plan app",
        "golden build --push app",
        "golden build --push app",
        "golden verify app",
    ];
    let lines: Vec<String> = commands
        .iter()
        .flat_map(|command| {
            let output = numbers.number(&run(&golden, &registry, command));
            std::iter::once(format!("$ {command}"))
                .chain(output.lines().map(str::to_owned).collect::<Vec<_>>())
        })
        .collect();
    let picture = picture(&lines);
    if writes() {
        write(PICTURE, &picture);
    } else {
        assert_eq!(redacted(&picture), redacted(&read(PICTURE)));
    }
}

/// Lines of a terminal as SVG.
fn picture(lines: &[String]) -> String {
    let escape = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    };
    let columns = lines
        .iter()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or_default();
    let (width, height) = (columns * 8 + 32, lines.len() * 19 + 32);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1e1e2e\"/>\n"
    );
    for (index, line) in lines.iter().enumerate() {
        let fill = if line.starts_with("$ ") {
            "#a6e3a1"
        } else {
            "#cdd6f4"
        };
        let y = index * 19 + 30;
        let line = format!(
            "<text x=\"16\" y=\"{y}\" fill=\"{fill}\" xml:space=\"preserve\">{}</text>\n",
            escape(line)
        );
        text.push_str(&line);
    }
    text + "</svg>\n"
}
