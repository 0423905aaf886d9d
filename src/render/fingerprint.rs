//! What makes an image the same (7-rules 1).

use super::{PinnedBase, Rendered};
use crate::reference::Digest;
use crate::resolve::ResolvedImage;

/// `dev.golden.inputs`: the digest of all that goes into an image.
#[must_use]
pub fn fingerprint(_image: &ResolvedImage, _rendered: &Rendered, _base: &PinnedBase) -> Digest {
    todo!()
}
