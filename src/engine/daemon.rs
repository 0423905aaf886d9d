//! What the daemons that execute Dockerfiles have in common: how they are reached, what they are sent, what they ask, and
//! what they tell.

pub(super) mod address;
pub(super) mod answers;
pub(super) mod archive;
pub(super) mod arguments;
pub(super) mod context;
pub(super) mod dial;
pub(super) mod progress;
pub(super) mod tls;
pub(super) mod trees;
