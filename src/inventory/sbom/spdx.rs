//! SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::license::License;
use super::{BillOfMaterials, TOOL, identity, license};
use crate::inventory::package::Package;
use crate::inventory::release::Release;
use crate::reference::Digest;

/// The identifier of the image.
const IMAGE: &str = "SPDXRef-Image";
/// The time of an image whose creation time is unknown; the format requires one.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// The document of a bill of materials.
pub(super) fn document(bill: &BillOfMaterials) -> Value {
    let release = bill.inventory.release.as_ref();
    let mut licenses = BTreeMap::new();
    let mut packages = vec![image(bill)];
    packages.extend(release.map(operating_system));
    let listed: BTreeMap<String, &Package> = bill
        .inventory
        .packages
        .iter()
        .map(|one| (one.purl(release), one))
        .collect();
    for (purl, one) in &listed {
        packages.push(package(one, purl, &mut licenses));
    }
    packages.extend(bill.files.iter().map(|(path, digest)| file(path, digest)));
    let contained = packages[1..].iter().map(|package| {
        json!({
            "spdxElementId": IMAGE,
            "relationshipType": "CONTAINS",
            "relatedSpdxElement": package["SPDXID"],
        })
    });
    let describes = json!({
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": IMAGE,
    });
    let relationships: Vec<Value> = [describes].into_iter().chain(contained).collect();
    let extracted: Vec<Value> = licenses
        .into_iter()
        .map(|(id, text)| json!({"licenseId": id, "extractedText": text, "name": text}))
        .collect();
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bill.name,
        "documentNamespace": format!("urn:uuid:{}", identity::uuid("spdx", &bill.digest)),
        "creationInfo": {
            "created": identity::created(bill).unwrap_or_else(|| EPOCH.to_owned()),
            "creators": [format!("Tool: {}-{}", TOOL.0, TOOL.1)],
        },
        "comment": bill.missing().join("\n"),
        "packages": packages,
        "relationships": relationships,
    });
    if !extracted.is_empty() {
        document["hasExtractedLicensingInfos"] = extracted.into();
    }
    document
}

/// The keys that every package has.
fn described(id: &str, name: &str, version: Option<&str>, purpose: &str) -> Value {
    let mut package = json!({"name": name, "SPDXID": id});
    if let Some(version) = version {
        package["versionInfo"] = version.into();
    }
    package["downloadLocation"] = "NOASSERTION".into();
    package["filesAnalyzed"] = false.into();
    package["primaryPackagePurpose"] = purpose.into();
    package
}

fn with_purl(mut package: Value, purl: &str) -> Value {
    package["externalRefs"] = json!([{
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": purl,
    }]);
    package
}

fn image(bill: &BillOfMaterials) -> Value {
    let digest = bill.digest.to_string();
    let mut image = described(IMAGE, &bill.name, Some(&digest), "CONTAINER");
    image["supplier"] = "NOASSERTION".into();
    with_purl(image, &identity::purl(bill))
}

fn operating_system(release: &Release) -> Value {
    let id = "SPDXRef-OperatingSystem";
    let version = release.version_id.as_deref();
    described(id, &release.id, version, "OPERATING-SYSTEM")
}

fn package(package: &Package, purl: &str, licenses: &mut BTreeMap<String, String>) -> Value {
    let id = identifier("Package", &package.name, purl);
    let version = package.full_version();
    let mut described = described(&id, &package.name, Some(&version), "LIBRARY");
    described["supplier"] = match &package.supplier {
        Some(supplier) => format!("Organization: {supplier}").into(),
        None => "NOASSERTION".into(),
    };
    described["licenseConcluded"] = "NOASSERTION".into();
    described["licenseDeclared"] = match package.license.as_deref().map(license::parse) {
        None => "NOASSERTION".into(),
        Some(License::Id(text) | License::Expression(text)) => text.into(),
        Some(License::Name(text)) => {
            let id = format!("LicenseRef-{}", &Digest::of(text.as_bytes()).hex()[..12]);
            licenses.insert(id.clone(), text.to_owned());
            id.into()
        }
    };
    with_purl(described, purl)
}

/// A file is a package with a purpose, because an element of type file requires a SHA-1.
fn file(path: &str, digest: &Digest) -> Value {
    let mut file = described(&identifier("File", path, path), path, None, "FILE");
    file["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": digest.hex()}]);
    file
}

/// An identifier, in which only letters, digits, dots and hyphens are allowed. The hash makes it
/// unique.
fn identifier(kind: &str, name: &str, unique: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    let name: String = name
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    let hash = Digest::of(unique.as_bytes());
    format!("SPDXRef-{kind}-{name}-{}", &hash.hex()[..12])
}
