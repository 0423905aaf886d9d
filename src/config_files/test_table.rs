//! `[[test]]`: a condition that must hold before a tag of an image moves.

use std::collections::BTreeMap;
use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, de};

use super::byte_size::ByteSize;
use super::config::{ExposedPort, Invocation};
use super::package_requirement::PackageRequirement;
use super::regular_expression;
use super::schema::pattern;
use super::values::Interval;

/// The limit for the compiled form of a pattern, in bytes.
const PATTERN_SIZE: usize = 1 << 20;

/// A condition that must hold before a tag moves. It has exactly one subject (`file`, `package`,
/// `env`, `label`, `config`, `port`, `volume`, `certificate`, `size`, `run` or `structure`) and
/// assertions about it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TestTable {
    /// The name of the test in reports; the subject by default.
    pub name: Option<String>,
    /// Subject: a path in the image.
    pub file: Option<String>,
    /// Subject: the name of a package.
    pub package: Option<String>,
    /// Subject: the name of an environment variable. run: a table of variables for the command.
    pub env: Option<TestEnv>,
    /// Subject: the key of a label.
    pub label: Option<String>,
    /// Subject: a key of the image config, which `equals` compares.
    pub config: Option<ConfigKey>,
    /// Subject: an exposed port.
    pub port: Option<ExposedPort>,
    /// Subject: the path of a volume.
    pub volume: Option<String>,
    /// Subject: a PEM file of the workspace, which the system bundle of the image must contain.
    pub certificate: Option<String>,
    /// Subject: a size of the image, which `max` limits.
    pub size: Option<SizeKind>,
    /// Subject: a command, which an engine runs in a container of the image.
    pub run: Option<Vec<String>>,
    /// Subject: a file of container-structure-test (schema 2.0.0) in the workspace. Each of its tests
    /// has a result.
    pub structure: Option<String>,
    /// If `false`, the file, package, variable, label, port or volume must not exist.
    pub exists: Option<bool>,
    /// file: the permission bits in octal, such as "0644".
    #[schemars(with = "Option<String>", extend("pattern" = pattern::MODE))]
    pub mode: Option<super::values::Mode>,
    /// file: the owner, `uid:gid` or names from `/etc/passwd` and `/etc/group` of the image.
    #[schemars(with = "Option<String>")]
    pub owner: Option<super::values::OwnerSpec>,
    /// file: a text that the content contains.
    pub contains: Option<String>,
    /// file, env, label: a regular expression that a part of the content or the value matches.
    #[schemars(with = "Option<String>")]
    pub matches: Option<Pattern>,
    /// file: the SHA-256 of the content, in hex.
    #[schemars(with = "Option<String>")]
    pub sha256: Option<Sha256>,
    /// file: the type of the path itself; the other assertions follow links.
    #[serde(rename = "type")]
    pub kind: Option<TestFileType>,
    /// file: the target of the symbolic link.
    pub link: Option<String>,
    /// package: a requirement such as ">=1.2, <2", compared as the package manager compares.
    #[schemars(with = "Option<String>")]
    pub version: Option<PackageRequirement>,
    /// env, label, config: the whole value; for `entrypoint` and `cmd`, a list or a string.
    pub equals: Option<Invocation>,
    /// size: the limit, such as "150MB".
    pub max: Option<ByteSize>,
    /// run: the exit status, 0 by default.
    #[schemars(with = "Option<u8>")]
    pub exit: Option<ExitStatus>,
    /// run: assertions about the standard output.
    pub stdout: Option<OutputTable>,
    /// run: assertions about the standard error.
    pub stderr: Option<OutputTable>,
    /// run: the user, as in `[config]`; the user of the image by default.
    pub user: Option<String>,
    /// run: the time limit, 30s by default. The command is then killed, and the test fails.
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Interval>,
    /// run: if `true`, the container has the network of the engine.
    pub network: Option<bool>,
    /// run: if `false`, the command may write to the whole file system, and not only to /tmp.
    pub read_only: Option<bool>,
}

/// The key `env`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestEnv {
    /// The name of a variable of the image, as the subject of the test.
    Name(String),
    /// Variables for the command of a test of `run`.
    Variables(BTreeMap<String, String>),
}

impl<'de> Deserialize<'de> for TestEnv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsEnv;
        impl<'de> Visitor<'de> for AsEnv {
            type Value = TestEnv;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a variable, or for `run` a table of variables")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TestEnv, E> {
                Ok(TestEnv::Name(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TestEnv, A::Error> {
                let mut variables = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    variables.insert(name, value);
                }
                Ok(TestEnv::Variables(variables))
            }
        }
        deserializer.deserialize_any(AsEnv)
    }
}

impl JsonSchema for TestEnv {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TestEnv".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "string" },
                { "type": "object", "additionalProperties": { "type": "string" } }
            ]
        })
    }
}

/// The exit status of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct ExitStatus(pub u8);

impl TryFrom<i64> for ExitStatus {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let status = u8::try_from(number).map(Self);
        status.map_err(|_| format!("`{number}` is not an exit status (0 to 255)"))
    }
}

/// Assertions about the output of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutputTable {
    /// A text that the output contains.
    pub contains: Option<String>,
    /// A regular expression that a part of the output matches.
    #[schemars(with = "Option<String>")]
    pub matches: Option<Pattern>,
    /// The whole output; line feeds at its end are ignored.
    pub equals: Option<String>,
}

/// A key of the image config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigKey {
    /// The user.
    User,
    /// The working directory.
    Workdir,
    /// The entrypoint.
    Entrypoint,
    /// The command.
    Cmd,
    /// The stop signal.
    StopSignal,
}

impl ConfigKey {
    /// The name in the spec.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Workdir => "workdir",
            Self::Entrypoint => "entrypoint",
            Self::Cmd => "cmd",
            Self::StopSignal => "stop_signal",
        }
    }

    /// True if the value in the image config is a list.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self, Self::Entrypoint | Self::Cmd)
    }
}

/// A size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SizeKind {
    /// The compressed layers, as they are in the registry.
    Packed,
    /// The files of all layers, as an engine stores them.
    Unpacked,
}

impl SizeKind {
    /// The name in the spec.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Packed => "packed",
            Self::Unpacked => "unpacked",
        }
    }
}

/// The type of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TestFileType {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
}

impl TestFileType {
    /// The name in the spec.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Dir => "dir",
            Self::Link => "link",
        }
    }
}

/// A regular expression that a part of a text must match; `^` and `$` match at each line.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Regex);

impl Pattern {
    /// True if a part of the bytes matches.
    #[must_use]
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let compiled = RegexBuilder::new(&text)
            .multi_line(true)
            .size_limit(PATTERN_SIZE)
            .build();
        compiled
            .map(Self)
            .map_err(|error| regular_expression::refused(&text, &error))
    }
}

/// A SHA-256 in hex, with or without `sha256:`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Sha256(pub String);

impl TryFrom<String> for Sha256 {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hex = text.strip_prefix("sha256:").unwrap_or(&text);
        if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(hex.to_ascii_lowercase()))
        } else {
            Err(format!("`{text}` is not a SHA-256 (64 hexadecimal digits)"))
        }
    }
}
