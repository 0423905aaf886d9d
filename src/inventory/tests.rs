//! Layers on top of each other, and the packages that are visible at the top.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use super::*;

/// A layer of files with a content, of directories (`path/`), and of links (`path -> target` and
/// `path => target`).
fn layer(entries: &[(&str, &str)]) -> LayerFiles {
    let bytes = tar_of(entries);
    LayerFiles::read(bytes.as_slice(), bytes.len() as u64, HashedFiles::All).unwrap()
}

fn tar_of<C: AsRef<[u8]>>(entries: &[(&str, C)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let content = content.as_ref();
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        let link = |separator| path.split_once(separator);
        if let Some((path, target)) = link(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, path, target).unwrap();
        } else if let Some((path, target)) = link(" => ") {
            header.set_entry_type(tar::EntryType::Link);
            builder.append_link(&mut header, path, target).unwrap();
        } else if path.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
            builder
                .append_data(&mut header, path, std::io::empty())
                .unwrap();
        } else {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn merged(layers: &[&[(&str, &str)]]) -> ImageFiles {
    let mut merged = ImageFiles::default();
    for entries in layers {
        merged.add(layer(entries), LayerOwner::Base);
    }
    merged
}

fn paths(merged: &ImageFiles) -> Vec<&str> {
    merged.files().keys().map(String::as_str).collect()
}

fn names(merged: &ImageFiles) -> Vec<String> {
    let packages = merged.inventory().packages.into_iter();
    packages
        .map(|package| format!("{} {}", package.name, package.full_version()))
        .collect()
}

/// A layer with a file of each kind that describes packages, and of each form that has rules of its
/// own.
pub(crate) fn sample() -> Vec<u8> {
    let properties: &[u8] = b"version=1.0\ngroupId=com.example\nartifactId=library\n";
    let library = zip::tests::written(&[("=META-INF/maven/a/b/pom.properties", properties)]);
    let manifest: &[u8] = b"Implementation-Version: 2.0\nImplementation-Vendor-Id: com.acme\n";
    let application = zip::tests::written(&[
        ("=META-INF/MANIFEST.MF", manifest),
        ("=lib/library.jar", &library),
        ("=lib/statistics.sar", b"statistics"),
    ]);
    let entries: [(&str, Vec<u8>); 26] = [
        (STATUS, dpkg::tests::STATUS.into()),
        ("var/lib/dpkg/status.d/b", "Package: b\nVersion: 2".into()),
        ("lib/apk/db/installed", apk::tests::INSTALLED.into()),
        ("lib/apk/db/again => lib/apk/db/installed", Vec::new()),
        ("var/lib/rpm/rpmdb.sqlite", rpm::tests::database()),
        ("var/lib/rpm/rpmdb.sqlite-wal", "x".into()),
        (
            "var/lib/rpm/Packages",
            rpm::tests::unpacked(include_bytes!("../../tests/hermetic/data/Packages.gz")),
        ),
        (
            "var/lib/rpm/Packages.db",
            rpm::tests::unpacked(include_bytes!("../../tests/hermetic/data/Packages.db.gz")),
        ),
        (
            "var/lib/rpmmanifest/container-manifest-2",
            "a\t1-1.cm2\t1\t1\tMicrosoft\t(none)\t1\tx86_64\t0\ta-1-1.cm2.src.rpm\n".into(),
        ),
        (
            "var/lib/db/sbom/c.spdx.json",
            r#"{"packages": [{"name": "c", "versionInfo": "3", "externalRefs": [
                {"referenceType": "purl", "referenceLocator": "pkg:apk/wolfi/c@3"}]}]}"#
                .into(),
        ),
        ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n".into()),
        (
            "usr/lib/python3/dist-packages/d-1.dist-info/METADATA",
            "Name: D_d\nVersion: 1\nLicense: MIT\nAuthor: x\n\n".into(),
        ),
        (
            "srv/node_modules/e/package.json",
            r#"{"name": "e", "version": "1.0.0", "license": "MIT"}"#.into(),
        ),
        ("srv/package.json", r#"{"name": "f"}"#.into()),
        (
            "srv/g.deps.json",
            r#"{"libraries": {"g/1.0.0": {"type": "package"}, "h/1": {"type": "project"}}}"#.into(),
        ),
        ("srv/application-2.0.war", application),
        ("srv/empty.jar", Vec::new()),
        ("srv/damaged.jar", "PK".into()),
        ("srv/statistics.sar", "statistics".into()),
        ("usr/bin/go", executable::tests::go_program()),
        ("usr/bin/old-go", executable::tests::old_go_program()),
        (
            "usr/bin/old-go-without-modules",
            executable::tests::old_go_program_without_modules(),
        ),
        (
            "usr/local/share/ca-certificates/a.crt",
            "certificate".into(),
        ),
        ("srv/", Vec::new()),
        ("srv/link -> /etc", Vec::new()),
        ("srv/.wh.removed", Vec::new()),
    ];
    tar_of(&entries)
}

