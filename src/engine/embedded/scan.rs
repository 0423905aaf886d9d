//! Reading a layer's archive into an index. Layers come from elsewhere and are not trusted: names that lead out of
//! the root are refused, and how much may be unpacked and kept is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use super::aside::Aside;
use super::extended::Watched;
use crate::assemble::tree::{Attributes, LayerIndex, TreeNode, ancestors};
use crate::reference::Digest;

/// A layer may unpack to this many bytes, or to [`RATIO`] times its size, whichever is more.
const UNPACKED: u64 = 1 << 30;
/// How much larger than its compressed bytes a layer may be. Real ones stay below 20; deflate reaches 1032.
const RATIO: u64 = 100;
/// Files above this size are not kept.
const CONTENT: u64 = 4 << 20;
/// The memory that one layer's index may take: names, targets of links and content.
const KEPT: u64 = 40 << 20;
/// The memory that an entry takes in addition to its texts.
const ENTRY: u64 = 128;
/// The longest name and the longest target of a link, in bytes: Linux's `PATH_MAX`.
pub(super) const LONGEST_NAME: usize = 4096;
/// The number of components that a name may have.
const COMPONENTS: usize = 256;
/// The largest window of a zstd frame, as a power of two. Compressors for layers use 8 MiB at most.
const ZSTD_WINDOW: u32 = 25;

/// Where trust stores and the names of owners are; the content of files below is kept.
const KEPT_BELOW: &[&str] = &[
    "etc/ssl/",
    "etc/pki/tls/certs/",
    "etc/pki/ca-trust/extracted/pem/",
    "etc/ca-certificates/",
    "usr/local/share/ca-certificates/",
    "usr/share/ca-certificates/",
];
/// Single files that are kept.
const KEPT_FILES: &[&str] = &[
    "etc/passwd",
    "etc/group",
    "etc/os-release",
    "usr/lib/os-release",
    "etc/ca-certificates.conf",
    "usr/sbin/update-ca-certificates",
];

/// Whether the content of a file is kept. Keys never are.
fn is_kept(path: &str, wanted: &BTreeSet<String>) -> bool {
    let private = path.contains("/private/") || path.to_ascii_lowercase().ends_with(".key");
    wanted.contains(path)
        || KEPT_FILES.contains(&path)
        || (!private
            && KEPT_BELOW
                .iter()
                .any(|directory| path.starts_with(directory)))
}

/// Reads a whole layer of `size` compressed bytes. `wanted` are files whose content is to be kept as well. The digest
/// is that of the plain bytes, the layer's diff id.
pub(in crate::engine) fn scan(
    layer: impl Read,
    size: u64,
    wanted: &BTreeSet<String>,
) -> io::Result<(LayerIndex, Digest)> {
    std::thread::scope(|scope| {
        let limit = UNPACKED.max(size.saturating_mul(RATIO));
        let mut plain = Aside::start(
            scope,
            Bounded {
                inner: unpack(layer)?,
                left: limit,
            },
        )?;
        let mut scan = Scan {
            index: LayerIndex::default(),
            kept: 0,
            wanted,
            links: BTreeMap::new(),
        };
        let mut archive = tar::Archive::new(Watched::new(&mut plain));
        for entry in archive.entries()? {
            scan.entry(entry?)?;
        }
        // The digest is checked at the end of the stream, so it is read to its end.
        io::copy(&mut plain, &mut io::sink())?;
        let (rest, diff_id) = plain.finish()?;
        io::copy(&mut rest.inner.into_inner(), &mut io::sink())?;
        Ok((scan.finish()?, diff_id))
    })
}

/// A layer as it is stored. What it is, its first bytes say: media types are wrong often enough.
enum Unpacked<R: Read> {
    Plain(Peeked<R>),
    Gzip(Box<MultiGzDecoder<Peeked<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, io::BufReader<Peeked<R>>>),
}

/// The first bytes of a stream, and the rest of it.
type Peeked<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

/// Undoes the compression.
fn unpack<R: Read>(mut layer: R) -> io::Result<Unpacked<R>> {
    let mut magic = Vec::new();
    layer.by_ref().take(4).read_to_end(&mut magic)?;
    let gzip = magic.starts_with(&[0x1f, 0x8b]);
    // The second is that of a frame to be skipped, with which some writers begin.
    let zstd =
        magic == [0x28, 0xb5, 0x2f, 0xfd] || matches!(*magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18]);
    let peeked = io::Cursor::new(magic).chain(layer);
    Ok(if gzip {
        Unpacked::Gzip(Box::new(MultiGzDecoder::new(peeked)))
    } else if zstd {
        let mut decoder = zstd::stream::read::Decoder::new(peeked)?;
        decoder.window_log_max(ZSTD_WINDOW)?;
        Unpacked::Zstd(decoder)
    } else {
        Unpacked::Plain(peeked)
    })
}

impl<R: Read> Unpacked<R> {
    /// What was not read of the compressed stream.
    fn into_inner(self) -> Peeked<R> {
        match self {
            Self::Plain(inner) => inner,
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish().into_inner(),
        }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(inner) => inner.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// A reader that fails once too much comes out of it.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.left.checked_sub(read as u64);
        self.left = left.ok_or_else(|| {
            invalid("it unpacks to far more than its size: a decompression bomb?")
        })?;
        Ok(read)
    }
}

/// A layer that is not what it should be.
pub(super) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// An index in the making.
struct Scan<'a> {
    index: LayerIndex,
    kept: u64,
    wanted: &'a BTreeSet<String>,
    /// Hard links whose target's content is not known, by path.
    links: BTreeMap<String, String>,
}

