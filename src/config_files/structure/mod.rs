//! Files of container-structure-test, schema 2.0.0
//! (<https://github.com/GoogleContainerTools/container-structure-test>).
//!
//! golden refuses what container-structure-test refuses, and what it accepts but can only fail, such
//! as a test without a name or an invalid regular expression.

mod expand;
mod go_pattern;
mod read;
#[cfg(test)]
mod tests;
mod yaml;

use std::ops::Range;

pub use self::expand::expand;
pub use self::go_pattern::GoPattern;
pub use self::read::parse;

/// The name of the test of the image config.
pub const METADATA: &str = "Metadata Test";

/// A mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The position, in characters.
    at: usize,
    /// The mistake, as a sentence.
    pub message: String,
    /// A hint for the user.
    pub help: Option<&'static str>,
}

impl Mistake {
    fn at(at: usize, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            at,
            message,
            help: None,
        }
    }

    /// The position in the text of the file, in bytes.
    #[must_use]
    pub fn span(&self, text: &str) -> Range<usize> {
        span(self.at, text)
    }
}

/// The bytes of the character at a position, which is counted in characters.
fn span(at: usize, text: &str) -> Range<usize> {
    let mut places = text.char_indices().map(|(offset, _)| offset).skip(at);
    let start = places.next().unwrap_or(text.len());
    start..places.next().unwrap_or(text.len())
}

/// A file of container-structure-test.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StructureFile {
    /// The variables for all tests except the metadata test, as `(name, value)`.
    pub env: Vec<(String, String)>,
    /// The tests, in the order in which container-structure-test runs them.
    pub cases: Vec<StructureCase>,
}

/// A test of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructureCase {
    /// The name of the test.
    pub name: String,
    /// The position in the file, in bytes.
    pub span: Range<usize>,
    /// The subject and the assertions about it.
    pub check: StructureCheck,
}

/// The subject of a test, with the assertions about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StructureCheck {
    /// The output and the status of a command.
    Command(CommandCheck),
    /// The content of a file.
    Content(ContentCheck),
    /// The existence and the attributes of a file.
    Existence(ExistenceCheck),
    /// The config of the image.
    Metadata(Box<MetadataCheck>),
}

impl StructureCheck {
    /// The kind, in words.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Content(_) => "file content",
            Self::Existence(_) => "file existence",
            Self::Metadata(_) => "metadata",
        }
    }
}

/// A command test.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandCheck {
    /// The commands that run before, each in its own container with the files of the one before.
    pub setup: Vec<Vec<String>>,
    /// The program and its arguments.
    pub words: Vec<String>,
    /// The variables, as `(name, value)`.
    pub env: Vec<(String, String)>,
    /// The expected exit status.
    pub exit: i64,
    /// Patterns about the standard output.
    pub stdout: Patterns,
    /// Patterns about the standard error.
    pub stderr: Patterns,
}

/// Patterns about a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patterns {
    /// All of these must match.
    pub expected: Vec<GoPattern>,
    /// None of these may match.
    pub excluded: Vec<GoPattern>,
}

/// A file content test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentCheck {
    /// The path of the file in the image.
    pub path: String,
    /// Patterns about the content.
    pub patterns: Patterns,
}

/// A file existence test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistenceCheck {
    /// The path, in which variables are replaced.
    pub path: String,
    /// True if the file must exist.
    pub should_exist: bool,
    /// The type and the permissions as Go writes them, such as `-rwxr-xr-x`.
    pub permissions: Option<String>,
    /// The user id.
    pub uid: Option<u64>,
    /// The group id.
    pub gid: Option<u64>,
    /// The permission bits of which one must be set, with their name.
    pub executable_by: Option<(&'static str, u32)>,
}

/// The metadata test.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetadataCheck {
    /// Variables with their values.
    pub env: Vec<(String, ExpectedValue)>,
    /// Variables that must not be set.
    pub unbound_env: Vec<String>,
    /// Labels with their values.
    pub labels: Vec<(String, ExpectedValue)>,
    /// Ports that must be exposed, without a protocol.
    pub exposed_ports: Vec<String>,
    /// Ports that must not be exposed.
    pub unexposed_ports: Vec<String>,
    /// Volumes that must exist.
    pub volumes: Vec<String>,
    /// Volumes that must not exist.
    pub unmounted_volumes: Vec<String>,
    /// The expected entrypoint; `None` if it is not checked.
    pub entrypoint: Option<Vec<String>>,
    /// The command.
    pub cmd: Option<Vec<String>>,
    /// The working directory.
    pub workdir: Option<String>,
    /// The expected user; `None` if it is not checked.
    pub user: Option<String>,
}

/// The value of a variable or a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedValue {
    /// The whole value.
    Equals(String),
    /// A pattern that a part of the value matches.
    Matches(GoPattern),
}
