//! The uncompressed bytes of a layer, and the names in it. Layers are not trusted: names that lead
//! out of the root are refused, and the unpacked size is limited.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use super::extended::{LONGEST_NAME, invalid};

/// The limit for the unpacked size of a layer, in bytes. If [`RATIO`] times the compressed size is
/// larger, that is the limit.
const UNPACKED: u64 = 1 << 30;
/// The limit for the compression ratio of a layer. Real layers stay below 20; deflate reaches 1032.
const RATIO: u64 = 100;
/// The maximum number of components of a name.
pub(crate) const COMPONENTS: usize = 256;
/// The largest window of a zstd frame, as a power of two. Compressors for layers use 8 MiB at most.
pub(crate) const ZSTD_WINDOW: u32 = 25;

/// The uncompressed bytes of a layer. Reading fails if there are far more of them than the
/// compressed size suggests.
pub(crate) struct UnpackedLayer<R: Read> {
    inner: Unpacked<R>,
    left: u64,
}

impl<R: Read> UnpackedLayer<R> {
    /// Starts to unpack a layer of `size` compressed bytes. Detects the compression.
    pub(crate) fn open(layer: R, size: u64) -> io::Result<Self> {
        Self::limited(layer, UNPACKED.max(size.saturating_mul(RATIO)))
    }

    fn limited(layer: R, left: u64) -> io::Result<Self> {
        let inner = unpack(layer)?;
        Ok(Self { inner, left })
    }

    /// Reads the compressed stream to its end, because its digest is verified there.
    pub(crate) fn finish(self) -> io::Result<()> {
        io::copy(&mut self.inner.into_inner(), &mut io::sink()).map(drop)
    }
}

impl<R: Read> Read for UnpackedLayer<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.left.checked_sub(read as u64);
        self.left = left.ok_or_else(|| {
            invalid("it unpacks to far more than its size: a decompression bomb?")
        })?;
        Ok(read)
    }
}

/// A layer with its compression. The first bytes decide, because the media type is sometimes wrong.
enum Unpacked<R: Read> {
    Plain(Peeked<R>),
    Gzip(Box<MultiGzDecoder<Peeked<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, io::BufReader<Peeked<R>>>),
}

/// The first bytes of a stream and the rest of the stream.
type Peeked<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

/// Detects the compression and unpacks the layer.
fn unpack<R: Read>(mut layer: R) -> io::Result<Unpacked<R>> {
    let mut magic = Vec::new();
    layer.by_ref().take(4).read_to_end(&mut magic)?;
    let gzip = magic.starts_with(&[0x1f, 0x8b]);
    // The second pattern is a skippable frame, which some writers put first.
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
    /// The rest of the compressed stream.
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

/// The meaning of a name in a layer (OCI image spec, layer.md). Paths are relative to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LayerName {
    /// The root, or a name that only AUFS uses.
    Ignored,
    /// The content of this directory in the layers below is hidden.
    Opaque(String),
    /// This path of the layers below is removed.
    Whiteout(String),
    /// A file or a directory.
    Entry(String),
}

impl LayerName {
    /// Parses the name of an entry. Fails if it is too long or leads out of the root.
    pub(crate) fn parse(name: &[u8]) -> io::Result<Self> {
        let path = clean(name)?;
        let (above, last) = path.rsplit_once('/').unwrap_or(("", &path));
        if last == ".wh..wh..opq" {
            return Ok(Self::Opaque(above.to_owned()));
        }
        let Some(removed) = last.strip_prefix(".wh.") else {
            return Ok(if path.is_empty() {
                Self::Ignored
            } else {
                Self::Entry(path)
            });
        };
        Ok(match removed {
            "." | ".." => return Err(outside(&path)),
            "" => Self::Ignored,
            // Other names of AUFS, such as `.wh..wh.plnk`.
            aufs if aufs.starts_with(".wh.") => Self::Ignored,
            _ if above.is_empty() => Self::Whiteout(removed.to_owned()),
            _ => Self::Whiteout(format!("{above}/{removed}")),
        })
    }
}

/// The target of a link.
pub(crate) fn link_text<R: Read>(entry: &tar::Entry<'_, R>, path: &str) -> io::Result<String> {
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

/// Returns a path relative to the root. `./` and a leading `/` mean the root, as for every engine.
/// Fails if the path contains `..` or is too long.
pub(crate) fn clean(path: &[u8]) -> io::Result<String> {
    if path.len() > LONGEST_NAME {
        return Err(invalid(format!("it has a name of {} bytes", path.len())));
    }
    let path = String::from_utf8_lossy(path);
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return Err(outside(&path));
    }
    if parts.len() > COMPONENTS {
        return Err(invalid(format!(
            "it has a name of {} components",
            parts.len()
        )));
    }
    Ok(parts.join("/"))
}

/// The error for an entry or a whiteout whose path is outside the root.
fn outside(path: &str) -> io::Error {
    invalid(format!("the entry {path:?} leads out of the image's root"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_decompression_bomb_is_refused() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(9));
        encoder.write_all(&vec![0; 64 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        let mut plain = UnpackedLayer::limited(bomb.as_slice(), 1 << 20).unwrap();
        let error = io::copy(&mut plain, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("bomb"), "{error}");
    }

    #[test]
    fn names_of_whiteouts_are_recognised() {
        for (name, expected) in [
            ("./etc/a", Some(LayerName::Entry("etc/a".to_owned()))),
            ("/", Some(LayerName::Ignored)),
            ("etc/.wh.a", Some(LayerName::Whiteout("etc/a".to_owned()))),
            (".wh.a", Some(LayerName::Whiteout("a".to_owned()))),
            ("a/.wh..wh..opq", Some(LayerName::Opaque("a".to_owned()))),
            (".wh..wh..opq", Some(LayerName::Opaque(String::new()))),
            (".wh..wh.plnk", Some(LayerName::Ignored)),
            (".wh.", Some(LayerName::Ignored)),
            (".wh..", None),
            ("a/.wh...", None),
            ("a/../b", None),
        ] {
            assert_eq!(LayerName::parse(name.as_bytes()).ok(), expected, "{name}");
        }
    }
}
