//! The rules for the fields that manifests and descriptors share.

use serde::{Deserialize, Deserializer};

use super::media;

/// True if the media type is that of an image config.
pub(super) fn is_config(media_type: &str) -> bool {
    matches!(media_type, media::OCI_CONFIG | media::DOCKER_CONFIG)
}

/// Deserialises a value, or the `null` that Go writes for an empty list or map.
pub(super) fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
