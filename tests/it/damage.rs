//! Random damage to files that golden reads: golden reports it, or the damage has no effect.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use golden::engine::EngineKind;
use golden::engine::fleet::PlatformBuild;
use golden::observe::ConfigCache;
use golden::oci::layout::find;
use golden::oci::{Descriptor, ImageConfig, RawManifest, media};
use golden::publish::receipt::{BaseReceipt, TagReceipt};
use golden::publish::{BuildRecord, Receipt};
use golden::reference::{Digest, Reference};
use golden::render::PinnedBase;
use golden::resolve::image::{FileEntry, FileOwner};
use golden::store::layout::LayoutReader;
use golden::workspace::lock::Lock;
use golden::workspace::state::StateDirectory;
use golden::workspace::user_cache::UserCache;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::support::assembling;
use crate::support::layout::{Base, tar};
use crate::support::registry::{Behaviour, FakeRegistry};

/// Damage to a file: a changed byte at an offset, a truncation to a length, or other content.
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

#[expect(clippy::disallowed_methods, reason = "the test owns these files")]
fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the test owns these files")]
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

/// Damages a random file and calls `then` with its path, `usual` times or `PROPTEST_CASES` times.
/// All other files are undamaged then.
fn for_any_damage(files: &[PathBuf], usual: u32, then: impl Fn(&Path)) {
    let default = Config::default();
    let is_set = std::env::var_os("PROPTEST_CASES").is_some();
    let mut runner = TestRunner::new(Config {
        cases: if is_set { default.cases } else { usual },
        failure_persistence: None,
        ..default
    });
    let sound: Vec<Vec<u8>> = files.iter().map(|path| read(path)).collect();
    let restore = || {
        files
            .iter()
            .zip(&sound)
            .for_each(|(path, bytes)| write(path, bytes));
    };
    let strategy = (any::<Index>(), prop::collection::vec(Damage::any(), 1..4));
    let result = runner.run(&strategy, |(file, damage)| {
        restore();
        let number = file.index(files.len());
        let mut bytes = sound[number].clone();
        for damage in &damage {
            damage.apply(&mut bytes);
        }
        write(&files[number], &bytes);
        then(&files[number]);
        Ok(())
    });
    restore();
    result.unwrap();
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
    let Some(Ok(described)) = layout.describe(&top).now_or_never() else {
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

/// A registry with an image `base:1` of one layer, which has a user.
fn registry_with_a_base() -> FakeRegistry {
    let registry = FakeRegistry::start(Behaviour::default());
    let layer = tar(&[
        ("etc", 'd', ""),
        ("etc/passwd", 'f', "app:x:7:8::/:/bin/sh\n"),
    ]);
    registry.image("base", &String::from_utf8(layer).unwrap(), &["1"]);
    registry
}

/// Assembles an image with a file of that user, by a new engine with these caches. Returns its
/// digest.
fn assembled(registry: &FakeRegistry, workspace: &Path, user: &Path) -> Result<Digest, String> {
    let reference: Reference = format!("{}/base:1", registry.host()).parse().unwrap();
    let digest = registry.tags("base")["1"].parse().unwrap();
    let base = PinnedBase::Registry {
        reference,
        digest,
        platforms: BTreeMap::default(),
    };
    let mut image = assembling::image("app");
    image.platforms = vec!["linux/amd64".parse().unwrap()];
    image.files = vec![FileEntry {
        owner: FileOwner::Named {
            user: "app".to_owned(),
            group: None,
        },
        ..assembling::file("/etc/app", "x")
    }];
    let (engine, _) = assembling::engine(workspace);
    let engine = engine.with_indexes(UserCache::at(user.to_owned()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let assembled = runtime.block_on(assembling::assemble(&engine, &image, base));
    let assembled = assembled.map_err(|error| error.to_string())?;
    Ok(assembled.images[0].manifest.digest.clone())
}

#[test]
fn a_damaged_layout_never_gives_wrong_content() {
    let directory = tempfile::tempdir().unwrap();
    base().write(directory.path(), "app:1");
    let all = files(directory.path());
    for_any_damage(&all, 300, |_| read_all(directory.path()));
    assert!(
        LayoutReader::open(directory.path())
            .unwrap()
            .find(Some("app:1"), None)
            .is_ok()
    );
}

/// golden checks every file of `.golden/cache` by its digest, so the image does not depend on them.
#[test]
fn a_damaged_cache_of_the_workspace_changes_no_image() {
    let registry = registry_with_a_base();
    let (workspace, user) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sound = assembled(&registry, workspace.path(), user.path()).unwrap();
    let all = files(&workspace.path().join("cache"));
    assert!(
        all.len() >= 2,
        "the cache has a manifest and a config: {all:?}"
    );
    for_any_damage(&all, 24, |path| {
        let found = assembled(&registry, workspace.path(), user.path());
        assert_eq!(found.as_ref(), Ok(&sound), "{}", path.display());
    });
}

/// The cache stores the media type in a separate line, which the digest of the manifest does not
/// cover.
#[test]
fn another_media_type_of_a_cached_manifest_changes_no_image() {
    let registry = registry_with_a_base();
    let (workspace, user) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sound = assembled(&registry, workspace.path(), user.path()).unwrap();
    let manifests = files(&workspace.path().join("cache/manifests"));
    assert_eq!(manifests.len(), 1);
    let kept = String::from_utf8(read(&manifests[0])).unwrap();
    let (_, manifest) = kept.split_once('\n').unwrap();
    for kind in [media::DOCKER_MANIFEST, media::OCI_INDEX, "text/plain", ""] {
        write(&manifests[0], format!("{kind}\n{manifest}").as_bytes());
        let found = assembled(&registry, workspace.path(), user.path());
        assert_eq!(found.as_ref(), Ok(&sound), "{kind}");
    }
}

/// Only the user can write this cache, so damage may cause an error. A truncated file is created
/// again.
#[test]
fn a_damaged_cache_of_the_user_is_created_again_if_truncated() {
    let registry = registry_with_a_base();
    let (workspace, user) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sound = assembled(&registry, workspace.path(), user.path()).unwrap();
    let all = files(user.path());
    assert!(!all.is_empty(), "the cache has the index of a layer");
    let whole = all.iter().map(|path| read(path)).collect::<Vec<_>>();
    for_any_damage(&all, 24, |path| {
        let number = all.iter().position(|one| one == path).unwrap();
        let is_cut = {
            let has = read(path);
            has.len() < whole[number].len() && whole[number].starts_with(&has)
        };
        let found = assembled(&registry, workspace.path(), user.path());
        assert!(!is_cut || found.as_ref().ok() == Some(&sound), "{found:?}");
    });
}

/// The records of builds and publications in `.golden`, and the files of plans in the user's cache.
#[test]
fn a_damaged_record_is_read_or_counts_as_missing() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDirectory::of(directory.path())
        .with_user_cache(UserCache::at(directory.path().join("user")));
    let (image, tag, digest) = (
        "a/b".parse().unwrap(),
        "1.2.3".parse().unwrap(),
        Digest::of(b"a"),
    );
    let record = BuildRecord {
        schema: 1,
        image,
        tag,
        inputs: digest.clone(),
        engine: EngineKind::Docker,
        id: digest.clone(),
        platforms: vec!["linux/arm64/v8".parse().unwrap()],
        parts: vec![PlatformBuild {
            engine: "remote".to_owned(),
            platform: "linux/amd64".parse().unwrap(),
            id: digest.clone(),
        }],
    };
    record.write(&state).unwrap();
    let receipt = Receipt {
        schema: 1,
        image: "a/b".to_owned(),
        version: "1.2.3".parse().unwrap(),
        variant: Some("slim".to_owned()),
        repository: "localhost:5000/a/b".parse().unwrap(),
        digest: digest.clone(),
        size: Some(7),
        inputs: digest.clone(),
        tags: vec![TagReceipt {
            tag: record.tag.clone(),
            action: "create".to_owned(),
            previous: None,
            digest: Some(digest.clone()),
        }],
        base: Some(BaseReceipt {
            name: "debian:12".to_owned(),
            digest: None,
        }),
        engine: "docker".to_owned(),
        durations: BTreeMap::from([("push".to_owned(), 1)]),
        published: "2024-05-06T07:08:09Z".to_owned(),
    };
    receipt
        .write(&state, "hub", &record.image, &record.tag)
        .unwrap();
    let configs = ConfigCache::of(state.clone());
    let config =
        br#"{"architecture":"amd64","os":"linux","config":{"Labels":{"a":"b"},"Env":["A=1"]}}"#;
    configs.put(&digest, &ImageConfig::parse(config).unwrap());
    let all = files(directory.path());
    for_any_damage(&all, 256, |path| {
        let read = BuildRecord::read(&state, &record.image, &record.tag).unwrap();
        assert!(
            read.is_none_or(|read| read == record),
            "a changed record was accepted: {}",
            path.display()
        );
        drop(Receipt::read(&state, "hub", &record.image, &record.tag).unwrap());
        if let Some(config) = configs.get(&digest) {
            drop((config.labels(), config.env(), config.words("Cmd")));
        }
    });
    assert_eq!(
        BuildRecord::read(&state, &record.image, &record.tag).unwrap(),
        Some(record)
    );
}

proptest! {
    #[test]
    fn any_text_of_a_lock_file_is_read_or_refused(
        text in "(\\[\\[base\\]\\]\n|\\[base.platforms\\]\n|version = [0-9]\n|base = |reference = |digest = |created = |\"linux/amd64\" = |\"debian:12\"\n|\"debian \\^12\"\n|\"sha256:[0-9a-f]{64}\"\n|[\\[\\]={}\"#\n]|\\PC){0,20}",
    ) {
        if let Ok(lock) = Lock::parse(&text) {
            prop_assert_eq!(lock.text().ok().and_then(|text| Lock::parse(&text).ok()), Some(lock));
        }
    }

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
