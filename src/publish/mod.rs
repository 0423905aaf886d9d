//! Publishing: one upload, one manifest, and every tag put as the same bytes (2-tags).

pub mod receipt;
