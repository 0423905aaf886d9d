//! Reads the bills of materials that are attached to published images, and queries their packages.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

use super::error::Error;
use crate::config_files::package_requirement::Relation;
use crate::image::children;
use crate::inventory::{ListedPackage, compare_versions, listed_packages};
use crate::oci::artifact::ArtifactKind;
use crate::oci::{Descriptor, Manifest, RawManifest};
use crate::reference::Digest;
use crate::registry::referrers::tags_of_tools;
use crate::registry::{self, Repo};
use crate::trust::envelope::Envelope;
use crate::trust::{bundle, statement};

/// The largest bill of materials that is read, in bytes.
const MOST_BYTES: u64 = 64 << 20;
/// The maximum number of attached artifacts of an image that are read.
const MOST_ARTIFACTS: usize = 50;
/// The annotation in which BuildKit names the image of an attestation.
const BUILDKIT_SUBJECT: &str = "vnd.docker.reference.digest";

/// A condition on a package: its name, and optionally its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageQuery {
    name: String,
    version: Option<(Relation, String)>,
}

impl FromStr for PackageQuery {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || {
            Error::invalid(format!("`{text}` is not a condition on a package")).hint(
                "write NAME, or NAME with a version: openssl, 'openssl<3.0.15', musl=1.2.4-r0",
            )
        };
        let at = text.find(['<', '>', '=', '!']).unwrap_or(text.len());
        let (name, condition) = text.split_at(at);
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(invalid());
        }
        let name = name.to_owned();
        if condition.is_empty() {
            return Ok(Self {
                name,
                version: None,
            });
        }
        let (relation, version) = Relation::split(condition.trim_end()).ok_or_else(invalid)?;
        let is_wrong = |c: char| c.is_whitespace() || "<>=".contains(c);
        if version.is_empty() || version.contains(is_wrong) {
            return Err(invalid());
        }
        Ok(Self {
            name,
            version: Some((relation, version.to_owned())),
        })
    }
}

impl fmt::Display for PackageQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.version {
            Some((relation, version)) => write!(f, " {relation} {version}"),
            None => Ok(()),
        }
    }
}

