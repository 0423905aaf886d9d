//! Evaluates the tests of files of container-structure-test, with the rules of that program.

use std::collections::BTreeMap;
use std::time::Duration;

use super::container::{Captured, CommandPlan, ContainerEnd, without_engine, wrong_end};
use super::file::{content_at, excerpt};
use super::paths::{FoundPath, LastLink, find};
use super::value::{ValueOf, keys, variable};
use super::verdict::Mismatch;
use super::{ImageFacts, LARGEST_CONTENT};
use crate::config_files::byte_size::ByteSize;
use crate::config_files::structure::{
    CommandCheck, ExistenceCheck, ExpectedValue, GoPattern, MetadataCheck, Patterns,
    StructureCheck, expand,
};
use crate::inventory::{ImageFiles, LayerFileKind};
use crate::oci::ImageConfig;
use crate::reference::Digest;
use crate::resolve::image_test::{ContainerCommand, StructureTest};

/// The time limit of a command; container-structure-test has none.
const TIMEOUT: Duration = Duration::from_mins(10);

/// True if a test needs the files of the image.
pub(super) const fn needs_files(test: &StructureTest) -> bool {
    matches!(
        test.check,
        StructureCheck::Content(_) | StructureCheck::Existence(_)
    )
}

/// The content that a test needs.
pub(super) fn needed(files: &ImageFiles, test: &StructureTest) -> Option<(Digest, u64)> {
    match &test.check {
        StructureCheck::Content(content) => content_at(files, &content.path),
        _ => None,
    }
}

/// The assertions that do not hold. A command is not run here.
pub(super) fn mismatches(test: &StructureTest, facts: &ImageFacts<'_>) -> Vec<Mismatch> {
    match &test.check {
        StructureCheck::Command(_) => vec![without_engine()],
        StructureCheck::Content(check) => content(&check.path, &check.patterns, facts),
        StructureCheck::Existence(check) => {
            let env = variables(facts.config, &test.env);
            let path = expand(&check.path, |name| env.get(name).cloned());
            existence(&path, check, facts)
        }
        StructureCheck::Metadata(check) => metadata(check, facts.config),
    }
}

/// The variables of the image and of the file. Those of the file may contain those of the image.
fn variables(config: &ImageConfig, added: &[(String, String)]) -> BTreeMap<String, String> {
    let own = config.env();
    let own = own.iter().filter_map(|variable| variable.split_once('='));
    let own: BTreeMap<String, String> = own
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut all = own.clone();
    all.extend(expanded(added, &own));
    all
}

/// Variables with the values of other variables in them.
fn expanded(
    added: &[(String, String)],
    env: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let value = |text: &str| expand(text, |name| env.get(name).cloned());
    added
        .iter()
        .map(|(name, text)| (name.clone(), value(text)))
        .collect()
}

/// The containers of a command test.
pub(super) fn plan(
    test: &StructureTest,
    check: &CommandCheck,
    config: &ImageConfig,
) -> CommandPlan {
    let env = variables(config, &test.env);
    let of_file: BTreeMap<String, String> = test
        .env
        .iter()
        .filter_map(|(name, _)| Some((name.clone(), env.get(name)?.clone())))
        .collect();
    let of_setup = expanded(&check.env, &env);
    let container = |words: Vec<String>, own: BTreeMap<String, String>| ContainerCommand {
        words,
        user: None,
        env: of_file.clone().into_iter().chain(own).collect(),
        timeout: TIMEOUT,
        network: true,
        read_only: false,
    };
    // The first command adds its variables to the image for the words of the tested command.
    let mut visible = env;
    if !check.setup.is_empty() {
        visible.extend(of_setup.clone());
    }
    let words = check.words.iter();
    let words = words.map(|word| expand(word, |name| visible.get(name).cloned()));
    CommandPlan {
        setup: check
            .setup
            .iter()
            .map(|words| container(words.clone(), of_setup.clone()))
            .collect(),
        command: container(words.collect(), check.env.iter().cloned().collect()),
    }
}

/// Compares the result of a command.
pub(super) fn judge(check: &CommandCheck, end: &ContainerEnd) -> Vec<Mismatch> {
    wrong_end(&end.exit, check.exit, "exitCode", |wrong| {
        output("Error", &check.stderr, &end.stderr, wrong);
        output("Output", &check.stdout, &end.stdout, wrong);
    })
}

