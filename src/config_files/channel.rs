//! The types of `[channels]` in image.toml.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::values::{Age, VersionValue};
use crate::reference::Tag;

/// The target of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelSpec {
    /// A published version, such as `1.2.3`.
    Version(semver::Version),
    /// The version that another tag points to.
    Follow(FollowTable),
}

/// A channel that follows another tag.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FollowTable {
    /// The tag, such as "latest" or "1.2".
    #[schemars(with = "String")]
    pub follow: Tag,
    /// The minimum time since the publication of a version, such as "24h" or "7d".
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub after: Option<Age>,
    /// The artifacts that a version must have.
    #[serde(default)]
    pub require: Vec<ChannelRequirement>,
}

/// An artifact that a version in a channel must have.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ChannelRequirement {
    /// A signature by a key of `[[trust]]`.
    Signature,
    /// A bill of materials.
    Sbom,
    /// A provenance statement of SLSA.
    Provenance,
    /// The result of a scan: an attestation about vulnerabilities.
    Scan,
}

impl<'de> Deserialize<'de> for ChannelSpec {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsChannel;
        impl<'de> Visitor<'de> for AsChannel {
            type Value = ChannelSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a version, or { follow = TAG, after = AGE, require = […] }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ChannelSpec, E> {
                let version = VersionValue::try_from(text.to_owned());
                version
                    .map(|version| ChannelSpec::Version(version.0))
                    .map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ChannelSpec, A::Error> {
                let table = de::value::MapAccessDeserializer::new(map);
                FollowTable::deserialize(table).map(ChannelSpec::Follow)
            }
        }
        deserializer.deserialize_any(AsChannel)
    }
}

impl JsonSchema for ChannelSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Channel".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let table = generator.subschema_for::<FollowTable>();
        schemars::json_schema!({
            "description": "A version, or a tag to follow",
            "anyOf": [{ "type": "string" }, table]
        })
    }
}
