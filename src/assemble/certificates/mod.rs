//! Certificates without executing anything: what the family's own tool would have left, worked out from the base's
//! trust store. What cannot be worked out exactly is refused.

mod alpine;
mod bundle;
mod debian;
mod rehash;
mod subject;

use super::execution::NeedsExecution;
use super::overlay::Overlay;
use super::tree::Node;
use super::{Error, Stop};
use crate::oci::Content;
use crate::oci::tar::{Entry, EntryKind};
use crate::resolve::ResolvedImage;
use crate::resolve::image::Family;

// Where Debian's and Alpine's tools have everything; the same places, though the tools are not the same.
const TOOL: &str = "usr/sbin/update-ca-certificates";
const CONF: &str = "etc/ca-certificates.conf";
const SHARED: &str = "usr/share/ca-certificates";
const LOCAL: &str = "usr/local/share/ca-certificates";
const STORE: &str = "etc/ssl/certs";
const HOOKS: &str = "etc/ca-certificates/update.d";

/// Places the certificates of an image, which has some.
pub fn place(image: &ResolvedImage, overlay: &mut Overlay<'_>) -> Result<(), Stop> {
    match image.family {
        Family::Static => bundle::place(image, overlay),
        Family::Debian => debian::place(image, overlay),
        Family::Alpine => alpine::place(image, overlay),
        Family::Rhel => Err(needs(
            "update-ca-trust, which orders its bundles as p11-kit's memory has them and writes the time of its run \
             into /etc/pki/ca-trust/extracted/java/cacerts, so that nobody knows before what it will leave,",
        )
        .into()),
    }
}

/// Certificates whose tool must run.
fn needs(tool: &str) -> Error {
    NeedsExecution { step: format!("[certs] trust: {tool}") }.into()
}

/// The hooks that `run-parts` would run, by name.
fn hooks(overlay: &Overlay<'_>) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    for name in overlay.list(HOOKS)? {
        let path = overlay.resolve(&format!("{HOOKS}/{name}"))?;
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let executable =
            |node: &Node| matches!(node, Node::File { attributes, .. } if attributes.mode & 0o111 != 0);
        if plain && overlay.entry(&path)?.is_some_and(executable) {
            found.push(name);
        }
    }
    Ok(found)
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
