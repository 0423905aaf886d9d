//! Bills of materials of images in layouts and registries.

use std::io::Read as _;

use golden::oci::media;
use golden::reference::Digest;
use serde_json::Value;

use crate::support::layout::{Base, index, index_of, tar};
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

const STATUS: &str = "var/lib/dpkg/status";
const RELEASE: &str =
    "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
const PACKAGES: &str = "Package: libcap2\nStatus: install ok installed\nMaintainer: A <a@example.com>\n\
    Architecture: amd64\nSource: libcap2 (1:2.66-4)\nVersion: 1:2.66-4+b1\n\n\
    Package: adduser\nStatus: install ok installed\nArchitecture: all\nVersion: 3.134\n\n\
    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n";

/// An image of Debian with these packages, in an uncompressed layer.
fn debian(platform: &str, packages: &str) -> Base {
    let plain = tar(&[
        ("etc/os-release", 'f', RELEASE),
        (STATUS, 'f', packages),
        ("usr/local/share/ca-certificates/a.crt", 'f', "certificate"),
    ]);
    let diff_id = Digest::of(&plain);
    Base::new(platform).layer_as(media::OCI_LAYER, plain, diff_id)
}

/// A workspace with the layout `base`, which contains this image.
fn with_layout(image: &Base) -> Golden {
    let golden = Golden::new();
    image.write(&golden.path().join("base"), "debian:12");
    golden
}

