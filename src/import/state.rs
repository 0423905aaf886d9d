//! The state of an import: the values so far, and the spec as far as it is known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use indexmap::IndexMap;

use super::context::{BuildContext, joined};
use super::draft::Draft;
use super::pending::{PendingStep, Workdir};
use crate::config_files::values::EnvValue;
use crate::dockerfile::{Instruction, Scope, ScopeValue, expand};
use crate::resolve::image::Family;

/// The settings of an import.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The name of the image.
    pub name: String,
    /// A comment at the top of the spec.
    pub comment: String,
    /// The values of build arguments, instead of their defaults.
    pub arguments: BTreeMap<String, String>,
    /// The build stage; the only stage by default.
    pub stage: Option<String>,
    /// More labels.
    pub labels: IndexMap<String, String>,
    /// The platforms; those of the Dockerfile by default.
    pub platforms: Vec<String>,
    /// The version, if it is known.
    pub version: Option<String>,
    /// The TOML values of bases, by the names in `FROM`.
    pub bases: BTreeMap<String, String>,
}

/// An instruction of the Dockerfile and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedLine {
    /// The number of its first line, from 1.
    pub line: usize,
    /// The instruction on one line.
    pub instruction: String,
    /// The result of importing the instruction.
    pub outcome: InstructionOutcome,
}

/// The outcome of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstructionOutcome {
    /// The spec declares it.
    Declared,
    /// It is a step, or a part of it is one.
    Step,
    /// The spec does not contain it, or not all of it, for this reason.
    LeftOut(String),
}

impl fmt::Display for InstructionOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared => f.write_str("declared"),
            Self::Step => f.write_str("step"),
            Self::LeftOut(reason) => write!(f, "left out: {reason}"),
        }
    }
}

/// The length of an instruction in the report, in characters.
const SHOWN: usize = 60;

/// An instruction on one line, shortened.
pub(super) fn shown(instruction: &Instruction) -> String {
    let flags = instruction.flags.iter().map(ToString::to_string);
    let words = instruction.words().map(str::to_owned);
    let all: Vec<String> = std::iter::once(instruction.keyword.to_string())
        .chain(flags)
        .chain(words)
        .collect();
    let text = all.join(" ");
    if text.chars().count() <= SHOWN {
        return text;
    }
    let start: String = text.chars().take(SHOWN - 1).collect();
    format!("{}…", start.trim_end())
}

/// The state of an import.
pub(super) struct Importer<'a> {
    pub(super) escape: char,
    pub(super) context: &'a BuildContext,
    /// The values of build arguments, instead of their defaults.
    pub(super) arguments: &'a BTreeMap<String, String>,
    /// The build arguments before `FROM`.
    pub(super) outer: Scope,
    pub(super) scope: Scope,
    pub(super) draft: Draft,
    /// The family that the name of the base implies.
    pub(super) family: Option<Family>,
    /// The current `USER`; `None` if it is not known: that of the base, or one that is left out.
    pub(super) user: Option<String>,
    pub(super) workdir: Workdir,
    /// True if a user that is not known runs a step in the Dockerfile.
    pub(super) needs_unknown_user: bool,
    /// True if a step in the Dockerfile may use the working directory of the base.
    pub(super) uses_workdir_of_base: bool,
    /// True if a step may use the directory of a `WORKDIR` that is left out.
    pub(super) uses_workdir_left_out: bool,
    pub(super) shell: Option<Vec<String>>,
    pub(super) steps: Vec<PendingStep>,
    /// The directories that an earlier `WORKDIR` or `COPY` created.
    pub(super) created: BTreeSet<String>,
    /// The paths of the declared files.
    pub(super) targets: BTreeSet<String>,
    /// Certificates that are declared once the trust store is updated: their sources and targets.
    pub(super) certificates: Vec<(String, String)>,
    pub(super) copies: BTreeSet<String>,
    /// The last line that sets a variable which package managers and programs read.
    pub(super) last_special_env: usize,
    pub(super) lines: Vec<ImportedLine>,
}

impl Importer<'_> {
    /// Evaluates a word. Fails with a reason.
    pub(super) fn value(&self, word: &str) -> Result<ScopeValue, String> {
        expand::word(word, self.escape, &self.scope).map_err(|error| self.reason(&error))
    }

    /// Evaluates a word whose value must be known.
    pub(super) fn text(&self, word: &str) -> Result<String, String> {
        let value = self.value(word)?;
        self.known(&value)
    }

    /// The text of a value. Fails if it depends on the base.
    pub(super) fn known(&self, value: &ScopeValue) -> Result<String, String> {
        value
            .known()
            .map_err(|name| self.reason(&expand::Error::Unknown(name.to_owned())))
    }

    /// A path of the image, without slashes at its ends. Fails if it is relative and the working
    /// directory is not known.
    pub(super) fn absolute(&self, path: &str) -> Result<String, String> {
        let directory = match &self.workdir {
            _ if path.starts_with('/') => return Ok(joined("", path)),
            Workdir::Known(workdir) => return Ok(joined(workdir, path)),
            Workdir::OfBase => "the working directory of the base, which is not known",
            Workdir::LeftOut => "the directory of a WORKDIR that is left out",
        };
        Err(format!(
            "the path is relative to {directory}; write an absolute path"
        ))
    }

    fn reason(&self, error: &expand::Error) -> String {
        let expand::Error::Unknown(name) = error else {
            return error.to_string();
        };
        match self.scope.arguments().get(name) {
            Some(Some(_)) => format!("{name} depends on the platform of the build"),
            Some(None) => format!("the build argument {name} has no default"),
            None => error.to_string(),
        }
    }
}

/// The value of a variable in the spec.
pub(super) fn env_text(
    name: &str,
    value: &ScopeValue,
    known: Result<String, String>,
) -> Result<EnvValue, String> {
    if value.known().is_err()
        && let Some((prepend, append)) = value.around(name)
    {
        return Ok(EnvValue::Extend { prepend, append });
    }
    known.map(EnvValue::Set)
}
