//! Random damage to files that golden reads: golden reports it, or the damage has no effect.

use std::path::{Path, PathBuf};

use golden::oci::layout::find;
use golden::oci::{Descriptor, ImageConfig, RawManifest, media};
use golden::reference::Digest;
use golden::store::layout::LayoutReader;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::support::layout::Base;

/// Damage to a file: a changed byte at an offset, or a truncation to a length.
#[derive(Debug, Clone)]
enum Damage {
    Byte(Index, u8),
    Cut(Index),
    Replace(Vec<u8>),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            4 => (any::<Index>(), prop_oneof![any::<u8>(), prop::sample::select(b"\"{}[],:0123456789a-/".to_vec())])
                .prop_map(|(at, byte)| Self::Byte(at, byte)),
            1 => any::<Index>().prop_map(Self::Cut),
            1 => prop::sample::select(vec!["", "{}", "[]", "null", "\"\"", "{\"schema\":2}"])
                .prop_map(|text| Self::Replace(text.as_bytes().to_vec())),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Byte(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Byte(..) => {}
            Self::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Self::Replace(with) => bytes.clone_from(with),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own files")]
fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test's own files")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// Every regular file below a directory, sorted.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(listing) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in listing {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn base() -> Base {
    Base::here().layer(&[
        ("etc", 'd', ""),
        ("etc/passwd", 'f', "app:x:7:8::/:/bin/sh\n"),
    ])
}

/// Reads every image of a layout; each returned blob must match its digest.
fn read_all(directory: &Path) {
    let Ok(layout) = LayoutReader::open(directory) else {
        return;
    };
    let Ok((top, _)) = layout.find(None, None) else {
        return;
    };
    let check = |descriptor: &Descriptor| {
        if let Ok(bytes) = layout.blob(&descriptor.digest) {
            assert_eq!(Digest::of(&bytes), descriptor.digest);
        }
    };
    check(&top);
    let Ok(described) = layout.describe(&top) else {
        return;
    };
    for image in &described.images {
        check(&image.manifest.config);
        image
            .manifest
            .layers
            .iter()
            .for_each(|layer| drop(layout.layer(layer)));
        let config = &image.config;
        drop((
            config.labels(),
            config.env(),
            config.diff_ids(),
            config.words("Cmd"),
            config.platform(),
        ));
    }
}

#[test]
fn a_damaged_layout_never_gives_wrong_content() {
    let directory = tempfile::tempdir().unwrap();
    base().write(directory.path(), "app:1");
    let all = files(directory.path());
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(300)
    });
    let strategy = (any::<Index>(), prop::collection::vec(Damage::any(), 1..4));
    let result = runner.run(&strategy, |(file, damage)| {
        let path = &all[file.index(all.len())];
        let sound = read(path);
        let mut bytes = sound.clone();
        for damage in &damage {
            damage.apply(&mut bytes);
        }
        write(path, &bytes);
        read_all(directory.path());
        write(path, &sound);
        Ok(())
    });
    result.unwrap();
    assert!(
        LayoutReader::open(directory.path())
            .unwrap()
            .find(Some("app:1"), None)
            .is_ok()
    );
}

proptest! {
    #[test]
    fn arbitrary_manifests_configs_and_indexes_cause_no_panic(
        text in "([{}\\[\\],:0-9]|\"(schemaVersion|mediaType|config|layers|manifests|digest|size|annotations|platform|rootfs|diff_ids|Labels|Env|os)\"|\"sha256:[0-9a-f]{4}\"|null|true|-1|1e99){0,30}",
        bytes in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        for bytes in [text.as_bytes(), &bytes] {
            for kind in [media::OCI_MANIFEST, media::DOCKER_LIST, media::OCI_INDEX, "text/plain"] {
                drop(RawManifest::new(kind, bytes.to_vec()).parse());
            }
            drop(find(bytes, Some("app"), None));
            if let Ok(config) = ImageConfig::parse(bytes) {
                drop((config.labels(), config.env(), config.diff_ids(), config.words("Cmd"), config.platform()));
            }
        }
    }
}
