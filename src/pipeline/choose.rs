//! Which engine builds an image, and why (4-engines-and-registry, "auto"). Pure.

use crate::engine::EngineKind;
use crate::resolve::ResolvedImage;

/// What is to become of what is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// It stays on this machine.
    Local,
    /// It is published.
    Publish,
    /// It is written to a file or directory, or loaded from one: only an assembled image can be.
    Write,
}

/// The engine for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineChoice {
    /// Docker or embedded, never auto.
    pub engine: EngineKind,
    /// Why, in half a sentence.
    pub because: String,
    /// Whether a Docker Engine may build what turns out to need execution when the base has been read.
    pub docker_may: bool,
}

/// Chooses the engine for an image. `answers` says whether a Docker Engine does; it is asked only where it matters.
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
    let at_first = |because: &str| EngineChoice {
        docker_may: true,
        ..choice(EngineKind::Embedded, because)
    };
    let needs_embedded = crate::render::needs_embedded(image);
    match (wanted, goal) {
        (EngineKind::Docker, _) => choice(EngineKind::Docker, "it was asked for"),
        (EngineKind::Embedded, _) => choice(EngineKind::Embedded, "it was asked for"),
        (EngineKind::Auto, _) if image.needs_execution() => {
            choice(EngineKind::Docker, "packages or steps have to be run")
        }
        (EngineKind::Auto, _) if needs_embedded.is_some() => {
            let what = needs_embedded.unwrap_or_default();
            choice(
                EngineKind::Embedded,
                &format!("nothing could be run for {what}"),
            )
        }
        (EngineKind::Auto, _) if crate::assemble::can_assemble(image).is_err() => choice(
            EngineKind::Docker,
            "the tool for the certificates has to be run",
        ),
        (EngineKind::Auto, Goal::Local) if image.platforms.len() > 1 => {
            at_first("nothing has to be run for any of the platforms")
        }
        (EngineKind::Auto, Goal::Publish) => at_first("nothing has to be run"),
        (EngineKind::Auto, Goal::Write) => {
            choice(EngineKind::Embedded, "the image is to be written")
        }
        (EngineKind::Auto, Goal::Local) if answers().await => {
            choice(EngineKind::Docker, "a Docker Engine answers")
        }
        (EngineKind::Auto, Goal::Local) => choice(
            EngineKind::Embedded,
            "nothing has to be run, and no Docker Engine answers",
        ),
    }
}
