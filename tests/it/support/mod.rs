//! What the tests are written with.

pub(crate) mod services;
pub(crate) mod workspace;
