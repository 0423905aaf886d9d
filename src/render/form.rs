//! The forms that a Dockerfile has: one for the inputs, which depends on no base; one for an engine, on a base that is
//! known; one for people, who build it without golden.

use crate::oci::ImageConfig;
use crate::oci::config::Healthcheck;
use crate::oci::tar::Entry;

/// The parts of a base's config that a Dockerfile depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseTraits {
    /// Its user, as the config has it.
    pub user: String,
    /// Its shell; empty if it names none.
    pub shell: Vec<String>,
    /// Its health check.
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
    /// Added once the base is known; the Dockerfile has the line that unpacks them already.
    #[default]
    Later,
    /// At their places on the base.
    OnBase(&'a [Entry]),
    /// As the spec has them, on a base that cannot be read.
    AsWritten,
}

/// A Dockerfile and a context to be built without golden.
#[derive(Debug, Clone, Copy)]
pub struct Standalone<'a> {
    /// The base as it is written or locked; its normal name if none.
    pub base: Option<&'a str>,
    /// The traits of the base, if it could be read.
    pub traits: Option<&'a BaseTraits>,
    /// The files.
    pub files: ContextFiles<'a>,
    /// Tells several images of one directory apart, in the names of what belongs to them: `.slim`.
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
    /// The base as people are shown it.
    pub(super) base: Option<&'a str>,
    pub(super) traits: Option<&'a BaseTraits>,
    pub(super) files: ContextFiles<'a>,
    pub(super) suffix: &'a str,
    /// Whether it is built without golden, so that a missing build argument must be an error.
    pub(super) standalone: bool,
}
