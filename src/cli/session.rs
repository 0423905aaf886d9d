//! What most commands begin with: find the workspace, read it, show what is wrong, select images.

use std::collections::BTreeMap;

use super::context::Context;
use super::error::Failure;
use crate::resolve::{Destination, ResolvedImage};
use crate::workspace::Workspace;

/// What a command wants of the workspace.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// Images, by name or glob; all when empty.
    pub images: Vec<String>,
    /// `--set NAME=VALUE`.
    pub set: Vec<String>,
    /// `--changed SINCE`: only images whose inputs differ from this commit.
    pub changed: Option<String>,
    /// `--with-dependants`: also what is built on the selected images.
    pub with_dependants: bool,
}

/// A workspace that is in order, and the images that were asked for.
#[derive(Debug)]
pub struct Session {
    /// The workspace.
    pub workspace: Workspace,
    /// The selected images and the workspace images that they are built on, parents first.
    pub images: Vec<ResolvedImage>,
    /// Where to publish: after --registry, --all-registries and `GOLDEN_REGISTRY`; empty when nothing is named.
    pub destinations: Vec<Destination>,
    /// The workspace's own templates, name to text; these come before the built-in ones.
    pub templates: BTreeMap<String, String>,
}

impl Session {
    /// Opens the workspace of `context`. Findings are shown; errors among them end the command with 2 or 3.
    #[expect(clippy::unused_async, reason = "git will be waited for")]
    pub async fn open(_context: &Context, _options: &SessionOptions) -> Result<Self, Failure> {
        Err(Failure::usage("opening a workspace is not there yet"))
    }
}
