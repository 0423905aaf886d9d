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
    /// The reason, for the note in the output: `no commands to run`.
    pub because: String,
    /// True if a Docker Engine may build the image instead, when the base shows that a command
    /// must run.
    pub docker_may: bool,
}

/// Chooses the engine for an image. `answers` returns true if a Docker Engine answers; it is called
/// only if the choice depends on it.
pub async fn choose(
    wanted: EngineKind,
    goal: Goal,
    image: &ResolvedImage,
    answers: impl AsyncFnOnce() -> bool,
) -> EngineChoice {
    let choice = |engine, because: &str| EngineChoice {
        engine,
        because: because.to_owned(),
        docker_may: false,
    };
    let embedded_first = |because: &str| EngineChoice {
        docker_may: true,
        ..choice(EngineKind::Embedded, because)
    };
    let needs_embedded = crate::render::needs_embedded(image);
    match (wanted, goal) {
        (EngineKind::Docker, _) => choice(EngineKind::Docker, "requested"),
        (EngineKind::Embedded, _) => choice(EngineKind::Embedded, "requested"),
        (EngineKind::Auto, _) if image.needs_execution() => choice(
            EngineKind::Docker,
            "the image has packages or [[run]] steps",
        ),
        (EngineKind::Auto, _) if needs_embedded.is_some() => {
            let what = needs_embedded.unwrap_or_default();
            choice(EngineKind::Embedded, &format!("{what} needs it"))
        }
        (EngineKind::Auto, _) if crate::assemble::can_assemble(image).is_err() => choice(
            EngineKind::Docker,
            "the certificate tool of the base must run",
        ),
        (EngineKind::Auto, Goal::Local) if image.platforms.len() > 1 => {
            embedded_first("no platform has commands to run")
        }
        (EngineKind::Auto, Goal::Publish) => embedded_first("no commands to run"),
        (EngineKind::Auto, Goal::Write) => {
            choice(EngineKind::Embedded, "the image is written to a file")
        }
        (EngineKind::Auto, Goal::Local) if answers().await => {
            choice(EngineKind::Docker, "a Docker Engine answers")
        }
        (EngineKind::Auto, Goal::Local) => choice(
            EngineKind::Embedded,
            "no commands to run, and no Docker Engine answers",
        ),
    }
}
