//! `image.base`: a string, or a table that names an image of the workspace or a repository with a
//! version requirement.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};

use super::values::{OptionalVariant, RequirementValue};
use crate::reference::{Digest, Reference, Repository, RepositoryPath};

/// The base of an image, as the spec writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseSpec {
    /// `"scratch"`: the empty image.
    Scratch,
    /// An image of a registry.
    Reference(Reference),
    /// An image of an OCI layout.
    Layout(LayoutSpec),
    /// The highest tag of a repository that satisfies a requirement.
    Requirement {
        /// The repository to search.
        repository: Repository,
        /// The requirement on the tag.
        version: RequirementValue,
    },
    /// Another image of this workspace.
    Workspace {
        /// The name of that image.
        image: RepositoryPath,
        /// A requirement on its version.
        version: Option<RequirementValue>,
        /// Its variant; the empty string selects the image without a variant.
        variant: Option<OptionalVariant>,
    },
}

/// `oci:DIR[:NAME][@DIGEST]`: an image of an OCI layout, in the notation of skopeo and buildah.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutSpec {
    /// The directory, relative to image.toml.
    pub directory: String,
    /// The image's name in the layout, the annotation `org.opencontainers.image.ref.name`.
    pub name: Option<String>,
    /// The digest of its manifest or index.
    pub digest: Option<Digest>,
}

/// The prefix of a base that is an image of a layout.
const LAYOUT: &str = "oci:";

impl FromStr for LayoutSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix(LAYOUT).unwrap_or(text);
        let (path, digest) = match path.rsplit_once('@') {
            // The name of a directory may contain an `@`.
            Some((path, digest)) if is_digest_like(digest) => {
                let digest = digest
                    .parse()
                    .map_err(|error| format!("the base `{text}`: {error}"))?;
                (path, Some(digest))
            }
            _ => (path, None),
        };
        let (directory, name) = match path.split_once(':') {
            Some((directory, name)) => (directory, Some(name)),
            None => (path, None),
        };
        if directory.is_empty() || name.is_some_and(str::is_empty) {
            return Err(format!(
                "the base `{text}` is not an image of a layout: write oci:DIR or oci:DIR:NAME"
            ));
        }
        Ok(Self {
            directory: directory.to_owned(),
            name: name.map(str::to_owned),
            digest,
        })
    }
}

/// True if a text has the form of a digest, `ALGORITHM:HEX`, also of an unknown algorithm.
fn is_digest_like(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        let is_hex = !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+._-".contains(&b);
        let is_known = ["sha256", "sha384", "sha512"].contains(&algorithm);
        is_known || (is_hex && hex.len() >= 32 && algorithm.bytes().all(is_name))
    })
}

impl fmt::Display for LayoutSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LAYOUT}{}", self.directory)?;
        if let Some(name) = &self.name {
            write!(f, ":{name}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// The keys of both table forms.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BaseTable {
    image: Option<RepositoryPath>,
    r#ref: Option<Reference>,
    version: Option<RequirementValue>,
    variant: Option<OptionalVariant>,
}

impl BaseTable {
    fn into_spec(self) -> Result<BaseSpec, String> {
        match (self.image, self.r#ref) {
            (Some(_), Some(_)) => Err("a base has either `image` or `ref`, not both".to_owned()),
            (None, None) => {
                Err("a base needs `image` (of this workspace) or `ref` (of a registry)".to_owned())
            }
            (Some(image), None) => Ok(BaseSpec::Workspace {
                image,
                version: self.version,
                variant: self.variant,
            }),
            (None, Some(_)) if self.variant.is_some() => {
                Err("`variant` belongs to a base of this workspace, with `image`".to_owned())
            }
            (None, Some(reference)) => match self.version {
                None => Ok(BaseSpec::Reference(reference)),
                Some(_) if reference.tag.is_some() || reference.digest.is_some() => Err(format!(
                    "`{reference}` already has a tag or a digest: remove that or `version`"
                )),
                Some(version) => Ok(BaseSpec::Requirement {
                    repository: reference.repository,
                    version,
                }),
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
                f.write_str(
                    "a reference, \"scratch\", \"oci:DIR\", { image = … } or { ref = …, version = … }",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<BaseSpec, E> {
                match text {
                    "scratch" => Ok(BaseSpec::Scratch),
                    _ if text.starts_with(LAYOUT) => {
                        text.parse().map(BaseSpec::Layout).map_err(E::custom)
                    }
                    _ => text.parse().map(BaseSpec::Reference).map_err(|error| {
                        E::custom(format!("the base `{text}` is not a reference: {error}"))
                    }),
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
            "description": "A reference, \"scratch\", \"oci:DIR:NAME\" for an image of an OCI layout, an image of this workspace, or a repository with a requirement",
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
                        "version": { "type": "string", "description": "A requirement; the highest tag that satisfies it is used" }
                    },
                    "required": ["ref"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_in_a_layout_is_parsed_and_printed() {
        let digest = Digest::of(b"x");
        for (text, directory, name, pinned) in [
            ("oci:base", "base", None, false),
            (
                "oci:../shared/base:team/app:1.0",
                "../shared/base",
                Some("team/app:1.0"),
                false,
            ),
            (&format!("oci:base@{digest}"), "base", None, true),
            (&format!("oci:ba@se:1@{digest}"), "ba@se", Some("1"), true),
        ] {
            let layout: LayoutSpec = text.parse().unwrap();
            assert_eq!(
                (layout.directory.as_str(), layout.name.as_deref()),
                (directory, name),
                "{text}"
            );
            assert_eq!(layout.digest.is_some(), pinned, "{text}");
            assert_eq!(layout.to_string(), text);
        }
        let long = format!("oci:base@sha512:{}", "a".repeat(128));
        assert_eq!(long.parse::<LayoutSpec>().unwrap().directory, "base");
        let unknown = format!("oci:base@blake3:{}", "a".repeat(64));
        for text in [
            "oci:",
            "oci::1",
            "oci:base:",
            "oci:base@sha256:12",
            "oci:base@sha512:12",
            &unknown,
        ] {
            assert!(text.parse::<LayoutSpec>().is_err(), "{text}");
        }
    }
}
