//! Reads the archive of a layer and creates its index. Layers are not trusted: names that lead out
//! of the root are refused, and the unpacked size and the memory are limited.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::hashing_reader::HashingReader;
use crate::assemble::tree::{Attributes, LayerIndex, TreeNode, ancestors};
use crate::oci::extended::{HeaderLimiter, invalid};
use crate::oci::unpacked::{LayerName, UnpackedLayer, clean, link_text};
use crate::reference::Digest;

/// The largest file whose content is kept, in bytes.
const CONTENT: u64 = 4 << 20;
/// The limit for the memory of one layer's index: names, link targets and content, in bytes.
const KEPT: u64 = 40 << 20;
/// The memory of an entry in addition to its strings, in bytes.
const ENTRY: u64 = 128;
/// Directories of the trust stores. The content of their files is kept.
const KEPT_BELOW: &[&str] = &[
    "etc/ssl/",
    "etc/pki/tls/certs/",
    "etc/pki/ca-trust/extracted/pem/",
    "etc/ca-certificates/",
    "usr/local/share/ca-certificates/",
    "usr/share/ca-certificates/",
];
/// Other files whose content is kept.
const KEPT_FILES: &[&str] = &[
    "etc/passwd",
    "etc/group",
    "etc/os-release",
    "usr/lib/os-release",
    "etc/ca-certificates.conf",
    "usr/sbin/update-ca-certificates",
];

/// True if the content of a file is kept. Private keys of the trust stores are not kept.
fn is_kept(path: &str, wanted: &BTreeSet<String>) -> bool {
    let private = path.contains("/private/") || path.to_ascii_lowercase().ends_with(".key");
    wanted.contains(path)
        || KEPT_FILES.contains(&path)
        || (!private
            && KEPT_BELOW
                .iter()
                .any(|directory| path.starts_with(directory)))
}

/// Reads a whole layer of `size` compressed bytes. `wanted` are the files whose content is also
/// kept. Returns the index and the digest of the uncompressed layer (its diff ID). Fails if the
/// archive is damaged, leads out of the root, or exceeds a limit.
pub(in crate::engine) fn scan(
    layer: impl Read,
    size: u64,
    wanted: &BTreeSet<String>,
) -> io::Result<(LayerIndex, Digest)> {
    std::thread::scope(|scope| {
        let mut plain = HashingReader::start(scope, UnpackedLayer::open(layer, size)?)?;
        let mut scan = LayerScan {
            index: LayerIndex::default(),
            kept: 0,
            wanted,
            links: BTreeMap::new(),
        };
        let mut archive = tar::Archive::new(HeaderLimiter::new(&mut plain));
        for entry in archive.entries()? {
            scan.entry(entry?)?;
        }
        // The stream is read to its end, because the digest is checked there.
        io::copy(&mut plain, &mut io::sink())?;
        let (rest, diff_id) = plain.finish()?;
        rest.finish()?;
        Ok((scan.finish()?, diff_id))
    })
}

/// The index of a layer while it is being read.
struct LayerScan<'a> {
    index: LayerIndex,
    kept: u64,
    wanted: &'a BTreeSet<String>,
    /// Hard links whose target has no known content, by path.
    links: BTreeMap<String, String>,
}

