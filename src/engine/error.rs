//! Errors of the engines.

use super::{BuildKit, EngineKind, EngineTrust};
use crate::assemble::NeedsExecution;
use crate::resolve::image::{SpecLocation, StepNeed};

/// A source error of any type: each client library has its own.
type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// The reason why a request to an engine failed. Each variant is one problem that a user can
/// recognise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `DOCKER_HOST` or a Docker context holds an invalid address, or its settings cannot be read.
    #[error("{what}")]
    Address {
        /// The problem, as a sentence.
        what: String,
    },
    /// No engine answers at the address.
    #[error("no {} answers at {address}", daemon_at(address))]
    Unreachable {
        /// The address of the connection attempt.
        address: String,
        /// The error of the connection.
        #[source]
        source: BoxedError,
    },
    /// The connection to the engine broke during a build.
    #[error("the {} at {address} stopped during the build", daemon_at(address))]
    Lost {
        /// The address of the engine.
        address: String,
        /// The error of the connection.
        #[source]
        source: BoxedError,
    },
    /// The socket of the engine exists, but this user has no permission to use it.
    #[error("no permission to use the {} at {address}", daemon_at(address))]
    PermissionDenied {
        /// The address of the connection attempt.
        address: String,
        /// The error of the connection.
        #[source]
        source: BoxedError,
    },
    /// A step of the build failed.
    #[error("{} failed{}", step.name, output.outcome(*exit_code))]
    Step {
        /// The step, with its name in the spec.
        step: BuildStep,
        /// The exit code of the command; `None` if the step is not a command.
        exit_code: Option<i64>,
        /// The output that explains the failure.
        output: StepOutput,
    },
    /// The engine refused the build, or the build failed outside of a step.
    #[error("the engine could not build the image: {message}")]
    Build {
        /// The message of the engine.
        message: String,
    },
    /// The engine cannot get the base image.
    #[error("the engine could not get the base {reference}: {message}")]
    Base {
        /// The reference of the base.
        reference: String,
        /// The message of the engine.
        message: String,
        /// The cause, if it is a known one.
        cause: TransferCause,
    },
    /// The engine does not support something that the spec requires. Another engine or another
    /// setting does.
    #[error("{what}")]
    Unsupported {
        /// The missing feature and its alternative, as a sentence.
        what: String,
        /// The engine that does not support it.
        engine: EngineKind,
    },
    /// A step requires a secret or the ssh agent, but the engine does not build with BuildKit.
    #[error("a step requires {need}, but only BuildKit passes it without storing it in the image")]
    NeedsBuildKit {
        /// The requirement.
        need: StepNeed,
    },
    /// A step requires a secret or the ssh agent, but the user did not pass it.
    #[error("a step requires {need}, but it was not passed")]
    NotPassed {
        /// The requirement.
        need: StepNeed,
    },
    /// A step requires a secret or the ssh agent, but the engine is not trusted.
    #[error("a step requires {need}, but the engine `{engine}` receives no secrets: {trust}")]
    Untrusted {
        /// The name of the engine in `[[engine]]`.
        engine: String,
        /// The requirement.
        need: StepNeed,
        /// The reason why the engine is not trusted.
        trust: EngineTrust,
    },
    /// The engine built the image, but did not accept the tag.
    #[error("the image {id} was built, but could not be tagged {reference}: {message}")]
    Tag {
        /// The shortened image ID.
        id: String,
        /// The reference with the tag.
        reference: String,
        /// The message of the engine.
        message: String,
    },
    /// A push by the engine failed.
    #[error("the engine could not push {reference}: {message}")]
    Push {
        /// The pushed reference.
        reference: String,
        /// The message of the engine or of the registry.
        message: String,
        /// The cause, if it is a known one.
        cause: TransferCause,
    },
    /// Any other request to the engine failed.
    #[error("the engine could not {what}: {message}")]
    Request {
        /// The request, as a verb and its object: `remove the image app:1`.
        what: String,
        /// The message of the engine.
        message: String,
    },
    /// A file of the build context cannot be read, or changed during the build.
    #[error("the build context could not be read")]
    Context(#[source] std::io::Error),
    /// The image to load into the engine cannot be read, or its archive cannot be written.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The Dockerfile cannot be rendered for its base.
    #[error(transparent)]
    Render(#[from] crate::render::Error),
    /// The embedded engine cannot assemble the image.
    #[error(transparent)]
    Embedded(super::embedded::Error),
}

/// A step of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildStep {
    /// The name of the step.
    pub name: StepName,
    /// Its location in the spec; `None` if a template adds it.
    pub location: Option<SpecLocation>,
}

