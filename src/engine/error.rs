//! Why an engine could not do what it was asked to.

use super::EngineKind;

/// The error below, boxed: clients of engines fail in many types.
type Source = Box<dyn std::error::Error + Send + Sync>;

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
    #[error("no Docker Engine answers at {address}")]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// What the connection said.
        #[source]
        source: Source,
    },
    /// The engine's socket is there, and this user may not use it.
    #[error("no permission to use the Docker Engine at {address}")]
    PermissionDenied {
        /// The address that was tried.
        address: String,
        /// What the connection said.
        #[source]
        source: Source,
    },
    /// A step of the build failed.
    #[error("{step} failed{}", exit_code.map_or_else(String::new, |code| format!(" with exit code {code}")))]
    Step {
        /// The step as the engine shows it: `RUN …`.
        step: String,
        /// What its command ended with, when it was a command.
        exit_code: Option<i64>,
        /// What the engine said.
        message: String,
        /// The last lines that the step printed.
        tail: Vec<String>,
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
}
