//! Why an engine could not do what it was asked to.

use super::{BuildKit, EngineKind, EngineTrust};

/// The error below, boxed: clients of engines fail in many types.
type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Why an engine could not do what it was asked to. Each variant is one problem that a user can tell apart.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `DOCKER_HOST` or a docker context names something that is no address, or settings that cannot be read.
    #[error("{what}")]
    Address {
        /// What is wrong with it, in a sentence.
        what: String,
    },
    /// No engine answers.
    #[error("no {} answers at {address}", daemon_at(address))]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// What the connection said.
        #[source]
        source: BoxedError,
    },
    /// The engine's socket is there, and this user may not use it.
    #[error("no permission to use the {} at {address}", daemon_at(address))]
    PermissionDenied {
        /// The address that was tried.
        address: String,
        /// What the connection said.
        #[source]
        source: BoxedError,
    },
    /// A step of the build failed.
    #[error("{step} failed{}", exit_code.map_or_else(String::new, |code| format!(" with exit code {code}")))]
    Step {
        /// The step as the engine shows it: `RUN …`.
        step: String,
        /// What its command ended with, when it was a command.
        exit_code: Option<i64>,
        /// What explains it.
        #[source]
        output: StepOutput,
    },
    /// The engine refused a build, or broke off in a way that no step explains.
    #[error("the engine could not build the image: {message}")]
    Build {
        /// What the engine said.
        message: String,
    },
    /// The base could not be had.
    #[error("the engine could not get the base {reference}: {message}")]
    Base {
        /// What was asked for.
        reference: String,
        /// What the engine said.
        message: String,
    },
    /// The engine cannot do what the spec asks for; another one, or another setting, can.
    #[error("{what}")]
    Unsupported {
        /// What it is and who can, in a sentence.
        what: String,
        /// The engine that was asked.
        engine: EngineKind,
    },
    /// A step asks for a secret that nobody gave.
    #[error("a step needs the secret `{name}`, and it was not given")]
    MissingSecret {
        /// The secret.
        name: String,
    },
    /// A step requires a secret, and the engine receives none.
    #[error(
        "a step needs the secret `{secret}`, and the engine `{engine}` receives no secrets: {trust}"
    )]
    Untrusted {
        /// The engine.
        engine: String,
        /// The secret.
        secret: String,
        /// Why.
        trust: EngineTrust,
    },
    /// A tag could not be applied in the engine.
    #[error("the image {id} was built, and could not be tagged {reference}: {message}")]
    Tag {
        /// The image ID.
        id: String,
        /// The reference that was to be applied.
        reference: String,
        /// What the engine said.
        message: String,
    },
    /// The engine's own push failed.
    #[error("the engine could not push {reference}: {message}")]
    Push {
        /// What was pushed.
        reference: String,
        /// What the engine, or the registry through it, said.
        message: String,
    },
    /// Any other request to the engine failed.
    #[error("the engine could not {what}: {message}")]
    Request {
        /// What was asked for, as a verb and its object.
        what: String,
        /// What the engine said.
        message: String,
    },
    /// A file of the build context could not be read, or changed while it was read.
    #[error("the build context could not be read")]
    Context(#[source] std::io::Error),
    /// What was to be loaded into the engine could not be read, or not be written for it.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The Dockerfile could not be rendered for its base.
    #[error(transparent)]
    Render(#[from] crate::render::Error),
    /// The embedded engine could not assemble the image.
    #[error(transparent)]
    Embedded(super::embedded::Error),
}

/// What explains a failing step.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.explanation())]
pub struct StepOutput {
    /// What the engine said.
    pub message: String,
    /// The last lines that the step printed.
    pub tail: Vec<String>,
}

impl StepOutput {
    /// The last lines, which are better than the engine's word for it; that word when there are none.
    fn explanation(&self) -> String {
        if self.tail.is_empty() {
            return self.message.clone();
        }
        format!("its last lines:\n  {}", self.tail.join("\n  "))
    }
}

impl Error {
    /// Whether the spec contradicts itself on this base (exit 2).
    #[must_use]
    pub const fn is_of_the_spec(&self) -> bool {
        use super::embedded::Error as Embedded;
        use crate::assemble::Error as Assemble;
        matches!(
            self,
            Self::Embedded(Embedded::Assemble(Assemble::SameTarget { .. }))
        )
    }

    /// What to do next, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Embedded(error) => error.hints(),
            Self::Store(error) => error.hints(),
            Self::Render(error) => error.hints(),
            Self::Address { .. } => vec!["DOCKER_HOST, DOCKER_CONTEXT and the current docker context say which engine".into()],
            Self::Unreachable { address, .. } => unreachable_hints(address),
            Self::PermissionDenied { .. } => vec![
                "add yourself to the group that owns the socket (`sudo usermod -aG docker $USER`, then log in again)".into(),
                "or name an engine of your own with DOCKER_HOST (a rootless one listens at unix://$XDG_RUNTIME_DIR/docker.sock)".into(),
            ],
            Self::Step { output, .. } => step_hints(output),
            Self::Unsupported { what, .. } if what.contains("secret") => {
                vec!["unset DOCKER_BUILDKIT, or use an engine that has BuildKit".into()]
            }
            Self::Untrusted { engine, trust, .. } => vec![trust_hint(engine, *trust)],
            Self::MissingSecret { name } => {
                vec![format!("pass it with --secret id={name},src=FILE or --secret id={name},env=VARIABLE")]
            }
            Self::Base { message, .. } | Self::Push { message, .. } => transfer_hints(message),
            Self::Context(_) => vec!["run the command again when the files do not change any more".into()],
            Self::Build { .. } | Self::Unsupported { .. } | Self::Tag { .. } | Self::Request { .. } => Vec::new(),
        }
    }
}

