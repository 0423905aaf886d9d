//! Decides which registries receive the login of `GOLDEN_REGISTRY_USER` and
//! `GOLDEN_REGISTRY_PASSWORD`. Pure.
//!
//! A file of the workspace never decides this, because a pull request can change the file and would
//! then receive the login.

use std::collections::BTreeSet;
use std::fmt;

use crate::reference::Host;

/// The hosts that the login may be sent to, as far as the user named them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginScope {
    /// The hosts in `GOLDEN_REGISTRY_HOST`, if it is set. No other rule applies then.
    pub listed: Option<BTreeSet<Host>>,
    /// The hosts that `--registry` or `GOLDEN_REGISTRY` gives as host names, if one of the two is
    /// set.
    pub selected: Option<BTreeSet<Host>>,
    /// The registries that the command publishes to, including those of golden.toml.
    pub destinations: BTreeSet<Host>,
    /// The hosts of the references on the command line.
    pub named: BTreeSet<Host>,
    /// The host that the command writes to, if it reads from one reference and writes to another.
    pub target: Option<Host>,
}

/// The decision for one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LoginVerdict {
    Allowed,
    /// `GOLDEN_REGISTRY_HOST` lists only these hosts.
    Listed(String),
    /// `--registry` or `GOLDEN_REGISTRY` selects these hosts.
    Selected(String),
    /// The command writes to this host.
    Target(Host),
    /// The default registry of the workspace is another one.
    Default(String),
    /// The command line names several registries.
    Several,
    /// Only a file of the workspace names the registry.
    Workspace,
    /// Docker Hub is not assumed to be the registry that the login is for.
    Hub,
}

impl LoginScope {
    /// A login for exactly these hosts.
    #[must_use]
    pub fn of(hosts: impl IntoIterator<Item = Host>) -> Self {
        Self {
            listed: Some(hosts.into_iter().collect()),
            ..Self::default()
        }
    }

    /// Decides whether the login is sent to `host`.
    pub(super) fn verdict(&self, host: &Host) -> LoginVerdict {
        if let Some(listed) = &self.listed {
            return if listed.contains(host) {
                LoginVerdict::Allowed
            } else {
                LoginVerdict::Listed(list(listed))
            };
        }
        if let Some(selected) = &self.selected {
            return match (selected.contains(host), self.destinations.contains(host)) {
                (true, _) => LoginVerdict::Allowed,
                (false, true) if self.named.contains(host) => LoginVerdict::Allowed,
                (false, true) => LoginVerdict::Workspace,
                (false, false) => LoginVerdict::Selected(list(&self.destinations)),
            };
        }
        if let Some(target) = &self.target {
            return match target {
                target if target == host => LoginVerdict::Allowed,
                target => LoginVerdict::Target(target.clone()),
            };
        }
        let is_named = self.named.contains(host);
        let is_several = self.named.iter().filter(|named| !named.is_hub()).count() > 1;
        let is_destination = self.destinations.contains(host);
        if !is_destination && !self.destinations.is_empty() {
            return LoginVerdict::Default(list(&self.destinations));
        }
        if !is_named {
            return LoginVerdict::Workspace;
        }
        if !is_destination && host.is_hub() {
            return LoginVerdict::Hub;
        }
        if !is_destination && is_several {
            return LoginVerdict::Several;
        }
        LoginVerdict::Allowed
    }
}

impl LoginVerdict {
    /// The next command to run, so that a login is used for `host`.
    pub(super) fn hint(&self, host: &Host) -> String {
        match self {
            Self::Allowed => format!(
                "run `docker login {host}`, or correct GOLDEN_REGISTRY_USER and GOLDEN_REGISTRY_PASSWORD"
            ),
            Self::Listed(_) => {
                format!("add {host} to GOLDEN_REGISTRY_HOST, or run `docker login {host}`")
            }
            Self::Workspace => format!(
                "set GOLDEN_REGISTRY_HOST={host}, add `--registry {host}`, or run `docker login {host}`"
            ),
            _ => format!("add `--registry {host}`, or run `docker login {host}`"),
        }
    }
}

impl fmt::Display for LoginVerdict {
    /// Formats the reason why the login was not used, as a clause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed => f.write_str("it is for this registry"),
            Self::Listed(hosts) if hosts.is_empty() => {
                f.write_str("GOLDEN_REGISTRY_HOST lists no host")
            }
            Self::Listed(hosts) => write!(f, "it is for {hosts} (GOLDEN_REGISTRY_HOST)"),
            Self::Selected(hosts) => {
                write!(
                    f,
                    "it is for {hosts}, which --registry or GOLDEN_REGISTRY selects"
                )
            }
            Self::Target(host) => write!(f, "it is for {host}, the destination"),
            Self::Default(hosts) => write!(f, "it is for {hosts}, the default registry"),
            Self::Several => f.write_str("the command line names several registries"),
            Self::Workspace => f.write_str("only a file of the workspace names this registry"),
            Self::Hub => f.write_str("it is not assumed to be for Docker Hub"),
        }
    }
}

