//! Which engine builds an image, and why (4-engines-and-registry, "auto"). Pure.

use crate::engine::EngineKind;
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, Family};

/// What is to become of what is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// It stays on this machine.
    Local,
    /// It is published.
    Publish,
    /// It is written to a file or folder, or loaded from one: only an assembled image can be.
    Write,
}

/// The engine for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Docker or embedded, never auto.
    pub engine: EngineKind,
    /// Why, in half a sentence.
    pub because: &'static str,
}

/// Chooses the engine for an image. `answers` says whether a Docker Engine does; it is asked only where it matters.
pub fn choose(
    wanted: EngineKind,
    goal: Goal,
    image: &ResolvedImage,
    answers: impl FnOnce() -> bool,
) -> Choice {
    let embedded = |because| Choice { engine: EngineKind::Embedded, because };
    let docker = |because| Choice { engine: EngineKind::Docker, because };
    match wanted {
        EngineKind::Docker => docker("it was asked for"),
        EngineKind::Embedded => embedded("it was asked for"),
        EngineKind::Auto if image.needs_execution() => docker("packages or steps have to be run"),
        EngineKind::Auto if named_owners(image) => docker("owners are given by name"),
        EngineKind::Auto if needs_assembling(image) => embedded("the base has no tools for its certificates"),
        EngineKind::Auto => match goal {
            Goal::Publish => embedded("nothing has to be run"),
            Goal::Write => embedded("the image is to be written"),
            Goal::Local if answers() => docker("a Docker Engine answers"),
            Goal::Local => embedded("nothing has to be run, and no Docker Engine answers"),
        },
    }
}

/// Owners by name have to be looked up in the base, which the engine does by itself (1-spec, `[[files]]`).
fn named_owners(image: &ResolvedImage) -> bool {
    let named = |file: &crate::resolve::image::FileEntry| {
        matches!(file.owner, crate::resolve::image::Owner::Named { .. })
    };
    image.files.iter().any(named)
}

/// Certificates on a static base other than scratch (7-rules 16).
fn needs_assembling(image: &ResolvedImage) -> bool {
    image.family == Family::Static && image.base != Base::Scratch && !image.certificates.is_empty()
}
