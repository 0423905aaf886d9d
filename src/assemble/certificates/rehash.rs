//! Reproduces `openssl rehash` and Alpine's `c_rehash`, which is derived from it. They create a
//! link HASH.N for every file of a directory that contains exactly one certificate. HASH is the
//! hash of the subject, and N distinguishes certificates with the same hash. The order of the links
//! is that of OpenSSL's apps/rehash.c.

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest as _, Sha1};

use super::super::overlay::Overlay;
use super::super::tree::TreeNode;
use super::super::{AssembleStop, Error};
use super::{link, needs, subject};

/// A file or link that claims a name with a hash.
struct HashName {
    file: String,
    fingerprint: Option<[u8; 20]>,
    /// The number of an existing link.
    number: Option<usize>,
}

/// The claims on one hash, in the order in which they are found.
#[derive(Default)]
struct Bucket {
    claims: Vec<HashName>,
    /// The position of each file's claim.
    by_file: BTreeMap<String, usize>,
    fingerprints: BTreeSet<[u8; 20]>,
    needed: usize,
}

/// The tool whose links are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rehash {
    /// `openssl rehash` and Debian's tool, which removes dangling links.
    OpenSsl,
    /// `c_rehash`. It gives all new links of one hash the same number, so that only the last of
    /// them remains. Its next run gives the others a number.
    Alpine,
}

/// Updates the links by hash in a directory.
pub(super) fn rehash(
    overlay: &mut Overlay<'_>,
    directory: &str,
    tool: Rehash,
) -> Result<(), AssembleStop> {
    let mut buckets = BTreeMap::<u32, Bucket>::new();
    for name in overlay.list(directory)? {
        let path = format!("{directory}/{name}");
        let target = match overlay.entry(&path)? {
            Some(TreeNode::Symlink(target)) => Some(target.clone()),
            _ => None,
        };
        if tool == Rehash::OpenSsl
            && target.is_some()
            && overlay.entry(&overlay.resolve(&path)?)?.is_none()
        {
            overlay.remove(&path)?;
            continue;
        }
        match (target, hash_link(&name)) {
            (Some(target), Some((hash, number))) => {
                buckets.entry(hash).or_default().existing(&target, number);
            }
            _ => {
                if let Some((hash, fingerprint)) = certificate(overlay, &path, &name)? {
                    buckets
                        .entry(hash)
                        .or_default()
                        .certificate(&name, fingerprint);
                }
            }
        }
    }
    for (hash, bucket) in buckets {
        bucket.assign_numbers(tool, |number, file| {
            let path = format!("{directory}/{hash:08x}.{number}");
            match file {
                Some(file) => overlay.place(link(&path, file)),
                None => overlay.remove(&path),
            }
        })?;
    }
    Ok(())
}

/// The hash and the number in the name of a link, such as `5ad8a5d6.0`.
fn hash_link(name: &str) -> Option<(u32, usize)> {
    let (hash, number) = name.split_once('.')?;
    let hex = hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    Some((
        u32::from_str_radix(hash, 16).ok().filter(|_| hex)?,
        number.parse().ok()?,
    ))
}

/// The subject hash and the fingerprint of a file that contains exactly one certificate.
fn certificate(
    overlay: &Overlay<'_>,
    path: &str,
    name: &str,
) -> Result<Option<(u32, [u8; 20])>, AssembleStop> {
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    if !matches!(extension.as_deref(), Some("pem" | "crt" | "cer" | "crl")) {
        return Ok(None);
    }
    let Some(bytes) = overlay.read(path)? else {
        return Ok(None);
    };
    let mut blocks = x509_parser::pem::Pem::iter_from_buffer(&bytes);
    let (first, second) = (blocks.next(), blocks.next());
    // A revocation list gets a different link, and a file with a key and a certificate counts as
    // one certificate.
    let others = [&first, &second].into_iter().flatten().flatten();
    let others = others
        .map(|block| block.label.as_str())
        .find(|label| !is_certificate(label));
    if let Some(label) = others.filter(|label| label.contains("CRL") || label.contains("KEY")) {
        return Err(needs(&format!("/{path} of the base contains a {label}")).into());
    }
    let (Some(Ok(block)), None) = (first, second) else {
        return Ok(None);
    };
    if !is_certificate(&block.label) {
        return Ok(None);
    }
    let hash =
        subject::hash(&block.contents).ok_or_else(|| Error::Certificate(format!("/{path}")))?;
    Ok(Some((hash, Sha1::digest(&block.contents).into())))
}

/// True if a PEM block is a plain certificate.
fn is_certificate(label: &str) -> bool {
    matches!(label, "CERTIFICATE" | "X509 CERTIFICATE")
}

impl Bucket {
    /// The claim of a file. It is created if it does not exist.
    fn claim(&mut self, file: &str) -> &mut HashName {
        let next = self.claims.len();
        let position = *self.by_file.entry(file.to_owned()).or_insert(next);
        if position == next {
            self.claims.push(HashName {
                file: file.to_owned(),
                fingerprint: None,
                number: None,
            });
        }
        &mut self.claims[position]
    }

    /// Adds an existing link.
    fn existing(&mut self, target: &str, number: usize) {
        let claim = self.claim(target);
        claim.number = Some(claim.number.map_or(number, |other| other.min(number)));
    }

    /// Adds a file that needs a link. A second copy of the same certificate gets none.
    fn certificate(&mut self, file: &str, fingerprint: [u8; 20]) {
        if self.fingerprints.insert(fingerprint) {
            self.needed += 1;
            self.claim(file).fingerprint = Some(fingerprint);
        }
    }

    /// Assigns the numbers: links with a low enough number are kept, the others are created or
    /// removed.
    fn assign_numbers(
        &self,
        tool: Rehash,
        mut write: impl FnMut(usize, Option<&str>) -> Result<(), AssembleStop>,
    ) -> Result<(), AssembleStop> {
        let kept_number = |claim: &HashName| claim.number.filter(|number| *number < self.needed);
        let mut taken: BTreeSet<usize> = self.claims.iter().filter_map(kept_number).collect();
        let mut free = 0;
        for claim in self
            .claims
            .iter()
            .filter(|claim| kept_number(claim).is_none())
        {
            if claim.fingerprint.is_some() {
                while taken.contains(&free) {
                    free += 1;
                }
                write(free, Some(&claim.file))?;
                if tool == Rehash::OpenSsl {
                    taken.insert(free);
                }
            } else if let Some(number) = claim.number.filter(|number| !taken.contains(number)) {
                write(number, None)?;
            }
        }
        Ok(())
    }
}