const STATUS: &str = "var/lib/dpkg/status";

#[test]
fn the_database_of_the_top_layer_counts() {
    let (old, new) = ("Package: a\nVersion: 1\n", "Package: a\nVersion: 2\n");
    assert_eq!(
        names(&merged(&[&[(STATUS, old)], &[(STATUS, new)]])),
        ["a 2"]
    );
    for removal in [
        "var/lib/dpkg/.wh.status",
        "var/.wh.lib",
        "var/lib/.wh..wh..opq",
        ".wh..wh..opq",
        "var",
        "var -> srv",
    ] {
        let merged = merged(&[&[(STATUS, old)], &[(removal, "")]]);
        assert_eq!(names(&merged), [""; 0], "{removal}");
    }
    // An opaque directory hides only the layers below.
    let rewritten = merged(&[
        &[(STATUS, old), ("var/lib/x", "")],
        &[("var/lib/.wh..wh..opq", ""), (STATUS, new)],
    ]);
    assert_eq!(names(&rewritten), ["a 2"]);
    assert_eq!(paths(&rewritten), [STATUS]);
    // The database is a link to that of a lower layer.
    let linked = merged(&[
        &[("srv/x", "")],
        &[("usr/lib/apk/db/installed", "P:a\nV:1\n\n")],
        &[("lib/apk/db/installed => usr/lib/apk/db/installed", "")],
    ]);
    assert_eq!(names(&linked), ["a 1"]);
}

#[test]
fn upper_layers_replace_and_hide_files() {
    let merged = merged(&[
        &[
            ("a/", ""),
            ("a/b", "1"),
            ("a/c", "1"),
            ("a0", "1"),
            ("d", "1"),
            ("e/f", "1"),
        ],
        &[
            ("a/b", "2"),
            ("a/.wh.c", ""),
            ("d/g", "2"),
            ("e -> a", ""),
            ("h => a/b", ""),
        ],
    ]);
    assert_eq!(paths(&merged), ["a", "a/b", "a0", "d/g", "e", "h"]);
    assert_eq!(merged.files()["h"].kind, merged.files()["a/b"].kind);
}

#[test]
fn the_files_of_own_layers_are_known() {
    let mut merged = ImageFiles::default();
    merged.add(layer(&[("a", "1"), ("b", "1")]), LayerOwner::Base);
    merged.add(
        layer(&[("b", "2"), ("c", "2"), ("d/", ""), ("e", "2")]),
        LayerOwner::Image,
    );
    merged.add(layer(&[(".wh.c", ""), ("e", "3")]), LayerOwner::Base);
    let listed = merged.listed().unwrap().files;
    let digest = crate::reference::Digest::of(b"2");
    assert_eq!(listed, [("b".to_owned(), digest)]);
}

