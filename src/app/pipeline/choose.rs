//! Chooses the engine that builds an image. Pure.

use crate::engine::EngineKind;
use crate::resolve::ResolvedImage;

/// The purpose of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The image stays on this machine.
    Local,
    /// The image is published.
    Publish,
    /// The image is written to a file or directory. This needs an assembled image.
    Write,
}

/// The chosen engine for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineChoice {
    /// Docker or embedded, never auto.
    pub engine: EngineKind,
    /// The reason.
    pub because: EngineReason,
    /// True if a Docker Engine may build the image instead, when the base shows that a command
    /// must run.
    pub docker_may: bool,
}

/// The reason for the choice of an engine. It is displayed as a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineReason {
    /// The command line or golden.toml names the engine.
    Requested,
    /// The image has packages or steps.
    HasSteps,
    /// A part of the spec needs the embedded engine.
    NeedsEmbedded(String),
    /// The certificate tool of the base must run.
    CertificateTool,
    /// The keytool of the image must run.
    Keytool,
    /// The image has several platforms, and nothing to run on them.
    NoCommandsOnAnyPlatform,
    /// The image has nothing to run.
    NoCommands,
    /// The image is written to a file or directory.
    Written,
    /// The image has nothing to run, but a Docker Engine answers.
    DockerAnswers,
    /// The image has nothing to run, and no Docker Engine answers.
    NoDocker,
}

impl std::fmt::Display for EngineReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Requested => "requested",
            Self::HasSteps => "the image has packages or [[run]] steps",
            Self::NeedsEmbedded(what) => return write!(f, "{what} needs it"),
            Self::CertificateTool => "the certificate tool of the base must run",
            Self::Keytool => "[certs] java = true runs keytool in the image",
            Self::NoCommandsOnAnyPlatform => "no platform has commands to run",
            Self::NoCommands => "no commands to run",
            Self::Written => "the image is written to a file",
            Self::DockerAnswers => "a Docker Engine answers",
            Self::NoDocker => "no commands to run, and no Docker Engine answers",
        })
    }
}

/// Chooses the engine for an image. `answers` returns true if a Docker Engine answers; it is called
/// only if the choice depends on it.
pub async fn choose(
    wanted: EngineKind,
    goal: Goal,
    image: &ResolvedImage,
    answers: impl AsyncFnOnce() -> bool,
) -> EngineChoice {
    let choice = |engine, because| EngineChoice {
        engine,
        because,
        docker_may: false,
    };
    let embedded_first = |because| EngineChoice {
        docker_may: true,
        ..choice(EngineKind::Embedded, because)
    };
    match (wanted, goal, crate::render::needs_embedded(image)) {
        (EngineKind::Docker | EngineKind::Embedded, ..) => choice(wanted, EngineReason::Requested),
        (EngineKind::Auto, ..) if image.needs_execution() => {
            let has_steps = image.has_packages() || !image.run.is_empty();
            let because = if has_steps {
                EngineReason::HasSteps
            } else {
                EngineReason::Keytool
            };
            choice(EngineKind::Docker, because)
        }
        (EngineKind::Auto, _, Some(what)) => {
            choice(EngineKind::Embedded, EngineReason::NeedsEmbedded(what))
        }
        (EngineKind::Auto, ..) if crate::assemble::can_assemble(image).is_err() => {
            choice(EngineKind::Docker, EngineReason::CertificateTool)
        }
        (EngineKind::Auto, Goal::Local, _) if image.platforms.len() > 1 => {
            embedded_first(EngineReason::NoCommandsOnAnyPlatform)
        }
        (EngineKind::Auto, Goal::Publish, _) => embedded_first(EngineReason::NoCommands),
        (EngineKind::Auto, Goal::Write, _) => choice(EngineKind::Embedded, EngineReason::Written),
        (EngineKind::Auto, Goal::Local, _) if answers().await => {
            choice(EngineKind::Docker, EngineReason::DockerAnswers)
        }
        (EngineKind::Auto, Goal::Local, _) => choice(EngineKind::Embedded, EngineReason::NoDocker),
    }
}
