//! The engines that golden supports. The tests that must hold for each of them ask this type for
//! the differences between them.

use std::process::Command;

use crate::support::services;
use crate::support::workspace::Golden;

/// An engine of the tests, with one of its builders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Docker 20.10 with BuildKit.
    Docker20,
    /// Docker 20.10 with the classic builder.
    Docker20Classic,
    /// The current Docker with the overlay2 store.
    Docker,
    /// The current Docker with the containerd store.
    DockerContainerd,
    /// Podman.
    Podman,
}

impl Engine {
    /// All engines, with each of their builders.
    pub(crate) const ALL: [Self; 5] = [
        Self::Docker20,
        Self::Docker20Classic,
        Self::Docker,
        Self::DockerContainerd,
        Self::Podman,
    ];

    /// The engines without their builders: they run containers in the same way with each.
    pub(crate) const RUNNERS: [Self; 4] = [
        Self::Docker20,
        Self::Docker,
        Self::DockerContainerd,
        Self::Podman,
    ];

    /// Its address, as `DOCKER_HOST` has it.
    pub(crate) fn host(self) -> &'static str {
        match self {
            Self::Docker20 | Self::Docker20Classic => services::docker_host(),
            Self::Docker => services::docker_modern(),
            Self::DockerContainerd => services::docker_containerd(),
            Self::Podman => services::podman(),
        }
    }

    /// True if BuildKit builds. The classic builder and Podman have no build secrets: the API of
    /// the classic builder cannot transfer them.
    pub(crate) const fn has_buildkit(self) -> bool {
        !matches!(self, Self::Docker20Classic | Self::Podman)
    }

    /// True if the engine stops a step when the client disconnects. Podman completes the step.
    pub(crate) const fn stops_steps(self) -> bool {
        !matches!(self, Self::Podman)
    }

    /// True if the engine's own client can attach attestations to an image. The overlay2 store
    /// cannot hold an index, and Docker 20.10 has no client for it.
    pub(crate) const fn attests(self) -> bool {
        matches!(self, Self::DockerContainerd)
    }

    /// True if a key of a label may contain `=`. Podman splits `KEY=VALUE` at the first one.
    pub(crate) const fn has_label_keys_with_equals_sign(self) -> bool {
        !matches!(self, Self::Podman)
    }

    /// True if a port may have the protocol SCTP. Podman 5.4 builds such an image, but its API
    /// cannot report it.
    pub(crate) const fn has_sctp_ports(self) -> bool {
        !matches!(self, Self::Podman)
    }

    /// True if a variable keeps its place when its value changes. Podman moves it to the end; the
    /// order has no effect.
    pub(crate) const fn keeps_env_order(self) -> bool {
        !matches!(self, Self::Podman)
    }

    /// A label that the engine adds to every image that it builds.
    pub(crate) const fn own_label(self) -> Option<&'static str> {
        match self {
            Self::Podman => Some("io.buildah.version"),
            _ => None,
        }
    }

    /// True if the engine creates empty directories for the volumes of the base. The others leave
    /// this to the start of a container.
    pub(crate) const fn creates_directories_of_volumes(self) -> bool {
        matches!(self, Self::Podman)
    }

    /// The value of `DOCKER_BUILDKIT` that selects the builder.
    const fn buildkit(self) -> &'static str {
        if self.has_buildkit() { "1" } else { "0" }
    }

    /// An empty workspace whose engine this is.
    pub(crate) fn golden(self) -> Golden {
        let host = services::registry();
        self.on(Golden::new().workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n")))
    }

    /// A workspace whose engine this is.
    pub(crate) fn on(self, golden: Golden) -> Golden {
        golden
            .env("DOCKER_HOST", self.host())
            .env("DOCKER_BUILDKIT", self.buildkit())
    }

    /// Selects this engine for one command.
    pub(crate) fn select(self, command: &mut Command) {
        command
            .env("DOCKER_HOST", self.host())
            .env("DOCKER_BUILDKIT", self.buildkit());
    }
}

/// Runs a client of the current Debian. Returns its output; fails if the client fails.
#[track_caller]
pub(crate) fn modern(words: &[&str]) -> String {
    let output = Command::new(services::modern_run())
        .args(words)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
