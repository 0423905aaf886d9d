//! The forms of a Dockerfile: one for the inputs digest, which does not depend on the base; one for
//! an engine, on a known base; one that users build without golden.

use std::collections::BTreeSet;

use super::copies::CopyNames;
use super::instruction::ScriptForm;
use crate::oci::ImageConfig;
use crate::oci::config::Healthcheck;
use crate::oci::tar::Entry;

/// The parts of the base's config that a Dockerfile depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseTraits {
    /// The user, as in the config; may be empty.
    pub user: String,
    /// The shell; empty if the config has none.
    pub shell: Vec<String>,
    /// The health check, which gives defaults for timings.
    pub healthcheck: Option<Healthcheck>,
}

impl From<&ImageConfig> for BaseTraits {
    fn from(config: &ImageConfig) -> Self {
        Self {
            user: config.user().to_owned(),
            shell: config.words("Shell"),
            healthcheck: config.healthcheck(),
        }
    }
}

/// The Dockerfile syntax that a builder supports. The inputs digest uses the current syntax, so it
/// does not depend on the builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syntax {
    /// BuildKit 0.10 or later (Docker 23).
    #[default]
    Current,
    /// Buildah 1.33 or later (Podman 4.8): the current syntax, but `COPY` cannot give every name to
    /// a file.
    Buildah,
    /// Earlier builders, and Docker's classic builder.
    Older,
}

impl Syntax {
    /// True if `RUN <<EOR` runs a script. Earlier builders take `<<EOR` as a redirection of the
    /// shell and the next line as an instruction.
    #[must_use]
    pub const fn has_heredocs(self) -> bool {
        matches!(self, Self::Current | Self::Buildah)
    }

    /// True if `COPY --chmod` sets the mode of a file. The classic builder rejects the flag.
    #[must_use]
    pub const fn has_copy_modes(self) -> bool {
        matches!(self, Self::Current | Self::Buildah)
    }
}

/// The files of an image at their final paths on a base.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FilesOnBase {
    /// The files, with paths without links and numeric owners.
    pub entries: Vec<Entry>,
    /// The parent directories of the entries that neither the base nor an entry has.
    pub missing: BTreeSet<String>,
}

/// The files of a build context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContextFiles<'a> {
    /// The files are added when the base is known. The Dockerfile already has their instructions.
    #[default]
    Later,
    /// The files have their final paths on a known base.
    OnBase(&'a FilesOnBase),
    /// The files have the paths in the spec, because the base cannot be read.
    AsWritten,
}

/// Settings for a Dockerfile and a context that are built without golden.
#[derive(Debug, Clone, Copy)]
pub struct Standalone<'a> {
    /// The base as written or locked; if `None`, its normal name.
    pub base: Option<&'a str>,
    /// The traits of the base, if it could be read.
    pub traits: Option<&'a BaseTraits>,
    /// The files of the build context.
    pub files: ContextFiles<'a>,
    /// Distinguishes several images of one directory in the names of their files, such as `.slim`.
    pub suffix: &'a str,
}

impl<'a> Standalone<'a> {
    pub(super) const fn form(&self) -> DockerfileForm<'a> {
        let Self {
            base,
            traits,
            files,
            suffix,
        } = *self;
        DockerfileForm {
            base,
            traits,
            files,
            suffix,
            syntax: Syntax::Current,
            standalone: true,
        }
    }
}

/// A form of a Dockerfile.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DockerfileForm<'a> {
    /// The base as shown to users.
    pub(super) base: Option<&'a str>,
    pub(super) traits: Option<&'a BaseTraits>,
    pub(super) files: ContextFiles<'a>,
    pub(super) suffix: &'a str,
    pub(super) syntax: Syntax,
    /// True if it is built without golden, so that a missing build argument must be an error.
    pub(super) standalone: bool,
}

impl DockerfileForm<'_> {
    /// The names that `COPY` can give to a file. Buildah may also build a form without golden.
    pub(super) const fn copy_names(&self) -> CopyNames {
        match self.syntax {
            Syntax::Current if !self.standalone => CopyNames::Any,
            _ => CopyNames::Ascii,
        }
    }

    /// The form of the scripts. A heredoc runs in the shell of the base, so a base with another
    /// shell than `/bin/sh -c` needs the exec form.
    pub(super) fn scripts(&self) -> ScriptForm {
        let has_other_shell = self.traits.is_some_and(|traits| {
            !traits.shell.is_empty() && traits.shell != super::default_shell()
        });
        if self.syntax.has_heredocs() && !has_other_shell {
            ScriptForm::Heredoc
        } else {
            ScriptForm::Exec
        }
    }
}
