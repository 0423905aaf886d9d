//! Validates `[[test]]`: exactly one subject, and assertions that fit it.

use std::time::Duration;

use super::SpecParser;
use crate::config_files::config::Invocation;
use crate::config_files::document::entry;
use crate::config_files::test_table::{OutputTable, TestEnv, TestFileType, TestTable};
use crate::diagnostic::Diagnostic;
use crate::resolve::image_test::{
    ContainerCommand, FileExpectation, FileProperties, ImageTest, PackageExpectation, RunTest,
    TestSubject, ValueExpectation,
};
use crate::resolve::parsed::{ParsedTest, TrustRequest};
use crate::resolve::target;

/// Each subject, with the assertions that fit it.
const SUBJECTS: [(&str, &[&str]); 11] = [
    (
        "file",
        &[
            "exists", "mode", "owner", "contains", "matches", "sha256", "type", "link",
        ],
    ),
    ("package", &["exists", "version"]),
    ("env", &["equals", "matches", "exists"]),
    ("label", &["equals", "matches", "exists"]),
    ("config", &["equals"]),
    ("port", &["exists"]),
    ("volume", &["exists"]),
    ("certificate", &[]),
    ("size", &["max"]),
    (
        "run",
        &[
            "exit",
            "stdout",
            "stderr",
            "user",
            "env",
            "timeout",
            "network",
            "read_only",
        ],
    ),
    ("structure", &[]),
];

/// The default time limit of a command.
const TIMEOUT: Duration = Duration::from_secs(30);

impl SpecParser<'_, '_> {
    /// Converts the tests and reports their errors. A test with an error is omitted.
    pub(super) fn tests(&mut self, tables: Vec<TestTable>) -> Vec<ParsedTest> {
        let tables = tables.into_iter().enumerate();
        tables
            .filter_map(|(n, table)| self.test(&n.to_string(), table))
            .collect()
    }

    fn test(&mut self, n: &str, mut table: TestTable) -> Option<ParsedTest> {
        let (subject, assertions) = self.subject_key(n)?;
        if !self.only(n, subject, assertions) {
            return None;
        }
        let name = table.name.take();
        if subject == "structure" {
            let written = self.named(n, "structure", table.structure)?;
            let file = self.file_request(n, "structure", written);
            return Some(ParsedTest::Structure { name, file });
        }
        let subject = match subject {
            "file" => self.file_test(n, table)?,
            "package" => TestSubject::Package {
                name: self.named(n, "package", table.package)?,
                expected: match (table.exists, table.version) {
                    (Some(false), _) => PackageExpectation::Absent,
                    (_, None) => PackageExpectation::Installed,
                    (_, Some(version)) => PackageExpectation::Version(version),
                },
            },
            "env" => {
                let Some(TestEnv::Name(name)) = table.env.take() else {
                    return None;
                };
                TestSubject::Env {
                    name: self.named(n, "env", Some(name))?,
                    expected: self.value(n, table)?,
                }
            }
            "label" => TestSubject::Label {
                key: self.named(n, "label", table.label.take())?,
                expected: self.value(n, table)?,
            },
            "config" => self.config_test(n, table)?,
            "port" => TestSubject::Port {
                port: table.port?,
                exists: table.exists.unwrap_or(true),
            },
            "volume" => TestSubject::Volume {
                path: self.absolute(n, "volume", table.volume)?,
                exists: table.exists.unwrap_or(true),
            },
            "certificate" => {
                let written = self.named(n, "certificate", table.certificate)?;
                TestSubject::Certificate {
                    certificates: self.file_request(n, "certificate", written.clone()),
                    written,
                }
            }
            "size" => {
                self.needs(n, "size", "max")?;
                TestSubject::Size {
                    kind: table.size?,
                    max: table.max?,
                }
            }
            "run" => TestSubject::Run(Box::new(self.run_test(n, table)?)),
            subject => unreachable!("`{subject}` is not in the list of subjects"),
        };
        Some(ParsedTest::One(Box::new(ImageTest {
            name,
            subject,
            location: self.location(&["test", n]),
        })))
    }

    /// A file of the workspace that a test names.
    fn file_request(&self, n: &str, key: &str, pattern: String) -> TrustRequest {
        let path = ["test", n, key];
        TrustRequest {
            directory: self.directory(&path),
            pattern,
            location: self.location(&path),
        }
    }

