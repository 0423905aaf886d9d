//! Decides which engines receive the user's logins and secrets. Pure.
//!
//! A cloned workspace can name any engine. Such an engine must not receive the user's logins.

use std::fmt;
use std::net::IpAddr;

use super::{BuildKit, DockerEnv};
use crate::config_files::engine_address::EngineAddress;

/// The trust in an engine: only a trusted engine receives logins and secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineTrust {
    /// The engine receives logins and secrets.
    Trusted,
    /// Only the workspace names the engine, not the user.
    WorkspaceOnly,
    /// The connection to the engine is not encrypted.
    ClearText,
}

impl EngineTrust {
    /// Returns the trust in the engine `name` at `address`. `trusted` lists the names and addresses
    /// that the user trusts; the workspace cannot add to it. `tls` is true if the connection is
    /// verified with certificates. `own` is the Docker Engine of the user's environment.
    #[must_use]
    pub fn of(name: &str, address: &str, tls: bool, trusted: &[String], own: &DockerEnv) -> Self {
        let is_own = own.host.as_deref() == Some(address)
            || address.parse() == Ok(EngineAddress::default_socket());
        if !(is_own || Self::is_named(name, address, trusted)) {
            return Self::WorkspaceOnly;
        }
        if is_own || is_protected(address, tls) {
            Self::Trusted
        } else {
            Self::ClearText
        }
    }

    /// True if `trusted` contains the engine, by name or by address.
    #[must_use]
    pub fn is_named(name: &str, address: &str, trusted: &[String]) -> bool {
        trusted
            .iter()
            .any(|trusted| trusted == name || trusted == address)
    }
}

impl fmt::Display for EngineTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trusted => "it is trusted",
            Self::WorkspaceOnly => "only golden.toml names it",
            Self::ClearText => "the connection to it is not encrypted",
        })
    }
}

/// True if the connection is protected: TLS, ssh, or an address of this machine.
fn is_protected(address: &str, tls: bool) -> bool {
    if tls || address.starts_with("https://") {
        return true;
    }
    let address = match BuildKit::location(address) {
        Some(rest) if rest.starts_with('/') => return true,
        Some(rest) => format!("tcp://{rest}"),
        None => address.to_owned(),
    };
    match address.parse() {
        Ok(EngineAddress::Unix(_) | EngineAddress::Ssh { .. }) => true,
        Ok(EngineAddress::Tcp { host, .. }) => {
            host == "localhost"
                || host
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_trusted_if_the_user_names_it_and_the_connection_is_protected() {
        let own = DockerEnv {
            host: Some("tcp://own.example.com:2375".to_owned()),
            ..DockerEnv::default()
        };
        for (address, tls, trusted, expected) in [
            (
                "tcp://a.example.com:2376",
                true,
                "",
                EngineTrust::WorkspaceOnly,
            ),
            (
                "tcp://127.0.0.1:2375",
                false,
                "",
                EngineTrust::WorkspaceOnly,
            ),
            ("ssh://a.example.com", false, "", EngineTrust::WorkspaceOnly),
            ("unix:///tmp/x.sock", false, "", EngineTrust::WorkspaceOnly),
            ("tcp://a.example.com:2376", true, "e", EngineTrust::Trusted),
            (
                "tcp://a.example.com:2376",
                true,
                "tcp://a.example.com:2376",
                EngineTrust::Trusted,
            ),
            (
                "tcp://a.example.com:2376",
                true,
                "tcp://b.example.com:2376",
                EngineTrust::WorkspaceOnly,
            ),
            (
                "tcp://a.example.com:2375",
                false,
                "e",
                EngineTrust::ClearText,
            ),
            ("tcp://10.0.0.1:2375", false, "e", EngineTrust::ClearText),
            (
                "buildkit://a.example.com",
                false,
                "e",
                EngineTrust::ClearText,
            ),
            ("buildkit://a.example.com", true, "e", EngineTrust::Trusted),
            (
                "buildkit://127.0.0.1:1234",
                false,
                "e",
                EngineTrust::Trusted,
            ),
            (
                "buildkit:///run/buildkit.sock",
                false,
                "e",
                EngineTrust::Trusted,
            ),
            ("tcp://[::1]:2375", false, "e", EngineTrust::Trusted),
            (
                "https://a.example.com:2376",
                false,
                "e",
                EngineTrust::Trusted,
            ),
            ("ssh://a.example.com", false, "e", EngineTrust::Trusted),
            ("unix:///tmp/x.sock", false, "e", EngineTrust::Trusted),
            (
                "unix:///var/run/docker.sock",
                false,
                "",
                EngineTrust::Trusted,
            ),
            (
                "tcp://own.example.com:2375",
                false,
                "",
                EngineTrust::Trusted,
            ),
        ] {
            let trusted: Vec<String> = trusted.split_whitespace().map(str::to_owned).collect();
            assert_eq!(
                EngineTrust::of("e", address, tls, &trusted, &own),
                expected,
                "{address} {trusted:?}"
            );
        }
    }
}
