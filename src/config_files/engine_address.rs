//! Addresses of engines, as `[[engine]]`, `DOCKER_HOST` and Docker contexts write them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    /// A socket of this machine.
    Unix(PathBuf),
    /// TCP, with or without TLS. The address does not decide about TLS.
    Tcp {
        /// A name, or an IP address without brackets.
        host: String,
        /// The port; `None` means Docker's default.
        port: Option<u16>,
    },
    /// An engine on another machine, through ssh.
    Ssh {
        /// The user; `None` means ssh's default.
        user: Option<String>,
        /// The machine, or its name in the ssh configuration.
        host: String,
        /// The port; `None` means ssh's default.
        port: Option<u16>,
        /// The socket of the engine on that machine; `None` means its default.
        socket: Option<String>,
    },
}

/// The scheme of the address of a BuildKit daemon.
pub const BUILDKIT: &str = "buildkit://";
/// The default port of a BuildKit daemon, according to its documentation.
const BUILDKIT_PORT: u16 = 1234;

impl EngineAddress {
    /// Parses the `host` of an `[[engine]]`: the address of a Docker Engine or a BuildKit daemon. The
    /// error is a sentence for the user.
    pub fn of_table(text: &str) -> Result<Self, String> {
        if text.starts_with(BUILDKIT) {
            Self::of_buildkit(text)
        } else {
            text.parse()
        }
    }

    /// Parses `buildkit://HOST[:PORT]` or `buildkit:///SOCKET`. The error is a sentence for the user.
    pub fn of_buildkit(text: &str) -> Result<Self, String> {
        let shown = crate::secret::redact_userinfo(text);
        let refuse = || {
            format!(
                "`{shown}` is not an address of a BuildKit daemon: expected buildkit://HOST[:PORT] or buildkit:///PATH"
            )
        };
        let rest = text.strip_prefix(BUILDKIT).ok_or_else(refuse)?;
        if rest.starts_with('/') {
            return Ok(Self::Unix(rest.into()));
        }
        match format!("tcp://{rest}").parse() {
            Ok(Self::Tcp { host, port }) if !rest.is_empty() => Ok(Self::Tcp {
                host,
                port: Some(port.unwrap_or(BUILDKIT_PORT)),
            }),
            _ => Err(refuse()),
        }
    }

    /// The socket where an engine listens by default.
    #[must_use]
    pub fn default_socket() -> Self {
        Self::Unix("/var/run/docker.sock".into())
    }
}

impl FromStr for EngineAddress {
    type Err = String;

    /// Parses `unix://PATH`, `tcp://HOST[:PORT]` or `ssh://[USER@]HOST[:PORT][/SOCKET]`. The error
    /// is a sentence for the user.
    fn from_str(text: &str) -> Result<Self, String> {
        let shown = crate::secret::redact_userinfo(text);
        let refuse = |why: &str| {
            Err(format!(
                "`{shown}` is not an address of a Docker Engine: {why}"
            ))
        };
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" => {
                refuse("a socket needs an absolute path, such as unix:///var/run/docker.sock")
            }
            "tcp" | "http" | "https" => {
                if rest.starts_with('/') {
                    return refuse("write a socket as unix:///PATH");
                }
                let authority = rest.trim_end_matches('/');
                if authority.contains(['/', '@']) {
                    return refuse("expected tcp://HOST[:PORT] without a user or a path");
                }
                let Some((host, port)) = host_and_port(authority) else {
                    return refuse("expected tcp://HOST[:PORT]");
                };
                let host = if host.is_empty() {
                    "127.0.0.1".to_owned()
                } else {
                    host
                };
                Ok(Self::Tcp { host, port })
            }
            "ssh" => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                let (user, machine) = match authority.rsplit_once('@') {
                    Some((user, machine)) => (Some(user), machine),
                    None => (None, authority),
                };
                if user.is_some_and(|user| user.contains(':')) {
                    return refuse("a password is not supported; use an ssh key");
                }
                if user.is_some_and(|user| !is_word(user, "._-@")) {
                    return refuse("a user consists of letters, digits, `.`, `_`, `-` and `@`");
                }
                if !is_word(path, "._-/+@") {
                    return refuse(
                        "a socket's path consists of letters, digits, `/`, `.`, `_`, `-`, `+` and `@`",
                    );
                }
                match host_and_port(machine) {
                    Some((host, port)) if !host.is_empty() && is_word(&host, "._-:") => {
                        Ok(Self::Ssh {
                            user: user.filter(|user| !user.is_empty()).map(str::to_owned),
                            host,
                            port,
                            socket: (!path.is_empty()).then(|| format!("/{path}")),
                        })
                    }
                    _ => refuse("expected ssh://[USER@]HOST[:PORT]"),
                }
            }
            _ => refuse("expected unix://, tcp:// or ssh://"),
        }
    }
}