fn output(name: &str, patterns: &Patterns, captured: &Captured, wrong: &mut Vec<Mismatch>) {
    let is_checked = !patterns.expected.is_empty() || !patterns.excluded.is_empty();
    if captured.is_cut && is_checked {
        let kept = ByteSize(captured.bytes.len() as u64).exact();
        let expected = format!("at most {kept}");
        let found = "more; the rest was cut";
        wrong.push(Mismatch::new(&format!("expected{name}"), expected, found));
    }
    matches(name, patterns, &captured.bytes, wrong);
}

/// Compares a text with patterns; `name` is the end of the keys.
fn matches(name: &str, patterns: &Patterns, bytes: &[u8], wrong: &mut Vec<Mismatch>) {
    let mut differ = |key: &str, pattern: &GoPattern, must_match: bool| {
        if pattern.is_match(bytes) != must_match {
            let article = if must_match { "a" } else { "no" };
            let expected = format!("{article} match of {pattern}");
            wrong.push(Mismatch::new(key, expected, excerpt(bytes)));
        }
    };
    let (expected, excluded) = (format!("expected{name}"), format!("excluded{name}"));
    for pattern in &patterns.expected {
        differ(&expected, pattern, true);
    }
    for pattern in &patterns.excluded {
        differ(&excluded, pattern, false);
    }
}

fn content(path: &str, patterns: &Patterns, facts: &ImageFacts<'_>) -> Vec<Mismatch> {
    let Some((digest, size)) = content_at(facts.files, path) else {
        let found = find(facts.files, path, LastLink::Follow);
        let found = found.map_or("nothing", FoundPath::kind);
        return vec![Mismatch::new("path", "a file", found)];
    };
    let Some(bytes) = facts.contents.get(&digest) else {
        let limit = format!("at most {}", ByteSize(LARGEST_CONTENT).exact());
        return vec![Mismatch::new("path", limit, ByteSize(size).exact())];
    };
    let mut wrong = Vec::new();
    matches("Contents", patterns, bytes, &mut wrong);
    wrong
}

fn existence(path: &str, check: &ExistenceCheck, facts: &ImageFacts<'_>) -> Vec<Mismatch> {
    let is_directory = path.ends_with('/') || path.ends_with("/.");
    let last = if is_directory {
        LastLink::Follow
    } else {
        LastLink::Keep
    };
    let found = find(facts.files, path, last).filter(|found| mode_text(*found).is_some());
    let found = found.filter(|found| !is_directory || found.kind() == "dir");
    let (found, mode) = match (found, check.should_exist) {
        (None, false) => return Vec::new(),
        (None, true) => return vec![Mismatch::new("shouldExist", "true", "does not exist")],
        (Some(found), false) => return vec![Mismatch::new("shouldExist", "false", found.kind())],
        (Some(found), true) => (found, mode_text(found).unwrap_or_default()),
    };
    let mut wrong = Vec::new();
    if let Some(permissions) = check.permissions.as_ref().filter(|text| **text != mode) {
        wrong.push(Mismatch::new("permissions", permissions, &mode));
    }
    if let Some((who, bits)) = check.executable_by
        && permission_bits(found) & bits == 0
    {
        wrong.push(Mismatch::new("isExecutableBy", who, &mode));
    }
    let (uid, gid) = found.owner();
    for (key, expected, id) in [("uid", check.uid, uid), ("gid", check.gid, gid)] {
        if let Some(expected) = expected.filter(|expected| *expected != id) {
            wrong.push(Mismatch::new(key, expected.to_string(), id.to_string()));
        }
    }
    wrong
}

/// The permission bits. A link has all of them.
fn permission_bits(found: FoundPath<'_>) -> u32 {
    if found.kind() == "link" {
        0o777
    } else {
        found.mode()
    }
}

