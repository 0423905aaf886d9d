//! Images without a trust tool: the bundles alone.

use std::collections::BTreeSet;

use x509_parser::pem::Pem;

use super::super::overlay::Overlay;
use super::super::tree::{Attributes, TreeNode};
use super::super::{AssembleStop, Error};
use super::file;
use crate::oci::tar::Entry;
use crate::resolve::image::Certificate;

/// The bundles that programs look for, in the order in which Go does. The first is made where there is none.
const BUNDLES: &[&str] = &[
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/pki/tls/cacert.pem",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/cert.pem",
    "etc/ssl/certs/ca-bundle.crt",
];

/// Appends to every bundle of the base what it does not have yet. If there is none, the first is made: on scratch it is
/// exactly what the spec trusts.
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

/// Appends to one bundle, which is made when it does not exist. One that does keeps its owner and mode.
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
    let known: BTreeSet<Vec<u8>> = Pem::iter_from_buffer(&bytes)
        .flatten()
        .map(|block| block.contents)
        .collect();
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

    use super::super::super::tree::{LayerIndex, Tree};
    use super::*;
    use crate::oci::Content;
    use crate::oci::tar::EntryKind;

    fn made(name: &str) -> Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let signed = rcgen::CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        Certificate {
            file: name.into(),
            name: name.to_owned(),
            pem: signed.pem().replace("\r\n", "\n"),
            der: signed.der().to_vec(),
            not_after: 0,
            subject: String::new(),
        }
    }

    /// The bundle that is placed on a base that has this in its place.
    fn placed(
        there: TreeNode,
        certificates: &[Certificate],
    ) -> Result<Option<Entry>, AssembleStop> {
        let mut index = LayerIndex::default();
        index.entries.insert(
            "etc/ssl/certs".to_owned(),
            TreeNode::Directory(Attributes::FOLDER),
        );
        index.entries.insert(BUNDLES[0].to_owned(), there);
        let layers = [Arc::new(index)];
        let mut overlay = Overlay::new(Tree {
            layers: &layers,
            complete: true,
        });
        place(certificates, &mut overlay)?;
        Ok(overlay.into_trust().entries.pop())
    }

    #[test]
    fn only_what_is_new_is_appended_and_the_bundle_stays_whose_it_is() {
        let (one, two) = (made("one"), made("two"));
        let attributes = Attributes {
            mode: 0o440,
            uid: 3,
            gid: 4,
        };
        let torn = one.pem.trim_end().as_bytes().to_vec();
        let base = || TreeNode::File {
            attributes,
            content: Some(torn.clone().into()),
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
        let refused = placed(TreeNode::Directory(Attributes::FOLDER), &[two]);
        assert!(matches!(
            refused,
            Err(AssembleStop::Refused(Error::Base(_)))
        ));
    }
}
