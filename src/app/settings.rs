//! The settings of a command: the values of options and environment variables that decide what the
//! command does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::Error;
use crate::event::Events;
use crate::oci::{LAST_TIME, rfc3339};
use crate::process::Environment;
use crate::signing::AskPassword;
use crate::workspace::load::LoadInputs;
use crate::workspace::user_cache::UserCache;

/// The variable with the registry of commands without `--registry`.
pub const REGISTRY_VARIABLE: &str = "GOLDEN_REGISTRY";

/// The settings of a command.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory that golden was started in.
    pub cwd: PathBuf,
    /// The directory of the workspace, if the user names one.
    pub workspace: Option<PathBuf>,
    /// The environment variables at the start.
    pub env: BTreeMap<String, String>,
    /// The start time in seconds since 1970-01-01 UTC.
    pub now: i64,
    /// The receiver of progress and warnings.
    pub events: Events,
    /// The selected registries, each by the name of its `[[registry]]` or by its host.
    pub registries: Vec<String>,
    /// True if the selected registry is the value of [`REGISTRY_VARIABLE`].
    pub registry_variable: bool,
    /// Use every `[[registry]]` of the workspace.
    pub all_registries: bool,
    /// The hosts that are used with plain HTTP, also for logins.
    pub insecure_registries: Vec<String>,
    /// The selected images.
    pub selection: Selection,
    /// The names and addresses of trusted engines.
    pub trusted_engines: Vec<String>,
    /// Asks the user for the password of a key; `None` if there is no terminal.
    pub ask_password: Option<AskPassword>,
    /// The variables of the workspace that are overridden, with their values.
    pub set: Vec<(String, String)>,
}

/// The selected images of a workspace. By default, all images are selected.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Names and globs; empty for all images.
    pub images: Vec<String>,
    /// Only images that changed since this commit.
    pub changed: Option<String>,
    /// Also the images that are built on the selected ones.
    pub with_dependants: bool,
}

impl Settings {
    /// The value of an environment variable; `None` if it is not set or empty.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        variable(&self.env, name)
    }

    /// The environment for programs that golden starts.
    #[must_use]
    pub fn environment(&self) -> Environment {
        Environment::new(self.env.clone())
    }

    /// The cache of the user: `$XDG_CACHE_HOME/golden`, or `~/.cache/golden` if the variable is not
    /// set.
    #[must_use]
    pub fn user_cache(&self) -> UserCache {
        let absolute = |name: &str| {
            self.var(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        caches.map_or_else(UserCache::default, |caches| {
            UserCache::at(caches.join("golden"))
        })
    }

    /// The value of `SOURCE_DATE_EPOCH`. Fails if it is not a time.
    pub fn epoch(&self) -> Result<Option<i64>, Error> {
        let Some(text) = self.var("SOURCE_DATE_EPOCH") else {
            return Ok(None);
        };
        let seconds = text
            .parse::<i64>()
            .ok()
            .filter(|seconds| (0..=LAST_TIME).contains(seconds));
        let invalid = || {
            Error::invalid(format!(
                "SOURCE_DATE_EPOCH is `{text}`, not a number of seconds since 1970"
            ))
        };
        seconds.map(Some).ok_or_else(invalid)
    }

    /// The input of loading a workspace. Fails if `SOURCE_DATE_EPOCH` is invalid.
    pub fn load_inputs(&self) -> Result<LoadInputs, Error> {
        let now = rfc3339(self.epoch()?.unwrap_or(self.now));
        Ok(LoadInputs {
            start: self.cwd.clone(),
            named: self.workspace.clone(),
            set: self.set.iter().cloned().collect(),
            now,
            environment: self.environment(),
        })
    }
}

/// The value of an environment variable; `None` if it is not set or empty.
#[must_use]
pub fn variable<'e>(env: &'e BTreeMap<String, String>, name: &str) -> Option<&'e str> {
    env.get(name)
        .map(String::as_str)
        .filter(|value| !value.is_empty())
}
