//! Combines an image and its base into layers, config and manifest.

use std::collections::BTreeMap;

use super::base::BaseImage;
use super::image::{AssembledImage, Layer, LayerSource};
use super::overlay::{Overlay, TrustLayer};
use super::tree::FileTree;
use super::{AssembleStop, Error, can_assemble, certificates, files, runtime};
use crate::config_files::workspace::Format;
use crate::oci::config::HistoryEntry;
use crate::oci::layer::{Compression, WrittenLayer};
use crate::oci::tar::Entry;
use crate::oci::{Descriptor, ImageConfig, media, rfc3339};
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Certificate, Family};

/// The history of the layer with the certificates.
const CERTIFICATES: &str = "golden: certificates";
/// The history of the layer with the files.
const FILES: &str = "golden: files";
/// The last entry in the history of an image that golden assembled.
pub const CONFIG: &str = "golden: config";
/// The history of the layers that golden adds to a base.
pub const OWN_LAYERS: [&str; 2] = [CERTIFICATES, FILES];

/// A layer to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// The entries, sorted by path.
    pub entries: Vec<Entry>,
    /// The text for `created_by` in the history.
    pub created_by: &'static str,
}

/// An image that is complete except for the digests of its new layers.
#[derive(Debug, Clone)]
pub struct Assembly {
    /// The new layers on top of the base's layers, bottom first.
    pub layers: Vec<NewLayer>,
    /// The modification time of every file in them, in seconds since 1970.
    pub mtime: u64,
    config: ImageConfig,
    base: Vec<Layer>,
    docker: bool,
    layer_type: &'static str,
    created: String,
}

/// The form in which an image is written. It is not part of the image's inputs, because the files
/// are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Output {
    /// The compression of the new layers.
    pub compression: Compression,
    /// The format of the manifest.
    pub format: Format,
}

impl Output {
    /// Returns true if the image is in Docker's schema 2, and the media type of its new layers.
    /// `docker` is true for a base in schema 2. Fails if schema 2 is combined with zstd.
    fn of(self, docker: bool) -> Result<(bool, &'static str), Error> {
        match (docker && self.format == Format::Base, self.compression) {
            (true, Compression::Gzip) => Ok((true, media::DOCKER_LAYER_GZIP)),
            (true, Compression::Zstd) => Err(Error::ZstdInSchema2),
            (false, Compression::Gzip) => Ok((false, media::OCI_LAYER_GZIP)),
            (false, Compression::Zstd) => Ok((false, media::OCI_LAYER_ZSTD)),
        }
    }
}

/// Makes the layer of trusted certificates for a family. `tree` is the known part of the base's
/// file tree.
pub fn trust(
    family: Family,
    trusted: &[Certificate],
    tree: FileTree<'_>,
) -> Result<TrustLayer, AssembleStop> {
    let mut overlay = Overlay::new(tree);
    certificates::place(family, trusted, &mut overlay)?;
    Ok(overlay.into_trust())
}

/// Assembles an image on a base and, if there is one, the layer of its certificates. `tree` is the
/// known part of the base's file tree. `late_labels` are the labels that are not in the Dockerfile.
pub fn assemble(
    image: &ResolvedImage,
    late_labels: &BTreeMap<String, String>,
    base: &BaseImage,
    tree: FileTree<'_>,
    trust: Option<&TrustLayer>,
    output: Output,
) -> Result<Assembly, AssembleStop> {
    can_assemble(image)?;
    let (docker, layer_type) = output.of(base.docker)?;
    let mut overlay = trust.map_or_else(|| Overlay::new(tree), |trust| Overlay::above(tree, trust));
    let mut layers = Vec::new();
    if let Some(TrustLayer { entries, .. }) = trust.filter(|trust| !trust.entries.is_empty()) {
        layers.push(NewLayer {
            entries: entries.clone(),
            created_by: CERTIFICATES,
        });
    }
    certificates::link_bundle(image, &mut overlay)?;
    files::place(image, tree, &mut overlay)?;
    files::workdir(image, base.config.text("WorkingDir"), &mut overlay)?;
    let entries = overlay.finish_layer();
    if !entries.is_empty() {
        layers.push(NewLayer {
            entries,
            created_by: FILES,
        });
    }
    let seconds = image.provenance.created.max(0);
    let created = rfc3339(seconds);
    let mut config = base.config.clone();
    runtime::apply(image, late_labels, &mut config);
    config.set_created(&created);
    let (mut base, mtime) = (base.layers.clone(), seconds.unsigned_abs());
    if !docker {
        for layer in &mut base {
            layer.descriptor.media_type = media::as_oci(&layer.descriptor.media_type).to_owned();
        }
    }
    Ok(Assembly {
        layers,
        mtime,
        config,
        base,
        docker,
        layer_type,
        created,
    })
}

impl Assembly {
    /// Adds the written layers to config and manifest. They are bottom first, each with its
    /// `created_by` text.
    #[must_use]
    pub fn finish(mut self, written: Vec<(WrittenLayer, LayerSource, &str)>) -> AssembledImage {
        let mut layers = self.base;
        for (layer, source, created_by) in written {
            self.config.push_diff_id(&layer.diff_id);
            let (created, created_by) = (self.created.clone(), created_by.to_owned());
            self.config.push_history(&HistoryEntry {
                created,
                created_by,
                empty_layer: false,
            });
            let descriptor = Descriptor::new(self.layer_type, layer.digest, layer.size);
            layers.push(Layer { descriptor, source });
        }
        let created_by = CONFIG.to_owned();
        self.config.push_history(&HistoryEntry {
            created: self.created,
            created_by,
            empty_layer: true,
        });
        let config = self.config.to_bytes();
        AssembledImage::new(self.config.platform(), config, layers, self.docker)
    }
}
