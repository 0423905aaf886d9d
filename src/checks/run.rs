//! Judges the results of commands that an engine ran.

use super::container::{Attempt, Captured, CommandPlan, ContainerEnd, not_run, wrong_end};
use super::file::{excerpt, has};
use super::structure;
use super::verdict::{CommandOutput, Mismatch, TestVerdict, TestedPlatform};
use crate::config_files::structure::StructureCheck;
use crate::config_files::test_table::OutputTable;
use crate::oci::ImageConfig;
use crate::resolve::image::ResolvedTest;
use crate::resolve::image_test::{RunTest, TestSubject, quoted};

/// The lines and the bytes of an output that a report shows.
const LINES: usize = 10;
const BYTES: usize = 2_000;

/// The containers that a test needs; `None` if it needs no engine.
#[must_use]
pub fn plan(test: &ResolvedTest, config: &ImageConfig) -> Option<CommandPlan> {
    match &test.subject {
        TestSubject::Run(run) => Some(CommandPlan {
            setup: Vec::new(),
            command: run.command.clone(),
        }),
        TestSubject::Structure(test) => match &test.check {
            StructureCheck::Command(check) => Some(structure::plan(test, check, config)),
            _ => None,
        },
        _ => None,
    }
}

/// Compares the result of a command with the assertions of a test. A test of another subject fails.
#[must_use]
pub fn judge(test: &ResolvedTest, attempt: &Attempt) -> TestVerdict {
    match attempt {
        Attempt::Ran(end) => {
            let judged = match &test.subject {
                TestSubject::Run(run) => Some((run.command.to_string(), mismatches(run, end))),
                TestSubject::Structure(test) => match &test.check {
                    StructureCheck::Command(check) => {
                        Some((quoted(&check.words), structure::judge(check, end)))
                    }
                    _ => None,
                },
                _ => None,
            };
            let Some((command, wrong)) = judged else {
                return TestVerdict::new(test, vec![not_run("the test has no command")]);
            };
            let mut verdict = TestVerdict::new(test, wrong);
            verdict.output = (!verdict.passed).then(|| CommandOutput {
                command,
                stdout: first_lines(&end.stdout),
                stderr: first_lines(&end.stderr),
            });
            verdict
        }
        Attempt::Skipped(because) => TestVerdict {
            passed: false,
            not_run: Some(because.clone()),
            ..TestVerdict::new(test, Vec::new())
        },
        Attempt::Failed(because) => TestVerdict::new(test, vec![not_run(because)]),
    }
}

/// Fails the tests that were run on no platform: an image whose command was never run is not tested.
pub fn need_one_run(platforms: &mut [TestedPlatform]) {
    let count = platforms.first().map_or(0, |first| first.tests.len());
    for number in 0..count {
        let mut all = platforms.iter().map(|platform| &platform.tests[number]);
        if !all.all(|test| test.not_run.is_some()) {
            continue;
        }
        for platform in platforms.iter_mut() {
            let test = &mut platform.tests[number];
            if let Some(because) = test.not_run.take() {
                test.failures.push(not_run(&because));
            }
        }
    }
}

fn mismatches(run: &RunTest, end: &ContainerEnd) -> Vec<Mismatch> {
    wrong_end(&end.exit, run.exit.into(), "exit", |wrong| {
        output("stdout", &run.stdout, &end.stdout, wrong);
        output("stderr", &run.stderr, &end.stderr, wrong);
    })
}

/// Compares one of the outputs.
fn output(stream: &str, expected: &OutputTable, found: &Captured, wrong: &mut Vec<Mismatch>) {
    let shown = || {
        let cut = if found.is_cut {
            "; the rest was cut"
        } else {
            ""
        };
        format!("{}{cut}", excerpt(&found.bytes))
    };
    let mut check = |assertion: &str, expected: &str, holds: bool| {
        if !holds {
            let assertion = format!("{stream} {assertion}");
            wrong.push(Mismatch::new(&assertion, expected, shown()));
        }
    };
    if let Some(text) = &expected.contains {
        check("contains", text, has(&found.bytes, text.as_bytes()));
    }
    if let Some(pattern) = &expected.matches {
        let holds = pattern.is_match(&found.bytes);
        check("matches", &pattern.to_string(), holds);
    }
    if let Some(text) = &expected.equals {
        let holds = !found.is_cut && trimmed(&found.bytes) == trimmed(text.as_bytes());
        check("equals", &format!("{text:?}"), holds);
    }
}

/// The bytes without line feeds at the end.
fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b'\n'] = bytes {
        bytes = rest.strip_suffix(b"\r").unwrap_or(rest);
    }
    bytes
}

