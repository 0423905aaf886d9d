//! `openssl rehash`: a link HASH.N for every file of a folder that holds exactly one certificate, where HASH is the
//! subject's and N tells apart those that share it. The order of the links is openssl's own (apps/rehash.c).

use std::collections::BTreeMap;

use sha1::{Digest as _, Sha1};

use super::super::overlay::Overlay;
use super::super::tree::Node;
use super::super::{Error, Stop};
use super::{link, subject};

/// What one file or link says about a hash.
struct Claim {
    file: String,
    fingerprint: Option<[u8; 20]>,
    /// The number of a link that is there already.
    number: Option<usize>,
}

/// The claims on one hash, in the order that they were met.
#[derive(Default)]
struct Bucket {
    claims: Vec<Claim>,
    needed: usize,
}

/// Brings the links of a folder up to date.
pub(super) fn rehash(overlay: &mut Overlay<'_>, folder: &str) -> Result<(), Stop> {
    let mut buckets = BTreeMap::<u32, Bucket>::new();
    for name in overlay.list(folder)? {
        let path = format!("{folder}/{name}");
        let target = match overlay.entry(&path)? {
            Some(Node::Symlink(target)) => Some(target.clone()),
            _ => None,
        };
        // The tool has removed links that lead nowhere before it calls openssl.
        if target.is_some() && overlay.entry(&overlay.resolve(&path)?)?.is_none() {
            overlay.remove(&path)?;
            continue;
        }
        match (target, hash_link(&name)) {
            (Some(target), Some((hash, number))) => {
                buckets.entry(hash).or_default().existing(&target, number);
            }
            _ => {
                if let Some((hash, fingerprint)) = certificate(overlay, &path, &name)? {
                    buckets.entry(hash).or_default().certificate(&name, fingerprint);
                }
            }
        }
    }
    for (hash, bucket) in buckets {
        bucket.settle(|number, file| {
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
    Some((u32::from_str_radix(hash, 16).ok().filter(|_| hex)?, number.parse().ok()?))
}

/// Subject hash and fingerprint of a file that holds exactly one certificate.
fn certificate(overlay: &Overlay<'_>, path: &str, name: &str) -> Result<Option<(u32, [u8; 20])>, Stop> {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    if !matches!(extension.as_deref(), Some("pem" | "crt" | "cer" | "crl")) {
        return Ok(None);
    }
    let Some(bytes) = overlay.read(path)? else { return Ok(None) };
    let mut blocks = x509_parser::pem::Pem::iter_from_buffer(&bytes);
    let (Some(Ok(block)), None) = (blocks.next(), blocks.next()) else { return Ok(None) };
    if !matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE") {
        return Ok(None);
    }
    let hash = subject::hash(&block.contents).ok_or_else(|| Error::Certificate(format!("/{path}")))?;
    Ok(Some((hash, Sha1::digest(&block.contents).into())))
}

impl Bucket {
    /// A link that is there.
    fn existing(&mut self, target: &str, number: usize) {
        match self.claims.iter_mut().rev().find(|claim| claim.file == target) {
            Some(claim) => claim.number = Some(claim.number.map_or(number, |there| there.min(number))),
            None => {
                self.claims.push(Claim { file: target.to_owned(), fingerprint: None, number: Some(number) });
            }
        }
    }

    /// A file that wants a link. A second copy of the same certificate gets none.
    fn certificate(&mut self, file: &str, fingerprint: [u8; 20]) {
        if self.claims.iter().any(|claim| claim.fingerprint == Some(fingerprint)) {
            return;
        }
        self.needed += 1;
        match self.claims.iter_mut().find(|claim| claim.file == file) {
            Some(claim) => claim.fingerprint = Some(fingerprint),
            None => {
                self.claims.push(Claim {
                    file: file.to_owned(),
                    fingerprint: Some(fingerprint),
                    number: None,
                });
            }
        }
    }

    /// Gives out the numbers: links whose number is low enough stay, the rest are made or taken away.
    fn settle(&self, mut write: impl FnMut(usize, Option<&str>) -> Result<(), Stop>) -> Result<(), Stop> {
        let stays = |claim: &Claim| claim.number.filter(|number| *number < self.needed);
        let mut taken: Vec<usize> = self.claims.iter().filter_map(stays).collect();
        for claim in self.claims.iter().filter(|claim| stays(claim).is_none()) {
            if claim.fingerprint.is_some() {
                // One of the first numbers is free: there are more of them than are taken.
                let free = (0..=taken.len()).find(|number| !taken.contains(number)).unwrap_or_default();
                write(free, Some(&claim.file))?;
                taken.push(free);
            } else if let Some(number) = claim.number.filter(|number| !taken.contains(number)) {
                write(number, None)?;
            }
        }
        Ok(())
    }
}
