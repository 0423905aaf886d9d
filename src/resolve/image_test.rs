//! [`ImageTest`]: a condition on an image that must hold before a tag moves.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::location::SpecLocation;
use crate::config_files::byte_size::ByteSize;
use crate::config_files::config::{ExposedPort, Invocation};
use crate::config_files::package_requirement::PackageRequirement;
use crate::config_files::structure::StructureCheck;
use crate::config_files::test_table::{ConfigKey, OutputTable, Pattern, SizeKind, TestFileType};
use crate::config_files::values::OwnerSpec;

/// A test of an image. `C` are the certificates that it names: a request before they are read, and
/// the certificates afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTest<C> {
    /// The name that the spec gives the test.
    pub name: Option<String>,
    /// The subject and the assertions about it.
    pub subject: TestSubject<C>,
    /// The location of the test.
    pub location: SpecLocation,
}

/// The subject of a test, with the assertions about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestSubject<C> {
    /// A path in the image.
    File {
        /// The absolute path.
        path: String,
        /// The assertions.
        expected: FileExpectation,
    },
    /// A package.
    Package {
        /// The name.
        name: String,
        /// The assertion.
        expected: PackageExpectation,
    },
    /// An environment variable.
    Env {
        /// The name.
        name: String,
        /// The assertion.
        expected: ValueExpectation,
    },
    /// A label.
    Label {
        /// The key.
        key: String,
        /// The assertion.
        expected: ValueExpectation,
    },
    /// A key of the image config.
    Config {
        /// The key.
        key: ConfigKey,
        /// The expected value.
        equals: Invocation,
    },
    /// A port, or a range of ports.
    Port {
        /// The ports.
        port: ExposedPort,
        /// True if every port must be exposed; false if none may be.
        exists: bool,
    },
    /// A volume.
    Volume {
        /// The absolute path.
        path: String,
        /// True if the volume must exist.
        exists: bool,
    },
    /// Certificates that the system bundle must contain.
    Certificate {
        /// The path as the spec writes it.
        written: String,
        /// The certificates.
        certificates: C,
    },
    /// A size that must not be exceeded.
    Size {
        /// The kind of size.
        kind: SizeKind,
        /// The limit.
        max: ByteSize,
    },
    /// A command that an engine runs.
    Run(Box<RunTest>),
    /// A test of a file of container-structure-test.
    Structure(Box<StructureTest>),
}

/// A test of a file of container-structure-test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructureTest {
    /// The path of the file as the spec writes it.
    pub file: String,
    /// The variables of the file for all tests, as `(name, value)`.
    pub env: Vec<(String, String)>,
    /// The subject and the assertions about it.
    pub check: StructureCheck,
}

/// A command in a container of the image, with the assertions about its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTest {
    /// The command.
    pub command: ContainerCommand,
    /// The expected exit status.
    pub exit: u8,
    /// The assertions about the standard output.
    pub stdout: OutputTable,
    /// The assertions about the standard error.
    pub stderr: OutputTable,
}

/// A command and the container in which it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerCommand {
    /// The program and its arguments. They replace the entrypoint and the command of the image.
    pub words: Vec<String>,
    /// The user; `None` for the user of the image.
    pub user: Option<String>,
    /// Variables in addition to those of the image.
    pub env: BTreeMap<String, String>,
    /// The time after which the command is killed.
    pub timeout: Duration,
    /// True if the container has the network of the engine; false if it has none.
    pub network: bool,
    /// True if the command can write only to a new, empty /tmp and to volumes.
    pub read_only: bool,
}

impl fmt::Display for ContainerCommand {
    /// The words, with quotes where a shell needs them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.words))
    }
}

/// The words of a command on one line, with quotes where a shell needs them.
#[must_use]
pub fn quoted(words: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%^".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(is_plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// The assertions about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileExpectation {
    /// It does not exist.
    Absent,
    /// It exists, with these properties.
    Present(Box<FileProperties>),
}

/// Properties that a path must have. A property that is `None` is not checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileProperties {
    /// The type of the path itself.
    pub kind: Option<TestFileType>,
    /// The target of the symbolic link.
    pub link: Option<String>,
    /// The permission bits.
    pub mode: Option<u32>,
    /// The owner.
    pub owner: Option<OwnerSpec>,
    /// The SHA-256 of the content, in hex.
    pub sha256: Option<String>,
    /// A text in the content.
    pub contains: Option<String>,
    /// A pattern that a part of the content matches.
    pub matches: Option<Pattern>,
}

impl FileProperties {
    /// True if the properties are those of the link itself, and not of the file that it leads to.
    #[must_use]
    pub fn are_of_the_link(&self) -> bool {
        self.link.is_some() || self.kind == Some(TestFileType::Link)
    }

    /// True if the content of the file must be read.
    #[must_use]
    pub const fn need_content(&self) -> bool {
        self.contains.is_some() || self.matches.is_some()
    }
}

/// The assertion about a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageExpectation {
    /// It is not installed.
    Absent,
    /// It is installed, in any version.
    Installed,
    /// It is installed in a version that fulfils the requirement.
    Version(PackageRequirement),
}

/// The assertion about a variable or a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueExpectation {
    /// It is not set.
    Absent,
    /// It is set, and its value fulfils both conditions.
    Set {
        /// The whole value.
        equals: Option<String>,
        /// A pattern that a part of the value matches.
        matches: Option<Pattern>,
    },
}

impl<C> TestSubject<C> {
    /// The same subject with other certificates.
    fn with_certificates<D>(self, read: impl FnOnce(C) -> D) -> TestSubject<D> {
        match self {
            Self::Certificate {
                written,
                certificates,
            } => TestSubject::Certificate {
                written,
                certificates: read(certificates),
            },
            Self::File { path, expected } => TestSubject::File { path, expected },
            Self::Package { name, expected } => TestSubject::Package { name, expected },
            Self::Env { name, expected } => TestSubject::Env { name, expected },
            Self::Label { key, expected } => TestSubject::Label { key, expected },
            Self::Config { key, equals } => TestSubject::Config { key, equals },
            Self::Port { port, exists } => TestSubject::Port { port, exists },
            Self::Volume { path, exists } => TestSubject::Volume { path, exists },
            Self::Size { kind, max } => TestSubject::Size { kind, max },
            Self::Run(run) => TestSubject::Run(run),
            Self::Structure(test) => TestSubject::Structure(test),
        }
    }
}

impl<C> fmt::Display for TestSubject<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "file {path}"),
            Self::Package { name, .. } => write!(f, "package {name}"),
            Self::Env { name, .. } => write!(f, "env {name}"),
            Self::Label { key, .. } => write!(f, "label {key}"),
            Self::Config { key, .. } => write!(f, "config {}", key.as_str()),
            Self::Port { port, .. } => write!(f, "port {port}"),
            Self::Volume { path, .. } => write!(f, "volume {path}"),
            Self::Certificate { written, .. } => write!(f, "certificate {written}"),
            Self::Size { kind, .. } => write!(f, "size {}", kind.as_str()),
            Self::Run(run) => write!(f, "run {}", run.command),
            Self::Structure(test) => {
                write!(f, "structure {}: {} test", test.file, test.check.kind())
            }
        }
    }
}

impl<C> ImageTest<C> {
    /// The same test with other certificates.
    pub fn with_certificates<D>(self, read: impl FnOnce(C) -> D) -> ImageTest<D> {
        ImageTest {
            name: self.name,
            subject: self.subject.with_certificates(read),
            location: self.location,
        }
    }
}

impl<C> fmt::Display for ImageTest<C> {
    /// The name, or else the subject.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => self.subject.fmt(f),
        }
    }
}