/// The first lines of an output.
fn first_lines(output: &Captured) -> String {
    let bytes = &output.bytes[..output.bytes.len().min(BYTES)];
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().take(LINES).collect();
    let shown = lines.join("\n");
    let is_whole = bytes.len() == output.bytes.len() && text.lines().count() <= LINES;
    if is_whole && !output.is_cut {
        return shown;
    }
    let more = if output.is_cut { "more than " } else { "" };
    format!("{shown}\n… ({more}{} bytes in all)", output.bytes.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::container::ContainerExit;
    use super::*;
    use crate::config_files::test_table::OutputTable;
    use crate::platform::Platform;
    use crate::resolve::image::SpecLocation;
    use crate::resolve::image_test::{ContainerCommand, ImageTest};

    fn test(exit: u8, stdout: OutputTable) -> ResolvedTest {
        let command = ContainerCommand {
            words: ["a tool", "--version", "it's"].map(str::to_owned).to_vec(),
            user: None,
            env: BTreeMap::new(),
            timeout: Duration::from_secs(30),
            network: false,
            read_only: true,
        };
        ImageTest {
            name: None,
            subject: TestSubject::Run(Box::new(RunTest {
                command,
                exit,
                stdout,
                stderr: OutputTable::default(),
            })),
            location: SpecLocation {
                file: "image.toml".into(),
                span: 0..1,
            },
        }
    }

    fn end(exit: ContainerExit, stdout: &str, is_cut: bool) -> Attempt {
        Attempt::Ran(ContainerEnd {
            exit,
            stdout: Captured {
                bytes: stdout.as_bytes().to_vec(),
                is_cut,
            },
            stderr: Captured::default(),
        })
    }

    /// The assertions that do not hold, as text.
    fn wrong(test: &ResolvedTest, attempt: &Attempt) -> String {
        let failures = judge(test, attempt).failures;
        let text = |one: &Mismatch| format!("{}: {} / {}", one.assertion, one.expected, one.found);
        failures.iter().map(text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_result_of_a_command_is_compared() {
        let any = OutputTable::default;
        let equals = |text: &str| OutputTable {
            equals: Some(text.to_owned()),
            ..any()
        };
        let contains = |text: &str| OutputTable {
            contains: Some(text.to_owned()),
            ..any()
        };
        let status = ContainerExit::Status;
        let table: [(u8, OutputTable, Attempt, &str); 12] = [
            (0, any(), end(status(0), "", false), ""),
            (3, any(), end(status(3), "", false), ""),
            (0, any(), end(status(137), "", false), "exit: 0 / 137"),
            (1, any(), end(status(0), "", false), "exit: 1 / 0"),
            (0, equals("1.2"), end(status(0), "1.2\r\n\n", false), ""),
            (0, equals("1.2\n"), end(status(0), "1.2", false), ""),
            (
                0,
                equals("1.2"),
                end(status(0), "1.2", true),
                "stdout equals: \"1.2\" / \"1.2\"; the rest was cut",
            ),
            (0, contains("b"), end(status(0), "abc", false), ""),
            (
                2,
                contains("x"),
                end(status(0), "abc", false),
                "exit: 2 / 0\nstdout contains: x / \"abc\"",
            ),
            (
                0,
                contains("b"),
                end(
                    ContainerExit::TimedOut(Duration::from_secs(30)),
                    "abc",
                    false,
                ),
                "timeout: at most 30s / a longer run; the command was killed",
            ),
            (
                0,
                any(),
                end(ContainerExit::Flooded(1 << 20), "abc", true),
                "output: at most 1 MiB of output / more; the command was killed",
            ),
            (
                0,
                contains("b"),
                end(
                    ContainerExit::NotStarted("no such file".to_owned()),
                    "",
                    false,
                ),
                "run: a command that starts / an error of the engine: no such file",
            ),
        ];
        for (exit, expected, attempt, words) in table {
            let test = test(exit, expected);
            assert_eq!(wrong(&test, &attempt), words);
            assert_eq!(judge(&test, &attempt).passed, words.is_empty());
        }
        let failed = judge(&test(1, any()), &end(status(0), &"line\n".repeat(20), true));
        let output = failed.output.unwrap();
        assert_eq!(output.command, r"'a tool' --version 'it'\''s'");
        let lines: Vec<&str> = output.stdout.lines().collect();
        assert_eq!(
            (lines.len(), lines[10]),
            (11, "… (more than 100 bytes in all)")
        );
    }

    #[test]
    fn a_test_that_no_platform_ran_fails() {
        let test = test(0, OutputTable::default());
        let other = Attempt::Skipped("the engine runs linux/amd64".to_owned());
        let platform = |name: &str, attempt: &Attempt| TestedPlatform {
            platform: name.parse::<Platform>().unwrap(),
            tests: vec![judge(&test, attempt)],
        };
        let ran = end(ContainerExit::Status(0), "", false);
        let mut tested = [
            platform("linux/amd64", &ran),
            platform("linux/arm64", &other),
        ];
        need_one_run(&mut tested);
        assert_eq!(tested.each_ref().map(TestedPlatform::failed), [0, 0]);
        assert!(!tested[1].tests[0].passed && tested[1].tests[0].not_run.is_some());
        let mut tested = [
            platform("linux/arm/v7", &other),
            platform("linux/arm64", &other),
        ];
        need_one_run(&mut tested);
        assert_eq!(tested.each_ref().map(TestedPlatform::failed), [1, 1]);
        assert_eq!(
            tested[0].tests[0].failures[0].found,
            "none: the engine runs linux/amd64"
        );
        let failed = Attempt::Failed("no Docker Engine answers".to_owned());
        assert_eq!(platform("linux/amd64", &failed).failed(), 1);
    }
}
