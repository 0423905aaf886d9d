//! Certificates without executing anything: what the family's own tool would have left, worked out from the base's
//! trust store. What cannot be worked out exactly is refused.

mod bundle;
mod debian;
mod rehash;
mod subject;

use super::execution::NeedsExecution;
use super::overlay::Overlay;
use super::{Error, Stop};
use crate::oci::Content;
use crate::oci::tar::{Entry, EntryKind};
use crate::resolve::ResolvedImage;
use crate::resolve::image::Family;

/// Places the certificates of an image, which has some.
pub fn place(image: &ResolvedImage, overlay: &mut Overlay<'_>) -> Result<(), Stop> {
    match image.family {
        Family::Static => bundle::place(image, overlay),
        Family::Debian => debian::place(image, overlay),
        Family::Alpine => {
            Err(needs("update-ca-certificates of Alpine, which orders the bundle as the folder is read")
                .into())
        }
        Family::Rhel => Err(needs("update-ca-trust, which writes a Java key store").into()),
    }
}

/// Certificates whose tool must run.
fn needs(tool: &str) -> Error {
    NeedsExecution { step: format!("[certs] trust: {tool}") }.into()
}

/// A file that is root's and readable by all.
fn file(path: &str, bytes: Vec<u8>) -> Entry {
    let kind = EntryKind::File(Content::inline(bytes));
    Entry { path: path.to_owned(), mode: 0o644, uid: 0, gid: 0, kind }
}

/// A symbolic link.
fn link(path: &str, target: &str) -> Entry {
    Entry { path: path.to_owned(), mode: 0o777, uid: 0, gid: 0, kind: EntryKind::Symlink(target.to_owned()) }
}