#[test]
fn only_certificates_are_hashed_for_a_bill_of_materials() {
    let certificate = "usr/local/share/ca-certificates/a.crt";
    let read = |entries: &[(&str, &str)]| {
        let bytes = tar_of(entries);
        let length = bytes.len() as u64;
        LayerFiles::read(bytes.as_slice(), length, HashedFiles::Certificates).unwrap()
    };
    let mut merged = ImageFiles::default();
    merged.add(
        read(&[
            ("b", "1"),
            (certificate, "2"),
            (STATUS, "Package: a\nVersion: 1\n"),
        ]),
        LayerOwner::Base,
    );
    assert_eq!(names(&merged), ["a 1"]);
    let file = |size: u64, digest| LayerFileKind::File { size, digest };
    assert_eq!(merged.files()["b"].kind, file(1, None));
    let digest = crate::reference::Digest::of(b"2");
    assert_eq!(merged.files()[certificate].kind, file(1, Some(digest)));
    assert!(merged.listed().is_some());
    let link = format!("{certificate} => b");
    merged.add(read(&[(&link, "")]), LayerOwner::Base);
    assert!(merged.listed().is_none());
}

#[test]
fn the_memory_of_every_text_of_a_layer_is_limited() {
    const LARGE: usize = 12 << 20;
    let large = "x".repeat(LARGE);
    let read = |path: &str, content: &str, links: usize| {
        let links: Vec<String> = (0..links)
            .map(|index| format!("{index} => {path}"))
            .collect();
        let mut entries = vec![(path, content)];
        entries.extend(links.iter().map(|link| (link.as_str(), "")));
        let bytes = tar_of(&entries);
        LayerFiles::read(bytes.as_slice(), bytes.len() as u64, HashedFiles::All)
    };
    let package = format!("Package: a\nVersion: 1\nSource: {large}\n");
    let source = format!("Package: a\nVersion: 1\nSource: a ({large})\n");
    let release = format!("ID=a\nPRETTY_NAME={large}\n");
    for (path, content) in [
        (STATUS, package),
        (STATUS, source),
        ("etc/os-release", release),
    ] {
        assert!(read(path, &content, 1).is_ok(), "{path}");
        let error = read(path, &content, 10).unwrap_err().to_string();
        assert_eq!(
            error,
            "it has more files and packages than golden can hold in memory"
        );
    }
    // The targets of links.
    let target = "x".repeat(4000);
    let link = |index: usize| (format!("{index} -> {target}"), "");
    let links: Vec<_> = (0..25_000).map(link).collect();
    let links: Vec<_> = links
        .iter()
        .map(|(path, no)| (path.as_str(), *no))
        .collect();
    let bytes = tar_of(&links);
    let read = LayerFiles::read(bytes.as_slice(), bytes.len() as u64, HashedFiles::All);
    assert!(read.is_err());
}

#[test]
fn links_to_a_database_of_a_lower_layer_share_its_packages() {
    let links: Vec<String> = (0..1000).map(|at| format!("{at} => {STATUS}")).collect();
    let links: Vec<(&str, &str)> = links.iter().map(|link| (link.as_str(), "")).collect();
    let status = "Package: a\nVersion: 1\n\nPackage: b\n\n";
    let linked = merged(&[&[(STATUS, status)], &links]);
    let readings = linked.readings.values().map(Arc::as_ptr);
    assert_eq!(readings.collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(names(&linked), ["a 1"]);
    assert_eq!(linked.inventory().gaps.len(), 1001);
    // The database is removed, but not the links.
    let removed = merged(&[
        &[(STATUS, status)],
        &links[..2],
        &[("var/lib/dpkg/.wh.status", "")],
    ]);
    assert_eq!(names(&removed), ["a 1"]);
}

#[test]
fn a_large_file_of_another_program_is_not_a_gap() {
    const SIZE: u64 = 129 << 20;
    let read = |path: &str, start: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_path(path).unwrap();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(SIZE);
        header.set_cksum();
        let content = start.chain(std::io::repeat(0)).take(SIZE + 1024);
        let layer = header.as_bytes().chain(content);
        let files = LayerFiles::read(layer, SIZE, HashedFiles::Certificates).unwrap();
        let mut merged = ImageFiles::default();
        merged.add(files, LayerOwner::Base);
        merged.inventory().gaps.len()
    };
    assert_eq!(read("srv/a.sar", b""), 0);
    assert_eq!(read("srv/a.sar", b"PK"), 1);
    assert_eq!(read("srv/a.jar", b""), 1);
}

