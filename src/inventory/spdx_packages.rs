//! The SPDX documents in images of Chainguard, `var/lib/db/sbom`: one for each package.

use serde::Deserialize;

use super::package::{Package, PackageKind};
use super::package_list::PackageList;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    packages: Vec<DocumentPackage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentPackage {
    name: String,
    #[serde(default)]
    version_info: Option<String>,
    #[serde(default)]
    license_declared: Option<String>,
    #[serde(default)]
    external_refs: Vec<ExternalReference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExternalReference {
    reference_type: String,
    reference_locator: String,
}

/// Reads the packages of apk in a document. Its sources and files are not packages of the image.
pub(super) fn read(bytes: &[u8]) -> PackageList {
    let mut packages = PackageList::default();
    let document: Document = match serde_json::from_slice(bytes) {
        Ok(document) => document,
        Err(error) => {
            packages.problem(format!("it is not an SPDX document: {error}"));
            return packages;
        }
    };
    packages.packages = document.packages.into_iter().filter_map(package).collect();
    packages
}

fn package(found: DocumentPackage) -> Option<Package> {
    let mut purls = found
        .external_refs
        .iter()
        .filter(|reference| reference.reference_type == "purl");
    let purl = purls.find_map(|reference| reference.reference_locator.strip_prefix("pkg:apk/"))?;
    let qualifiers = purl
        .split_once('?')
        .map_or("", |(_, qualifiers)| qualifiers);
    let mut qualifiers = qualifiers.split('&');
    let architecture = qualifiers.find_map(|qualifier| qualifier.strip_prefix("arch="));
    let is_known = |text: &String| !matches!(text.as_str(), "" | "NOASSERTION" | "NONE");
    Some(Package {
        architecture: architecture.map(str::to_owned),
        license: found.license_declared.filter(is_known),
        ..Package::new(PackageKind::Apk, found.name, found.version_info?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_apk_are_read_and_sources_are_not() {
        let document = serde_json::json!({"packages": [
            {"name": "musl", "versionInfo": "1.2-r0", "licenseDeclared": "MIT", "externalRefs": [
                {"referenceType": "purl", "referenceLocator": "pkg:apk/wolfi/musl@1.2-r0?arch=x86_64&distro=wolfi"}]},
            {"name": "musl", "versionInfo": "abc", "externalRefs": [
                {"referenceType": "purl", "referenceLocator": "pkg:github/a/musl@abc"}]},
        ]});
        let read = read(document.to_string().as_bytes());
        let purls: Vec<String> = read.packages.iter().map(|one| one.purl(None)).collect();
        assert_eq!(purls, ["pkg:apk/musl@1.2-r0?arch=x86_64"]);
        assert_eq!(super::read(b"{").packages, []);
        assert!(super::read(b"{").problem.unwrap().contains("SPDX"));
    }
}
