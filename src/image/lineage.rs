//! The layers of an image, by which golden recognises the images that are built on it.

use serde_json::Value;

use crate::oci::ImageConfig;
use crate::reference::{Digest, Reference};

/// The label with the reference of the base.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// The label with the digest of the base.
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// The parts of a config that show the origin of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The digest of the config. Two manifests with the same config are the same image.
    pub config: Digest,
    /// The digests of the uncompressed layers, bottom first.
    pub layers: Vec<Digest>,
    /// The steps that made the image, in order.
    history: Vec<Value>,
    /// The base that the labels name.
    pub labelled: LabelledBase,
}

/// The base that the labels of an image name. An image that Docker builds inherits the labels of its
/// base, so that they may name the base of its base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelledBase {
    /// The reference.
    pub name: Option<Reference>,
    /// The digest of the index or of the image.
    pub digest: Option<Digest>,
}

/// The fact that shows that an image is built on another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// Its layers begin with those of the base.
    Layers,
    /// Its layers begin with those of the base, and its label names the digest of the base.
    Label,
}

impl LabelledBase {
    /// The base that the labels of a config name.
    #[must_use]
    pub fn of(config: &ImageConfig) -> Self {
        Self {
            name: config.label(BASE_NAME).and_then(|text| text.parse().ok()),
            digest: config.label(BASE_DIGEST).and_then(|text| text.parse().ok()),
        }
    }
}

impl Lineage {
    /// The lineage of the image with this config. `None` if its list of layers is invalid.
    #[must_use]
    pub fn of(digest: Digest, config: &ImageConfig) -> Option<Self> {
        let history = config.as_object().get("history");
        Some(Self {
            config: digest,
            layers: config.diff_ids()?,
            history: history
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
            labelled: LabelledBase::of(config),
        })
    }

    /// The evidence that this image is built on `base`, which the index or manifest `digests` name.
    /// The layers decide. The label decides only if the base has no layers, or this image adds none.
    #[must_use]
    pub fn is_built_on(&self, base: &Self, digests: &[&Digest]) -> Option<Evidence> {
        if self.config == base.config || !self.layers.starts_with(&base.layers) {
            return None;
        }
        let label = self.labelled.digest.as_ref();
        if label.is_some_and(|label| digests.contains(&label)) {
            return Some(Evidence::Label);
        }
        let adds_steps =
            self.history.len() > base.history.len() && self.history.starts_with(&base.history);
        let adds = self.layers.len() > base.layers.len() || adds_steps;
        (adds && !base.layers.is_empty()).then_some(Evidence::Layers)
    }

    /// A number that is higher for an image than for the images that it is built on.
    #[must_use]
    pub const fn height(&self) -> (usize, usize) {
        (self.layers.len(), self.history.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    /// An image with these layers and steps; `base` is the text whose digest its label names.
    fn image(layers: &[&str], steps: &[&str], base: Option<&str>) -> Lineage {
        let layers: Vec<Digest> = layers.iter().map(|text| digest(text)).collect();
        let labels =
            base.map(|base| json!({ BASE_DIGEST: digest(base), BASE_NAME: "a.example/b:1" }));
        let config = json!({ "config": { "Labels": labels }, "rootfs": { "diff_ids": layers },
            "history": steps.iter().map(|step| json!({ "created_by": step })).collect::<Vec<_>>() });
        let bytes = config.to_string();
        let parsed = ImageConfig::parse(bytes.as_bytes()).unwrap();
        Lineage::of(digest(&bytes), &parsed).unwrap()
    }

    #[test]
    fn the_layers_decide_and_a_label_counts_only_if_they_agree() {
        use Evidence::{Label, Layers};
        let base = image(&["a", "b"], &["1", "2"], None);
        for (child, expected) in [
            (
                image(&["a", "b", "c"], &["1", "2", "3"], None),
                Some(Layers),
            ),
            (image(&["a", "b", "c"], &[], Some("base")), Some(Label)),
            // Docker inherits the label of the base, which names another image.
            (image(&["a", "b", "c"], &[], Some("other")), Some(Layers)),
            (image(&["x", "b", "c"], &[], Some("base")), None),
            (image(&["a"], &["1"], Some("base")), None),
            // The same layers: a parent, the same content, and a child that adds only settings.
            (image(&["a", "b"], &["1"], None), None),
            (image(&["a", "b"], &["1", "other"], None), None),
            (image(&["a", "b"], &["x", "y", "z"], None), None),
            (image(&["a", "b"], &["1", "2"], Some("other")), None),
            (image(&["a", "b"], &["1", "2", "3"], None), Some(Layers)),
            (image(&["a", "b"], &[], Some("base")), Some(Label)),
            (base.clone(), None),
        ] {
            let found = child.is_built_on(&base, &[&digest("base"), &digest("index")]);
            assert_eq!(found, expected, "{child:?}");
        }
    }

    #[test]
    fn every_image_begins_with_no_layers_so_that_only_the_label_counts() {
        let base = image(&[], &["1"], None);
        let child = image(&["a"], &["1", "2"], None);
        assert_eq!(child.is_built_on(&base, &[&digest("base")]), None);
        let child = image(&["a"], &[], Some("base"));
        let found = child.is_built_on(&base, &[&digest("base")]);
        assert_eq!(found, Some(Evidence::Label));
    }
}
