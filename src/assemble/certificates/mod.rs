//! Installs certificates without executing anything. golden reproduces the files that the trust
//! tool of the family would write into the base's trust store. If it cannot reproduce them exactly,
//! it refuses.

mod alpine;
mod bundle;
mod debian;
mod rehash;
mod subject;

pub use bundle::{BUNDLES, certificates_in};

use super::execution::{NeedsExecution, UPDATE_CA_TRUST};
use super::overlay::Overlay;
use super::tree::TreeNode;
use super::{AssembleStop, Error};
use crate::oci::Content;
use crate::oci::tar::{Entry, EntryKind};
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Certificate, Family};

// The paths of Debian's and Alpine's tools. The paths are equal, although the tools differ.
const TOOL: &str = "usr/sbin/update-ca-certificates";
const CONF: &str = "etc/ca-certificates.conf";
const SHARED: &str = "usr/share/ca-certificates";
const LOCAL: &str = "usr/local/share/ca-certificates";
const STORE: &str = "etc/ssl/certs";
const HOOKS: &str = "etc/ca-certificates/update.d";

/// The largest bundle that is written, in bytes. Real bundles have 250 kB. A configuration that
/// lists one certificate many times would fill the memory.
const LARGEST_BUNDLE: usize = 16 << 20;

/// Appends to a bundle. Fails if the bundle becomes too large.
fn append(bundle: &mut Vec<u8>, bytes: &[u8]) -> Result<(), AssembleStop> {
    if bundle.len() + bytes.len() > LARGEST_BUNDLE {
        return Err(Error::Base("its trust store is larger than 16 MiB".to_owned()).into());
    }
    bundle.extend_from_slice(bytes);
    Ok(())
}

/// Places certificates as the tool of the family would. Fails if only the tool itself can do it.
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

/// Links the path of the bundle to the base's own bundle, if the variables of the image lead to
/// that path and it does not exist.
pub fn link_bundle(image: &ResolvedImage, overlay: &mut Overlay<'_>) -> Result<(), AssembleStop> {
    let is_used = !image.certificates.is_empty() && !image.trust.variables.is_empty();
    if is_used && image.family == Family::Static {
        bundle::link_first(overlay)?;
    }
    Ok(())
}

/// The error for certificates that only the tool itself can install.
fn needs(tool: &str) -> Error {
    NeedsExecution {
        step: format!("[certs] trust: {tool}"),
    }
    .into()
}

/// The names of the hooks that `run-parts` would run.
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

/// A file that belongs to root and is readable for everyone.
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

fn link(path: &str, target: &str) -> Entry {
    Entry {
        path: path.to_owned(),
        mode: 0o777,
        uid: 0,
        gid: 0,
        kind: EntryKind::Symlink(target.to_owned()),
    }
}