/// The name of a build step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepName {
    /// The `name` of a `[[run]]` step.
    Named(String),
    /// The number of a `[[run]]` step without a name, from 1.
    Number(usize),
    /// A table of the spec, such as `[packages]`.
    Table(&'static str),
    /// An instruction that the spec does not name, as the engine shows it.
    Instruction(String),
}

impl BuildStep {
    /// A step that is known only by its instruction.
    pub(super) const fn instruction(text: String) -> Self {
        Self {
            name: StepName::Instruction(text),
            location: None,
        }
    }

    /// The step with the first `length` characters of its instruction.
    pub(super) fn shortened(self, length: usize) -> Self {
        match self.name {
            StepName::Instruction(text) => Self::instruction(first_line(&text, length)),
            name => Self { name, ..self },
        }
    }
}

impl StepName {
    /// The name for a cell of a table.
    #[must_use]
    pub fn plain(&self) -> String {
        match self {
            Self::Named(name) => format!("step {name}"),
            other => other.to_string(),
        }
    }

    /// The name for a line of progress.
    pub(super) fn brief(&self) -> String {
        match self {
            Self::Named(name) => name.clone(),
            Self::Number(number) => format!("step {number}"),
            Self::Table(table) => (*table).to_owned(),
            Self::Instruction(text) => text.clone(),
        }
    }
}

impl std::fmt::Display for StepName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(name) => write!(f, "step `{name}`"),
            Self::Number(number) => write!(f, "step {number}"),
            Self::Table(table) => f.write_str(table),
            Self::Instruction(text) => write!(f, "instruction `{text}`"),
        }
    }
}

/// The first line of a text, shortened to `length` characters.
pub(super) fn first_line(text: &str, length: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// The output of a failed step.
#[derive(Debug)]
pub struct StepOutput {
    /// The message of the engine.
    pub message: String,
    /// The last lines that the step printed; empty if it printed nothing.
    pub tail: Vec<String>,
    /// The cause, if it is a known one.
    pub cause: StepCause,
}

/// The message of the operating system for a full disk, in lower case.
const DISK_FULL: &str = "no space left on device";
/// The hint for a full disk of the engine.
const FREE_DISK: &str = "the disk of the engine is full: `docker system df` shows what uses it; `docker builder prune` and `docker image prune` free space";

/// True if a message of the engine says that its disk is full.
fn says_disk_full(message: &str) -> bool {
    message.to_lowercase().contains(DISK_FULL)
}

/// The cause of a failed step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepCause {
    /// The engine cannot execute programs of the image's platform.
    ForeignPlatform,
    /// The disk of the engine is full.
    DiskFull,
    /// The step cannot resolve the names of hosts.
    NoNames,
    /// Any other cause.
    Other,
}

/// The messages of programs that cannot resolve the name of a host: apt, curl, git, Python, Java, npm,
/// busybox, and the C library.
const NO_NAMES: &[&str] = &[
    "failure resolving",
    "failure in name resolution",
    "ould not resolve host",
    "name or service not known",
    "unknownhostexception",
    "getaddrinfo",
    "bad address '",
    "dns: transient error",
    "dns lookup error",
    "no such host",
];

impl StepCause {
    /// Recognizes the cause in the texts of the engine and of the step: engines report no code.
    pub(super) fn of<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        let texts: Vec<String> = texts.map(str::to_lowercase).collect();
        let has = |words: &[&str]| {
            let mut found = texts
                .iter()
                .flat_map(|text| words.iter().map(move |word| (text, word)));
            found.any(|(text, word)| text.contains(word))
        };
        match () {
            () if has(&["exec format error"]) => Self::ForeignPlatform,
            () if has(&[DISK_FULL]) => Self::DiskFull,
            () if has(NO_NAMES) => Self::NoNames,
            () => Self::Other,
        }
    }

    fn hints(self) -> Vec<String> {
        match self {
            Self::DiskFull => vec![FREE_DISK.into()],
            Self::NoNames => vec![
                "the step cannot resolve the names of hosts: check the network of the engine and its DNS servers (`dns` in its /etc/docker/daemon.json); a network without DNS needs a proxy (HTTPS_PROXY)".into(),
            ],
            Self::ForeignPlatform => vec!["the engine cannot execute programs of this platform: add an [[engine]] of this platform, or install emulation (binfmt)".into()],
            Self::Other => Vec::new(),
        }
    }
}