/// True if a text contains only letters, digits and these characters, and does not begin like an
/// option. The shell on the remote machine and the commands in the ssh configuration receive the
/// text.
fn is_word(text: &str, others: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    !text.starts_with('-') && text.chars().all(is_allowed)
}

/// Splits `host[:port]` and `[ipv6][:port]`.
fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (
                host,
                if after.is_empty() {
                    None
                } else {
                    Some(after.strip_prefix(':')?)
                },
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map(str::parse).transpose().ok()?;
    Some((host.to_owned(), port))
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = |f: &mut fmt::Formatter<'_>, host: &str, port: Option<u16>| {
            if host.contains(':') {
                write!(f, "[{host}]")?;
            } else {
                f.write_str(host)?;
            }
            port.map_or(Ok(()), |port| write!(f, ":{port}"))
        };
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } => {
                f.write_str("tcp://")?;
                authority(f, host, *port)
            }
            Self::Ssh {
                user,
                host,
                port,
                socket,
            } => {
                f.write_str("ssh://")?;
                user.as_ref().map_or(Ok(()), |user| write!(f, "{user}@"))?;
                authority(f, host, *port)?;
                f.write_str(socket.as_deref().unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_as_docker_parses_them() {
        for (written, canonical) in [
            (
                "unix:///run/user/1000/docker.sock",
                "unix:///run/user/1000/docker.sock",
            ),
            ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375"),
            ("tcp://build.example.com", "tcp://build.example.com"),
            ("tcp://[::1]:2376/", "tcp://[::1]:2376"),
            ("tcp://:2375", "tcp://127.0.0.1:2375"),
            ("build.example.com:2375", "tcp://build.example.com:2375"),
            (
                "ssh://me@build.example.com:22",
                "ssh://me@build.example.com:22",
            ),
            ("ssh://build", "ssh://build"),
            (
                "ssh://build/run/podman/podman.sock",
                "ssh://build/run/podman/podman.sock",
            ),
        ] {
            assert_eq!(
                written
                    .parse::<EngineAddress>()
                    .map(|address| address.to_string()),
                Ok(canonical.to_owned()),
                "{written}"
            );
        }
    }

    #[test]
    fn an_invalid_address_is_refused_with_the_reason() {
        for (written, reason) in [
            ("unix://relative.sock", "absolute path"),
            ("/var/run/docker.sock", "unix:///PATH"),
            ("tcp://host:99999", "expected tcp://"),
            ("tcp://host/path", "without a user or a path"),
            ("tcp://user:password@host", "without a user or a path"),
            ("ssh://me:password@host", "a password is not supported"),
            ("ssh://-oProxyCommand=x", "expected ssh://"),
            ("ssh://-x@host", "a user consists of"),
            ("ssh://$(id)@host", "a user consists of"),
            ("ssh://ho$(id)st", "expected ssh://"),
            ("ssh://host`id`", "expected ssh://"),
            ("ssh://host name", "expected ssh://"),
            ("ssh://host%h", "expected ssh://"),
            ("ssh://host/x;id;#", "a socket's path consists of"),
            ("ssh://host/x|id", "a socket's path consists of"),
            ("ssh://host/$(id)", "a socket's path consists of"),
            ("ssh://host/`id`", "a socket's path consists of"),
            ("ssh://host/a b", "a socket's path consists of"),
            ("ssh://host/a\nid", "a socket's path consists of"),
            ("ssh://host/a&id", "a socket's path consists of"),
            ("ssh://host/a'b", "a socket's path consists of"),
            ("ssh://host/a\\b", "a socket's path consists of"),
            ("ssh://host/a>b", "a socket's path consists of"),
            ("ssh://host/~/é", "a socket's path consists of"),
            ("ssh://", "expected ssh://"),
            ("npipe:////./pipe/docker_engine", "expected unix://"),
            ("fd://", "expected unix://"),
        ] {
            let refused = written.parse::<EngineAddress>().unwrap_err();
            assert!(refused.contains(reason), "{written}: {refused}");
        }
    }

    #[test]
    fn the_address_of_a_buildkit_daemon_has_a_host_or_a_socket() {
        for (written, read) in [
            (
                "buildkit://build.example.com",
                Ok("tcp://build.example.com:1234"),
            ),
            ("buildkit://[::1]:8372", Ok("tcp://[::1]:8372")),
            (
                "buildkit:///run/buildkit/buildkitd.sock",
                Ok("unix:///run/buildkit/buildkitd.sock"),
            ),
            ("buildkit://", Err("expected buildkit://HOST")),
            ("buildkit://host/path", Err("expected buildkit://HOST")),
            ("buildkit://me@host", Err("expected buildkit://HOST")),
            ("buildkit://host:99999", Err("expected buildkit://HOST")),
        ] {
            match (EngineAddress::of_buildkit(written), read) {
                (Ok(address), Ok(read)) => assert_eq!(address.to_string(), read),
                (Err(error), Err(words)) => assert!(error.contains(words), "{written}: {error}"),
                (parsed, _) => panic!("{written}: {parsed:?}"),
            }
        }
    }
}
