//! The bytes of layers, wherever they are.

use tokio::io::{AsyncRead, AsyncSeekExt as _};

use crate::assemble::{Layer, LayerSource};
use crate::registry::{BlobSource, Registries};

/// Opens layers: from memory, from a file, or streamed from the registry that has them.
#[derive(Debug, Clone)]
pub struct Blobs {
    registries: Registries,
}

impl Blobs {
    /// Reads from these registries.
    #[must_use]
    pub const fn new(registries: Registries) -> Self {
        Self { registries }
    }

    /// A layer as something that can be uploaded, and opened again at any offset.
    #[must_use]
    pub fn source<'a>(&'a self, layer: &'a Layer) -> LayerBlob<'a> {
        LayerBlob { blobs: self, layer }
    }
}

/// The reader of a blob.
type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// The bytes of one layer.
#[derive(Debug, Clone, Copy)]
pub struct LayerBlob<'a> {
    blobs: &'a Blobs,
    layer: &'a Layer,
}

#[async_trait::async_trait]
impl BlobSource for LayerBlob<'_> {
    async fn open(&self, offset: u64) -> std::io::Result<Reader> {
        match &self.layer.source {
            LayerSource::Inline(bytes) => {
                let mut cursor = std::io::Cursor::new(bytes.clone());
                cursor.set_position(offset);
                Ok(Box::new(cursor))
            }
            LayerSource::File(path) => {
                let mut file = tokio::fs::File::open(path).await?;
                file.seek(std::io::SeekFrom::Start(offset)).await?;
                Ok(Box::new(file))
            }
            LayerSource::Registry(repository) => {
                let registry = self.blobs.registries.of(repository).map_err(std::io::Error::other)?;
                let reader = registry.read_blob_from(&repository.path, &self.layer.descriptor, offset).await;
                reader.map_err(std::io::Error::other)
            }
        }
    }
}
