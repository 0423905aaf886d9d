//! The docker archive, the format that `docker load`, `podman load` and skopeo's `docker-archive:`
//! read.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Error;
use super::named::NamedImage;
use crate::assemble::{AssembledImage, Layer};
use crate::image::Blobs;
use crate::oci::media;
use crate::reference::Digest;
use crate::registry::BlobSource as _;
use crate::workspace::fs;

/// An entry of `manifest.json`: one image of the archive.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ArchiveImage {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// Writes an archive file atomically. A link to a file is kept and its target is replaced. Fails if
/// the path is something else, such as a device.
pub async fn write_file(
    path: &Path,
    images: &[NamedImage<'_>],
    blobs: &Blobs,
) -> Result<Vec<String>, Error> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let file = &fs::output(path)?;
    let directory = fs::directory_of(file);
    fs::sweep(directory);
    let temporary = fs::temporary_in(directory).map_err(failed)?;
    let (handle, place) = temporary.into_parts();
    let mut out = tokio::io::BufWriter::with_capacity(128 << 10, tokio::fs::File::from_std(handle));
    write(&mut out, images, blobs)
        .await
        .map_err(|error| match error {
            Error::Stream(source) => failed(source),
            other => other,
        })?;
    super::share(&place).map_err(failed)?;
    place.persist(file).map_err(|error| failed(error.error))?;
    Ok(vec![format!("docker-archive:{}", path.display())])
}

/// Writes an archive to a stream, such as an engine's `load`. Fails if an image has several
/// platforms.
pub async fn write<W: AsyncWrite + Send + Unpin>(
    out: &mut W,
    images: &[NamedImage<'_>],
    blobs: &Blobs,
) -> Result<(), Error> {
    let (mut lines, mut done) = (Vec::new(), BTreeSet::new());
    for named in images {
        let image = only(named)?;
        for layer in &image.layers {
            if done.insert(layer_name(layer)) {
                write_layer(out, layer, blobs).await?;
            }
        }
        let config = format!("{}.json", Digest::of(&image.config).hex());
        if done.insert(config.clone()) {
            entry(
                out,
                &config,
                image.config.len() as u64,
                image.config.as_ref(),
            )
            .await
            .map_err(Error::Stream)?;
        }
        lines.push(line(named, image, config));
    }
    let lines = serde_json::to_vec(&lines)
        .unwrap_or_else(|error| unreachable!("all keys of the list are strings: {error}"));
    entry(out, "manifest.json", lines.len() as u64, lines.as_slice())
        .await
        .map_err(Error::Stream)?;
    out.write_all(&[0; 1024]).await.map_err(Error::Stream)?;
    out.flush().await.map_err(Error::Stream)
}

/// The image for the only platform. Fails if there are several, because an archive has no place for
/// them.
pub fn only<'a>(named: &'a NamedImage<'_>) -> Result<&'a AssembledImage, Error> {
    if let [image] = named.image.images.as_slice() {
        return Ok(image);
    }
    let image = named
        .references
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    Err(Error::SeveralPlatforms { image })
}

/// The `manifest.json` entry of an image.
fn line(named: &NamedImage<'_>, image: &AssembledImage, config: String) -> ArchiveImage {
    let tagged = named
        .references
        .iter()
        .filter(|reference| reference.tag.is_some());
    let repo_tags = tagged.map(ToString::to_string).collect();
    ArchiveImage {
        config,
        repo_tags,
        layers: image.layers.iter().map(layer_name).collect(),
    }
}

/// The file name of a layer in the archive.
fn layer_name(layer: &Layer) -> String {
    format!("{}.tar", layer.descriptor.digest.hex())
}

/// Writes a layer with its compression, which readers detect from the first bytes. Only zstd is
/// decompressed, because engines before Docker 23 do not support it.
async fn write_layer<W: AsyncWrite + Send + Unpin>(
    out: &mut W,
    layer: &Layer,
    blobs: &Blobs,
) -> Result<(), Error> {
    let failed = |source| Error::Layer {
        digest: layer.descriptor.digest.to_string(),
        source,
    };
    let reader = blobs.source(layer).open(0).await.map_err(failed)?;
    if media::as_oci(&layer.descriptor.media_type) == media::OCI_LAYER_ZSTD {
        let (size, plain) = decompress(reader).await.map_err(failed)?;
        return entry(out, &layer_name(layer), size, plain)
            .await
            .map_err(failed);
    }
    entry(out, &layer_name(layer), layer.descriptor.size, reader)
        .await
        .map_err(failed)
}

/// Decompresses a zstd stream to a file without a name, because the tar header needs the size
/// first.
async fn decompress(
    reader: impl AsyncRead + Send + Unpin + 'static,
) -> std::io::Result<(u64, tokio::fs::File)> {
    let bridge = tokio_util::io::SyncIoBridge::new(reader);
    let work = move || {
        let mut file = tempfile::tempfile()?;
        let size = std::io::copy(&mut zstd::stream::read::Decoder::new(bridge)?, &mut file)?;
        Ok::<_, std::io::Error>((size, file))
    };
    let (size, file) = tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)??;
    let mut file = tokio::fs::File::from_std(file);
    file.rewind().await?;
    Ok((size, file))
}

/// Writes a file of the archive. Fails if the content does not have exactly `size` bytes.
pub(super) async fn entry<W: AsyncWrite + Send + Unpin>(
    out: &mut W,
    path: &str,
    size: u64,
    mut content: impl AsyncRead + Send + Unpin,
) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_mode(0o644);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    out.write_all(header.as_bytes()).await?;
    let copied = tokio::io::copy(&mut (&mut content).take(size), out).await?;
    // The stream of a registry verifies its digest only at its end, so it is read to the end.
    if copied != size || content.read(&mut [0]).await? != 0 {
        return Err(std::io::Error::other(
            "its size differs from the size in the manifest",
        ));
    }
    let rest = usize::try_from(size % 512).unwrap_or_default();
    if rest == 0 {
        Ok(())
    } else {
        out.write_all(&[0; 512][rest..]).await
    }
}
