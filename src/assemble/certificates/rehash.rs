//! `openssl rehash`, and Alpine's `c_rehash`, from which it comes: a link HASH.N for every file of a folder that holds
//! exactly one certificate, where HASH is the subject's and N tells apart those that share it. The order of the links
//! is the program's own (OpenSSL's apps/rehash.c).

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest as _, Sha1};

use super::super::overlay::Overlay;
use super::super::tree::TreeNode;
use super::super::{AssembleStop, Error};
use super::{link, needs, subject};

/// What one file or link says about a hash.
struct HashName {
    file: String,
    fingerprint: Option<[u8; 20]>,
    /// The number of a link that is there already.
    number: Option<usize>,
}

/// The claims on one hash, in the order that they were met.
#[derive(Default)]
struct Bucket {
    claims: Vec<HashName>,
    /// The position of each file's claim.
    by_file: BTreeMap<String, usize>,
    fingerprints: BTreeSet<[u8; 20]>,
    needed: usize,
}

/// Whose links they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rehash {
    /// Debian's tool, which takes away links that lead nowhere, and `openssl rehash`.
    OpenSsl,
    /// `c_rehash`. It gives all new links of one hash the same number, so that the last of them is left; the next run
    /// finds a number for another one.
    Alpine,
}

/// Brings the links of a folder up to date.
pub(super) fn rehash(
    overlay: &mut Overlay<'_>,
    folder: &str,
    tool: Rehash,
) -> Result<(), AssembleStop> {
    let mut buckets = BTreeMap::<u32, Bucket>::new();
    for name in overlay.list(folder)? {
        let path = format!("{folder}/{name}");
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
        bucket.settle(tool, |number, file| {
            let path = format!("{folder}/{hash:08x}.{number}");
            match file {
                Some(file) => overlay.place(link(&path, file)),
                None => overlay.remove(&path),
            }
        })?;
    }
    Ok(())
}

/// The hash and the number of a link's name, such as `5ad8a5d6.0`.
fn hash_link(name: &str) -> Option<(u32, usize)> {
    let (hash, number) = name.split_once('.')?;
    let hex = hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    Some((
        u32::from_str_radix(hash, 16).ok().filter(|_| hex)?,
        number.parse().ok()?,
    ))
}

/// Subject hash and fingerprint of a file that holds exactly one certificate.
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
    // A list of revoked ones gets links of another form, and a key beside its certificate counts with it as one.
    let others = [&first, &second].into_iter().flatten().flatten();
    let others = others
        .map(|block| block.label.as_str())
        .find(|label| !is_certificate(label));
    if let Some(label) = others.filter(|label| label.contains("CRL") || label.contains("KEY")) {
        return Err(needs(&format!("/{path} of the base has a {label}")).into());
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

/// Whether a PEM block is a plain certificate.
fn is_certificate(label: &str) -> bool {
    matches!(label, "CERTIFICATE" | "X509 CERTIFICATE")
}

impl Bucket {
    /// The claim of a file, which is made if there is none.
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

    /// A link that exists.
    fn existing(&mut self, target: &str, number: usize) {
        let claim = self.claim(target);
        claim.number = Some(claim.number.map_or(number, |other| other.min(number)));
    }

    /// A file that needs a link. A second copy of the same certificate gets none.
    fn certificate(&mut self, file: &str, fingerprint: [u8; 20]) {
        if self.fingerprints.insert(fingerprint) {
            self.needed += 1;
            self.claim(file).fingerprint = Some(fingerprint);
        }
    }

    /// Gives out the numbers: links whose number is low enough stay, the rest are made or removed.
    fn settle(
        &self,
        tool: Rehash,
        mut write: impl FnMut(usize, Option<&str>) -> Result<(), AssembleStop>,
    ) -> Result<(), AssembleStop> {
        let stays = |claim: &HashName| claim.number.filter(|number| *number < self.needed);
        let mut taken: BTreeSet<usize> = self.claims.iter().filter_map(stays).collect();
        let mut free = 0;
        for claim in self.claims.iter().filter(|claim| stays(claim).is_none()) {
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
