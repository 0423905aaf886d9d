//! Exports an image from a daemon: reads its archive as a stream and stores the layers as files.

use std::collections::BTreeMap;
use std::io::{self, Chain, Cursor, Read, Seek as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use crate::assemble::{AssembledImage, BaseImage, Layer, LayerSource};
use crate::oci::layer::compress;
use crate::oci::{Descriptor, ImageConfig, ImageManifest, RawManifest, media};
use crate::platform::Platform;
use crate::reference::{Digest, Hasher};
use crate::workspace::fs::UnfinishedFile;
use crate::workspace::{fs, state};

/// The largest manifest or config in an archive, in bytes.
const METADATA: u64 = 8 << 20;
/// The number of bytes that identify the type of a file.
const HEAD: u64 = 4;
/// The first bytes of a gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The first bytes of a zstd stream.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The archive's table of contents, manifest.json.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ArchiveManifest {
    config: String,
    pub(super) layers: Vec<String>,
}

/// A file of the archive.
#[derive(Debug)]
pub(in crate::engine) enum Member {
    /// JSON.
    Small(Vec<u8>),
    /// A layer as a plain tar.
    Layer {
        diff_id: Digest,
        plain: UnfinishedFile,
    },
    /// A link to another file: an archive contains equal layers only once.
    Link(String),
}

/// The files of an archive by path.
pub(in crate::engine) type Members = BTreeMap<String, Member>;

/// The path of an entry of an archive, without a leading `./`.
pub(super) fn path(entry: &tar::Entry<'_, impl Read>) -> io::Result<String> {
    let path = entry.path()?;
    Ok(path.to_string_lossy().trim_start_matches("./").to_owned())
}

/// Reads an archive. Layers become files in `directory`; other files stay in memory. Fails if the
/// archive is damaged or `directory` cannot be written.
pub(in crate::engine) fn unpack(reader: impl Read, directory: &Path) -> io::Result<Members> {
    let mut members = Members::new();
    for entry in tar::Archive::new(reader).entries()? {
        let mut entry = entry?;
        let path = path(&entry)?;
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            if let Some(target) = entry.link_name()? {
                let target = target.to_string_lossy().into_owned();
                members.insert(
                    path.clone(),
                    Member::Link(link_target(&path, &target, kind.is_symlink())),
                );
            }
        } else if kind.is_file() {
            let size = entry.size();
            let mut head = Vec::new();
            entry.by_ref().take(HEAD).read_to_end(&mut head)?;
            members.insert(path, read(head, entry, size, directory)?);
        }
    }
    Ok(members)
}

/// Reads a file of the archive. `head` is its first bytes.
fn read(head: Vec<u8>, rest: impl Read, size: u64, directory: &Path) -> io::Result<Member> {
    let json = is_json(&head);
    let (gzip, zstd) = (head.starts_with(&GZIP), head.starts_with(&ZSTD));
    let mut stream: Chain<_, _> = Cursor::new(head).chain(rest);
    if json && size <= METADATA {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(Member::Small(bytes))
    } else if gzip {
        layer(MultiGzDecoder::new(stream), directory)
    } else if zstd {
        layer(zstd::Decoder::new(stream)?, directory)
    } else {
        layer(stream, directory)
    }
}

/// Stores a plain tar in a temporary file, which is deleted when the member is dropped.
fn layer(tar: impl Read, directory: &Path) -> io::Result<Member> {
    let mut plain = UnfinishedFile::in_real(directory)?;
    let mut hasher = Hasher::sha256();
    hasher.copy(tar, &mut plain)?;
    Ok(Member::Layer {
        diff_id: hasher.finish(),
        plain,
    })
}

/// The target of a link at `path`. The target of a symbolic link is relative to the directory of
/// the link.
pub(super) fn link_target(path: &str, target: &str, symbolic: bool) -> String {
    if !symbolic {
        return target.to_owned();
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The config of the only image in an archive. Layers are skipped. Fails if the archive lacks its
/// manifest or the config.
pub(in crate::engine) fn config(archive: impl Read) -> io::Result<ImageConfig> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() || entry.size() > METADATA {
            continue;
        }
        let path = path(&entry)?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        if is_json(&bytes) {
            files.insert(path, bytes);
        }
    }
    let json = |path: &str| files.get(path).ok_or_else(|| missing(path));
    let config = json(&single(json("manifest.json")?)?.config)?;
    ImageConfig::parse(config).map_err(io::Error::other)
}

/// The only image that `manifest.json` lists.
pub(super) fn single(manifest: &[u8]) -> io::Result<ArchiveManifest> {
    let images: Vec<ArchiveManifest> = serde_json::from_slice(manifest)?;
    <[ArchiveManifest; 1]>::try_from(images)
        .map(|[image]| image)
        .map_err(|_| missing("single image"))
}