impl LayerScan<'_> {
    /// Adds an entry of the archive.
    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> io::Result<()> {
        let name = LayerName::parse(&entry.path_bytes())?;
        self.keep(entry.path_bytes().len() as u64 + ENTRY)?;
        let path = match name {
            LayerName::Ignored => return Ok(()),
            LayerName::Opaque(directory) => {
                self.index.opaque.insert(directory);
                return Ok(());
            }
            LayerName::Whiteout(path) => {
                self.index.whiteouts.insert(path);
                return Ok(());
            }
            LayerName::Entry(path) => path,
        };
        let node = self.node(&mut entry, &path)?;
        self.index.entries.insert(path, node);
        Ok(())
    }

    /// Converts an entry to a node.
    fn node<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>, path: &str) -> io::Result<TreeNode> {
        let header = entry.header();
        let number = |value: u64| {
            u32::try_from(value).map_err(|_| invalid(format!("{path} has an owner out of range")))
        };
        let attributes = Attributes {
            mode: header.mode()? & 0o7777,
            uid: number(header.uid()?)?,
            gid: number(header.gid()?)?,
        };
        let kind = header.entry_type();
        Ok(match kind {
            tar::EntryType::Directory => TreeNode::Directory(attributes),
            tar::EntryType::Symlink => {
                let target = link_text(entry, path)?;
                self.keep(target.len() as u64)?;
                TreeNode::Symlink(target)
            }
            tar::EntryType::Link => {
                let target = clean(link_text(entry, path)?.as_bytes())?;
                self.keep(target.len() as u64)?;
                match self.index.entries.get(&target) {
                    Some(
                        node @ TreeNode::File {
                            content: Some(_), ..
                        },
                    ) => node.clone(),
                    found => {
                        let found = found.cloned();
                        // The path is stored a second time, and so is the target of a symbolic
                        // link.
                        let again = if let Some(TreeNode::Symlink(target)) = &found {
                            target.len()
                        } else {
                            0
                        };
                        self.keep((path.len() + again) as u64 + ENTRY)?;
                        self.links.insert(path.to_owned(), target);
                        found.unwrap_or(TreeNode::File {
                            attributes,
                            content: None,
                        })
                    }
                }
            }
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                let size = entry.size();
                if is_kept(path, self.wanted) && size <= CONTENT {
                    self.keep(size)?;
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes)?;
                    TreeNode::File {
                        attributes,
                        content: Some(bytes.into()),
                    }
                } else {
                    TreeNode::File {
                        attributes,
                        content: None,
                    }
                }
            }
            _ => TreeNode::Other,
        })
    }

    /// Counts the used memory. Fails if it exceeds the limit.
    fn keep(&mut self, bytes: u64) -> io::Result<()> {
        self.kept += bytes;
        if self.kept <= KEPT {
            Ok(())
        } else {
            Err(too_much())
        }
    }

    /// Adds the parent directories that have no entry of their own.
    fn finish(mut self) -> io::Result<LayerIndex> {
        let mut implied = BTreeSet::new();
        let (entries, mut kept) = (&self.index.entries, 0);
        for path in entries.keys() {
            // If a directory is already known, so are its parents.
            for above in ancestors(path).take_while(|above| !entries.contains_key(*above)) {
                if !implied.insert(above.to_owned()) {
                    break;
                }
                kept += above.len() as u64 + ENTRY;
                if self.kept + kept > KEPT {
                    return Err(too_much());
                }
            }
        }
        self.index
            .entries
            .extend(implied.into_iter().map(|path| (path, TreeNode::Implied)));
        // These links refer to a file earlier in this layer or in a lower layer.
        self.index.links = std::mem::take(&mut self.links);
        Ok(self.index)
    }
}

