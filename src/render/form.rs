//! The forms of a Dockerfile: one for the inputs digest, which does not depend on the base; one for
//! an engine, on a known base; one that users build without golden.

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

/// The files of a build context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContextFiles<'a> {
    /// Added when the base is known; the Dockerfile already has the line that unpacks them.
    #[default]
    Later,
    /// With their final paths on a known base.
    OnBase(&'a [Entry]),
    /// As in the spec, on a base that cannot be read.
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
    pub(super) const fn form(&self) -> Form<'a> {
        let Self {
            base,
            traits,
            files,
            suffix,
        } = *self;
        Form {
            base,
            traits,
            files,
            suffix,
            standalone: true,
        }
    }
}

/// A form of a Dockerfile.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Form<'a> {
    /// The base as shown to users.
    pub(super) base: Option<&'a str>,
    pub(super) traits: Option<&'a BaseTraits>,
    pub(super) files: ContextFiles<'a>,
    pub(super) suffix: &'a str,
    /// True if it is built without golden, so that a missing build argument must be an error.
    pub(super) standalone: bool,
}
