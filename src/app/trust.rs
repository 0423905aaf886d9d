//! The engines that the user trusts: by `--trust-engine`, `GOLDEN_TRUST`, or `[trust] engines` in
//! the user's config.toml.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::Error;
use super::settings::Settings;
use crate::config_files::workspace::EngineTable;
use crate::engine::{EngineTrust, TlsDirectory};
use crate::workspace::discover::stays_inside;
use crate::workspace::fs;

/// The settings of the user: `$XDG_CONFIG_HOME/golden/config.toml`, or
/// `~/.config/golden/config.toml` if the variable is not set.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UserConfig {
    trust: TrustSection,
}

/// `[trust]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TrustSection {
    /// Names or addresses of `[[engine]]`s that receive logins and secrets.
    engines: Vec<String>,
}

/// Names and addresses of the engines that the user trusts. Fails if config.toml is invalid.
pub(super) fn engines(settings: &Settings) -> Result<Vec<String>, Error> {
    let mut all = settings.trusted_engines.clone();
    let variable = settings.var("GOLDEN_TRUST").unwrap_or_default();
    all.extend(
        variable
            .split([',', ' ', '\n'])
            .filter(|word| !word.is_empty())
            .map(str::to_owned),
    );
    all.extend(user_config(settings)?.trust.engines);
    Ok(all)
}

fn user_config(settings: &Settings) -> Result<UserConfig, Error> {
    let home = || {
        settings
            .var("HOME")
            .map(|home| PathBuf::from(home).join(".config"))
    };
    let Some(directory) = settings
        .var("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(home)
    else {
        return Ok(UserConfig::default());
    };
    let file = directory.join("golden/config.toml");
    let Some(bytes) = fs::read_if_exists(&file)? else {
        return Ok(UserConfig::default());
    };
    toml::from_slice(&bytes).map_err(|error| {
        Error::invalid(format!("{}: {}", file.display(), error.message()))
            .hint("write [trust] with engines = [\"NAME\", \"tcp://HOST:PORT\"]")
    })
}

/// The directory of an engine's TLS files. Fails if it is outside the workspace and the user does
/// not trust the engine, because such files may belong to the user.
pub(super) fn certificates(
    root: &Path,
    table: &EngineTable,
    name: &str,
    trusted: &[String],
) -> Result<Option<TlsDirectory>, Error> {
    let (Some(certs), Some(host)) = (&table.certs, &table.host) else {
        return Ok(None);
    };
    let path = root.join(certs);
    let real_root = std::fs::canonicalize(root);
    let is_inside = |path: &Path| match (std::fs::canonicalize(path), &real_root) {
        (Ok(real), Ok(root)) => real.starts_with(root),
        // A missing file is reported when it is read.
        _ => true,
    };
    let files = ["ca.pem", "cert.pem", "key.pem"].map(|file| path.join(file));
    let is_in_workspace = stays_inside(Path::new(certs))
        && is_inside(&path)
        && files.iter().all(|file| is_inside(file));
    if EngineTrust::is_named(name, host, trusted) {
        return Ok(Some(path.into()));
    }
    if is_in_workspace {
        let root = real_root.ok();
        return Ok(Some(TlsDirectory { path, root }));
    }
    Err(Error::invalid(format!(
        "[[engine]] `{name}`: certs = \"{certs}\" is outside the workspace"
    ))
    .hint(hint(name)))
}

/// The hint that explains how to trust an engine.
fn hint(name: &str) -> String {
    format!("put the files into the workspace, or trust the engine: `--trust-engine {name}`")
}