/// The type and the permissions as Go writes them. `None` for devices, pipes and sockets, which
/// container-structure-test does not find.
fn mode_text(found: FoundPath<'_>) -> Option<String> {
    let kind = match found {
        FoundPath::ImpliedDirectory => "d",
        FoundPath::Entry(file) => match file.kind {
            LayerFileKind::Directory => "d",
            LayerFileKind::File { .. } => "",
            LayerFileKind::Symlink { .. } => "L",
            LayerFileKind::Link { .. } | LayerFileKind::Special => return None,
        },
    };
    let bits = permission_bits(found);
    let mut text = kind.to_owned();
    let special = [(0o4000, 'u'), (0o2000, 'g'), (0o1000, 't')];
    text.extend(
        special
            .iter()
            .filter(|(bit, _)| bits & bit != 0)
            .map(|(_, letter)| letter),
    );
    if text.is_empty() {
        text.push('-');
    }
    let letters = "rwxrwxrwx".chars().enumerate();
    text.extend(letters.map(|(place, letter)| {
        if bits & (0o400 >> place) == 0 {
            '-'
        } else {
            letter
        }
    }));
    Some(text)
}

fn metadata(check: &MetadataCheck, config: &ImageConfig) -> Vec<Mismatch> {
    let mut wrong = Vec::new();
    for (name, expected) in &check.env {
        let of = ValueOf::Variable(name);
        let found = variable(config, name);
        let key = format!("envVars {name}");
        wrong.extend(value(&key, of, expected, found.as_deref()));
    }
    for name in &check.unbound_env {
        if let Some(value) = variable(config, name) {
            let found = ValueOf::Variable(name).shown(&value);
            let key = format!("unboundEnvVars {name}");
            wrong.push(Mismatch::new(&key, "not set", found));
        }
    }
    for (name, expected) in &check.labels {
        let found = config.label(name);
        let key = format!("labels {name}");
        wrong.extend(value(&key, ValueOf::Label, expected, found));
    }
    for (key, name, expected) in [
        ("cmd", "Cmd", &check.cmd),
        ("entrypoint", "Entrypoint", &check.entrypoint),
    ] {
        let found = config.words(name);
        if let Some(expected) = expected.as_ref().filter(|expected| **expected != found) {
            let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
            wrong.push(Mismatch::new(key, expected, found));
        }
    }
    for (key, expected, found) in [
        ("workdir", &check.workdir, config.text("WorkingDir")),
        ("user", &check.user, config.user()),
    ] {
        if let Some(expected) = expected.as_ref().filter(|expected| *expected != found) {
            wrong.push(Mismatch::new(key, expected, found));
        }
    }
    let ports = keys(config, "ExposedPorts");
    let ports: Vec<&str> = ports
        .iter()
        .map(|port| port.split('/').next().unwrap_or(port))
        .collect();
    let volumes = keys(config, "Volumes");
    let with = |key, names, found| differences(key, names, found, true);
    let without = |key, names, found| differences(key, names, found, false);
    wrong.extend(with("exposedPorts", &check.exposed_ports, &ports));
    wrong.extend(without("unexposedPorts", &check.unexposed_ports, &ports));
    wrong.extend(with("volumes", &check.volumes, &volumes));
    wrong.extend(without(
        "unmountedVolumes",
        &check.unmounted_volumes,
        &volumes,
    ));
    wrong
}

/// The names that are in `found` if they must not be, or are not if they must.
fn differences(key: &str, names: &[String], found: &[&str], must_exist: bool) -> Vec<Mismatch> {
    let is_wrong = |name: &&String| found.contains(&name.as_str()) != must_exist;
    let mismatch = |name: &String| {
        let expected = if must_exist {
            name.clone()
        } else {
            format!("no {name}")
        };
        let found = match found {
            [] => "none".to_owned(),
            found => found.join(", "),
        };
        Mismatch::new(key, expected, found)
    };
    names.iter().filter(is_wrong).map(mismatch).collect()
}

/// Compares the value of a variable or a label.
fn value(
    key: &str,
    of: ValueOf<'_>,
    expected: &ExpectedValue,
    found: Option<&str>,
) -> Option<Mismatch> {
    let (holds, shown) = match expected {
        ExpectedValue::Equals(text) => (found == Some(text), of.shown(text)),
        ExpectedValue::Matches(pattern) => {
            let holds = found.is_some_and(|found| pattern.is_match(found.as_bytes()));
            (holds, format!("a match of {pattern}"))
        }
    };
    (!holds).then(|| Mismatch::new(key, shown, of.found(found)))
}