/// The cause of a failed pull or push by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferCause {
    /// The registry speaks plain HTTP, but the engine expects HTTPS.
    PlainHttp,
    /// The engine does not trust the certificate of the registry.
    UntrustedCertificate,
    /// The registry requires a login, or rejected it.
    Login,
    /// The disk of the engine, or of the registry, is full.
    DiskFull,
    /// The engine has the image for another platform under the same digest.
    OtherPlatform,
    /// No transfer took place.
    NoTransfer,
    /// Any other cause.
    Other,
}

impl TransferCause {
    /// Recognizes the cause in the message of the engine: engines report no code.
    pub(super) fn of(message: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
        match () {
            () if has(&["server gave HTTP response to HTTPS client"]) => Self::PlainHttp,
            () if says_disk_full(message) => Self::DiskFull,
            () if has(&["annot overwrite digest"]) => Self::OtherPlatform,
            () if has(&["x509:", "certificate"]) => Self::UntrustedCertificate,
            () if has(&[
                "unauthorized",
                "no basic auth",
                "denied",
                "authentication required",
            ]) =>
            {
                Self::Login
            }
            () => Self::Other,
        }
    }

    fn hints(self) -> Vec<String> {
        let first = match self {
            Self::NoTransfer | Self::OtherPlatform => return Vec::new(),
            Self::DiskFull => return vec![FREE_DISK.to_owned()],
            Self::PlainHttp => Some(
                "the registry uses plain HTTP: list it under `insecure-registries` in the engine's /etc/docker/daemon.json",
            ),
            Self::UntrustedCertificate => Some(
                "the engine does not trust the registry: put its CA in the engine's /etc/docker/certs.d/HOST:PORT/ca.crt",
            ),
            Self::Login => Some(
                "log in: `docker login HOST`, or GOLDEN_REGISTRY_USER and GOLDEN_REGISTRY_PASSWORD",
            ),
            Self::Other => None,
        };
        let own = "the engine connects to the registry itself, with its own TLS settings; `localhost` is the engine's machine";
        first.into_iter().chain([own]).map(str::to_owned).collect()
    }
}

impl StepOutput {
    /// The exit code and the last lines of the step, as the end of a sentence. If the engine reports
    /// neither, its message.
    #[must_use]
    pub fn outcome(&self, exit_code: Option<i64>) -> String {
        let code = exit_code.map(|code| format!(" with exit code {code}"));
        match (&code, self.tail.as_slice()) {
            (None, []) => format!(": {}", self.message),
            (Some(code), []) => format!("{code}. It printed nothing."),
            (_, tail) => format!(
                "{}. Last output:\n{}",
                code.unwrap_or_default(),
                tail.join("\n")
            ),
        }
    }
}

impl Error {
    /// The error during a build: the engine answered before, so it has stopped.
    pub(super) fn during_build(self) -> Self {
        match self {
            Self::Unreachable { address, source } => Self::Lost { address, source },
            other => other,
        }
    }

    /// True if the spec is invalid on this base. The exit code is then 2.
    #[must_use]
    pub const fn is_of_the_spec(&self) -> bool {
        use super::embedded::Error as Embedded;
        use crate::assemble::Error as Assemble;
        matches!(
            self,
            Self::Embedded(Embedded::Assemble(Assemble::SameTarget { .. }))
        )
    }

    /// Hints for the user if no engine can be used for an image that needs one.
    #[must_use]
    pub fn hints_for(&self, needs: &NeedsExecution) -> Vec<String> {
        self.hints_because(&format!(
            "this image needs an engine because of {}",
            needs.step
        ))
    }