#[test]
fn the_release_in_etc_overrides_that_in_usr() {
    let (usr, etc) = (
        ("usr/lib/os-release", "ID=debian\n"),
        ("etc/os-release", "ID=mine\n"),
    );
    let release = |layers: &[&[(&str, &str)]]| merged(layers).inventory().release.unwrap().id;
    assert_eq!(release(&[&[usr, etc]]), "mine");
    assert_eq!(
        release(&[&[("etc/os-release -> ../usr/lib/os-release", ""), usr]]),
        "debian"
    );
}

#[test]
fn the_databases_of_several_package_managers_are_read() {
    let merged = merged(&[&[
        (STATUS, "Package: a\nVersion: 1\n"),
        ("var/lib/dpkg/status.d/b", "Package: b\nVersion: 2"),
        ("lib/apk/db/installed", "P:c\nV:3\n\n"),
        (
            "var/lib/db/sbom/c.spdx.json",
            r#"{"packages": [
                {"name": "c", "versionInfo": "3", "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:apk/wolfi/c@3"}]},
                {"name": "d", "versionInfo": "4", "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:apk/wolfi/d@4"}]}
            ]}"#,
        ),
    ]]);
    assert_eq!(names(&merged), ["c 3", "d 4", "a 1", "b 2"]);
    assert_eq!(merged.inventory().gaps, []);
}

#[test]
fn a_damaged_database_is_a_gap() {
    let merged = merged(&[&[
        ("var/lib/rpm/rpmdb.sqlite", "nonsense"),
        ("usr/lib/sysimage/rpm/Packages.db", "x"),
        (STATUS, "Package: a\nVersion: 1\n\nPackage: b\n\n"),
    ]]);
    assert_eq!(names(&merged), ["a 1"]);
    let gaps = merged.inventory().gaps;
    assert!(gaps.iter().all(Gap::is_of_distribution));
    let gaps: Vec<String> = gaps
        .iter()
        .map(|gap| format!("{}: {}", gap.path, gap.problem))
        .collect();
    assert_eq!(
        gaps,
        [
            "usr/lib/sysimage/rpm/Packages.db: it is not a database in rpm's format ndb",
            "var/lib/dpkg/status: the package b in line 4 has no version",
            "var/lib/rpm/rpmdb.sqlite: it is not a SQLite database",
        ]
    );
}

#[test]
fn a_damaged_package_of_a_language_is_not_a_gap_of_the_distribution() {
    let merged = merged(&[&[("app/a.jar", "x"), ("app/A.deps.json", "x")]]);
    let gaps = merged.inventory().gaps;
    assert_eq!(gaps.len(), 2);
    assert!(!gaps.iter().any(Gap::is_of_distribution));
}

#[test]
fn a_layer_is_read_with_every_compression_and_a_damaged_one_is_refused() {
    let plain = tar_of(&[
        (STATUS, "Package: a\nVersion: 1\n"),
        ("x", &"y".repeat(9999)),
    ]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(&plain).unwrap();
    let gzip = encoder.finish().unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();
    let read = |bytes: &[u8]| LayerFiles::read(bytes, bytes.len() as u64, HashedFiles::All);
    let expected = read(&plain).unwrap();
    assert_eq!(read(&gzip).unwrap(), expected);
    assert_eq!(read(&zstd).unwrap(), expected);
    for bytes in [&plain[..2000], &gzip[..gzip.len() - 9], b"no archive"] {
        assert!(read(bytes).is_err());
    }
    let outside = tar_of(&[("x => ../../etc/shadow", "")]);
    let error = read(&outside).unwrap_err().to_string();
    assert!(error.contains("leads out of the image's root"), "{error}");
}

#[test]
fn the_files_of_a_layer_are_read_back_from_the_cache() {
    let files = layer(&[
        (STATUS, "Package: a\nVersion: 1\n"),
        ("a/", ""),
        ("b -> a", ""),
        ("c => d", ""),
        (".wh.e", ""),
        ("f/.wh..wh..opq", ""),
        ("etc/os-release", "ID=debian\n"),
    ]);
    let bytes = serde_json::to_vec(&files).unwrap();
    assert_eq!(serde_json::from_slice::<LayerFiles>(&bytes).unwrap(), files);
}