    /// The only subject of a test, with its assertions. None, with an error, if there is none or
    /// several.
    fn subject_key(&mut self, n: &str) -> Option<(&'static str, &'static [&'static str])> {
        let value = |key: &str| entry(self.table, &["test", n, key]).map(|(_, value)| value);
        // A table of variables belongs to the subject `run`.
        let variables = value("env").is_some_and(|value| value.get_ref().is_table());
        let written = SUBJECTS
            .iter()
            .filter(|(key, _)| value(key).is_some() && (*key != "env" || !variables));
        let written: Vec<_> = written.copied().collect();
        let all = SUBJECTS.map(|(key, _)| key).join(", ");
        match written.as_slice() {
            [one] => Some(*one),
            [] => {
                let diagnostic = Diagnostic::error("spec.missing", "a [[test]] needs a subject");
                self.report(
                    &["test", n],
                    diagnostic.help(format!("the subjects are {all}")),
                );
                None
            }
            [("env", _), ("run", _)] => {
                let diagnostic = Diagnostic::error(
                    "spec.value",
                    "`env` of a test of `run` is a table of variables",
                );
                let help = "for example env = { LANG = \"C\" }";
                self.report(&["test", n, "env"], diagnostic.help(help));
                None
            }
            [(first, _), (second, _), ..] => {
                let message = format!(
                    "a [[test]] has one subject, but this one has `{first}` and `{second}`"
                );
                let diagnostic = Diagnostic::error("spec.value", message);
                self.report(
                    &["test", n, second],
                    diagnostic.help("write a [[test]] for each subject"),
                );
                None
            }
        }
    }

    /// True if every assertion fits the subject, and `exists = false` is the only one. Unknown keys
    /// are already reported.
    fn only(&mut self, n: &str, subject: &str, assertions: &[&str]) -> bool {
        let mut known: Vec<&str> = SUBJECTS
            .iter()
            .flat_map(|(_, list)| list.iter().copied())
            .collect();
        known.sort_unstable();
        known.dedup();
        let written: Vec<&str> = known
            .into_iter()
            .filter(|key| *key != subject && entry(self.table, &["test", n, key]).is_some())
            .collect();
        let mut fits = true;
        for key in &written {
            if !assertions.contains(key) {
                let message = format!("`{key}` is not an assertion about `{subject}`");
                let help = match assertions {
                    [] => format!("`{subject}` has no assertions: remove `{key}`"),
                    list => format!("the assertions about `{subject}` are {}", list.join(", ")),
                };
                let diagnostic = Diagnostic::error("spec.value", message).help(help);
                self.report(&["test", n, key], diagnostic);
                fits = false;
            }
        }
        let exists = entry(self.table, &["test", n, "exists"])
            .and_then(|(_, value)| value.get_ref().as_bool());
        if fits
            && exists == Some(false)
            && let Some(other) = written.iter().find(|key| **key != "exists")
        {
            let message = format!("`exists = false` and `{other}` cannot both hold");
            let diagnostic = Diagnostic::error("spec.value", message);
            self.report(&["test", n, other], diagnostic.help("remove one of them"));
            fits = false;
        }
        fits
    }

    /// Reports that an assertion is missing, unless it is written. None if it is missing.
    fn needs(&mut self, n: &str, subject: &str, assertion: &str) -> Option<()> {
        if entry(self.table, &["test", n, assertion]).is_some() {
            return Some(());
        }
        let message = format!("a test of `{subject}` needs `{assertion}`");
        self.error(&["test", n, subject], "spec.missing", message);
        None
    }

    /// A name that is not empty.
    fn named(&mut self, n: &str, key: &str, value: Option<String>) -> Option<String> {
        let value = value?;
        if value.trim().is_empty() {
            self.error(
                &["test", n, key],
                "spec.value",
                format!("`{key}` cannot be empty"),
            );
            return None;
        }
        Some(value)
    }

    /// An absolute, normalised path.
    fn absolute(&mut self, n: &str, key: &str, value: Option<String>) -> Option<String> {
        let written = value?;
        let normalised = target::normalised(&written);
        if normalised.is_err() {
            let message = format!("`{written}` is not an absolute path without `..`");
            self.error(&["test", n, key], "spec.value", message);
        }
        normalised.ok().map(|(path, _)| path)
    }

    fn file_test(&mut self, n: &str, table: TestTable) -> Option<TestSubject<TrustRequest>> {
        let path = self.absolute(n, "file", table.file)?;
        if table.exists == Some(false) {
            let expected = FileExpectation::Absent;
            return Some(TestSubject::File { path, expected });
        }
        let has_content = [
            ("contains", table.contains.is_some()),
            ("matches", table.matches.is_some()),
            ("sha256", table.sha256.is_some()),
        ];
        let has_content = has_content.into_iter().find(|(_, is_set)| *is_set);
        let conflict = match (table.kind, has_content, &table.link) {
            (Some(TestFileType::Dir), Some((key, _)), _) => {
                Some((key, "a directory has no content"))
            }
            (Some(TestFileType::Dir | TestFileType::File), _, Some(_)) => {
                Some(("link", "only a symbolic link has a target"))
            }
            _ => None,
        };
        if let Some((key, message)) = conflict {
            let diagnostic = Diagnostic::error("spec.value", message);
            let help = format!("remove `{key}`, or correct `type`");
            self.report(&["test", n, key], diagnostic.help(help));
            return None;
        }
        let properties = FileProperties {
            kind: table.kind,
            link: table.link,
            mode: table.mode.map(|mode| mode.0),
            owner: table.owner,
            sha256: table.sha256.map(|digest| digest.0),
            contains: table.contains,
            matches: table.matches,
        };
        Some(TestSubject::File {
            path,
            expected: FileExpectation::Present(Box::new(properties)),
        })
    }

    /// The assertion about a variable or a label.
    fn value(&mut self, n: &str, table: TestTable) -> Option<ValueExpectation> {
        if table.exists == Some(false) {
            return Some(ValueExpectation::Absent);
        }
        let equals = match table.equals {
            None => None,
            Some(Invocation::Shell(text)) => Some(text),
            Some(Invocation::Exec(_)) => {
                self.error(
                    &["test", n, "equals"],
                    "spec.value",
                    "the value is a string, not a list",
                );
                return None;
            }
        };
        Some(ValueExpectation::Set {
            equals,
            matches: table.matches,
        })
    }

    fn config_test(&mut self, n: &str, table: TestTable) -> Option<TestSubject<TrustRequest>> {
        let key = table.config?;
        self.needs(n, "config", "equals")?;
        let equals = table.equals?;
        if !key.is_list() && matches!(equals, Invocation::Exec(_)) {
            let message = format!("`{}` is a string, not a list", key.as_str());
            self.error(&["test", n, "equals"], "spec.value", message);
            return None;
        }
        Some(TestSubject::Config { key, equals })
    }

    /// A command with the assertions about its result.
    fn run_test(&mut self, n: &str, table: TestTable) -> Option<RunTest> {
        let words = table.run?;
        if words
            .first()
            .is_none_or(|program| program.trim().is_empty())
        {
            let diagnostic = Diagnostic::error("spec.value", "`run` needs the name of a program");
            let help = "write a list such as run = [\"tini\", \"--version\"]";
            self.report(&["test", n, "run"], diagnostic.help(help));
            return None;
        }
        let user = match table.user {
            Some(user) => Some(self.named(n, "user", Some(user))?),
            None => None,
        };
        let env = match table.env {
            Some(TestEnv::Variables(variables)) => variables,
            _ => std::collections::BTreeMap::new(),
        };
        let is_name = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
        if let Some(name) = env.keys().find(|name| !is_name(name)) {
            let message = format!("`{name}` is not the name of a variable");
            self.error(&["test", n, "env"], "spec.value", message);
            return None;
        }
        let timeout = table.timeout.map_or(TIMEOUT, |timeout| timeout.0);
        if timeout.is_zero() {
            let message = "the time limit must be longer than 0";
            self.error(&["test", n, "timeout"], "spec.value", message);
            return None;
        }
        Some(RunTest {
            command: ContainerCommand {
                words,
                user,
                env,
                timeout,
                network: table.network.unwrap_or(false),
                read_only: table.read_only.unwrap_or(true),
            },
            exit: table.exit.map_or(0, |status| status.0),
            stdout: self.output(n, "stdout", table.stdout)?,
            stderr: self.output(n, "stderr", table.stderr)?,
        })
    }

    /// The assertions about an output. None, with an error, if the table is empty.
    fn output(&mut self, n: &str, key: &str, table: Option<OutputTable>) -> Option<OutputTable> {
        let Some(expected) = table else {
            return Some(OutputTable::default());
        };
        if expected == OutputTable::default() {
            let message = format!("`{key}` needs `contains`, `matches` or `equals`");
            self.error(&["test", n, key], "spec.missing", message);
            return None;
        }
        Some(expected)
    }
}
