//! From an image and its base to layers, config and manifest.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::base::BaseImage;
use super::image::{AssembledImage, Layer, LayerSource};
use super::overlay::Overlay;
use super::tree::Tree;
use super::{Stop, can_assemble, certificates, files, runtime};
use crate::oci::config::History;
use crate::oci::layer::WrittenLayer;
use crate::oci::tar::Entry;
use crate::oci::{Descriptor, ImageConfig, media};
use crate::resolve::ResolvedImage;

/// A layer to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// Its entries, sorted by path.
    pub entries: Vec<Entry>,
    /// What the history says of it.
    pub created_by: &'static str,
}

/// An image of which only the layers' digests are missing.
#[derive(Debug, Clone)]
pub struct Assembly {
    /// The layers to be written on top of the base's, bottom first.
    pub layers: Vec<NewLayer>,
    /// The time of every file in them, seconds since 1970.
    pub mtime: u64,
    config: ImageConfig,
    base: Vec<Layer>,
    docker: bool,
    created: String,
}

/// Assembles an image on a base, of whose file tree `tree` is known. `late` are the labels that no Dockerfile holds.
pub fn assemble(
    image: &ResolvedImage,
    late: &BTreeMap<String, String>,
    base: &BaseImage,
    tree: Tree<'_>,
) -> Result<Assembly, Stop> {
    can_assemble(image)?;
    let mut overlay = Overlay::new(tree);
    let mut layers = Vec::new();
    if !image.certificates.is_empty() {
        certificates::place(image, &mut overlay)?;
        layers.push(NewLayer { entries: overlay.finish_layer(), created_by: "golden: certificates" });
    }
    files::place(image, tree, &mut overlay)?;
    files::workdir(image, base.config.text("WorkingDir"), &mut overlay)?;
    let entries = overlay.finish_layer();
    if !entries.is_empty() {
        layers.push(NewLayer { entries, created_by: "golden: files" });
    }
    let seconds = image.provenance.created.max(0);
    let created = rfc3339(seconds);
    let mut config = base.config.clone();
    runtime::apply(image, late, &mut config);
    config.set_created(&created);
    let (base, docker, mtime) = (base.layers.clone(), base.docker, seconds.unsigned_abs());
    Ok(Assembly { layers, mtime, config, base, docker, created })
}

impl Assembly {
    /// Puts the written layers, bottom first and each with what the history says of it, into config and manifest.
    #[must_use]
    pub fn finish(mut self, written: Vec<(WrittenLayer, LayerSource, &str)>) -> AssembledImage {
        let layer_type = if self.docker { media::DOCKER_LAYER_GZIP } else { media::OCI_LAYER_GZIP };
        let mut layers = self.base;
        for (layer, source, created_by) in written {
            self.config.push_diff_id(&layer.diff_id);
            let (created, created_by) = (self.created.clone(), created_by.to_owned());
            self.config.push_history(&History { created, created_by, empty_layer: false });
            let descriptor = Descriptor::new(layer_type, layer.digest, layer.size);
            layers.push(Layer { descriptor, source });
        }
        let created_by = "golden: config".to_owned();
        self.config.push_history(&History { created: self.created, created_by, empty_layer: true });
        let config = self.config.to_bytes();
        AssembledImage::new(self.config.platform(), config, layers, self.docker)
    }
}

/// The one way that golden writes its own JSON objects: fields in their order, nothing between the tokens.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| unreachable!("a manifest has text keys only: {error}"))
}

/// Seconds since 1970 as RFC 3339.
fn rfc3339(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}