/// The error for an archive that lacks a part.
pub(super) fn missing(what: &str) -> io::Error {
    io::Error::other(format!("its archive has no {what}"))
}

fn is_json(bytes: &[u8]) -> bool {
    bytes.starts_with(b"{") || bytes.starts_with(b"[")
}

/// Creates an image from its archive. Layers of the base keep the source that the base has for
/// them. Fails if the archive lacks its manifest, config or a layer.
pub(in crate::engine) fn compose(
    members: &mut Members,
    platform: Platform,
    base: &BaseImage,
    directory: &Path,
) -> io::Result<AssembledImage> {
    let json = |members: &Members, path: &str| match members.get(path) {
        Some(Member::Small(bytes)) => Ok(bytes.clone()),
        _ => Err(missing(path)),
    };
    let contents = single(&json(members, "manifest.json")?)?;
    let config = json(members, &contents.config)?;
    let of_base = base.config.diff_ids().unwrap_or_default();
    let mut layers = Vec::new();
    for (at, path) in contents.layers.iter().enumerate() {
        let (diff_id, plain) = find(members, path).ok_or_else(|| missing(path))?;
        match (of_base.get(at), base.layers.get(at)) {
            (Some(known), Some(layer)) if *known == *diff_id => layers.push(layer.clone()),
            _ => layers.push(keep(plain, base.docker, directory)?),
        }
    }
    let named = ImageConfig::parse(&config)
        .map_err(io::Error::other)?
        .diff_ids()
        .unwrap_or_default();
    if named.len() != layers.len() {
        return Err(io::Error::other(
            "its archive does not have the layers that its config lists",
        ));
    }
    Ok(AssembledImage::new(
        platform,
        config.into(),
        layers,
        base.docker,
    ))
}

/// Returns a layer of the archive and follows links.
fn find<'a>(members: &'a mut Members, path: &str) -> Option<(&'a Digest, &'a mut UnfinishedFile)> {
    let path = match members.get(path)? {
        Member::Link(target) => target.clone(),
        _ => path.to_owned(),
    };
    match members.get_mut(&path)? {
        Member::Layer { diff_id, plain } => Some((diff_id, plain)),
        Member::Small(_) | Member::Link(_) => None,
    }
}

/// Compresses a layer into a file that has the digest as its name.
fn keep(plain: &mut UnfinishedFile, docker: bool, directory: &Path) -> io::Result<Layer> {
    plain.rewind()?;
    let (written, file) = compress(plain, UnfinishedFile::in_real(directory)?)?;
    let name = written.digest.hex();
    let path = directory.join(name);
    file.persist(name.as_ref())?;
    let media_type = if docker {
        media::DOCKER_LAYER_GZIP
    } else {
        media::OCI_LAYER_GZIP
    };
    let descriptor = Descriptor::new(media_type, written.digest, written.size);
    Ok(Layer {
        descriptor,
        source: LayerSource::File(path),
    })
}

/// Stores the manifest and the config of an image next to its layers.
pub(in crate::engine) fn keep_image(
    image: &AssembledImage,
    directory: &Path,
) -> Result<(), state::Error> {
    fs::write_cached_real(
        &directory.join(Digest::of(&image.config).hex()),
        &image.config,
    )?;
    fs::write_cached_real(
        &directory.join(image.manifest.digest.hex()),
        &image.manifest.bytes,
    )
}

