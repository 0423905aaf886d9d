//! `image.base`: a string, or a table that names an image of the workspace or a repository with a requirement.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};

use super::image::OptionalVariant;
use super::values::Requirement;
use crate::reference::{Reference, Repository, RepositoryPath};

/// What an image is built on, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseSpec {
    /// Nothing.
    Scratch,
    /// An image of a registry.
    Reference(Reference),
    /// The highest tag of a repository that a requirement admits.
    Requirement {
        /// The repository.
        repository: Repository,
        /// The requirement on the tag.
        version: Requirement,
    },
    /// Another image of this workspace.
    Workspace {
        /// Its name.
        image: RepositoryPath,
        /// A requirement on its version.
        version: Option<Requirement>,
        /// Its variant; the empty string means the one without.
        variant: Option<OptionalVariant>,
    },
}

/// The table forms in one shape.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BaseTable {
    image: Option<RepositoryPath>,
    r#ref: Option<Reference>,
    version: Option<Requirement>,
    variant: Option<OptionalVariant>,
}

impl BaseTable {
    fn into_spec(self) -> Result<BaseSpec, String> {
        match (self.image, self.r#ref) {
            (Some(_), Some(_)) => Err("a base has either `image` or `ref`, not both".to_owned()),
            (None, None) => {
                Err("a base needs `image` (of this workspace) or `ref` (of a registry)".to_owned())
            }
            (Some(image), None) => {
                Ok(BaseSpec::Workspace { image, version: self.version, variant: self.variant })
            }
            (None, Some(_)) if self.variant.is_some() => {
                Err("`variant` belongs to a base of this workspace, with `image`".to_owned())
            }
            (None, Some(reference)) => match self.version {
                None => Ok(BaseSpec::Reference(reference)),
                Some(_) if reference.tag.is_some() || reference.digest.is_some() => Err(format!(
                    "`{reference}` has a tag or a digest, so that `version` has nothing to choose"
                )),
                Some(version) => Ok(BaseSpec::Requirement { repository: reference.repository, version }),
            },
        }
    }
}

impl<'de> Deserialize<'de> for BaseSpec {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsBase;
        impl<'de> Visitor<'de> for AsBase {
            type Value = BaseSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a reference, \"scratch\", { image = … } or { ref = …, version = … }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<BaseSpec, E> {
                match text {
                    "scratch" => Ok(BaseSpec::Scratch),
                    _ => text
                        .parse()
                        .map(BaseSpec::Reference)
                        .map_err(|error| E::custom(format!("the base `{text}` is not a reference: {error}"))),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BaseSpec, A::Error> {
                let table = BaseTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
                table.into_spec().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(AsBase)
    }
}

impl JsonSchema for BaseSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Base".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A reference, \"scratch\", an image of this workspace, or a repository with a requirement",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": {
                        "image": { "type": "string", "description": "The name of an image of this workspace" },
                        "version": { "type": "string", "description": "A requirement on its version" },
                        "variant": { "type": "string", "description": "Its variant" }
                    },
                    "required": ["image"],
                    "additionalProperties": false
                },
                {
                    "type": "object",
                    "properties": {
                        "ref": { "type": "string", "description": "A repository" },
                        "version": { "type": "string", "description": "The highest tag that this admits is taken" }
                    },
                    "required": ["ref"],
                    "additionalProperties": false
                }
            ]
        })
    }
}
