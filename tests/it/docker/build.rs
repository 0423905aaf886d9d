//! A build sends the complete context to the engine and receives the complete result.

use golden::engine::BuildOptions;
use golden::oci::tar::{Entry, EntryKind};
use golden::reference::Reference;
use golden::render::PinnedBase;

use super::recipe::{BUILDERS, build, docker, file, on_busybox, recipe, unique};

#[tokio::test]
async fn a_build_reports_its_steps_and_gives_labels_and_tags() {
    for builder in BUILDERS {
        let docker = docker(builder).await;
        let mut recipe = on_busybox(
            &docker,
            "RUN [\"/bin/sh\",\"-ec\",\"echo out; echo err >&2; sleep 0.2; printf tail\"]\nEXPOSE 80",
        )
        .await;
        recipe
            .rendered
            .api_labels
            .insert("odd".into(), " $HOME \"quoted\"\n#\u{1F600} ".into());
        let name = unique();
        let tags = ["1.0.0", "1.0", "1", "latest"];
        let local_tags: Vec<Reference> = tags
            .iter()
            .map(|tag| format!("localhost/{name}:{tag}").parse().unwrap())
            .collect();
        let options = BuildOptions {
            no_cache: true,
            ..Default::default()
        };
        let outcome = build(&docker, &recipe, &options).await;

        let (built, id) = outcome.built();
        // stdout and stderr are two pipes; the order between them is undefined.
        let mut logs = outcome.logs();
        logs.sort_unstable();
        assert_eq!(logs, ["err", "out", "tail"], "{builder:?}");
        assert!(
            outcome
                .steps()
                .iter()
                .any(|step| step.contains("] RUN [\"/bin/sh\"") || step.contains("] RUN /bin/sh")),
            "{:?}",
            outcome.steps()
        );
        assert_eq!(
            built.config.label("odd"),
            Some(" $HOME \"quoted\"\n#\u{1F600} ")
        );
        assert_eq!(
            built.config.label("dev.golden.inputs"),
            Some(recipe.inputs.as_str())
        );
        assert!(
            built.config.runtime().unwrap()["ExposedPorts"]
                .get("80/tcp")
                .is_some()
        );
        assert_eq!(built.platforms, [docker.platform().clone()]);
        for tag in &local_tags {
            docker.tag(id, tag).await.unwrap();
        }
        for tag in &local_tags {
            assert_eq!(&docker.image(tag).await.unwrap().unwrap().id, id);
            docker.remove(tag).await.unwrap();
        }
        assert_eq!(docker.image(&local_tags[0]).await.unwrap(), None);
        docker.remove(&local_tags[0]).await.unwrap();
    }
}

#[tokio::test]
async fn the_context_holds_only_the_entries_of_the_recipe() {
    for builder in BUILDERS {
        let docker = docker(builder).await;
        let mut recipe = on_busybox(
            &docker,
            "COPY . /context\nRUN [\"/bin/sh\",\"-ec\",\"cd /context; find . -type f | sort; cat 'a b/c'\"]",
        )
        .await;
        recipe.rendered.context = vec![
            Entry {
                path: "a b".into(),
                mode: 0o755,
                uid: 0,
                gid: 0,
                kind: EntryKind::Directory,
            },
            file("a b/c", "inside\n"),
        ];
        let outcome = build(
            &docker,
            &recipe,
            &BuildOptions {
                no_cache: true,
                ..Default::default()
            },
        )
        .await;
        outcome.built();
        assert_eq!(
            outcome.logs(),
            ["./Dockerfile", "./a b/c", "inside"],
            "{builder:?}"
        );
    }
}

#[tokio::test]
async fn an_image_on_scratch_builds_without_a_step() {
    for builder in BUILDERS {
        let docker = docker(builder).await;
        let mut recipe = recipe(
            PinnedBase::Scratch,
            "FROM scratch\nCOPY hello /hello\nUSER 65532:65532\n",
        );
        recipe.rendered.context = vec![file("hello", "hello\n")];
        let outcome = build(&docker, &recipe, &BuildOptions::default()).await;
        let (built, _) = outcome.built();
        assert_eq!(built.config.user(), "65532:65532", "{builder:?}");
    }
}

#[tokio::test]
async fn a_large_context_is_streamed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large");
    let bytes = vec![7_u8; 64 * 1024 * 1024];
    std::fs::File::create(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &bytes))
        .unwrap();
    let digest = golden::reference::Digest::of(&bytes);
    let mut recipe = recipe(PinnedBase::Scratch, "FROM scratch\nCOPY large /large\n");
    let content = golden::oci::Content::File {
        path: path.clone(),
        len: bytes.len() as u64,
        digest,
    };
    recipe.rendered.context = vec![Entry {
        path: "large".into(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        kind: EntryKind::File(content),
    }];
    for builder in BUILDERS {
        let docker = docker(builder).await;
        build(&docker, &recipe, &BuildOptions::default())
            .await
            .built();
    }

    // The file changes after golden hashed it: the changed content must not be sent as the hashed
    // content.
    for builder in BUILDERS {
        let docker = docker(builder).await;
        std::fs::File::create(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"short"))
            .unwrap();
        let outcome = build(&docker, &recipe, &BuildOptions::default()).await;
        let error = outcome.result.unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            source.contains("changed while it was read"),
            "{builder:?}: {error:?}"
        );
    }
}
