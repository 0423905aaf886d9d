//! The build stages: `FROM` lines with their build arguments.

use std::collections::BTreeMap;
use std::ops::Range;

use super::expand;
use super::instruction::{Dockerfile, Instruction, Keyword};
use super::parse::{Error, ErrorKind};
use super::scope::{Scope, ScopeValue, TooLarge};

/// A build stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The name after `AS`, in lower case.
    pub name: Option<String>,
    /// Its `FROM`.
    pub from: From,
    /// The positions of its other instructions in [`Dockerfile::instructions`].
    pub instructions: Range<usize>,
}

/// A `FROM` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// The number of its line, from 1.
    pub line: usize,
    /// The base as written, with variables.
    pub written: String,
    /// The position of the written base in the file, in bytes.
    pub position: Range<usize>,
    /// The base that the defaults of the build arguments give.
    pub source: StageBase,
    /// The value of `--platform`, as written.
    pub platform: Option<String>,
}

/// The base of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageBase {
    /// The empty image.
    Scratch,
    /// An earlier stage, by its position.
    Stage(usize),
    /// An image, as the text that the build arguments give.
    Image(String),
    /// A build argument without a default decides it.
    Unknown(expand::Error),
}

/// The stages of a Dockerfile, with the build arguments before the first `FROM`. `arguments` are
/// values instead of the defaults. Fails if the first instruction is another one, or if there is no
/// `FROM`.
pub fn stages(
    dockerfile: &Dockerfile,
    arguments: &BTreeMap<String, String>,
) -> Result<(Scope, Vec<Stage>), Error> {
    let mut scope = Scope::of_platform();
    let mut stages: Vec<Stage> = Vec::new();
    for (number, instruction) in dockerfile.instructions.iter().enumerate() {
        let fail = |kind| Error {
            line: instruction.line,
            kind,
        };
        match (instruction.keyword, stages.last_mut()) {
            (Keyword::From, _) => {
                let stage = stage(instruction, number, dockerfile.escape, &scope, &stages);
                stages.push(stage.map_err(fail)?);
            }
            (_, Some(stage)) => stage.instructions.end = number + 1,
            (Keyword::Arg, None) => {
                declare(instruction, dockerfile.escape, &mut scope, arguments).map_err(fail)?;
            }
            (keyword, None) => return Err(fail(ErrorKind::BeforeFrom(keyword))),
        }
    }
    if stages.is_empty() {
        let line = dockerfile.instructions.last().map_or(1, |last| last.line);
        let kind = ErrorKind::NoFrom;
        return Err(Error { line, kind });
    }
    Ok((scope, stages))
}

/// Declares the build arguments of an `ARG` before the first `FROM`.
fn declare(
    instruction: &Instruction,
    escape: char,
    scope: &mut Scope,
    arguments: &BTreeMap<String, String>,
) -> Result<(), ErrorKind> {
    for (name, default) in instruction.build_arguments(escape) {
        let value = match (arguments.get(&name), default) {
            (Some(value), _) => Some(ScopeValue::text(value)),
            (None, Some(word)) => Some(expanded(&word, escape, scope)?),
            (None, None) => None,
        };
        let declared = scope.declare(name.clone(), value);
        declared.map_err(|error| too_large(&name, error))?;
    }
    Ok(())
}

fn too_large(name: &str, error: TooLarge) -> ErrorKind {
    ErrorKind::Expand {
        word: name.to_owned(),
        source: error.into(),
    }
}

/// Evaluates a word.
fn expanded(word: &str, escape: char, scope: &Scope) -> Result<ScopeValue, ErrorKind> {
    expand::word(word, escape, scope).map_err(|source| ErrorKind::Expand {
        word: word.to_owned(),
        source,
    })
}

fn stage(
    instruction: &Instruction,
    number: usize,
    escape: char,
    scope: &Scope,
    before: &[Stage],
) -> Result<Stage, ErrorKind> {
    let words: Vec<&str> = instruction.words().collect();
    let (written, name) = match words.as_slice() {
        [base] => (*base, None),
        [base, word, name] if word.eq_ignore_ascii_case("as") => {
            (*base, Some(name.to_ascii_lowercase()))
        }
        [] => return Err(ErrorKind::NoArguments(Keyword::From)),
        _ => return Err(ErrorKind::From(instruction.arguments.clone())),
    };
    let value = expand::word(written, escape, scope);
    let text = value.and_then(|value| {
        let known = value.known().map_err(ToOwned::to_owned);
        known.map_err(expand::Error::Unknown)
    });
    let source = match text {
        Err(error) => StageBase::Unknown(error),
        Ok(text) if text.is_empty() => {
            StageBase::Unknown(expand::Error::Unknown(written.to_owned()))
        }
        Ok(text) => source(text, before),
    };
    Ok(Stage {
        name,
        from: From {
            line: instruction.line,
            written: written.to_owned(),
            position: instruction.position(0..written.len()),
            source,
            platform: instruction.flag("platform").map(str::to_owned),
        },
        instructions: number + 1..number + 1,
    })
}

/// The base with this name: a stage hides an image of the same name.
fn source(text: String, before: &[Stage]) -> StageBase {
    let lower = text.to_ascii_lowercase();
    let is_named = |stage: &Stage| stage.name.as_deref() == Some(lower.as_str());
    match before.iter().rposition(is_named) {
        Some(stage) => StageBase::Stage(stage),
        None if text == "scratch" => StageBase::Scratch,
        None => StageBase::Image(text),
    }
}