impl Scan<'_> {
    /// Takes an entry in.
    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> io::Result<()> {
        let path = clean(&entry.path_bytes())?;
        self.keep(path.len() as u64 + ENTRY)?;
        let (above, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if name == ".wh..wh..opq" {
            self.index.opaque.insert(above.to_owned());
            return Ok(());
        }
        if let Some(gone) = name.strip_prefix(".wh.") {
            // Other names of AUFS, such as `.wh..wh.plnk`, mean nothing here.
            if !gone.starts_with(".wh.") && !gone.is_empty() {
                self.index.whiteouts.insert(if above.is_empty() {
                    gone.to_owned()
                } else {
                    format!("{above}/{gone}")
                });
            }
            return Ok(());
        }
        if path.is_empty() {
            return Ok(());
        }
        let node = self.node(&mut entry, &path)?;
        self.index.entries.insert(path, node);
        Ok(())
    }

    /// What an entry is.
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
                        // The path is held once more, and a symbolic link's target too.
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

    /// Counts what is kept.
    fn keep(&mut self, bytes: u64) -> io::Result<()> {
        self.kept += bytes;
        if self.kept <= KEPT {
            Ok(())
        } else {
            Err(too_much())
        }
    }

    /// Adds the directories that have something in them and no entry of their own.
    fn finish(mut self) -> io::Result<LayerIndex> {
        let mut implied = BTreeSet::new();
        let (entries, mut kept) = (&self.index.entries, 0);
        for path in entries.keys() {
            // Above a directory that is known, all others are known as well.
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
        // A link to a file that came before it, or in a layer below, is that file.
        self.index.links = std::mem::take(&mut self.links);
        Ok(self.index)
    }
}

/// The error for a layer whose index would be too large.
fn too_much() -> io::Error {
    invalid("it has more names and certificates than golden holds in memory")
}

/// The target of a link.
fn link_text<R: Read>(entry: &tar::Entry<'_, R>, path: &str) -> io::Result<String> {
    let target = entry
        .link_name_bytes()
        .ok_or_else(|| invalid(format!("{path} is a link to nothing")))?;
    if target.len() > LONGEST_NAME {
        return Err(invalid(format!(
            "it has a link to a name of {} bytes",
            target.len()
        )));
    }
    Ok(String::from_utf8_lossy(&target).into_owned())
}

/// A path below the root: `./` and a leading `/` mean the root, as for every engine; `..` is refused.
fn clean(path: &[u8]) -> io::Result<String> {
    if path.len() > LONGEST_NAME {
        return Err(invalid(format!("it has a name of {} bytes", path.len())));
    }
    let path = String::from_utf8_lossy(path);
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return Err(invalid(format!(
            "the entry {path:?} leads out of the image's root"
        )));
    }
    if parts.len() > COMPONENTS {
        return Err(invalid(format!(
            "it has a name of {} components",
            parts.len()
        )));
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

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
    fn a_layer_is_indexed_whatever_its_compression() {
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
    fn what_leads_out_of_the_root_is_refused() {
        for (path, kind, text) in [
            ("../x", 'f', ""),
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

    /// An archive with one entry of this kind, name and target, however long they are.
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
    fn names_links_and_components_are_bounded() {
        use tar::EntryType::{Link, Regular, Symlink};
        let long = |length: usize| "x".repeat(length);
        let deep = |components: usize| vec!["d"; components].join("/");
        let mut archive = tar::Builder::new(Vec::new());
        entry(&mut archive, Regular, &long(LONGEST_NAME), None);
        entry(&mut archive, Symlink, "s", Some(&long(LONGEST_NAME)));
        entry(&mut archive, Regular, &deep(COMPONENTS), None);
        let found = index(&archive.into_inner().unwrap()).unwrap();
        assert_eq!(found.entries.len(), 2 + COMPONENTS);
        let told = refused(|archive| entry(archive, Regular, &long(LONGEST_NAME + 1), None));
        assert_eq!(told, "it has a name of 4097 bytes");
        for kind in [Link, Symlink] {
            let told = refused(|archive| entry(archive, kind, "l", Some(&long(LONGEST_NAME + 1))));
            assert_eq!(told, "it has a link to a name of 4097 bytes");
        }
        let told = refused(|archive| entry(archive, Regular, &deep(COMPONENTS + 1), None));
        assert_eq!(told, "it has a name of 257 components");
    }

    #[test]
    fn names_that_would_fill_memory_are_refused() {
        use tar::EntryType::{Regular, Symlink};
        let too_much = too_much().to_string();
        // Each name brings directories of its own; each link a long target.
        let told = refused(|archive| {
            for n in 0..200 {
                entry(
                    archive,
                    Regular,
                    &format!("{n}{}", "/dddddddddd".repeat(COMPONENTS - 1)),
                    None,
                );
            }
        });
        assert_eq!(told, too_much);
        let told = refused(|archive| {
            for n in 0..11_000 {
                entry(
                    archive,
                    Symlink,
                    &n.to_string(),
                    Some(&"t".repeat(LONGEST_NAME)),
                );
            }
        });
        assert_eq!(told, too_much);
    }

    #[test]
    fn a_zstd_frame_that_asks_for_a_large_window_is_refused() {
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
    fn a_bomb_and_a_torn_layer_are_refused() {
        let bomb = gzip(&vec![0; 64 << 20]);
        let inner = unpack(bomb.as_slice()).unwrap();
        let mut plain = Bounded {
            inner,
            left: 1 << 20,
        };
        let error = io::copy(&mut plain, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("bomb"), "{error}");
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