/// Reads a stored image. Returns `None` if a part of it is missing or changed.
pub(in crate::engine) fn kept_image(
    manifest: &Digest,
    platform: &Platform,
    base: &BaseImage,
    directory: &Path,
) -> Result<Option<AssembledImage>, state::Error> {
    let read = |digest: &Digest| {
        let bytes = fs::if_exists(fs::read_real(&directory.join(digest.hex())))?;
        Ok::<_, state::Error>(bytes.filter(|bytes| Digest::of(bytes) == *digest))
    };
    let Some(bytes) = read(manifest)? else {
        return Ok(None);
    };
    let Ok(parsed) = serde_json::from_slice::<ImageManifest>(&bytes) else {
        return Ok(None);
    };
    let Some(config) = read(&parsed.config.digest)? else {
        return Ok(None);
    };
    let find_layer = |descriptor: &Descriptor| {
        let path = directory.join(descriptor.digest.hex());
        let is_stored = std::fs::metadata(&path).is_ok_and(|file| file.len() == descriptor.size);
        let of_base = || {
            base.layers
                .iter()
                .find(|layer| layer.descriptor.digest == descriptor.digest)
                .cloned()
        };
        let own = Layer {
            descriptor: descriptor.clone(),
            source: LayerSource::File(path),
        };
        if is_stored { Some(own) } else { of_base() }
    };
    let layers: Option<Vec<Layer>> = parsed.layers.iter().map(find_layer).collect();
    let Some(layers) = layers else {
        return Ok(None);
    };
    let media_type = parsed.media_type.as_deref().unwrap_or(media::OCI_MANIFEST);
    Ok(Some(AssembledImage {
        platform: platform.clone(),
        manifest: RawManifest::new(media_type, bytes),
        config: config.into(),
        layers,
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_symbolic_link_is_relative_to_its_directory() {
        for (path, target, symbolic, found) in [
            ("a/layer.tar", "../b/layer.tar", true, "b/layer.tar"),
            ("a/layer.tar", "b/layer.tar", false, "b/layer.tar"),
            ("layer.tar", "./x", true, "x"),
        ] {
            assert_eq!(link_target(path, target, symbolic), found);
        }
    }

    /// An archive as Docker Engine 20.10 writes it: a layer, a link to it, a config.
    fn archive(layer: &[u8], diff_ids: usize) -> Vec<u8> {
        let ids: Vec<String> =
            std::iter::repeat_n(Digest::of(layer).to_string(), diff_ids).collect();
        let config = serde_json::json!({
            "architecture": "arm64", "os": "linux", "config": {"Shell": ["/bin/ash", "-c"]},
            "rootfs": {"type": "layers", "diff_ids": ids},
        });
        let contents = r#"[{"Config": "c.json", "Layers": ["a/layer.tar", "b/layer.tar"]}]"#;
        let mut tar = tar::Builder::new(Vec::new());
        let mut put = |path: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, bytes).unwrap();
        };
        put("a/layer.tar", layer);
        put("c.json", config.to_string().as_bytes());
        put("manifest.json", contents.as_bytes());
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "b/layer.tar", "../a/layer.tar")
            .unwrap();
        tar.into_inner().unwrap()
    }

    fn imported(archive: &[u8]) -> io::Result<AssembledImage> {
        let directory = tempfile::tempdir().unwrap();
        let mut members = unpack(archive, directory.path())?;
        let platform: Platform = "linux/arm64".parse().unwrap();
        let base = BaseImage::scratch(&platform);
        compose(&mut members, platform, &base, directory.path())
    }

    #[test]
    fn an_archive_becomes_an_image_compressed_or_not() {
        let plain = [0; 1024];
        let image = imported(&archive(&plain, 2)).unwrap();
        assert_eq!(image.layers.len(), 2);
        assert_eq!(image.layers[0].descriptor, image.layers[1].descriptor);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let compressed = imported(&archive(&gzip.finish().unwrap(), 2)).unwrap();
        assert_eq!(compressed.layers[0].descriptor, image.layers[0].descriptor);
    }

    #[test]
    fn the_config_is_read_without_the_layers() {
        let layer = br#"{"config": {"Shell": ["/of/a/layer"]}}"#;
        let found = config(archive(layer, 2).as_slice()).unwrap();
        assert_eq!(found.words("Shell"), ["/bin/ash", "-c"]);
        for (archive, expected) in [
            (&[0; 1024][..], "its archive has no manifest.json"),
            (
                &archive(layer, 2)[..2048],
                "its archive has no manifest.json",
            ),
        ] {
            assert_eq!(config(archive).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn an_inconsistent_archive_is_refused() {
        assert!(
            imported(&archive(&[0; 1024], 1))
                .unwrap_err()
                .to_string()
                .contains("does not have the layers")
        );
        assert!(
            imported(&[0; 1024])
                .unwrap_err()
                .to_string()
                .contains("no manifest.json")
        );
        assert!(imported(b"nonsense".repeat(100).as_slice()).is_err());
    }

    proptest::proptest! {
        /// A kept image is returned only if it has the requested digest.
        #[test]
        fn a_damaged_kept_image_is_not_returned(
            at in proptest::prelude::any::<proptest::sample::Index>(),
            byte in proptest::num::u8::ANY,
            cut in proptest::bool::ANY,
            of_manifest in proptest::bool::ANY,
        ) {
            let directory = tempfile::tempdir()?;
            let platform: Platform = "linux/arm64".parse().unwrap();
            let base = BaseImage::scratch(&platform);
            let mut members = unpack(archive(&[0; 1024], 2).as_slice(), directory.path())?;
            let image = compose(&mut members, platform.clone(), &base, directory.path())?;
            keep_image(&image, directory.path())?;
            let digest = if of_manifest { image.manifest.digest.clone() } else { Digest::of(&image.config) };
            let path = directory.path().join(digest.hex());
            let mut bytes = fs::read(&path)?;
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] = byte;
            }
            let is_valid = digest.is_of(&bytes);
            fs::write_cached(&path, &bytes)?;
            let found = kept_image(&image.manifest.digest, &platform, &base, directory.path())?;
            proptest::prop_assert_eq!(found.is_some(), is_valid);
        }
    }
}