/// The error for a layer whose index would be too large.
fn too_much() -> io::Error {
    invalid("it has more names and certificates than golden can hold in memory")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::oci::extended::LONGEST_NAME;
    use crate::oci::unpacked::{COMPONENTS, ZSTD_WINDOW};

    fn tar_of(entries: &[(&str, char, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, text) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_mode(0o640);
            header.set_uid(1);
            header.set_gid(2);
            header.set_mtime(0);
            header.set_size(if *kind == 'f' { text.len() as u64 } else { 0 });
            if *kind != 'f' {
                header.as_mut_bytes()[157..157 + text.len()].copy_from_slice(text.as_bytes());
            }
            header.set_entry_type(match kind {
                'f' => tar::EntryType::Regular,
                'd' => tar::EntryType::Directory,
                'l' => tar::EntryType::Link,
                _ => tar::EntryType::Symlink,
            });
            header.set_cksum();
            builder
                .append(&header, if *kind == 'f' { text.as_bytes() } else { b"" })
                .unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(9));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn index(bytes: &[u8]) -> io::Result<LayerIndex> {
        scan(bytes, bytes.len() as u64, &BTreeSet::new()).map(|(index, _)| index)
    }

    #[test]
    fn a_layer_has_the_same_index_with_every_compression() {
        let plain = tar_of(&[
            ("./etc/passwd", 'f', "root:x:0:0"),
            ("etc/shadow", 'f', "secret"),
            ("/usr/bin/", 'd', ""),
            ("bin", 's', "usr/bin"),
            ("etc/group", 'l', "/etc/passwd"),
            ("etc/.wh.gone", 'f', ""),
            ("var/.wh..wh..opq", 'f', ""),
        ]);
        let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();
        let expected = index(&plain).unwrap();
        assert_eq!(index(&gzip(&plain)).unwrap(), expected);
        assert_eq!(index(&zstd).unwrap(), expected);
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7], zstd.as_slice()].concat();
        assert_eq!(index(&skipped).unwrap(), expected);
        let attributes = Attributes {
            mode: 0o640,
            uid: 1,
            gid: 2,
        };
        let passwd = TreeNode::File {
            attributes,
            content: Some((*b"root:x:0:0").into()),
        };
        assert_eq!(expected.entries["etc/passwd"], passwd);
        assert_eq!(expected.entries["etc/group"], passwd);
        assert_eq!(
            expected.entries["etc/shadow"],
            TreeNode::File {
                attributes,
                content: None
            }
        );
        assert_eq!(expected.entries["usr"], TreeNode::Implied);
        assert_eq!(
            expected.entries["bin"],
            TreeNode::Symlink("usr/bin".to_owned())
        );
        assert!(expected.whiteouts.contains("etc/gone") && expected.opaque.contains("var"));
    }

    #[test]
    fn a_name_that_leads_out_of_the_root_is_refused() {
        for (path, kind, text) in [
            ("../x", 'f', ""),
            (".wh..", 'f', ""),
            ("a/.wh...", 'f', ""),
            ("a/../../x", 'd', ""),
            ("x", 'l', "../../etc/shadow"),
        ] {
            let error = index(&tar_of(&[(path, kind, text)])).unwrap_err();
            assert!(
                error.to_string().contains("leads out of the image's root"),
                "{error}"
            );
        }
    }

    /// Adds an entry of this kind, name and target to an archive. Both can have any length.
    fn entry(
        archive: &mut tar::Builder<Vec<u8>>,
        kind: tar::EntryType,
        name: &str,
        target: Option<&str>,
    ) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        match target {
            None => archive.append_data(&mut header, name, io::empty()).unwrap(),
            Some(target) => archive.append_link(&mut header, name, target).unwrap(),
        }
    }

    fn refused(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> String {
        let mut archive = tar::Builder::new(Vec::new());
        fill(&mut archive);
        index(&archive.into_inner().unwrap())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn names_links_and_components_are_limited() {
        use tar::EntryType::{Link, Regular, Symlink};
        let long = |length: usize| "x".repeat(length);
        let deep = |components: usize| vec!["d"; components].join("/");
        let mut archive = tar::Builder::new(Vec::new());
        entry(&mut archive, Regular, &long(LONGEST_NAME), None);
        entry(&mut archive, Symlink, "s", Some(&long(LONGEST_NAME)));
        entry(&mut archive, Regular, &deep(COMPONENTS), None);
        let found = index(&archive.into_inner().unwrap()).unwrap();
        assert_eq!(found.entries.len(), 2 + COMPONENTS);
        let error = refused(|archive| entry(archive, Regular, &long(LONGEST_NAME + 1), None));
        assert_eq!(error, "it has a name of 4097 bytes");
        for kind in [Link, Symlink] {
            let error = refused(|archive| entry(archive, kind, "l", Some(&long(LONGEST_NAME + 1))));
            assert_eq!(error, "it has a link to a name of 4097 bytes");
        }
        let error = refused(|archive| entry(archive, Regular, &deep(COMPONENTS + 1), None));
        assert_eq!(error, "it has a name of 257 components");
    }

    #[test]
    fn names_that_would_fill_the_memory_are_refused() {
        use tar::EntryType::{Regular, Symlink};
        let too_much = too_much().to_string();
        // Each name has its own directories; each link has a long target.
        let error = refused(|archive| {
            for n in 0..200 {
                entry(
                    archive,
                    Regular,
                    &format!("{n}{}", "/dddddddddd".repeat(COMPONENTS - 1)),
                    None,
                );
            }
        });
        assert_eq!(error, too_much);
        let error = refused(|archive| {
            for n in 0..11_000 {
                entry(
                    archive,
                    Symlink,
                    &n.to_string(),
                    Some(&"t".repeat(LONGEST_NAME)),
                );
            }
        });
        assert_eq!(error, too_much);
    }

    #[test]
    fn a_zstd_frame_with_a_large_window_is_refused() {
        let plain = tar_of(&[("etc/passwd", 'f', "root")]);
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(ZSTD_WINDOW + 1).unwrap();
        encoder.long_distance_matching(true).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(&plain).unwrap();
        let error = index(&encoder.finish().unwrap()).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }

    #[test]
    fn an_incomplete_layer_is_refused() {
        let whole = tar_of(&[("etc/passwd", 'f', &"x".repeat(4000))]);
        assert!(index(&whole[..2000]).is_err());
        let packed = gzip(&whole);
        assert!(index(&packed[..packed.len() - 9]).is_err());
        assert!(
            index(b"hello, this is no archive at all, but long enough to be taken for one ....")
                .is_err()
        );
    }
}
