//! CycloneDX 1.6 (<https://cyclonedx.org/docs/1.6/json/>), with the properties that trivy reads.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::license::License;
use super::{BillOfMaterials, TOOL, identity, license};
use crate::inventory::package::{Package, PackageKind};
use crate::inventory::release::Release;

/// The document of a bill of materials.
pub(super) fn document(bill: &BillOfMaterials) -> Value {
    let root = identity::purl(bill);
    let release = bill.inventory.release.as_ref();
    let system = release.map(operating_system);
    let packages: BTreeMap<String, Value> = bill
        .inventory
        .packages
        .iter()
        .map(|one| (one.purl(release), component(one, release)))
        .collect();
    let files = bill.files.iter().map(|(path, digest)| {
        json!({
            "bom-ref": format!("file:{path}"),
            "type": "file",
            "name": path,
            "hashes": [{"alg": "SHA-256", "content": digest.hex()}],
        })
    });
    let mut metadata = Map::new();
    if let Some(created) = identity::created(bill) {
        metadata.insert("timestamp".to_owned(), created.into());
    }
    let tool = json!({"type": "application", "name": TOOL.0, "version": TOOL.1});
    metadata.insert("tools".to_owned(), json!({"components": [tool]}));
    metadata.insert("component".to_owned(), image(bill, &root));
    let dependencies = dependencies(bill, &root, system.as_ref(), &packages);
    let components: Vec<Value> = system
        .into_iter()
        .chain(packages.into_values())
        .chain(files)
        .collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", identity::uuid("cyclonedx", &bill.digest)),
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": dependencies,
        "compositions": [{"aggregate": "incomplete", "assemblies": [root]}],
    })
}

/// The image as a component.
fn image(bill: &BillOfMaterials, root: &str) -> Value {
    let mut properties = vec![
        trivy("ImageID", &bill.config.to_string()),
        trivy("SchemaVersion", "2"),
    ];
    let missing = bill.missing();
    properties.extend(
        missing
            .iter()
            .map(|text| property("golden:incomplete", text)),
    );
    json!({
        "bom-ref": root,
        "type": "container",
        "name": bill.name,
        "version": bill.digest,
        "purl": root,
        "properties": properties,
    })
}

fn operating_system(release: &Release) -> Value {
    let mut system = json!({
        "bom-ref": format!("os:{}", release.qualifier()),
        "type": "operating-system",
        "name": release.id,
    });
    if let Some(version) = &release.version_id {
        system["version"] = version.as_str().into();
    }
    if let Some(name) = &release.name {
        system["description"] = name.as_str().into();
    }
    system["properties"] = json!([trivy("Class", "os-pkgs"), trivy("Type", family(release)),]);
    system
}

/// The name of a distribution in trivy.
fn family(release: &Release) -> &str {
    match release.id.as_str() {
        "rhel" => "redhat",
        "almalinux" => "alma",
        "amzn" => "amazon",
        "ol" => "oracle",
        other => other,
    }
}

/// A package as a component.
fn component(package: &Package, release: Option<&Release>) -> Value {
    let purl = package.purl(release);
    let version = package.full_version();
    let mut component = json!({"bom-ref": purl, "type": "library"});
    if let Some(supplier) = &package.supplier {
        component["publisher"] = supplier.as_str().into();
    }
    let coordinates = package.name.split_once(':');
    let name = match coordinates.filter(|_| package.kind == PackageKind::Maven) {
        Some((group, artifact)) => {
            component["group"] = group.into();
            artifact
        }
        None => &package.name,
    };
    component["name"] = name.into();
    component["version"] = version.as_str().into();
    if let Some(text) = &package.license {
        component["licenses"] = match license::parse(text) {
            License::Id(id) => json!([{"license": {"id": id}}]),
            License::Expression(expression) => json!([{"expression": expression}]),
            License::Name(name) => json!([{"license": {"name": name}}]),
        };
    }
    component["purl"] = purl.into();
    let kind = release.map_or_else(
        || package.kind.to_string(),
        |found| family(found).to_owned(),
    );
    let mut properties = vec![
        trivy("PkgID", &format!("{}@{version}", package.name)),
        trivy("PkgType", &kind),
    ];
    for (name, value) in source(package) {
        properties.push(trivy(name, &value));
    }
    component["properties"] = properties.into();
    component
}

/// The source package in the properties of trivy, in alphabetical order.
fn source(package: &Package) -> Vec<(&'static str, String)> {
    if !package.kind.is_of_distribution() {
        return Vec::new();
    }
    let (name, version) = match &package.source {
        Some(source) if package.kind == PackageKind::Rpm => {
            let name = source.name.trim_end_matches(".src.rpm");
            let mut parts = name.rsplitn(3, '-');
            let (release, version) = (parts.next(), parts.next());
            match (parts.next(), version, release) {
                (Some(name), Some(version), Some(release)) => {
                    (name.to_owned(), format!("{version}-{release}"))
                }
                _ => (name.to_owned(), package.version.clone()),
            }
        }
        Some(source) => {
            let version = source.version.as_ref().unwrap_or(&package.version);
            (source.name.clone(), version.clone())
        }
        None => (package.name.clone(), package.version.clone()),
    };
    // apk has no epoch, and its release is a part of the version.
    if package.kind == PackageKind::Apk {
        return vec![("SrcName", name), ("SrcVersion", version)];
    }
    let (epoch, version) = match version.split_once(':') {
        Some((epoch, version)) => (Some(epoch.to_owned()), version.to_owned()),
        None => (package.epoch.map(|epoch| epoch.to_string()), version),
    };
    let (version, release) = match version.rsplit_once('-') {
        Some((version, release)) => (version.to_owned(), Some(release.to_owned())),
        None => (version, None),
    };
    let all = [
        ("SrcEpoch", epoch),
        ("SrcName", Some(name)),
        ("SrcRelease", release),
        ("SrcVersion", Some(version)),
    ];
    all.into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

fn property(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

/// A property that trivy reads.
fn trivy(name: &str, value: &str) -> Value {
    property(&format!("aquasecurity:trivy:{name}"), value)
}

/// The image depends on its distribution, its files and the packages of languages; the distribution
/// depends on its packages.
fn dependencies(
    bill: &BillOfMaterials,
    root: &str,
    system: Option<&Value>,
    packages: &BTreeMap<String, Value>,
) -> Value {
    let is_of_language =
        |purl: &&str| PackageKind::of_purl(purl).is_some_and(|kind| !kind.is_of_distribution());
    let packages = packages.keys().map(String::as_str);
    let (languages, packages): (Vec<&str>, Vec<&str>) = packages.partition(is_of_language);
    let files = bill.files.iter().map(|(path, _)| format!("file:{path}"));
    let files: Vec<String> = files.collect();
    let system = system.and_then(|system| system["bom-ref"].as_str());
    let mut direct: Vec<&str> = match system {
        Some(system) => vec![system],
        None => packages.clone(),
    };
    direct.extend(languages);
    direct.extend(files.iter().map(String::as_str));
    let image = json!({"ref": root, "dependsOn": direct});
    let system = system.map(|system| json!({"ref": system, "dependsOn": packages}));
    [image].into_iter().chain(system).collect()
}
