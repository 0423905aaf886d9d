//! Opens the bytes of layers, independent of where they are stored.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncSeekExt as _, ReadBuf};

use crate::assemble::{Layer, LayerSource};
use crate::reference::{Digest, Hasher};
use crate::registry::{BlobSource, Registries, RemoteBlob};
use crate::workspace::fs;

/// Opens layers from memory, from a file, or as a stream from their registry.
#[derive(Debug, Clone)]
pub struct Blobs {
    registries: Registries,
}

impl Blobs {
    /// Creates a source that reads from these registries if needed.
    #[must_use]
    pub const fn new(registries: Registries) -> Self {
        Self { registries }
    }

    /// A layer as a source for uploads, which can be opened at any offset.
    #[must_use]
    pub fn source<'a>(&'a self, layer: &'a Layer) -> LayerBlob<'a> {
        LayerBlob { blobs: self, layer }
    }
}

/// The reader of a blob.
type BlobReader = Box<dyn AsyncRead + Send + Unpin>;

/// The bytes of one layer.
#[derive(Debug, Clone, Copy)]
pub struct LayerBlob<'a> {
    blobs: &'a Blobs,
    layer: &'a Layer,
}

#[async_trait::async_trait]
impl BlobSource for LayerBlob<'_> {
    async fn open(&self, offset: u64) -> std::io::Result<BlobReader> {
        match &self.layer.source {
            LayerSource::Inline(bytes) => {
                let mut cursor = std::io::Cursor::new(bytes.clone());
                cursor.set_position(offset);
                Ok(Box::new(cursor))
            }
            LayerSource::File(path) => {
                let with_path = |error: std::io::Error| {
                    std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
                };
                let file = fs::open_real(path).map_err(with_path)?;
                let mut file = tokio::fs::File::from_std(file);
                let digest = &self.layer.descriptor.digest;
                if offset == 0 {
                    return Ok(Box::new(VerifiedFile {
                        file,
                        hash: Hasher::of(digest),
                        digest: digest.clone(),
                    }));
                }
                file.seek(std::io::SeekFrom::Start(offset)).await?;
                Ok(Box::new(file))
            }
            LayerSource::Registry(repository) => {
                let blob = RemoteBlob {
                    repo: self.blobs.registries.repo(repository),
                    descriptor: self.layer.descriptor.clone(),
                };
                blob.open(offset).await
            }
        }
    }
}

/// A file that is compared with its digest when it is read to the end, as blobs of registries are.
struct VerifiedFile {
    file: tokio::fs::File,
    hash: Hasher,
    digest: Digest,
}

impl AsyncRead for VerifiedFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.file).poll_read(context, buffer))?;
        let new = &buffer.filled()[before..];
        if !new.is_empty() {
            self.hash.update(new);
        } else if !self.hash.clone().matches(&self.digest) && buffer.remaining() > 0 {
            return Poll::Ready(Err(std::io::Error::other(
                "its content does not match its digest",
            )));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write as _;

    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::oci::Descriptor;
    use crate::registry::RegistryEnv;

    #[tokio::test]
    async fn a_file_is_compared_with_its_digest_at_its_end() {
        for (content, is_valid) in [("layer", true), ("later", false), ("", false)] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(content.as_bytes()).unwrap();
            let digest = Digest::of(b"layer");
            let mut reader = VerifiedFile {
                file: tokio::fs::File::from_std(file.reopen().unwrap()),
                hash: Hasher::of(&digest),
                digest,
            };
            // A read into an empty buffer is not the end of the file.
            assert_eq!(reader.read(&mut []).await.unwrap(), 0, "{content}");
            let mut read = Vec::new();
            let end = reader.read_to_end(&mut read).await;
            assert_eq!(read, content.as_bytes());
            assert_eq!(end.is_ok(), is_valid, "{content}");
        }
    }

    /// The rest of a file, for an upload that is continued, cannot be compared.
    #[tokio::test]
    async fn a_file_is_opened_at_any_offset_and_compared_if_it_is_read_from_its_start() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"later").unwrap();
        let env = RegistryEnv::from_vars(&BTreeMap::new());
        let blobs = Blobs::new(Registries::new(Vec::new(), env));
        let layer = Layer {
            descriptor: Descriptor::of("", b"layer"),
            source: LayerSource::File(file.path().into()),
        };
        for (offset, expected) in [(0, None), (2, Some("ter"))] {
            let mut reader = blobs.source(&layer).open(offset).await.unwrap();
            let mut read = String::new();
            let end = reader.read_to_string(&mut read).await;
            assert_eq!(end.ok().map(|_| read.as_str()), expected, "{offset}");
        }
    }
}
