//! `[config]`: the OCI image config, as the spec writes it.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::values::Interval;

/// The OCI image config.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigTable {
    /// Exposed ports: `80`, `"443/tcp"`, `"8000-8010"`.
    pub expose: Option<Vec<ExposedPort>>,
    /// The user that the container runs as: `user[:group]`, names or numbers.
    pub user: Option<String>,
    /// The working directory, an absolute path.
    pub workdir: Option<String>,
    /// The entrypoint: a list is executed directly, a string by the shell.
    pub entrypoint: Option<Invocation>,
    /// The command: a list is executed directly, a string by the shell.
    pub cmd: Option<Invocation>,
    /// Volumes: absolute paths.
    pub volumes: Option<Vec<String>>,
    /// The signal that stops the container, such as `SIGTERM` or `15`.
    pub stop_signal: Option<String>,
    /// The shell for an entrypoint, command or health check that is a string.
    pub shell: Option<Vec<String>>,
    /// The health check.
    #[serde(deserialize_with = "super::table::some")]
    pub healthcheck: Option<HealthcheckTable>,
}

/// The command that checks if the container is healthy, and its timings.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthcheckTable {
    /// The command: `["CMD", …]`, `["CMD-SHELL", "…"]` or `["NONE"]`; a string is run by the shell.
    pub test: Option<Invocation>,
    /// The time between two checks, such as `30s`.
    #[schemars(with = "Option<String>")]
    pub interval: Option<Interval>,
    /// The time limit of a check; a check that takes longer fails.
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Interval>,
    /// The time after the start in which failed checks are ignored.
    #[schemars(with = "Option<String>")]
    pub start_period: Option<Interval>,
    /// The number of consecutive failures that make the container unhealthy.
    pub retries: Option<u32>,
}

/// An entrypoint or a command: a list of words, or a line for the shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Invocation {
    /// The program and its arguments, executed without a shell.
    Exec(Vec<String>),
    /// A line that the image's shell executes.
    Shell(String),
}

impl<'de> Deserialize<'de> for Invocation {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsInvocation;
        impl<'de> Visitor<'de> for AsInvocation {
            type Value = Invocation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings (exec form) or a string (shell form)")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Invocation, E> {
                Ok(Invocation::Shell(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Invocation, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(Invocation::Exec(words))
            }
        }
        deserializer.deserialize_any(AsInvocation)
    }
}

impl JsonSchema for Invocation {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Invocation".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }]
        })
    }
}

/// A port or a range of ports that an image exposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExposedPort {
    /// The first port, 1 to 65535.
    pub first: u16,
    /// The last port, equal to or higher than the first.
    pub last: u16,
    /// The transport protocol of all ports.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The name in the image config, such as `tcp`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            first,
            last,
            protocol,
        } = self;
        if first == last {
            write!(f, "{first}/{}", protocol.as_str())
        } else {
            write!(f, "{first}-{last}/{}", protocol.as_str())
        }
    }
}

impl std::str::FromStr for ExposedPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return Err(format!("`{protocol}` is not a protocol (tcp, udp or sctp)")),
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(format!(
                "the first port of the range {first}-{last} is higher than the last"
            ));
        }
        Ok(Self {
            first,
            last,
            protocol,
        })
    }
}

fn port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ if digits => Err(format!("port {text} does not exist: ports are 1 to 65535")),
        _ => Err(format!(
            "`{text}` is not a port (examples: 80, \"443/tcp\", \"8000-8010/udp\")"
        )),
    }
}

impl<'de> Deserialize<'de> for ExposedPort {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsPort;
        impl Visitor<'_> for AsPort {
            type Value = ExposedPort;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port such as 80, \"443/tcp\" or \"8000-8010\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ExposedPort, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ExposedPort, E> {
                match u16::try_from(number) {
                    Ok(port) if port > 0 => Ok(ExposedPort {
                        first: port,
                        last: port,
                        protocol: Protocol::Tcp,
                    }),
                    _ => Err(E::custom(format!(
                        "port {number} does not exist: ports are 1 to 65535"
                    ))),
                }
            }
        }
        deserializer.deserialize_any(AsPort)
    }
}

impl JsonSchema for ExposedPort {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Exposed".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 65535 }, { "type": "string" }]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges_are_parsed() {
        for (text, first, last, protocol) in [
            ("80", 80, 80, Protocol::Tcp),
            ("443/tcp", 443, 443, Protocol::Tcp),
            ("53/udp", 53, 53, Protocol::Udp),
            ("8000-8010", 8000, 8010, Protocol::Tcp),
            ("1-65535/sctp", 1, 65535, Protocol::Sctp),
        ] {
            assert_eq!(
                text.parse(),
                Ok(ExposedPort {
                    first,
                    last,
                    protocol
                }),
                "{text}"
            );
        }
        for bad in [
            "", "0", "70000", "80/", "80/TCP", "a", "-", "80-", "90-80", "+80", "80-70000",
            "8080:80",
        ] {
            assert!(bad.parse::<ExposedPort>().is_err(), "{bad:?} was taken");
        }
    }
}
