//! A signing key that is ready: read from a file or the environment, or in a plugin program.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::Error;
use crate::config_files::KeySource;
use crate::process::{self, Environment, Limits, Program};
use crate::secret::Secret;
use crate::trust::key::MOST_KEY_BYTES;
use crate::trust::plugin::{self, PluginCall, PluginError};
use crate::trust::{KeyError, PrivateKey, PublicKey, StoredKey};
use crate::workspace::fs;

/// The variables with the password of an encrypted key, the first one that is set counts.
pub const PASSWORDS: [&str; 2] = ["GOLDEN_SIGNING_PASSWORD", "COSIGN_PASSWORD"];

/// Asks the user for a password at a terminal; the text names its use. `None` if the user gives
/// none.
pub type AskPassword = fn(&str) -> Option<Secret<String>>;

/// The variable with the time limit for a key plugin, in seconds.
const PLUGIN_TIMEOUT: &str = "GOLDEN_KEY_PLUGIN_TIMEOUT";
/// The default time limit for a key plugin. It may prompt the user or wait for a service.
const PLUGIN_SECONDS: u64 = 30;
/// The largest output of a key plugin, in bytes.
const MOST_PLUGIN_OUTPUT: u64 = 1 << 20;

/// Reads signing keys.
#[derive(Debug)]
pub struct KeyReader<'a> {
    /// The directory that a relative path starts from.
    pub root: &'a Path,
    /// The environment variables at the start.
    pub variables: &'a BTreeMap<String, String>,
    /// Asks the user for a password; `None` if there is no terminal.
    pub ask: Option<AskPassword>,
}

/// A signing key that is ready.
#[derive(Debug)]
pub struct Signer {
    public: PublicKey,
    kind: SignerKind,
}

#[derive(Debug)]
enum SignerKind {
    Key(PrivateKey),
    Plugin(KeyPlugin),
}

#[derive(Debug)]
struct KeyPlugin {
    program: String,
    key: String,
    environment: Environment,
    limit: Duration,
}

impl KeyReader<'_> {
    /// Reads a key and decrypts it. Fails if the key or its password is missing or wrong.
    pub async fn read(&self, source: &KeySource) -> Result<Signer, Error> {
        let text = match source {
            KeySource::Plugin { name, key } => return self.plugin(name, key).await,
            KeySource::File(path) => fs::read_up_to(&self.root.join(path), MOST_KEY_BYTES)
                .map(Secret::new)
                .map_err(Error::File)?,
            KeySource::Variable(name) => self
                .variable(name)
                .map(|text| Secret::new(text.as_bytes().to_vec()))
                .ok_or_else(|| Error::Unset(name.clone()))?,
        };
        let failed = |error| Error::Key {
            key: source.to_string(),
            error,
        };
        let key = match StoredKey::parse(text.expose()).map_err(failed)? {
            StoredKey::Plain(key) => key,
            StoredKey::Encrypted(key) => {
                let password = self.password(source);
                let password = password.ok_or_else(|| failed(KeyError::NoPassword))?;
                // The key derivation takes a part of a second.
                let decrypted = tokio::task::spawn_blocking(move || key.decrypt(&password)).await;
                decrypted.map_or(Err(failed(KeyError::Malformed)), |key| key.map_err(failed))?
            }
        };
        Ok(Signer {
            public: key.public().map_err(failed)?,
            kind: SignerKind::Key(key),
        })
    }

    fn variable(&self, name: &str) -> Option<&str> {
        value(self.variables, name)
    }

    /// The password in the environment, else the answer of the user.
    fn password(&self, source: &KeySource) -> Option<Secret<String>> {
        let ask = || self.ask?(&format!("Password of the signing key {source}: "));
        given_password(self.variables).or_else(ask)
    }

    async fn plugin(&self, name: &str, key: &str) -> Result<Signer, Error> {
        let seconds = self
            .variable(PLUGIN_TIMEOUT)
            .and_then(|text| text.parse().ok());
        let plugin = KeyPlugin {
            program: format!("sigstore-kms-{name}"),
            key: key.to_owned(),
            environment: Environment::new(self.variables.clone()),
            limit: Duration::from_secs(seconds.unwrap_or(PLUGIN_SECONDS)),
        };
        let answer = plugin.call(PluginCall::PublicKey, &[]).await?;
        let public = plugin::public_key(&answer).map_err(|error| plugin.error(error))?;
        Ok(Signer {
            public,
            kind: SignerKind::Plugin(plugin),
        })
    }
}

/// The value of a variable; `None` if it is not set or empty.
fn value<'v>(variables: &'v BTreeMap<String, String>, name: &str) -> Option<&'v str> {
    let value = variables.get(name).map(String::as_str);
    value.filter(|value| !value.is_empty())
}

/// The password of the signing key in the environment: that of the first variable with a value. If
/// the variables are set and empty, it is the empty password, as for cosign.
#[must_use]
pub fn given_password(variables: &BTreeMap<String, String>) -> Option<Secret<String>> {
    let given = PASSWORDS.iter().find_map(|name| value(variables, name));
    let empty = || {
        let is_set = PASSWORDS.iter().any(|name| variables.contains_key(*name));
        is_set.then_some("")
    };
    Some(Secret::new(given.or_else(empty)?.to_owned()))
}

impl Signer {
    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message.
    pub(super) async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.kind {
            SignerKind::Key(key) => key.sign(message).map_err(|error| Error::Key {
                key: self.public.hint(),
                error,
            }),
            SignerKind::Plugin(plugin) => {
                let answer = plugin.call(PluginCall::Sign, message).await?;
                plugin::signature(&answer, &self.public, message)
                    .map_err(|error| plugin.error(error))
            }
        }
    }
}

impl KeyPlugin {
    async fn call(&self, call: PluginCall, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut command = self.environment.command(Program::KeyPlugin, &self.program);
        command.arg(plugin::VERSION).arg(call.argument(&self.key));
        let limits = Limits {
            time: self.limit,
            output: MOST_PLUGIN_OUTPUT,
        };
        let output = process::output(command, message, limits).await;
        // The protocol reports errors on stdout, so the exit code does not count.
        output
            .map(|output| output.stdout)
            .map_err(|error| Error::Process {
                program: self.program.clone(),
                error,
            })
    }

    fn error(&self, error: PluginError) -> Error {
        Error::Plugin {
            program: self.program.clone(),
            error,
        }
    }
}