fn purls(document: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(document).unwrap();
    let components = document["components"].as_array().unwrap().iter();
    components
        .filter_map(|component| Some(component["purl"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn the_documents_of_an_image_list_packages_files_and_certificates() {
    let golden = with_layout(&debian("linux/amd64", PACKAGES))
        .workspace("")
        .file("app/tool", "tool")
        .image(
            "app",
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"oci:../base\"\nplatforms = [\"linux/amd64\"]\n\
             [[files]]\nsource = \"tool\"\ntarget = \"/usr/bin/tool\"\n",
        );
    golden
        .run(&["build", "--engine", "embedded", "--to", "oci:out"])
        .exit(0);
    for format in ["cyclonedx", "spdx"] {
        let sbom = || golden.run(&["sbom", "oci:out", "--format", format]).exit(0);
        let first = sbom();
        let version = format!("\"{}\"", env!("CARGO_PKG_VERSION"));
        let tool = concat!("golden-", env!("CARGO_PKG_VERSION"));
        let text = first
            .stdout
            .replace(&version, "\"VERSION\"")
            .replace(tool, "golden-VERSION");
        insta::assert_snapshot!(format, text);
        // The second run reads the cache, and the third reads the layers again.
        assert_eq!(sbom().stdout, first.stdout);
        golden.forget();
        assert_eq!(sbom().stdout, first.stdout);
    }
}

#[test]
fn an_image_of_a_registry_is_read_by_reference_and_by_name() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let golden = with_layout(&debian("linux/amd64", PACKAGES))
        .workspace(&format!("[[registry]]\nname = \"r\"\nhost = \"{host}\"\n"))
        .image(
            "app",
            "[image]\nname = \"team/app\"\nversion = \"1.0.0\"\nbase = \"oci:../base\"\nplatforms = [\"linux/amd64\"]\n",
        );
    golden
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(0);
    let expected = [
        "pkg:deb/debian/adduser@3.134?arch=all&distro=debian-12",
        "pkg:deb/debian/libcap2@1:2.66-4%2Bb1?arch=amd64&distro=debian-12&upstream=libcap2%401:2.66-4",
    ];
    let reference = format!("{host}/team/app:1.0.0");
    for image in [reference.as_str(), "team/app", "team/app:1.0"] {
        let run = golden.run(&["sbom", image]).exit(0);
        assert_eq!(purls(&run.stdout), expected, "{image}");
    }
    let reads = registry
        .requests()
        .iter()
        .filter(|line| line.contains("/blobs/") && line.starts_with("GET"))
        .count();
    golden.run(&["sbom", &reference]).exit(0);
    let layers = registry
        .requests()
        .iter()
        .filter(|line| line.contains("/blobs/") && line.starts_with("GET"))
        .count()
        - reads;
    assert_eq!(layers, 1, "only the config is read again");
    let run = golden.run(&["sbom", &format!("{host}/team/app:9")]).exit(1);
    assert!(run.stderr.contains("has no tag `9`"), "{}", run.stderr);
}

#[test]
fn packages_of_languages_are_listed_and_damaged_ones_are_reported() {
    let python = "opt/v/lib/python3.11/site-packages/Jinja2-3.1.dist-info/METADATA";
    let files = |module: &'static str| {
        let plain = tar(&[
            (python, 'f', "Name: Jinja2\nVersion: 3.1\n\nText"),
            (
                "app/node_modules/@s/a/package.json",
                'f',
                r#"{"name": "@s/a", "version": "1.0.0"}"#,
            ),
            ("app/node_modules/@s/a/test/package.json", 'f', "{"),
            ("app/node_modules/b/package.json", 'f', module),
            ("srv/template/package.json", 'f', "{{ template }}"),
        ]);
        let diff_id = Digest::of(&plain);
        with_layout(&Base::new("linux/amd64").layer_as(media::OCI_LAYER, plain, diff_id))
    };
    let expected = ["pkg:npm/%40s/a@1.0.0", "pkg:pypi/jinja2@3.1"];
    let run = files("{}").run(&["sbom", "oci:base"]).exit(0);
    assert_eq!(purls(&run.stdout), expected);
    let run = files("{").run(&["sbom", "oci:base"]).exit(1);
    assert_eq!(purls(&run.stdout), expected);
    assert!(
        run.stderr
            .contains("app/node_modules/b/package.json: it is not JSON"),
        "{}",
        run.stderr
    );
}

#[test]
fn packages_of_applications_are_listed_and_damaged_archives_are_reported() {
    let dependencies = r#"{"libraries": {"Newtonsoft.Json/13.0.3": {"type": "package"}}}"#;
    let files = |archive: &'static str| {
        let plain = tar(&[
            ("app/App.deps.json", 'f', dependencies),
            ("app/a.jar", 'f', archive),
            ("app/tool", 'f', "\x7fELF but not an executable"),
        ]);
        let diff_id = Digest::of(&plain);
        with_layout(&Base::new("linux/amd64").layer_as(media::OCI_LAYER, plain, diff_id))
    };
    let expected = ["pkg:nuget/Newtonsoft.Json@13.0.3"];
    let run = files("").run(&["sbom", "oci:base"]).exit(0);
    assert_eq!(purls(&run.stdout), expected);
    let run = files("PK").run(&["sbom", "oci:base"]).exit(1);
    assert_eq!(purls(&run.stdout), expected);
    assert!(
        run.stderr
            .contains("app/a.jar: it is not a complete zip archive"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_damaged_database_of_rpm_is_reported_in_every_format() {
    for (path, content, problem) in [
        ("Packages", "x", "it is not a hash table of Berkeley DB"),
        (
            "Packages.db",
            "RpmP",
            "it is not a database in rpm's format ndb",
        ),
        ("rpmdb.sqlite", "x", "it is not a SQLite database"),
    ] {
        let path = format!("usr/lib/sysimage/rpm/{path}");
        let plain = tar(&[(&path, 'f', content)]);
        let diff_id = Digest::of(&plain);
        let image = Base::new("linux/amd64").layer_as(media::OCI_LAYER, plain, diff_id);
        let run = with_layout(&image).run(&["sbom", "oci:base"]).exit(1);
        let problem = format!("{path}: {problem}");
        assert!(run.stderr.contains(&problem), "{}", run.stderr);
    }
}

#[test]
fn a_certificate_that_is_a_hard_link_is_listed_with_its_hash() {
    let certificate = "usr/local/share/ca-certificates/b.crt";
    let plain = tar(&[
        ("srv/b.crt", 'f', "certificate"),
        ("srv/other", 'f', "one"),
        (certificate, 'l', "srv/b.crt"),
    ]);
    let diff_id = Digest::of(&plain);
    let image = Base::new("linux/amd64").layer_as(media::OCI_LAYER, plain, diff_id);
    let run = with_layout(&image).run(&["sbom", "oci:base"]).exit(0);
    let hash = Digest::of(b"certificate");
    assert!(run.stdout.contains(certificate), "{}", run.stdout);
    assert!(run.stdout.contains(hash.hex()), "{}", run.stdout);
}

#[test]
fn files_that_a_bill_of_materials_did_not_hash_are_compared() {
    let image = |content: &str| {
        let plain = tar(&[("srv/file", 'f', content)]);
        let diff_id = Digest::of(&plain);
        Base::new("linux/amd64").layer_as(media::OCI_LAYER, plain, diff_id)
    };
    let golden = with_layout(&image("one"));
    image("two").write(&golden.path().join("next"), "debian:12");
    for layout in ["oci:base", "oci:next"] {
        golden.run(&["sbom", layout]).exit(0);
    }
    let run = golden.run(&["diff", "oci:base", "oci:next"]).exit(0);
    assert!(run.stdout.contains("/srv/file"), "{}", run.stdout);
}

#[test]
fn the_platform_selects_an_image_of_an_index() {
    let golden = Golden::new();
    let directory = golden.path().join("base");
    let only = |name: &str| format!("Package: {name}\nVersion: 1\n");
    let images = ["linux/amd64", "linux/arm64"].map(|platform| {
        let name = platform.rsplit('/').next().unwrap();
        debian(platform, &only(name))
    });
    let top = index_of(&directory, &[&images[0], &images[1]]);
    index(&directory, &[(&top, None)]);
    for name in ["amd64", "arm64"] {
        let platform = format!("linux/{name}");
        let run = golden
            .run(&["sbom", "oci:base", "--platform", &platform])
            .exit(0);
        assert_eq!(
            purls(&run.stdout),
            [format!("pkg:deb/debian/{name}@1?distro=debian-12")]
        );
    }
    let run = golden
        .run(&["sbom", "oci:base", "--platform", "linux/s390x"])
        .exit(1);
    assert!(
        run.stderr.contains("is not for linux/s390x"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_damaged_database_is_reported_and_the_document_says_what_is_missing() {
    let damaged = &PACKAGES[..PACKAGES.find("Version: 3.134").unwrap()];
    let golden = with_layout(&debian("linux/amd64", damaged));
    for format in ["cyclonedx", "spdx"] {
        let run = golden
            .run(&["sbom", "oci:base", "--format", format])
            .exit(1);
        let problem = "var/lib/dpkg/status: the package adduser in line 8 has no version";
        assert!(run.stderr.contains(problem), "{}", run.stderr);
        assert!(
            run.stdout.contains("Packages are missing"),
            "{}",
            run.stdout
        );
        assert!(
            run.stdout.contains("pkg:deb/debian/libcap2@"),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn a_layer_that_is_no_archive_or_a_bomb_is_refused() {
    let mut bomb = Vec::new();
    let zeros = std::io::repeat(0).take((1 << 30) + 1);
    zstd::stream::copy_encode(zeros, &mut bomb, 1).unwrap();
    for (bytes, problem) in [
        (
            b"this is no archive, but long enough to be read as a header".to_vec(),
            "cannot be read",
        ),
        (bomb, "a decompression bomb?"),
    ] {
        let image =
            Base::new("linux/amd64").layer_as(media::OCI_LAYER_GZIP, bytes, Digest::of(b""));
        let run = with_layout(&image).run(&["sbom", "oci:base"]).exit(1);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains(problem), "{}", run.stderr);
    }
}

#[test]
fn an_artifact_is_no_image() {
    let registry = FakeRegistry::start(Behaviour::default());
    let image = registry.image("team/app", "x", &["1.0.0"]);
    let artifact = registry.referrer("team/app", &image, "{}");
    let golden = Golden::new();
    let run = golden
        .run(&["sbom", &format!("{}/team/app@{artifact}", registry.host())])
        .exit(1);
    assert!(run.stderr.contains("error:"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
}