    /// Hints for the user if no engine can be used for something that needs one. `needed` says what
    /// needs it.
    #[must_use]
    pub fn hints_because(&self, needed: &str) -> Vec<String> {
        match self {
            Self::Unreachable { address, .. } if address.starts_with("unix://") => {
                vec![format!("start Docker, or set DOCKER_HOST; {needed}")]
            }
            Self::Unreachable { address, .. } => {
                let first = unreachable_hints(address).into_iter().next();
                let other = format!("or set DOCKER_HOST to another engine; {needed}");
                first.into_iter().chain([other]).collect()
            }
            _ => self
                .hints()
                .into_iter()
                .chain([needed.to_owned()])
                .collect(),
        }
    }

    /// Hints for the user, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Embedded(error) => error.hints(),
            Self::Store(error) => error.hints(),
            Self::Render(error) => error.hints(),
            Self::Address { .. } => vec!["check DOCKER_HOST, DOCKER_CONTEXT and the current Docker context: they select the engine".into()],
            Self::Unreachable { address, .. } => unreachable_hints(address),
            Self::Lost { .. } => vec![
                "it was restarted, killed or out of memory: see its log (`journalctl -u docker`), then run the same command again".into(),
            ],
            Self::PermissionDenied { .. } => vec![
                "add yourself to the group that owns the socket (`sudo usermod -aG docker $USER`, then log in again)".into(),
                "or use your own engine: set DOCKER_HOST (a rootless engine listens at unix://$XDG_RUNTIME_DIR/docker.sock)".into(),
            ],
            Self::Step { output, .. } => output.cause.hints(),
            Self::NeedsBuildKit { .. } => {
                vec!["unset DOCKER_BUILDKIT, or use an engine that has BuildKit".into()]
            }
            Self::Untrusted { engine, trust, .. } => vec![trust_hint(engine, *trust)],
            Self::NotPassed { need: StepNeed::Secret(name) } => {
                vec![format!("pass it with --secret id={name},src=FILE or --secret id={name},env=VARIABLE")]
            }
            Self::NotPassed { need: StepNeed::Ssh } => {
                vec!["pass it with --ssh default or --ssh default=KEY".into()]
            }
            Self::Base { cause, .. } | Self::Push { cause, .. } => cause.hints(),
            Self::Context(_) => vec!["run the command again when no other program changes the files".into()],
            Self::Build { message } | Self::Request { message, .. } | Self::Tag { message, .. } if says_disk_full(message) => vec![FREE_DISK.to_owned()],
            Self::Build { .. } | Self::Unsupported { .. } | Self::Tag { .. } | Self::Request { .. } => Vec::new(),
        }
    }
}

/// Appends the source chain of an error to `text`. hyper and similar libraries put the real cause
/// in the sources.
pub(super) fn with_sources(mut text: String, error: &dyn std::error::Error) -> String {
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// The hint that says how an engine becomes trusted.
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

/// The kind of daemon that is expected at an address.
fn daemon_at(address: &str) -> &'static str {
    if BuildKit::is_at(address) {
        "BuildKit daemon"
    } else {
        "Docker Engine"
    }
}

/// The hints for an engine that does not answer.
fn unreachable_hints(address: &str) -> Vec<String> {
    if BuildKit::is_at(address) {
        return vec![
            "check that buildkitd listens at this address (its option --addr), and whether it requires TLS (`certs` of the [[engine]])".into(),
            "or remove that [[engine]]: the other engines still build their platforms".into(),
        ];
    }
    let first = if address.starts_with("unix://") {
        "start it: `sudo systemctl start docker`, `dockerd`, or Docker Desktop".to_owned()
    } else if let Some(machine) = address.strip_prefix("ssh://") {
        format!("check that `ssh {machine} docker version` works")
    } else {
        format!(
            "check that the engine listens at this address (`dockerd -H {address}`), and whether it requires TLS (DOCKER_TLS_VERIFY, DOCKER_CERT_PATH)"
        )
    };
    vec![
        first,
        "or use another engine: DOCKER_HOST=unix:///PATH, tcp://HOST:PORT or ssh://HOST, or `docker context use NAME`".into(),
        "or use --engine embedded: it builds every image without packages and [[run]] steps".into(),
    ]
}
