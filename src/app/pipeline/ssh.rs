//! The option `--ssh default[=PATH]`, in the syntax of `docker build --ssh`: the agent that steps
//! with `ssh = true` use. It is the user's agent, or one that golden starts for a key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::process::{self, Environment, Limits, Program};

/// The variable with the socket of the user's agent.
const SOCKET: &str = "SSH_AUTH_SOCK";
/// The time limit for the start of an agent.
const START: Duration = Duration::from_secs(5);
/// The limits of `ssh-add`, which may ask for a passphrase.
const ADD: Limits = Limits {
    time: Duration::from_mins(2),
    output: 64 << 10,
};

/// The reason why no agent is available.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The value has another form.
    #[error("`--ssh {0}` does not have the form default, default=SOCKET or default=KEY")]
    Syntax(String),
    /// The user's agent does not run.
    #[error("`--ssh default`: no ssh agent runs: SSH_AUTH_SOCK is not set")]
    NoAgent,
    /// The socket or the key does not exist or is not accessible.
    #[error("`--ssh`: cannot read {path}: {source}")]
    Read {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The agent does not answer at its socket.
    #[error("`--ssh`: the ssh agent at {path} does not answer: {source}")]
    Agent {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// golden cannot start an agent for a key.
    #[error("`--ssh`: {program} failed for {}: {message}", .keys.join(", "))]
    Start {
        /// The program: `ssh-agent` or `ssh-add`.
        program: &'static str,
        /// The paths of the keys.
        keys: Vec<String>,
        /// The output of the program, or the reason why it did not run.
        message: String,
    },
    /// A step uses the agent, but `--ssh` is omitted.
    #[error("{image} requires the ssh agent; pass it with --ssh default or --ssh default=KEY")]
    Missing {
        /// Display name of the image.
        image: String,
    },
}

impl Error {
    /// Hints for the user, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoAgent | Self::Agent { .. } => vec![
                "start one with `eval $(ssh-agent)` and `ssh-add`, or pass a key: --ssh default=$HOME/.ssh/id_ed25519"
                    .to_owned(),
            ],
            Self::Start { .. } => vec!["add the key to your own agent, and pass --ssh default".to_owned()],
            Self::Syntax(_) | Self::Read { .. } | Self::Missing { .. } => Vec::new(),
        }
    }
}

/// An ssh agent for the steps of a run.
#[derive(Debug)]
pub struct SshAgent {
    socket: PathBuf,
    /// The agent that golden started; it ends when this value is dropped.
    _own: Option<OwnAgent>,
}

/// An agent that golden started.
#[derive(Debug)]
struct OwnAgent {
    _process: tokio::process::Child,
    _directory: tempfile::TempDir,
}

impl SshAgent {
    /// The path of the agent's socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Opens the agent of `--ssh`. Relative paths are relative to `cwd`. Fails if the syntax is
    /// wrong, or if no agent answers.
    pub async fn open(
        text: &str,
        variables: &BTreeMap<String, String>,
        cwd: &Path,
    ) -> Result<Arc<Self>, Error> {
        let paths = match text.split_once('=') {
            None if text == "default" => None,
            Some(("default", paths)) if paths.split(',').all(|path| !path.is_empty()) => {
                Some(paths)
            }
            _ => return Err(Error::Syntax(text.to_owned())),
        };
        let agent = match paths {
            None => {
                let socket = variables.get(SOCKET).filter(|socket| !socket.is_empty());
                Self::at(cwd.join(socket.ok_or(Error::NoAgent)?)).await?
            }
            Some(paths) => {
                let paths: Vec<PathBuf> = paths.split(',').map(|path| cwd.join(path)).collect();
                match paths.as_slice() {
                    [socket] if is_socket(socket)? => Self::at(socket.clone()).await?,
                    keys => Self::with_keys(keys, variables).await?,
                }
            }
        };
        Ok(Arc::new(agent))
    }

    /// The agent at a socket.
    async fn at(path: PathBuf) -> Result<Self, Error> {
        match tokio::net::UnixStream::connect(&path).await {
            Ok(_) => Ok(Self {
                socket: path,
                _own: None,
            }),
            Err(source) => Err(Error::Agent { path, source }),
        }
    }

    /// A new agent with these keys.
    async fn with_keys(
        keys: &[PathBuf],
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        for key in keys {
            is_socket(key)?;
        }
        let failed = |program, message: String| Error::Start {
            program,
            keys: keys.iter().map(|key| key.display().to_string()).collect(),
            message,
        };
        let not_started = |error: std::io::Error| failed("ssh-agent", error.to_string());
        let directory = tempfile::tempdir().map_err(not_started)?;
        let socket = directory.path().join("agent");
        let mut variables = variables.clone();
        variables.insert(SOCKET.to_owned(), socket.display().to_string());
        let programs = Environment::new(variables);

        let mut command = programs.command(Program::Ssh, "ssh-agent");
        command.arg("-D").arg("-a").arg(&socket);
        let null = std::process::Stdio::null;
        let command = command.stdin(null()).stdout(null()).stderr(null());
        let process = command.spawn().map_err(not_started)?;
        let started = tokio::time::timeout(START, async {
            while tokio::net::UnixStream::connect(&socket).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let late = |_| failed("ssh-agent", "it does not answer".to_owned());
        started.await.map_err(late)?;

        let mut command = programs.command(Program::Ssh, "ssh-add");
        command.arg("-q").arg("--").args(keys);
        let added = process::output(command, b"", ADD)
            .await
            .map_err(|error| failed("ssh-add", error.to_string()))?;
        if !added.status.success() {
            let text = String::from_utf8_lossy(&added.stderr);
            return Err(failed("ssh-add", text.trim().to_owned()));
        }
        let own = OwnAgent {
            _process: process,
            _directory: directory,
        };
        Ok(Self {
            socket,
            _own: Some(own),
        })
    }
}

/// True if the path is a socket. Fails if it cannot be read.
fn is_socket(path: &Path) -> Result<bool, Error> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.file_type().is_socket()),
        Err(source) => Err(Error::Read {
            path: path.to_owned(),
            source,
        }),
    }
}