/// What an error says, and what its sources add: hyper and its kin put there what happened.
pub(super) fn with_sources(mut text: String, error: &dyn std::error::Error) -> String {
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = error.source();
    }
    text
}

/// How an engine comes to receive logins and secrets.
pub(super) fn trust_hint(engine: &str, trust: EngineTrust) -> String {
    match trust {
        EngineTrust::ClearText => {
            format!("use TLS (`certs` of the [[engine]]) or ssh:// for `{engine}`")
        }
        _ => format!(
            "if you trust that engine: `--trust-engine {engine}`, GOLDEN_TRUST={engine}, or [trust] engines = [\"{engine}\"] in ~/.config/golden/config.toml"
        ),
    }
}

/// What was expected to answer at an address.
fn daemon_at(address: &str) -> &'static str {
    if BuildKit::is_at(address) {
        "BuildKit daemon"
    } else {
        "Docker Engine"
    }
}

/// How to get an engine that answers.
fn unreachable_hints(address: &str) -> Vec<String> {
    if BuildKit::is_at(address) {
        return vec![
            "see whether buildkitd listens there (its own --addr), and whether it wants TLS (`certs` of the [[engine]])".into(),
            "or remove that [[engine]]: the platforms of the others are built without it".into(),
        ];
    }
    let first = if address.starts_with("unix://") {
        "start it: `sudo systemctl start docker`, `dockerd`, or Docker Desktop".to_owned()
    } else if let Some(machine) = address.strip_prefix("ssh://") {
        format!("see whether `ssh {machine} docker version` answers")
    } else {
        format!(
            "see whether the engine listens there (`dockerd -H {address}`), and whether it wants TLS (DOCKER_TLS_VERIFY, DOCKER_CERT_PATH)"
        )
    };
    vec![
        first,
        "or name another one: DOCKER_HOST=unix:///PATH, tcp://HOST:PORT or ssh://HOST, or `docker context use NAME`".into(),
        "or build without one: --engine embedded does all that needs no packages and no [[run]] steps".into(),
    ]
}

/// What a failing step may be told from.
fn step_hints(output: &StepOutput) -> Vec<String> {
    let says = |words: &str| {
        output.message.contains(words) || output.tail.iter().any(|line| line.contains(words))
    };
    if says("exec format error") {
        vec!["the engine cannot execute programs of this platform: name an engine that can in [[engine]], or install emulation (binfmt)".into()]
    } else {
        Vec::new()
    }
}

/// Why an engine and a registry do not come together.
fn transfer_hints(message: &str) -> Vec<String> {
    let mut hints = Vec::new();
    if message.contains("server gave HTTP response to HTTPS client") {
        hints.push("the registry speaks plain HTTP: list it under `insecure-registries` in the engine's /etc/docker/daemon.json".to_owned());
    }
    if message.contains("x509:") || message.contains("certificate") {
        hints.push("the engine does not trust the registry: put its CA in the engine's /etc/docker/certs.d/HOST:PORT/ca.crt".to_owned());
    }
    if [
        "unauthorized",
        "no basic auth",
        "denied",
        "authentication required",
    ]
    .iter()
    .any(|word| message.contains(word))
    {
        hints.push(
            "log in: `docker login HOST`, or GOLDEN_REGISTRY_USER and GOLDEN_REGISTRY_PASSWORD"
                .to_owned(),
        );
    }
    hints.push(
        "the engine speaks to the registry itself, with its own TLS settings and its own view of `localhost`"
            .to_owned(),
    );
    hints
}
