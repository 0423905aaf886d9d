//! The location of a signing key: a file, an environment variable, or a plugin program.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

/// The location of a signing key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum KeySource {
    /// A file in PEM.
    File(PathBuf),
    /// The PEM text is the value of an environment variable.
    Variable(String),
    /// A program `sigstore-kms-NAME` signs with its key `KEY`.
    Plugin {
        /// The name of the program after `sigstore-kms-`.
        name: String,
        /// The key, in the notation of the plugin.
        key: String,
    },
}

/// The reason why a text is not the location of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is empty.
    #[error("the key is empty; name a FILE, env:NAME or plugin:NAME://KEY")]
    Empty,
    /// The name of the variable is not valid.
    #[error("`{0}` is not the name of an environment variable; write env:NAME")]
    Variable(String),
    /// The plugin notation is not valid.
    #[error("`{0}` is not plugin:NAME://KEY, where NAME has lowercase letters, digits and `-`")]
    Plugin(String),
    /// The notation is that of cosign for a key management service.
    #[error("`{0}` has an unknown scheme; a key is a FILE, env:NAME or plugin:NAME://KEY")]
    Scheme(String),
}

impl FromStr for KeySource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if let Some(name) = text.strip_prefix("env:") {
            let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
            let is_valid = name.starts_with(is_start)
                && name.chars().all(|c| is_start(c) || c.is_ascii_digit());
            return if is_valid {
                Ok(Self::Variable(name.to_owned()))
            } else {
                Err(Error::Variable(name.to_owned()))
            };
        }
        if let Some(plugin) = text.strip_prefix("plugin:") {
            return plugin_of(plugin).ok_or_else(|| Error::Plugin(text.to_owned()));
        }
        if text.contains("://") {
            return Err(Error::Scheme(text.to_owned()));
        }
        Ok(Self::File(PathBuf::from(text)))
    }
}

impl TryFrom<String> for KeySource {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

fn plugin_of(text: &str) -> Option<KeySource> {
    let (name, key) = text.split_once("://")?;
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_valid = name.starts_with(is_word) && name.chars().all(|c| is_word(c) || c == '-');
    (is_valid && !key.is_empty() && !key.contains(char::is_control)).then(|| KeySource::Plugin {
        name: name.to_owned(),
        key: key.to_owned(),
    })
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::Plugin { name, key } => write!(f, "plugin:{name}://{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_file_a_variable_or_a_plugin() {
        for text in [
            "team.key",
            "keys/team.key",
            "/etc/team.key",
            "env:SIGNING_KEY",
            "plugin:digicert://alias",
            "plugin:my-hsm2://projects/a/keys/1?v=2",
        ] {
            let source: KeySource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        for (text, error) in [
            ("", "the key is empty"),
            ("env:", "`` is not the name of an environment variable"),
            (
                "env://KEY",
                "`//KEY` is not the name of an environment variable",
            ),
            ("env:1X", "`1X` is not the name of an environment variable"),
            ("plugin:x", "`plugin:x` is not plugin:NAME://KEY"),
            (
                "plugin:../x://k",
                "`plugin:../x://k` is not plugin:NAME://KEY",
            ),
            ("plugin:x://", "`plugin:x://` is not plugin:NAME://KEY"),
            (
                "awskms:///alias/x",
                "`awskms:///alias/x` has an unknown scheme",
            ),
        ] {
            let found = text.parse::<KeySource>().unwrap_err().to_string();
            assert!(found.starts_with(error), "{found}");
        }
    }
}
