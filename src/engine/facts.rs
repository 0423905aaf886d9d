//! The facts about an engine: version, builder and store.

use serde::Serialize;

use super::docker::EngineSource;
use crate::platform::Platform;

/// The facts about an engine, as it reports them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineFacts {
    /// The address of the engine.
    pub address: String,
    /// The setting that selected it; `None` for a BuildKit daemon.
    pub source: Option<EngineSource>,
    /// The program: `Docker`, `Podman` or `BuildKit`.
    pub program: &'static str,
    /// The version of the program, if it reports one.
    pub version: Option<String>,
    /// The version of the API that golden uses, if it has versions.
    pub api: Option<String>,
    /// The builder: BuildKit, Buildah or the classic builder.
    pub builder: &'static str,
    /// The image store: `containerd`, or the storage driver of Docker's own store. `None` if the
    /// engine stores no images.
    pub store: Option<String>,
    /// The platform that the engine builds for without emulation.
    pub platform: Platform,
}
