//! Tests of the image config: variables, labels, ports, volumes and the keys of `[config]`.

use serde_json::Value;

use super::verdict::Mismatch;
use crate::config_files::config::{ExposedPort, Invocation};
use crate::config_files::test_table::ConfigKey;
use crate::oci::ImageConfig;
use crate::policy::looks_like_a_secret;
use crate::render::default_shell;
use crate::resolve::image_test::ValueExpectation;

/// The text for a value that may be a secret.
const HIDDEN: &str = "a value that is not shown";
/// The text for a variable or a label that does not exist.
const UNSET: &str = "not set";

/// The variable or the label that a value belongs to. It decides how reports show the value.
#[derive(Debug, Clone, Copy)]
pub(super) enum ValueOf<'a> {
    /// An environment variable. A value that may be a secret is hidden.
    Variable(&'a str),
    /// A label, which is no place for a secret.
    Label,
}

impl ValueOf<'_> {
    /// The value in quotes, unless it is hidden.
    pub(super) fn shown(self, value: &str) -> String {
        match self {
            Self::Variable(name) if looks_like_a_secret(name, value) => HIDDEN.to_owned(),
            Self::Variable(_) | Self::Label => format!("{value:?}"),
        }
    }

    /// The value, or the text for none.
    pub(super) fn found(self, value: Option<&str>) -> String {
        value.map_or_else(|| UNSET.to_owned(), |value| self.shown(value))
    }
}

/// The value of an environment variable. If the config sets it several times, the last value counts.
pub(super) fn variable(config: &ImageConfig, name: &str) -> Option<String> {
    let mut all = config.env().into_iter().rev();
    all.find_map(|variable| {
        let (key, value) = variable.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}

/// The assertions about a variable or a label that do not hold.
pub(super) fn mismatches(
    of: ValueOf<'_>,
    found: Option<&str>,
    expected: &ValueExpectation,
) -> Vec<Mismatch> {
    let shown = || of.found(found);
    match (expected, found) {
        (ValueExpectation::Absent, None) => Vec::new(),
        (ValueExpectation::Absent, Some(_)) => vec![Mismatch::new("exists", UNSET, shown())],
        (ValueExpectation::Set { equals, matches }, found) => {
            let mut wrong = Vec::new();
            if let Some(equals) = equals.as_deref().filter(|equals| found != Some(*equals)) {
                wrong.push(Mismatch::new("equals", of.shown(equals), shown()));
            }
            if let Some(pattern) = matches
                && !found.is_some_and(|value| pattern.is_match(value.as_bytes()))
            {
                wrong.push(Mismatch::new("matches", pattern.to_string(), shown()));
            }
            if found.is_none() && wrong.is_empty() {
                wrong.push(Mismatch::new("exists", "set", shown()));
            }
            wrong
        }
    }
}

/// Compares a key of the config. A string for `entrypoint` or `cmd` is equal to a list with only
/// this word, and to the shell form.
pub(super) fn config(config: &ImageConfig, key: ConfigKey, equals: &Invocation) -> Vec<Mismatch> {
    let name = match key {
        ConfigKey::User => "User",
        ConfigKey::Workdir => "WorkingDir",
        ConfigKey::Entrypoint => "Entrypoint",
        ConfigKey::Cmd => "Cmd",
        ConfigKey::StopSignal => "StopSignal",
    };
    let (is_equal, found) = if key.is_list() {
        let found = config.words(name);
        let is_equal = match equals {
            Invocation::Exec(words) => found == *words,
            Invocation::Shell(line) if line.is_empty() => found.is_empty(),
            Invocation::Shell(line) => {
                let shell = config.words("Shell");
                let shell = if shell.is_empty() {
                    default_shell()
                } else {
                    shell
                };
                found == [line.clone()]
                    || found == [shell.as_slice(), std::slice::from_ref(line)].concat()
            }
        };
        (is_equal, format!("{found:?}"))
    } else {
        let found = config.text(name);
        let is_equal = matches!(equals, Invocation::Shell(text) if text == found);
        (is_equal, format!("{found:?}"))
    };
    if is_equal {
        return Vec::new();
    }
    let expected = match equals {
        Invocation::Exec(words) => format!("{words:?}"),
        Invocation::Shell(text) => format!("{text:?}"),
    };
    vec![Mismatch::new("equals", expected, found)]
}

/// The keys of a set in the runtime config, such as `ExposedPorts`.
pub(super) fn keys<'a>(config: &'a ImageConfig, name: &str) -> Vec<&'a str> {
    let set = config.runtime().and_then(|runtime| runtime.get(name));
    let keys = set.and_then(Value::as_object).into_iter().flatten();
    keys.map(|(key, _)| key.as_str()).collect()
}

/// Compares the exposed ports.
pub(super) fn ports(config: &ImageConfig, port: ExposedPort, exists: bool) -> Vec<Mismatch> {
    let exposed = keys(config, "ExposedPorts");
    let ranges: Vec<ExposedPort> = exposed.iter().filter_map(|key| key.parse().ok()).collect();
    let is_exposed = |number: u16| {
        ranges.iter().any(|range| {
            range.protocol == port.protocol && (range.first..=range.last).contains(&number)
        })
    };
    let holds = (port.first..=port.last).all(|number| is_exposed(number) == exists);
    let expected = if exists { "exposed" } else { "not exposed" };
    unless(holds, expected, "the exposed ports are", &exposed)
}

/// Compares the volumes.
pub(super) fn volume(config: &ImageConfig, path: &str, exists: bool) -> Vec<Mismatch> {
    let volumes = keys(config, "Volumes");
    let is_same = |volume: &str| {
        let volume = volume.trim_end_matches('/');
        volume == path.trim_end_matches('/')
    };
    let holds = volumes.iter().any(|volume| is_same(volume)) == exists;
    let expected = if exists { "a volume" } else { "not a volume" };
    unless(holds, expected, "the volumes are", &volumes)
}

fn unless(holds: bool, expected: &str, are: &str, found: &[&str]) -> Vec<Mismatch> {
    if holds {
        return Vec::new();
    }
    let found = match found {
        [] => format!("{are} none"),
        found => format!("{are} {}", found.join(", ")),
    };
    vec![Mismatch::new("exists", expected, found)]
}
