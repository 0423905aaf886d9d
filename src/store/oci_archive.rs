//! An OCI layout in a tar stream, which engines with the containerd store load. It holds every
//! platform of an image.

use std::collections::{BTreeMap, BTreeSet};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::Error;
use super::archive::entry;
use super::layout::to_oci;
use super::named::NamedImage;
use crate::assemble::json::to_json;
use crate::image::Blobs;
use crate::oci::layout::REF_NAME;
use crate::oci::{Descriptor, Index, media};
use crate::reference::Digest;
use crate::registry::BlobSource as _;

/// The annotation with the whole name of an image, which containerd reads.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Writes an image with all its platforms to a stream. Fails if a layer cannot be read.
pub async fn write<W: AsyncWrite + Send + Unpin>(
    out: &mut W,
    named: &NamedImage<'_>,
    blobs: &Blobs,
) -> Result<(), Error> {
    let image = to_oci(named.image)?;
    let version = br#"{"imageLayoutVersion":"1.0.0"}"#;
    entry(out, "oci-layout", version.len() as u64, &version[..])
        .await
        .map_err(Error::Stream)?;
    let mut done = BTreeSet::new();
    for one in &image.images {
        for layer in &one.layers {
            let descriptor = &layer.descriptor;
            if !done.insert(descriptor.digest.clone()) {
                continue;
            }
            let failed = |source| Error::Layer {
                digest: descriptor.digest.to_string(),
                source,
            };
            let reader = blobs.source(layer).open(0).await.map_err(failed)?;
            blob(out, &descriptor.digest, descriptor.size, reader)
                .await
                .map_err(failed)?;
        }
    }
    let configs = image.images.iter().map(|one| &one.config);
    let manifests = image.images.iter().map(|one| &one.manifest.bytes);
    for bytes in configs.chain(manifests).chain([&image.top.bytes]) {
        let digest = Digest::of(bytes);
        if done.insert(digest.clone()) {
            blob(out, &digest, bytes.len() as u64, bytes.as_ref())
                .await
                .map_err(Error::Stream)?;
        }
    }
    let names = named.references.iter().filter_map(|reference| {
        let tag = reference.tag.as_ref()?;
        Some(BTreeMap::from([
            (IMAGE_NAME.to_owned(), reference.to_string()),
            (REF_NAME.to_owned(), tag.to_string()),
        ]))
    });
    let top = image.top.descriptor();
    let index = Index {
        schema_version: 2,
        media_type: Some(media::OCI_INDEX.to_owned()),
        manifests: names
            .map(|annotations| Descriptor {
                annotations,
                ..top.clone()
            })
            .collect(),
        subject: None,
        annotations: BTreeMap::new(),
    };
    let index = to_json(&index);
    entry(out, "index.json", index.len() as u64, index.as_ref())
        .await
        .map_err(Error::Stream)?;
    out.write_all(&[0; 1024]).await.map_err(Error::Stream)?;
    out.flush().await.map_err(Error::Stream)
}

async fn blob<W: AsyncWrite + Send + Unpin>(
    out: &mut W,
    digest: &Digest,
    size: u64,
    content: impl AsyncRead + Send + Unpin,
) -> std::io::Result<()> {
    entry(
        out,
        &format!("blobs/sha256/{}", digest.hex()),
        size,
        content,
    )
    .await
}