fn list(hosts: &BTreeSet<Host>) -> String {
    hosts
        .iter()
        .map(Host::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> BTreeSet<Host> {
        text.split_whitespace()
            .map(|host| host.parse().unwrap())
            .collect()
    }

    #[test]
    fn a_workspace_file_does_not_decide_which_registry_receives_the_login() {
        let default = LoginScope::default;
        for (scope, host, expected) in [
            (
                LoginScope {
                    destinations: hosts("team:1"),
                    ..default()
                },
                "team:1",
                "only a file of the workspace names this registry",
            ),
            (
                LoginScope {
                    destinations: hosts("team:1"),
                    ..default()
                },
                "base:1",
                "it is for team:1, the default registry",
            ),
            (
                LoginScope {
                    destinations: hosts("team:1"),
                    named: hosts("team:1"),
                    ..default()
                },
                "team:1",
                "yes",
            ),
            (
                LoginScope {
                    destinations: hosts("team:1"),
                    named: hosts("x:1"),
                    ..default()
                },
                "x:1",
                "it is for team:1, the default registry",
            ),
            (
                LoginScope {
                    named: hosts("x:1"),
                    ..default()
                },
                "x:1",
                "yes",
            ),
            (
                LoginScope {
                    named: hosts("x:1"),
                    ..default()
                },
                "base:1",
                "only a file of the workspace names this registry",
            ),
            (
                LoginScope {
                    named: hosts("x:1 y:1"),
                    ..default()
                },
                "x:1",
                "the command line names several registries",
            ),
            (
                LoginScope {
                    named: hosts("docker.io"),
                    ..default()
                },
                "docker.io",
                "it is not assumed to be for Docker Hub",
            ),
            (
                LoginScope {
                    selected: Some(hosts("team:1")),
                    destinations: hosts("team:1"),
                    ..default()
                },
                "team:1",
                "yes",
            ),
            (
                LoginScope {
                    selected: Some(hosts("")),
                    destinations: hosts("evil:1"),
                    ..default()
                },
                "evil:1",
                "only a file of the workspace names this registry",
            ),
            (
                LoginScope {
                    selected: Some(hosts("team:1")),
                    destinations: hosts("team:1"),
                    named: hosts("x:1"),
                    ..default()
                },
                "x:1",
                "it is for team:1, which --registry or GOLDEN_REGISTRY selects",
            ),
            (
                LoginScope {
                    listed: Some(hosts("team:1")),
                    destinations: hosts("evil:1"),
                    ..default()
                },
                "team:1",
                "yes",
            ),
            (
                LoginScope {
                    listed: Some(hosts("team:1")),
                    selected: Some(hosts("evil:1")),
                    ..default()
                },
                "evil:1",
                "it is for team:1 (GOLDEN_REGISTRY_HOST)",
            ),
            (
                LoginScope {
                    named: hosts("x:1 docker.io"),
                    ..default()
                },
                "x:1",
                "yes",
            ),
            (
                LoginScope {
                    named: hosts("docker.io"),
                    destinations: hosts("docker.io"),
                    ..default()
                },
                "docker.io",
                "yes",
            ),
            (
                LoginScope {
                    named: hosts("x:1 y:1"),
                    destinations: hosts("x:1"),
                    ..default()
                },
                "x:1",
                "yes",
            ),
            (
                LoginScope {
                    selected: Some(hosts("")),
                    destinations: hosts("team:1"),
                    named: hosts("team:1"),
                    ..default()
                },
                "team:1",
                "yes",
            ),
            (
                LoginScope {
                    listed: Some(hosts("")),
                    ..default()
                },
                "team:1",
                "GOLDEN_REGISTRY_HOST lists no host",
            ),
            (
                LoginScope {
                    target: Some("to:1".parse().unwrap()),
                    named: hosts("to:1"),
                    destinations: hosts("team:1"),
                    ..default()
                },
                "to:1",
                "yes",
            ),
            (
                LoginScope {
                    target: Some("to:1".parse().unwrap()),
                    destinations: hosts("team:1"),
                    ..default()
                },
                "team:1",
                "it is for to:1, the destination",
            ),
        ] {
            let found = match scope.verdict(&host.parse().unwrap()) {
                LoginVerdict::Allowed => "yes".to_owned(),
                refused => refused.to_string(),
            };
            assert_eq!(found, expected, "{scope:?} {host}");
        }
    }

    #[test]
    fn the_hint_names_a_setting_that_allows_the_login() {
        let login = "run `docker login x:1`";
        for (verdict, expected) in [
            (
                LoginVerdict::Allowed,
                format!("{login}, or correct GOLDEN_REGISTRY_USER and GOLDEN_REGISTRY_PASSWORD"),
            ),
            (
                LoginVerdict::Listed("y:1".to_owned()),
                format!("add x:1 to GOLDEN_REGISTRY_HOST, or {login}"),
            ),
            (
                LoginVerdict::Workspace,
                format!("set GOLDEN_REGISTRY_HOST=x:1, add `--registry x:1`, or {login}"),
            ),
            (
                LoginVerdict::Several,
                format!("add `--registry x:1`, or {login}"),
            ),
        ] {
            assert_eq!(verdict.hint(&"x:1".parse().unwrap()), expected);
        }
    }

    #[test]
    fn a_login_for_listed_hosts_is_for_no_other_host() {
        let scope = LoginScope::of(hosts("x:1 y:1"));
        let verdict = |host: &str| scope.verdict(&host.parse().unwrap());
        assert_eq!(verdict("y:1"), LoginVerdict::Allowed);
        assert_eq!(verdict("z:1"), LoginVerdict::Listed("x:1, y:1".to_owned()));
    }
}
