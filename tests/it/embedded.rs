//! The embedded engine makes the image that Docker would make, and refuses what it cannot make.

use std::collections::BTreeMap;

use golden::engine::embedded::Error;
use golden::render::PinnedBase;
use golden::resolve::image::{Family, FileEntry, FileKind, FileOwner};

use crate::support::assembling::{
    assemble, base, certificate, differences, docker, engine, file, image, load, tree,
};
use crate::support::services;

/// A multi-threaded runtime, because layers are scanned on threads next to the reading one.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn certificates_on_debian_equal_those_of_its_own_tool() {
    let directory = tempfile::tempdir().unwrap();
    let subjects = [
        ("b-one", "/C=DE/O=Example/CN=Root"),
        ("a-two", "/C=de/O=  EXAMPLE/CN=root"),
        (
            "weird",
            "/O=Ünï  Corp /CN=Weird   ROOT+OU=Multi/emailAddress=A@B.example",
        ),
    ];
    let mut golden = image("trust/debian");
    golden.family = Family::Debian;
    for (name, subject) in subjects {
        golden
            .certificates
            .push(certificate(directory.path(), name, subject));
    }
    let mut dockerfile = format!("FROM {}\n", services::base_debian());
    for certificate in &golden.certificates {
        #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
        std::fs::write(directory.path().join(&certificate.name), &certificate.pem).unwrap();
        dockerfile.push_str(
            &[
                "COPY ",
                &certificate.name,
                " /usr/local/share/ca-certificates/\n",
            ]
            .concat(),
        );
    }
    dockerfile += "RUN update-ca-certificates\n";
    #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
    std::fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
    docker(&[
        "build",
        "-q",
        "-t",
        "golden-test/trust-docker",
        directory.path().to_str().unwrap(),
    ]);

    run(async {
        let (embedded, blobs) = engine(directory.path());
        let assembled = assemble(&embedded, &golden, base(services::base_debian()).await)
            .await
            .unwrap();
        load(
            directory.path(),
            &assembled,
            "golden-test/trust-embedded:1",
            &blobs,
        )
        .await;
    });
    let found = differences(
        &tree("golden-test/trust-docker"),
        &tree("golden-test/trust-embedded:1"),
    );
    assert_eq!(found, Vec::<String>::new());
    for name in ["b-one", "a-two", "weird"] {
        let path = format!("/usr/local/share/ca-certificates/{name}.crt");
        let verify = [
            "run",
            "--rm",
            "golden-test/trust-embedded:1",
            "openssl",
            "verify",
            "-CApath",
            "/etc/ssl/certs",
            &path,
        ];
        assert_eq!(docker(&verify), format!("{path}: OK"));
    }
}

#[test]
fn files_give_the_same_tree_as_copy() {
    let directory = tempfile::tempdir().unwrap();
    let mut golden = image("files/debian");
    golden.config.workdir = Some("/srv/new/work".to_owned());
    let named = FileOwner::Named {
        user: "www-data".to_owned(),
        group: Some("adm".to_owned()),
    };
    golden.files = vec![
        file("/etc/motd", "hello\n"),
        FileEntry {
            mode: 0o4755,
            ..file("/bin/tool", "x")
        },
        FileEntry {
            mode: 0o600,
            ..file("/root/.secret", "x")
        },
        FileEntry {
            mode: 0o1777,
            owner: FileOwner::ROOT,
            ..FileEntry {
                kind: FileKind::Directory,
                ..file("/scratch", "")
            }
        },
        file("/tmp/in-tmp", "x"),
        FileEntry {
            owner: named,
            ..file("/opt/a/b/c", "x")
        },
        FileEntry {
            kind: FileKind::Symlink("../etc/motd".to_owned()),
            ..file("/usr/motd", "")
        },
    ];
    #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("motd", "hello\n");
    write("x", "x");
    write(
        "Dockerfile",
        &format!(
            "FROM {}\nRUN printf 'hello\\n' > /etc/motd && chmod 644 /etc/motd && printf x > /bin/tool && chmod 4755 /bin/tool \
             && printf x > /root/.secret && chmod 600 /root/.secret && mkdir -m 1777 /scratch && printf x > /tmp/in-tmp \
             && mkdir -p /opt/a/b && printf x > /opt/a/b/c && chown www-data:adm /opt/a/b/c && ln -s ../etc/motd /usr/motd\n\
             WORKDIR /srv/new/work\n",
            services::base_debian()
        ),
    );
    docker(&[
        "build",
        "-q",
        "-t",
        "golden-test/files-docker",
        directory.path().to_str().unwrap(),
    ]);
    run(async {
        let (embedded, blobs) = engine(directory.path());
        let assembled = assemble(&embedded, &golden, base(services::base_debian()).await)
            .await
            .unwrap();
        load(
            directory.path(),
            &assembled,
            "golden-test/files-embedded:1",
            &blobs,
        )
        .await;
    });
    let found = differences(
        &tree("golden-test/files-docker"),
        &tree("golden-test/files-embedded:1"),
    );
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn features_that_need_execution_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let (embedded, _) = engine(directory.path());
        let mut golden = image("refused");
        golden.packages.install = vec!["tini".to_owned()];
        let error = assemble(&embedded, &golden, PinnedBase::Scratch)
            .await
            .unwrap_err();
        assert!(error.needs_docker());
        insta::assert_snapshot!(error, @r#"only the docker engine can build this image: [packages] install = ["tini"]"#);

        let mut golden = image("refused");
        golden.family = Family::Debian;
        golden
            .certificates
            .push(certificate(directory.path(), "ca", "/CN=ca"));
        let error = assemble(&embedded, &golden, base(services::base_debian_slim()).await)
            .await
            .unwrap_err();
        assert!(error.needs_docker());
        insta::assert_snapshot!(error, @"only the docker engine can build this image: [certs] trust: the base has no update-ca-certificates (package ca-certificates)");

        golden.family = Family::Rhel;
        let error = assemble(&embedded, &golden, PinnedBase::Scratch)
            .await
            .unwrap_err();
        assert!(error.needs_docker());
        insta::assert_snapshot!(error, @"only the docker engine can build this image: [certs] trust: the output of update-ca-trust cannot be predicted, because it depends on p11-kit's memory and contains the current time (in /etc/pki/ca-trust/extracted/java/cacerts)");
    });
}

