//! Certificates without executing anything: what the family's own tool would have left, worked out from the base's
//! trust store. What cannot be worked out exactly is refused.

mod alpine;
mod bundle;
mod debian;
mod rehash;
mod subject;

use super::execution::{NeedsExecution, UPDATE_CA_TRUST};
use super::overlay::Overlay;
use super::tree::TreeNode;
use super::{AssembleStop, Error};
use crate::oci::Content;
use crate::oci::tar::{Entry, EntryKind};
use crate::resolve::image::{Certificate, Family};

// Where Debian's and Alpine's tools have everything; the same places, though the tools are not the same.
const TOOL: &str = "usr/sbin/update-ca-certificates";
const CONF: &str = "etc/ca-certificates.conf";
const SHARED: &str = "usr/share/ca-certificates";
const LOCAL: &str = "usr/local/share/ca-certificates";
const STORE: &str = "etc/ssl/certs";
const HOOKS: &str = "etc/ca-certificates/update.d";

/// The largest bundle that is written. Real ones have 250 kB; a configuration that lists one certificate many times
/// would fill memory.
const LARGEST_BUNDLE: usize = 16 << 20;

/// Appends to a bundle.
fn append(bundle: &mut Vec<u8>, bytes: &[u8]) -> Result<(), AssembleStop> {
    if bundle.len() + bytes.len() > LARGEST_BUNDLE {
        return Err(Error::Base("its trust store has more than 16 MiB".to_owned()).into());
    }
    bundle.extend_from_slice(bytes);
    Ok(())
}

/// Places certificates as the tool of a family would.
pub fn place(
    family: Family,
    certificates: &[Certificate],
    overlay: &mut Overlay<'_>,
) -> Result<(), AssembleStop> {
    match family {
        Family::Static => bundle::place(certificates, overlay),
        Family::Debian => debian::place(certificates, overlay),
        Family::Alpine => alpine::place(certificates, overlay),
        Family::Rhel => Err(needs(UPDATE_CA_TRUST).into()),
    }
}

/// Certificates whose tool must run.
fn needs(tool: &str) -> Error {
    NeedsExecution {
        step: format!("[certs] trust: {tool}"),
    }
    .into()
}

/// The hooks that `run-parts` would run, by name.
fn hooks(overlay: &Overlay<'_>) -> Result<Vec<String>, AssembleStop> {
    let mut found = Vec::new();
    for name in overlay.list(HOOKS)? {
        let path = overlay.resolve(&format!("{HOOKS}/{name}"))?;
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let executable = |node: &TreeNode| matches!(node, TreeNode::File { attributes, .. } if attributes.mode & 0o111 != 0);
        if plain && overlay.entry(&path)?.is_some_and(executable) {
            found.push(name);
        }
    }
    Ok(found)
}

/// A file that is root's and readable by all.
fn file(path: &str, bytes: Vec<u8>) -> Entry {
    let kind = EntryKind::File(Content::inline(bytes));
    Entry {
        path: path.to_owned(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        kind,
    }
}

/// A symbolic link.
fn link(path: &str, target: &str) -> Entry {
    Entry {
        path: path.to_owned(),
        mode: 0o777,
        uid: 0,
        gid: 0,
        kind: EntryKind::Symlink(target.to_owned()),
    }
}
