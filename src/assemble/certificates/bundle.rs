//! Places certificates on images without a trust tool: only the bundles are written.

use std::collections::BTreeSet;

use x509_parser::pem::Pem;

use super::super::overlay::Overlay;
use super::super::tree::{Attributes, TreeNode};
use super::super::{AssembleStop, Error};
use super::{file, link};
use crate::oci::tar::Entry;
use crate::resolve::image::Certificate;

/// The bundles that programs look for, in the order that Go uses, relative to the root. If none
/// exists, the first is created.
pub const BUNDLES: &[&str] = &[
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/pki/tls/cacert.pem",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/cert.pem",
    "etc/ssl/certs/ca-bundle.crt",
];

/// The certificates of a bundle, as DER.
#[must_use]
pub fn certificates_in(bundle: &[u8]) -> BTreeSet<Vec<u8>> {
    let blocks = Pem::iter_from_buffer(bundle).flatten();
    blocks.map(|block| block.contents).collect()
}

/// Appends the missing certificates to every bundle of the base. If there is none, the first is
/// created; on scratch it contains exactly the certificates of the spec.
pub(super) fn place(
    certificates: &[Certificate],
    overlay: &mut Overlay<'_>,
) -> Result<(), AssembleStop> {
    let mut bundles = BTreeSet::new();
    for path in BUNDLES {
        // A link stays a link; the file that it leads to is written.
        let target = overlay.resolve(path)?;
        if overlay.entry(&target)?.is_some() {
            bundles.insert(target);
        }
    }
    if bundles.is_empty() {
        bundles.insert(overlay.resolve(BUNDLES[0])?);
    }
    bundles
        .iter()
        .try_for_each(|bundle| append(certificates, bundle, overlay))
}

/// Links the path of the first bundle to a bundle that exists, unless the path itself exists.
pub(super) fn link_first(overlay: &mut Overlay<'_>) -> Result<(), AssembleStop> {
    let first = overlay.resolve(BUNDLES[0])?;
    if overlay.entry(&first)?.is_some() {
        return Ok(());
    }
    for path in &BUNDLES[1..] {
        let existing = overlay.resolve(path)?;
        if overlay.entry(&existing)?.is_some() {
            return overlay.place(link(&first, &format!("/{path}")));
        }
    }
    Ok(())
}

/// Appends to one bundle and creates it if it does not exist. An existing bundle keeps its owner
/// and mode.
pub(super) fn append(
    certificates: &[Certificate],
    path: &str,
    overlay: &mut Overlay<'_>,
) -> Result<(), AssembleStop> {
    let target = overlay.resolve(path)?;
    let attributes = match overlay.entry(&target)? {
        None => Attributes {
            mode: 0o644,
            uid: 0,
            gid: 0,
        },
        Some(TreeNode::File { attributes, .. }) => *attributes,
        Some(_) => return Err(Error::Base(format!("/{target} is not a file")).into()),
    };
    let mut bytes = overlay
        .read(&target)?
        .map(|bytes| bytes.to_vec())
        .unwrap_or_default();
    let known = certificates_in(&bytes);
    let mut new = certificates
        .iter()
        .filter(|certificate| !known.contains(&certificate.der))
        .peekable();
    if new.peek().is_none() {
        return Ok(());
    }
    if bytes.last().is_some_and(|byte| *byte != b'\n') {
        bytes.push(b'\n');
    }
    for certificate in new {
        bytes.extend_from_slice(certificate.pem.as_bytes());
    }
    let Attributes { mode, uid, gid } = attributes;
    overlay.place(Entry {
        mode,
        uid,
        gid,
        ..file(&target, bytes)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::tree::{FileTree, LayerIndex};
    use super::*;
    use crate::oci::Content;
    use crate::oci::tar::EntryKind;

    fn self_signed(name: &str) -> Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        Certificate {
            file: name.into(),
            name: name.to_owned(),
            pem: certificate.pem().replace("\r\n", "\n"),
            der: certificate.der().to_vec(),
            not_after: 0,
            subject: String::new(),
        }
    }

    /// The bundle that is placed on a base whose first bundle is `existing`.
    fn placed(
        existing: TreeNode,
        certificates: &[Certificate],
    ) -> Result<Option<Entry>, AssembleStop> {
        let mut index = LayerIndex::default();
        index.entries.insert(
            "etc/ssl/certs".to_owned(),
            TreeNode::Directory(Attributes::DIRECTORY),
        );
        index.entries.insert(BUNDLES[0].to_owned(), existing);
        let layers = [Arc::new(index)];
        let mut overlay = Overlay::new(FileTree {
            layers: &layers,
            complete: true,
        });
        place(certificates, &mut overlay)?;
        Ok(overlay.into_trust().entries.pop())
    }

    #[test]
    fn new_certificates_are_appended_and_owner_and_mode_are_kept() {
        let (one, two) = (self_signed("one"), self_signed("two"));
        let attributes = Attributes {
            mode: 0o440,
            uid: 3,
            gid: 4,
        };
        let without_newline = one.pem.trim_end().as_bytes().to_vec();
        let base = || TreeNode::File {
            attributes,
            content: Some(without_newline.clone().into()),
        };
        let entry = placed(base(), &[one.clone(), two.clone()])
            .unwrap()
            .unwrap();
        assert_eq!(
            (entry.path.as_str(), entry.mode, entry.uid, entry.gid),
            (BUNDLES[0], 0o440, 3, 4)
        );
        let both = format!("{}{}", one.pem, two.pem);
        assert_eq!(
            entry.kind,
            EntryKind::File(Content::inline(both.into_bytes()))
        );
        assert_eq!(placed(base(), &[one]).unwrap(), None);
        let refused = placed(TreeNode::Directory(Attributes::DIRECTORY), &[two]);
        assert!(matches!(
            refused,
            Err(AssembleStop::Refused(Error::Base(_)))
        ));
    }
}
