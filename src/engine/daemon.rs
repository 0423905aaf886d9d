//! Shared code for the daemons that execute Dockerfiles (Docker Engine and BuildKit): connections,
//! requests, callbacks and progress.

pub(super) mod answers;
pub(super) mod archive;
pub(super) mod arguments;
pub(super) mod bounds;
pub(super) mod context;
pub(super) mod dial;
mod parsing;
pub(super) mod progress;
mod ssh;
pub(super) mod steps;
pub(super) mod tls;
pub(super) mod trees;
pub(super) mod upload;