/// Small files are held in memory and large ones are written to the cache. Neither leaves a blob if
/// the file changes while it is read.
#[test]
fn a_file_that_changes_while_it_is_read_fails_the_build() {
    let directory = tempfile::tempdir().unwrap();
    for (name, before, now) in [
        ("longer", "short".to_owned(), "shorter".to_owned()),
        ("shorter", "longer".to_owned(), "long".to_owned()),
        ("other", "same".to_owned(), "emas".to_owned()),
        ("large", "a".repeat(100_000), "b".repeat(100_000)),
    ] {
        let path = directory.path().join(name);
        #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
        std::fs::write(&path, now).unwrap();
        let digest = golden::reference::Digest::of(before.as_bytes());
        let content = golden::oci::Content::File {
            path: path.clone(),
            len: before.len() as u64,
            digest,
        };
        let mut golden = image("changed");
        golden.files = vec![FileEntry {
            kind: FileKind::File(content),
            ..file("/x", "")
        }];
        run(async {
            let (embedded, _) = engine(directory.path());
            let error = assemble(&embedded, &golden, PinnedBase::Scratch)
                .await
                .unwrap_err();
            let message = format!("{} changed while it was read", path.display());
            assert!(error.to_string().contains(&message), "{error}");
        });
        let left = directory
            .path()
            .join("cache/blobs")
            .read_dir()
            .into_iter()
            .flatten()
            .count();
        assert_eq!(left, 0, "{name}");
    }
}

/// The link leads to the same content, so that only the check for links can notice it.
#[test]
fn a_link_that_takes_the_place_of_a_file_is_not_followed() {
    for (name, is_directory) in [("small", false), ("large", false), ("directory", true)] {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let text = if name == "large" {
            "a".repeat(100_000)
        } else {
            "a".to_owned()
        };
        let (before, elsewhere) = (root.join("before"), root.join("elsewhere"));
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::write(elsewhere.join("file"), &text).unwrap();
        let content = golden::oci::Content::File {
            path: before.join("file"),
            len: text.len() as u64,
            digest: golden::reference::Digest::of(text.as_bytes()),
        };
        if is_directory {
            std::os::unix::fs::symlink(&elsewhere, &before).unwrap();
        } else {
            std::fs::create_dir(&before).unwrap();
            std::os::unix::fs::symlink(elsewhere.join("file"), before.join("file")).unwrap();
        }
        let mut golden = image("linked");
        golden.files = vec![FileEntry {
            kind: FileKind::File(content),
            ..file("/x", "")
        }];
        run(async {
            let (embedded, _) = engine(&root);
            let error = assemble(&embedded, &golden, PinnedBase::Scratch)
                .await
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("it or a directory above it was replaced"),
                "{error}"
            );
        });
    }
}

#[test]
fn an_unusable_base_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let (embedded, _) = engine(directory.path());
        let mut golden = image("refused");
        golden.platforms = vec!["linux/s390x".parse().unwrap()];
        let error = assemble(&embedded, &golden, base(services::base_busybox()).await)
            .await
            .unwrap_err();
        assert!(matches!(&error, Error::Unfit { .. }), "{error}");
        let PinnedBase::Registry { reference, .. } = base(services::base_busybox()).await else {
            unreachable!()
        };
        let digest = golden::reference::Digest::of(b"nothing");
        let gone = PinnedBase::Registry {
            reference,
            digest,
            platforms: std::collections::BTreeMap::default(),
        };
        let error = assemble(&embedded, &image("refused"), gone)
            .await
            .unwrap_err();
        assert!(matches!(&error, Error::BaseMissing { .. }), "{error}");
    });
}

#[test]
fn metadata_alone_reads_no_layer_and_an_index_has_every_platform() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let (embedded, _) = engine(directory.path());
        let mut golden = image("metadata");
        golden.labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let assembled = assemble(&embedded, &golden, base(services::base_busybox()).await)
            .await
            .unwrap();
        assert!(
            !directory.path().join("cache/layers").exists(),
            "a layer was read"
        );
        assert!(assembled.images[0].layers.len() == 1, "a layer was made");

        golden.platforms = vec![
            "linux/amd64".parse().unwrap(),
            "linux/arm64".parse().unwrap(),
        ];
        let assembled = assemble(&embedded, &golden, PinnedBase::Scratch)
            .await
            .unwrap();
        let golden::oci::Manifest::Index(index) = assembled.top.parse().unwrap() else {
            panic!("no index")
        };
        assert_eq!(index.manifests.len(), 2);
    });
}
