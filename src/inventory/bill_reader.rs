//! Reads the packages of bills of materials of any program: CycloneDX in JSON, and SPDX 2 in JSON.

use serde_json::Value;

use super::package::PackageKind;

/// The levels of nested components that are read.
const DEEPEST: usize = 16;

/// A package in a bill of materials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedPackage {
    /// The package manager, if the document names it.
    pub kind: Option<PackageKind>,
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The name of the source package, if the document names one: `openssl` for `libssl3`.
    pub source: Option<String>,
}

/// The packages of a document; `None` if it is not a bill of materials.
#[must_use]
pub fn listed_packages(document: &Value) -> Option<Vec<ListedPackage>> {
    if document["bomFormat"] == "CycloneDX" {
        let mut packages = Vec::new();
        components(document, DEEPEST, &mut packages);
        return Some(packages);
    }
    document["spdxVersion"].as_str()?;
    let packages = document["packages"].as_array().into_iter().flatten();
    Some(packages.filter_map(spdx_package).collect())
}

fn components(parent: &Value, levels: usize, packages: &mut Vec<ListedPackage>) {
    for component in parent["components"].as_array().into_iter().flatten() {
        let is_package = !matches!(
            component["type"].as_str(),
            Some("file" | "operating-system" | "container" | "device" | "firmware" | "data")
        );
        if is_package {
            let mut properties = component["properties"].as_array().into_iter().flatten();
            let source = properties.find(|one| one["name"] == "aquasecurity:trivy:SrcName");
            let source = source.and_then(|one| one["value"].as_str());
            let name = match (component["group"].as_str(), component["name"].as_str()) {
                (Some(group), Some(name)) if !group.is_empty() => Some(format!("{group}/{name}")),
                (_, name) => name.map(str::to_owned),
            };
            let purl = component["purl"].as_str();
            packages.extend(package(name, component["version"].as_str(), purl, source));
        }
        if levels > 0 {
            components(component, levels - 1, packages);
        }
    }
}

fn spdx_package(found: &Value) -> Option<ListedPackage> {
    let mut references = found["externalRefs"].as_array().into_iter().flatten();
    let purl = references.find(|one| one["referenceType"] == "purl");
    let purl = purl.and_then(|one| one["referenceLocator"].as_str());
    let name = found["name"].as_str().map(str::to_owned);
    package(name, found["versionInfo"].as_str(), purl, None)
}

/// A package without a version cannot be compared, and is skipped.
fn package(
    name: Option<String>,
    version: Option<&str>,
    purl: Option<&str>,
    source: Option<&str>,
) -> Option<ListedPackage> {
    let rest = purl.and_then(|purl| purl.strip_prefix("pkg:"));
    let path = rest.and_then(|rest| Some(rest.split_once('/')?.1));
    let kind = purl.and_then(PackageKind::of_purl);
    let qualifiers = rest.and_then(|rest| rest.split_once('?'));
    let mut qualifiers = qualifiers
        .map_or("", |(_, qualifiers)| qualifiers)
        .split('&');
    let upstream = qualifiers.find_map(|one| one.strip_prefix("upstream="));
    // For rpm, the source is a file name such as `openssl-3.0.7-28.el9.src.rpm`.
    let upstream = upstream.map(|text| match text.strip_suffix(".src.rpm") {
        Some(file) => file.rsplitn(3, '-').last().unwrap_or(file),
        None => text.split(['@', '%']).next().unwrap_or(text),
    });
    // Programs write only the artifact, or the group and the artifact with different separators.
    let coordinates = path.and_then(|path| path.split('@').next()?.split_once('/'));
    let name = match (kind, coordinates) {
        (Some(PackageKind::Maven), Some((group, artifact))) => Some(format!("{group}:{artifact}")),
        _ => name.filter(|name| !name.is_empty()),
    }?;
    let source = source.or(upstream).filter(|source| *source != name);
    Some(ListedPackage {
        kind,
        version: version.filter(|version| !version.is_empty())?.to_owned(),
        source: source.map(str::to_owned),
        name,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(document: &Value) -> Vec<String> {
        let packages = listed_packages(document).unwrap().into_iter();
        let text = |one: ListedPackage| {
            let kind = one.kind.map(|kind| format!("{kind}:")).unwrap_or_default();
            let source = one.source.map(|source| format!(" from {source}"));
            format!(
                "{kind}{} {}{}",
                one.name,
                one.version,
                source.unwrap_or_default()
            )
        };
        packages.map(text).collect()
    }

    #[test]
    fn cyclonedx_components_are_packages_at_every_level() {
        let document = json!({ "bomFormat": "CycloneDX", "components": [
            { "type": "operating-system", "name": "debian", "version": "12" },
            { "type": "file", "name": "/etc/x", "version": "1" },
            { "type": "library", "name": "libssl3", "version": "3.0.11-1~deb12u2",
              "purl": "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&upstream=openssl%403.0.11" },
            { "type": "application", "name": "web", "version": "2", "components": [
                { "type": "library", "group": "@babel", "name": "core", "version": "7.0.0", "purl": "pkg:npm/%40babel/core@7.0.0" }] },
            { "type": "library", "name": "openssl-libs", "version": "1:3.0.7-28.el9",
              "purl": "pkg:rpm/redhat/openssl-libs@3.0.7-28.el9?upstream=openssl-3.0.7-28.el9.src.rpm" },
            { "type": "library", "name": "zlib1g", "version": "1",
              "properties": [{ "name": "aquasecurity:trivy:SrcName", "value": "zlib" }] },
            { "type": "library", "name": "unversioned" },
            { "type": "library", "group": "org.apache", "name": "log4j-core", "version": "2.17.0",
              "purl": "pkg:maven/org.apache/log4j-core@2.17.0" },
            { "type": "library", "name": "stdlib", "version": "go1.22.1", "purl": "pkg:golang/stdlib@1.22.1" },
        ]});
        assert_eq!(
            texts(&document),
            [
                "deb:libssl3 3.0.11-1~deb12u2 from openssl",
                "web 2",
                "npm:@babel/core 7.0.0",
                "rpm:openssl-libs 1:3.0.7-28.el9 from openssl",
                "zlib1g 1 from zlib",
                "maven:org.apache:log4j-core 2.17.0",
                "golang:stdlib go1.22.1"
            ]
        );
    }

    #[test]
    fn spdx_packages_are_read_and_other_documents_are_not() {
        let document = json!({ "spdxVersion": "SPDX-2.3", "packages": [
            { "name": "musl", "versionInfo": "1.2.4-r0", "externalRefs": [
                { "referenceType": "purl", "referenceLocator": "pkg:apk/alpine/musl@1.2.4-r0" }] },
            { "name": "image" }]});
        assert_eq!(texts(&document), ["apk:musl 1.2.4-r0"]);
        for other in [json!({}), json!([]), json!({ "packages": [] }), json!(1)] {
            assert_eq!(listed_packages(&other), None);
        }
    }
}
