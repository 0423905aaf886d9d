//! The tests of images, on trees and configs made by hand.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ImageFacts, evaluate, needed_contents};
use crate::config_files::byte_size::ByteSize;
use crate::config_files::config::Invocation;
use crate::config_files::structure;
use crate::config_files::test_table::{ConfigKey, Pattern, SizeKind, TestFileType};
use crate::inventory::{HashedFiles, ImageFiles, LayerFiles, LayerOwner};
use crate::oci::ImageConfig;
use crate::reference::Digest;
use crate::resolve::image::{Certificate, ResolvedTest, SpecLocation};
use crate::resolve::image_test::{
    FileExpectation, FileProperties, PackageExpectation, StructureTest, TestSubject,
    ValueExpectation,
};

const STATUS: &str = "Package: tini\nVersion: 0.19.0-1\nStatus: install ok installed\n\n\
    Package: libssl3\nVersion: 3.0.15-1~deb12u1\nStatus: install ok installed\n";

const PYYAML: &str = "Metadata-Version: 2.1\nName: PyYAML\nVersion: 6.0.1\n\n";
const RUAMEL: &str = "Metadata-Version: 2.1\nName: ruamel.yaml\nVersion: 0.18.6\n\n";

/// A tar of entries: path, mode, type and content or target.
fn tar(entries: &[(&str, u32, char, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode, kind, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_uid(u64::from(*kind == 'f' && path.starts_with("srv")) * 1000);
        header.set_gid(0);
        header.set_size(0);
        match kind {
            'f' => {
                header.set_size(text.len() as u64);
                builder
                    .append_data(&mut header, path, text.as_bytes())
                    .unwrap();
            }
            'd' => {
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, path, &b""[..]).unwrap();
            }
            's' => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, text).unwrap();
            }
            _ => {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, path, text).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

/// The files of an image, and all contents by digest.
fn image() -> (ImageFiles, BTreeMap<Digest, Vec<u8>>) {
    let below: &[(&str, u32, char, &str)] = &[
        ("usr/bin/tini", 0o755, 'f', "tini"),
        ("bin", 0o777, 's', "usr/bin"),
        (
            "etc/passwd",
            0o644,
            'f',
            "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/:\n",
        ),
        ("etc/group", 0o644, 'f', "root:x:0:\n"),
        ("etc/removed", 0o644, 'f', "secret"),
        ("var/lib/dpkg/status", 0o644, 'f', STATUS),
        ("loop", 0o777, 's', "/loop"),
    ];
    let above: &[(&str, u32, char, &str)] = &[
        ("etc/.wh.removed", 0o644, 'f', ""),
        ("srv/app/config", 0o640, 'f', "port = 80\nhost = \"a\"\n"),
        ("srv/app/hard", 0o640, 'l', "srv/app/config"),
        ("srv/current", 0o777, 's', "app"),
        ("srv/dangling", 0o777, 's', "../nothing"),
        ("srv/binary", 0o600, 'f', "a\u{0}b"),
        ("opt/PyYAML.dist-info/METADATA", 0o644, 'f', PYYAML),
        ("opt/ruamel.dist-info/METADATA", 0o644, 'f', RUAMEL),
        ("data", 0o1777, 'd', ""),
    ];
    let mut merged = ImageFiles::default();
    let mut contents = BTreeMap::new();
    for layer in [below, above] {
        let tar = tar(layer);
        let files = LayerFiles::read(tar.as_slice(), tar.len() as u64, HashedFiles::All).unwrap();
        merged.add(files, LayerOwner::Base);
        for (_, _, _, text) in layer {
            contents.insert(Digest::of(text.as_bytes()), text.as_bytes().to_vec());
        }
    }
    (merged, contents)
}

fn config() -> ImageConfig {
    let config = json!({ "config": {
        "User": "app",
        "Env": ["PATH=/bin", "EMPTY=", "PATH=/usr/bin", "API_TOKEN=hunter2", "USE_TOKEN=true",
            "URL=postgres://app:hunter2@db/app"],
        "Labels": {"owner": "team@example.com"},
        "Entrypoint": ["/usr/bin/tini", "--"],
        "Cmd": ["/bin/sh", "-c", "run it"],
        "ExposedPorts": {"8080/tcp": {}, "9000-9002/udp": {}},
        "Volumes": {"/data": {}},
    }});
    ImageConfig::parse(config.to_string().as_bytes()).unwrap()
}

/// The mismatches as `assertion: expected / found`.
fn failures(subject: TestSubject<Vec<Certificate>>) -> Vec<String> {
    let (files, all) = image();
    let test = ResolvedTest {
        name: None,
        subject,
        location: SpecLocation {
            file: "image.toml".into(),
            span: 0..0,
        },
    };
    let needed = needed_contents(std::slice::from_ref(&test), &files);
    let contents = needed
        .keys()
        .map(|digest| (digest.clone(), all[digest].clone()));
    let contents = contents.collect();
    let inventory = files.inventory();
    let verdict = evaluate(
        &test,
        &ImageFacts {
            config: &config(),
            files: &files,
            inventory: &inventory,
            contents: &contents,
            packed: 1_500_000,
        },
    );
    assert_eq!(verdict.passed, verdict.failures.is_empty());
    let text =
        |one: &super::Mismatch| format!("{}: {} / {}", one.assertion, one.expected, one.found);
    verdict.failures.iter().map(text).collect()
}

fn pattern(text: &str) -> Pattern {
    Pattern::try_from(text.to_owned()).unwrap()
}

/// The failures of a test of a file with properties as in a spec.
fn file(path: &str, properties: &Value) -> Vec<String> {
    let text = |key: &str| {
        properties
            .get(key)
            .map(|value| value.as_str().unwrap().to_owned())
    };
    let kind = text("type").map(|kind| match kind.as_str() {
        "dir" => TestFileType::Dir,
        "link" => TestFileType::Link,
        _ => TestFileType::File,
    });
    failures(TestSubject::File {
        path: path.to_owned(),
        expected: FileExpectation::Present(Box::new(FileProperties {
            kind,
            link: text("link"),
            mode: text("mode").map(|mode| u32::from_str_radix(&mode, 8).unwrap()),
            owner: text("owner").map(|owner| owner.try_into().unwrap()),
            sha256: text("sha256"),
            contains: text("contains"),
            matches: text("matches").map(|text| pattern(&text)),
        })),
    })
}

#[test]
fn the_properties_of_files_are_compared() {
    let digest = Digest::of(b"tini");
    for (path, properties) in [
        (
            "/usr/bin/tini",
            json!({"mode": "755", "owner": "0:0", "type": "file", "sha256": digest.hex()}),
        ),
        ("/bin/tini", json!({"contains": "in", "matches": "^ti.i$"})),
        ("/bin", json!({"type": "link", "link": "usr/bin"})),
        ("/bin", json!({"mode": "755"})),
        ("/usr", json!({"type": "dir", "owner": "root:root"})),
        ("/", json!({"type": "dir"})),
        ("/data", json!({"type": "dir", "mode": "1777"})),
        (
            "/srv/app/config",
            json!({"owner": "app", "matches": "^port = [0-9]+$"}),
        ),
        (
            "/srv/current/config",
            json!({"owner": "1000:0", "mode": "0640", "contains": "\"a\""}),
        ),
        ("/srv/app/hard", json!({"type": "file", "contains": "host"})),
        ("/srv/binary", json!({"contains": "\u{0}b"})),
        ("/srv/dangling", json!({"type": "link"})),
    ] {
        assert_eq!(
            file(path, &properties),
            Vec::<String>::new(),
            "{path} {properties}"
        );
    }
    for (path, properties, expected) in [
        (
            "/usr/bin/tini",
            json!({"mode": "0644"}),
            "mode: 0644 / 0755",
        ),
        ("/usr/bin/tini", json!({"owner": "app"}), "owner: app / 0:0"),
        (
            "/usr/bin/tini",
            json!({"owner": "nobody:root"}),
            "owner: nobody:root / 0:0 (the image has no user `nobody`)",
        ),
        (
            "/usr/bin/tini",
            json!({"contains": "x"}),
            "contains: x / \"tini\"",
        ),
        (
            "/bin",
            json!({"type": "dir"}),
            "type: dir / link to usr/bin",
        ),
        (
            "/bin",
            json!({"link": "/usr/bin"}),
            "link: /usr/bin / usr/bin",
        ),
        (
            "/usr/bin",
            json!({"contains": "x"}),
            "contains: x / dir, which has no content",
        ),
        ("/etc/removed", json!({}), "exists: exists / does not exist"),
        (
            "/usr/bin/tini/x",
            json!({}),
            "exists: exists / does not exist",
        ),
        ("/loop/x", json!({}), "exists: exists / does not exist"),
        (
            "/srv/dangling",
            json!({"mode": "0644"}),
            "exists: exists / link to ../nothing, which does not exist",
        ),
    ] {
        assert_eq!(file(path, &properties), [expected], "{path} {properties}");
    }
    let absent = |path: &str| {
        let path = path.to_owned();
        failures(TestSubject::File {
            path,
            expected: FileExpectation::Absent,
        })
    };
    assert_eq!(absent("/etc/removed"), Vec::<String>::new());
    assert_eq!(absent("/bin/tini"), ["exists: does not exist / file"]);
    assert_eq!(
        absent("/srv/dangling"),
        ["exists: does not exist / link to ../nothing"]
    );
}

#[test]
fn packages_are_found_in_the_databases() {
    let package = |name: &str, requirement: &str| {
        failures(TestSubject::Package {
            name: name.to_owned(),
            expected: match requirement {
                "" => PackageExpectation::Installed,
                "absent" => PackageExpectation::Absent,
                text => PackageExpectation::Version(text.to_owned().try_into().unwrap()),
            },
        })
    };
    for (name, requirement) in [
        ("tini", ""),
        ("tini", ">=0.19"),
        ("libssl3", ">=3.0.15~, <3.1"),
        ("nano", "absent"),
    ] {
        assert_eq!(package(name, requirement), Vec::<String>::new(), "{name}");
    }
    assert_eq!(
        package("tini", "absent"),
        ["exists: not installed / 0.19.0-1 (deb)"]
    );
    assert_eq!(package("tini", ">=1"), ["version: >=1 / 0.19.0-1 (deb)"]);
    assert_eq!(package("nano", ""), ["exists: installed / not installed"]);
    assert_eq!(package("nano", ">=1"), ["version: >=1 / not installed"]);
    for name in ["PyYAML", "pyyaml", "PYYAML"] {
        assert_eq!(package(name, ">=6.0"), Vec::<String>::new(), "{name}");
        assert_eq!(
            package(name, "absent"),
            ["exists: not installed / 6.0.1 (pypi)"]
        );
    }
    for name in ["ruamel.yaml", "ruamel-yaml", "Ruamel_YAML"] {
        assert_eq!(package(name, ""), Vec::<String>::new(), "{name}");
    }
    // Only the names of Python packages have several spellings.
    assert_eq!(package("TINI", "absent"), Vec::<String>::new());
}

#[test]
fn the_config_is_compared() {
    let set = |equals: Option<&str>, matches: Option<&str>| ValueExpectation::Set {
        equals: equals.map(str::to_owned),
        matches: matches.map(pattern),
    };
    let env = |name: &str, expected| {
        let name = name.to_owned();
        failures(TestSubject::Env { name, expected })
    };
    assert_eq!(
        env("PATH", set(Some("/usr/bin"), Some("bin$"))),
        Vec::<String>::new()
    );
    assert_eq!(env("EMPTY", set(Some(""), None)), Vec::<String>::new());
    assert_eq!(env("NONE", ValueExpectation::Absent), Vec::<String>::new());
    assert_eq!(
        env("EMPTY", ValueExpectation::Absent),
        ["exists: not set / \"\""]
    );
    assert_eq!(env("NONE", set(None, None)), ["exists: set / not set"]);
    assert_eq!(
        env("PATH", set(None, Some("^bin"))),
        ["matches: ^bin / \"/usr/bin\""]
    );
    for (name, equals, expected) in [
        ("API_TOKEN", "", "\"\" / a value that is not shown"),
        (
            "API_TOKEN",
            "hunter3",
            "a value that is not shown / a value that is not shown",
        ),
        ("URL", "x", "\"x\" / a value that is not shown"),
        ("USE_TOKEN", "false", "\"false\" / \"true\""),
    ] {
        let failures = env(name, set(Some(equals), None));
        assert_eq!(failures, [format!("equals: {expected}")], "{name}");
    }
    assert_eq!(
        env("API_TOKEN", ValueExpectation::Absent),
        ["exists: not set / a value that is not shown"]
    );
    assert_eq!(
        env("API_TOKEN", set(None, Some("^x"))),
        ["matches: ^x / a value that is not shown"]
    );
    let label = TestSubject::Label {
        key: "owner".to_owned(),
        expected: set(Some("x"), None),
    };
    assert_eq!(failures(label), ["equals: \"x\" / \"team@example.com\""]);

    let key = |key, equals: &Value| {
        let equals = match equals {
            Value::String(text) => Invocation::Shell(text.clone()),
            list => Invocation::Exec(serde_json::from_value(list.clone()).unwrap()),
        };
        failures(TestSubject::Config { key, equals })
    };
    for (name, equals) in [
        (ConfigKey::User, json!("app")),
        (ConfigKey::Workdir, json!("")),
        (ConfigKey::Entrypoint, json!(["/usr/bin/tini", "--"])),
        (ConfigKey::Cmd, json!("run it")),
        (ConfigKey::Cmd, json!(["/bin/sh", "-c", "run it"])),
    ] {
        assert_eq!(key(name, &equals), Vec::<String>::new(), "{equals}");
    }
    assert_eq!(
        key(ConfigKey::User, &json!("root")),
        ["equals: \"root\" / \"app\""]
    );
    assert_eq!(
        key(ConfigKey::Entrypoint, &json!([])),
        ["equals: [] / [\"/usr/bin/tini\", \"--\"]"]
    );

    let port = |text: &str, exists| {
        let port = text.parse().unwrap();
        failures(TestSubject::Port { port, exists }).is_empty()
    };
    assert!(port("8080", true) && port("9001/udp", true) && port("9000-9002/udp", true));
    assert!(port("80", false) && port("9001/tcp", false));
    assert!(!port("9002-9003/udp", true) && !port("9002-9003/udp", false));
    let volume = |path: &str, exists| {
        let path = path.to_owned();
        failures(TestSubject::Volume { path, exists })
    };
    assert!(volume("/data", true).is_empty());
    assert_eq!(
        volume("/x", true),
        ["exists: a volume / the volumes are /data"]
    );
}

#[test]
fn a_file_of_container_structure_test_shows_no_secret() {
    let text = "schemaVersion: 2.0.0\nmetadataTest:\n  envVars: [{ key: API_TOKEN, value: hunter3 }, \
        { key: URL, value: '^x', isRegex: true }, { key: NONE, value: a }]\n  \
        unboundEnvVars: [{ key: API_TOKEN }, { key: USE_TOKEN }]\n  \
        labels: [{ key: owner, value: x }]\n";
    let file = structure::parse(text).unwrap();
    let tests = file.cases.into_iter().map(|case| StructureTest {
        file: "tests.yaml".to_owned(),
        env: Vec::new(),
        check: case.check,
    });
    let failures: Vec<String> = tests
        .flat_map(|test| failures(TestSubject::Structure(Box::new(test))))
        .collect();
    assert_eq!(
        failures,
        [
            "envVars API_TOKEN: a value that is not shown / a value that is not shown",
            "envVars URL: a match of ^x / a value that is not shown",
            "envVars NONE: \"a\" / not set",
            "unboundEnvVars API_TOKEN: not set / a value that is not shown",
            "unboundEnvVars USE_TOKEN: not set / \"true\"",
            "labels owner: \"x\" / \"team@example.com\"",
        ]
    );
}

#[test]
fn sizes_are_limited() {
    let size = |kind, max| {
        failures(TestSubject::Size {
            kind,
            max: ByteSize(max),
        })
    };
    assert!(size(SizeKind::Packed, 1_500_000).is_empty());
    assert_eq!(
        size(SizeKind::Packed, 1_499_999),
        ["max: at most 1.5 MB (1499999 bytes) / 1.5 MB (1500000 bytes)"]
    );
    let (files, _) = image();
    // A removed file still needs space, and a hard link needs none.
    let lengths = [
        4,
        46,
        10,
        6,
        STATUS.len(),
        21,
        3,
        PYYAML.len(),
        RUAMEL.len(),
    ];
    assert_eq!(files.unpacked(), lengths.iter().sum::<usize>() as u64);
}