/// A package of an image that satisfies a condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MatchingPackage {
    /// The name of the package.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl PackageQuery {
    /// The packages that satisfy the condition, by their own name or by that of their source
    /// package, each once.
    #[must_use]
    pub fn select(&self, packages: &[ListedPackage]) -> Vec<MatchingPackage> {
        let mut found: Vec<MatchingPackage> = packages
            .iter()
            .filter(|package| self.admits(package))
            .map(|package| MatchingPackage {
                name: package.name.clone(),
                version: package.version.clone(),
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }

    fn admits(&self, package: &ListedPackage) -> bool {
        let is_named = match package.kind {
            Some(kind) => kind.is_meant(&package.name, &self.name),
            None => package.name == self.name,
        };
        if !is_named && package.source.as_ref() != Some(&self.name) {
            return false;
        }
        self.version.as_ref().is_none_or(|(relation, version)| {
            relation.accepts(compare_versions(package.kind, &package.version, version))
        })
    }
}

/// The packages in the bills of materials of an image; `None` if it has none. `top` is the image, or
/// the index that contains it: BuildKit stores bills of materials in the index.
pub(super) async fn packages_of(
    repo: &Repo,
    top: &RawManifest,
    image: &Digest,
) -> Result<Option<Vec<ListedPackage>>, registry::Error> {
    let mut packages: Option<Vec<ListedPackage>> = None;
    for raw in artifacts(repo, top, image).await? {
        for blob in documents(&raw) {
            let read = match repo.blob(&blob, MOST_BYTES).await {
                Ok(bytes) => document(&bytes, image),
                // A damaged document does not hide the others.
                Err(error) if error.is_about_content() || error.says_unknown() => None,
                Err(error) => return Err(error),
            };
            if let Some(listed) = read.as_ref().and_then(listed_packages) {
                packages.get_or_insert_default().extend(listed);
            }
        }
    }
    Ok(packages)
}

/// The manifests of the artifacts that are attached to an image, in every scheme.
async fn artifacts(
    repo: &Repo,
    top: &RawManifest,
    image: &Digest,
) -> Result<Vec<RawManifest>, registry::Error> {
    let mut found = Vec::new();
    for referrer in repo.referrers(image).await?.iter().take(MOST_ARTIFACTS) {
        found.extend(repo.manifest(&referrer.descriptor.digest).await?);
    }
    for tag in tags_of_tools(image).into_iter().skip(2) {
        found.extend(repo.manifest(&tag).await?);
    }
    let of_image = |entry: &Descriptor| {
        let subject = entry.annotations.get(BUILDKIT_SUBJECT);
        subject.is_some_and(|subject| subject == image.as_str())
    };
    for entry in children(top).into_iter().filter(of_image) {
        found.extend(repo.manifest(&entry.digest).await?);
    }
    Ok(found)
}

/// The blobs of an artifact that may be bills of materials.
fn documents(raw: &RawManifest) -> Vec<Descriptor> {
    let Ok(Manifest::Image(manifest)) = raw.parse() else {
        return Vec::new();
    };
    let is_bill = |predicate: &str| {
        let predicate = predicate.to_ascii_lowercase();
        predicate.contains("cyclonedx") || predicate.contains("spdx")
    };
    let declared = |annotations: &std::collections::BTreeMap<String, String>| {
        [
            bundle::PREDICATE_TYPE,
            "in-toto.io/predicate-type",
            "predicateType",
        ]
        .iter()
        .find_map(|key| annotations.get(*key))
        .is_none_or(|predicate| is_bill(predicate))
    };
    let is_candidate = matches!(
        ArtifactKind::of(raw),
        ArtifactKind::Sbom | ArtifactKind::Attestation
    ) && declared(&manifest.annotations);
    let layers = manifest.layers.into_iter();
    layers
        .filter(|layer| is_candidate && declared(&layer.annotations))
        .collect()
}

/// The bill of materials in a blob: the blob itself, or the predicate of a statement about `image`
/// in any envelope.
fn document(bytes: &[u8], image: &Digest) -> Option<Value> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    if listed_packages(&value).is_some() {
        return Some(value);
    }
    let payload = if value["dsseEnvelope"].is_object() {
        bundle::enclosed(bytes, image).ok()?.1
    } else if value["payload"].is_string() {
        let envelope: Envelope = serde_json::from_value(value).ok()?;
        envelope.payload().ok()?
    } else {
        bytes.to_vec()
    };
    let (_, predicate) = statement::predicate(&payload, image).ok()?;
    match &predicate {
        // Older versions of cosign enclose the document as text.
        Value::Object(fields) if fields.get("Data").is_some_and(Value::is_string) => {
            serde_json::from_str(fields["Data"].as_str()?).ok()
        }
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => Some(predicate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::PackageKind;

    fn package(name: &str, version: &str, source: Option<&str>) -> ListedPackage {
        ListedPackage {
            kind: Some(PackageKind::Deb),
            name: name.to_owned(),
            version: version.to_owned(),
            source: source.map(str::to_owned),
        }
    }

    #[test]
    fn a_condition_selects_packages_by_name_source_and_version() {
        let packages = [
            package("openssl", "3.0.11-1~deb12u2", None),
            package("libssl3", "3.0.15-1~deb12u1", Some("openssl")),
            package("bash", "5.2.15-2", None),
            ListedPackage {
                kind: Some(PackageKind::Pypi),
                ..package("ruamel-yaml", "0.18.6", None)
            },
        ];
        for (query, shown, expected) in [
            ("openssl<3.0.15", "openssl < 3.0.15", &["openssl"][..]),
            (
                "openssl <= 3.0.15",
                "openssl <= 3.0.15",
                &["libssl3", "openssl"],
            ),
            ("openssl==3.0.15", "openssl = 3.0.15", &["libssl3"]),
            ("openssl>3.0.11", "openssl > 3.0.11", &["libssl3"]),
            ("openssl>=3.0.11-1", "openssl >= 3.0.11-1", &["libssl3"]),
            ("openssl!=3.0.15", "openssl != 3.0.15", &["openssl"]),
            ("bash", "bash", &["bash"]),
            ("Ruamel.yaml<1", "Ruamel.yaml < 1", &["ruamel-yaml"]),
            ("BASH", "BASH", &[]),
            ("zlib", "zlib", &[]),
        ] {
            let query: PackageQuery = query.parse().unwrap();
            assert_eq!(query.to_string(), shown);
            let names: Vec<String> = query
                .select(&packages)
                .into_iter()
                .map(|one| one.name)
                .collect();
            assert_eq!(names, expected, "{query}");
        }
        for invalid in ["", "<1", "a<", "a<>1", "a b", "a<1 2", "a=<1", "a!1"] {
            assert!(invalid.parse::<PackageQuery>().is_err(), "{invalid}");
        }
    }
}
