use std::time::Duration;

use super::*;
use crate::oci::Content;
use crate::oci::tar::EntryKind;
use crate::resolve::image::*;

/// An image with only a name, a version and a base.
fn empty(family: Family, base: Base) -> ResolvedImage {
    ResolvedImage::empty(family, base)
}

fn reference(text: &str) -> Base {
    Base::Reference(text.parse().unwrap())
}

fn file(path: &str, mode: u32, owner: FileOwner) -> FileEntry {
    FileEntry::new(
        path,
        mode,
        owner,
        FileKind::File(Content::inline(*b"text")),
        path,
    )
}

fn directory(path: &str, mode: u32, owner: FileOwner) -> FileEntry {
    FileEntry::new(path, mode, owner, FileKind::Directory, path)
}

fn named(user: &str, group: Option<&str>) -> FileOwner {
    FileOwner::Named {
        user: user.to_owned(),
        group: group.map(str::to_owned),
    }
}

/// An image that uses every feature.
fn full(family: Family, base: Base) -> ResolvedImage {
    let set = |key: &str, value: &str| (key.to_owned(), EnvValue::Set(value.to_owned()));
    let step = |name: Option<&str>, script: &str, user: Option<&str>, secrets: &[&str]| RunStep {
        name: name.map(str::to_owned),
        script: script.to_owned(),
        user: user.map(str::to_owned),
        secrets: secrets.iter().map(|name| (*name).to_owned()).collect(),
        ssh: false,
        location: None,
    };
    let words = |list: &[&str]| {
        list.iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let labels = [
        ("framework", "dotnet"),
        ("quoted", "a \"b\" $HOME \\ # ' "),
        ("lines", "a\nb"),
        ("a=b", "c"),
    ];
    ResolvedImage {
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        env: vec![
            set("A", "1 $X"),
            set("LINES", "a\r\nb"),
            (
                "PATH".to_owned(),
                EnvValue::Extend {
                    prepend: "/opt/bin:".to_owned(),
                    append: String::new(),
                },
            ),
            set("EMPTY", ""),
        ],
        config: Config {
            expose: vec![
                Port {
                    number: 80,
                    protocol: Protocol::Tcp,
                },
                Port {
                    number: 53,
                    protocol: Protocol::Udp,
                },
            ],
            user: None,
            workdir: Some("/app".to_owned()),
            entrypoint: Some(Invocation::Exec(words(&["/usr/bin/tini", "--"]))),
            cmd: Some(Invocation::Shell("exec app \"$@\"".to_owned())),
            volumes: words(&["/data", "/a b"]),
            stop_signal: Some("SIGTERM".to_owned()),
            shell: Some(words(&["/bin/bash", "-c"])),
            healthcheck: Some(Healthcheck {
                test: words(&["CMD-SHELL", "curl -f http://localhost/ || exit 1"]),
                interval: Some(Duration::from_secs(30)),
                timeout: Some(Duration::from_millis(1500)),
                start_period: None,
                retries: Some(3),
            }),
        },
        certificates: vec![Certificate {
            file: "certs/ca.crt".into(),
            name: "ca.crt".to_owned(),
            pem: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".to_owned(),
            der: vec![0],
            not_after: 0,
            subject: "CN=ca".to_owned(),
        }],
        packages: Packages {
            install: words(&["tini", "curl=7.88.*"]),
            remove: words(&["vim"]),
            ..Packages::default()
        },
        files: vec![
            file("/etc/motd", 0o644, FileOwner::ROOT),
            directory("/tmp", 0o1777, FileOwner::ROOT),
            directory("/srv/app", 0o750, named("app", Some("app"))),
            file("/srv/app/config", 0o600, named("app", Some("app"))),
            file("/srv/other", 0o644, named("app", None)),
        ],
        run: vec![
            step(
                Some("create the user"),
                "adduser --system app\necho done",
                None,
                &[],
            ),
            step(None, "npm ci", Some("app"), &["npm_token"]),
        ],
        ..empty(family, base)
    }
}

fn dockerfile(image: &ResolvedImage) -> String {
    render(image, &Templates::builtin()).unwrap().dockerfile
}

#[test]
fn each_family_renders_an_image_with_all_settings() {
    for family in [Family::Debian, Family::Alpine, Family::Rhel, Family::Static] {
        let image = full(family, reference("registry.example.com/base:1"));
        insta::assert_snapshot!(format!("full_{}", family.as_str()), dockerfile(&image));
    }
}

#[test]
fn each_family_renders_an_empty_image() {
    for family in [Family::Debian, Family::Alpine, Family::Rhel, Family::Static] {
        let text = dockerfile(&empty(family, reference("registry.example.com/base:1")));
        assert_eq!(
            text,
            "# team/app:1.2.3, rendered by golden. Needs BuildKit (Docker 23 or later) or Buildah 1.33 or later.\n\
             ARG GOLDEN_BASE=registry.example.com/base:1\nFROM ${GOLDEN_BASE}\n"
        );
    }
    let text = dockerfile(&empty(Family::Static, Base::Scratch));
    assert!(text.ends_with("or later.\nFROM scratch\n"), "{text}");
}

#[test]
fn line_breaks_and_odd_labels_are_build_options() {
    let rendered = render(
        &full(Family::Debian, reference("a/b")),
        &Templates::builtin(),
    )
    .unwrap();
    let args: Vec<_> = rendered
        .build_args
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(args, [("GOLDEN_CR", "\r"), ("GOLDEN_LF", "\n")]);
    let labels: Vec<_> = rendered.api_labels.into_iter().collect();
    assert_eq!(labels, [("a=b".to_owned(), "c".to_owned())]);
}

/// An image for a build without golden, on a base that cannot be read.
fn as_written(image: &ResolvedImage, suffix: &str) -> Rendered {
    let how = Standalone {
        base: None,
        traits: None,
        files: ContextFiles::AsWritten,
        suffix,
    };
    Renderer::new(&Templates::builtin())
        .standalone(image, &how)
        .unwrap()
}

/// The Dockerfile of an image on a base with these traits.
fn on_base(image: &ResolvedImage, traits: &BaseTraits) -> String {
    for_builder(image, traits, &FilesOnBase::default(), Syntax::Current).dockerfile
}

/// The form of an image for a builder with this syntax.
fn for_builder(
    image: &ResolvedImage,
    traits: &BaseTraits,
    files: &FilesOnBase,
    syntax: Syntax,
) -> Rendered {
    let rendered = render(image, &Templates::builtin()).unwrap();
    let inputs = Digest::of(b"x");
    let recipe = Recipe {
        image: image.clone(),
        base: PinnedBase::Scratch,
        rendered,
        inputs,
        spec_inputs: Digest::of(b"y"),
        templates: Arc::default(),
    };
    recipe.on_base(traits, files, syntax).unwrap().rendered
}

/// Buildah cannot give a file a name outside ASCII. This changes neither the inputs digest nor the
/// builds of other builders.
#[test]
fn only_buildah_places_names_outside_ascii_by_the_archive() {
    let mut image = empty(Family::Debian, reference("a/b"));
    image.files = vec![file("/etc/ü", 0o644, FileOwner::ROOT)];
    let files = FilesOnBase {
        entries: vec![Entry {
            path: "etc/ü".to_owned(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            kind: EntryKind::File(Content::inline(*b"x")),
        }],
        ..FilesOnBase::default()
    };
    let built_with = |syntax| for_builder(&image, &BaseTraits::default(), &files, syntax);
    let placing = |rendered: &Rendered| -> Vec<String> {
        let is_placing = |line: &&str| line.starts_with("COPY") || line.starts_with("ADD");
        let lines = rendered.dockerfile.lines().filter(is_placing);
        let entries = rendered.context.iter().map(|entry| match &entry.kind {
            EntryKind::Archive(inner) => format!("{}: {}", entry.path, inner[0].path),
            _ => entry.path.clone(),
        });
        lines.map(str::to_owned).chain(entries).collect()
    };
    let copy = r#"COPY --chmod=0644 ["files/etc/_","\"/etc/ü\""]"#;
    let canonical = render(&image, &Templates::builtin()).unwrap();
    assert_eq!(placing(&canonical), [copy]);
    assert_eq!(placing(&built_with(Syntax::Current)), [copy, "files/etc/_"]);
    let add = ["ADD files.tar /", "files.tar: etc/ü"];
    assert_eq!(placing(&built_with(Syntax::Buildah)), add);
    assert_eq!(placing(&as_written(&image, "")), add);
}

#[test]
fn the_context_contains_only_the_files_of_the_spec() {
    let rendered = as_written(&full(Family::Debian, reference("a/b")), "");
    let mut lines = Vec::new();
    for entry in &rendered.context {
        lines.push(format!("{} {:o}", entry.path, entry.mode));
        if let EntryKind::Archive(inner) = &entry.kind {
            lines.extend(inner.iter().map(|entry| {
                format!(
                    "  {} {:o} {}:{}",
                    entry.path, entry.mode, entry.uid, entry.gid
                )
            }));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    certs/ca.crt 644
    files.tar 644
      tmp 1777 0:0
      srv/app 750 0:0
      srv/other 644 0:0
    files/etc/motd 644
    named/000/app 750
    named/000/app/config 600
    named/001/other 644
    ");
}

#[test]
fn the_later_of_two_files_applies_and_the_root_is_omitted() {
    let mut image = empty(Family::Static, Base::Scratch);
    image.files = vec![
        directory("/", 0o700, FileOwner::ROOT),
        file("/b", 0o600, FileOwner::ROOT),
        file("/a", 0o600, FileOwner::ROOT),
        file("/b", 0o640, FileOwner::ROOT),
    ];
    assert_eq!(
        render(&image, &Templates::builtin()).unwrap().context,
        [],
        "the paths of files depend on the base"
    );
    let rendered = as_written(&image, "");
    let seen: Vec<_> = rendered
        .context
        .iter()
        .map(|entry| (entry.path.as_str(), entry.mode))
        .collect();
    assert_eq!(seen, [("files/a", 0o600), ("files/b", 0o640)]);
}

#[test]
fn a_static_image_on_scratch_gets_the_certificate_bundle() {
    let mut image = empty(Family::Static, Base::Scratch);
    image.certificates = full(Family::Static, Base::Scratch).certificates;
    let rendered = render(&image, &Templates::builtin()).unwrap();
    assert!(
        rendered
            .dockerfile
            .ends_with("\nADD certificates.tar /\nCOPY --chmod=0644 certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt\n"),
        "{}",
        rendered.dockerfile
    );
    assert_eq!(needs_embedded(&image), None);
    image.base = reference("a/b");
    assert!(needs_embedded(&image).is_some());
}

#[test]
fn the_user_of_the_spec_is_set_again_after_the_steps() {
    let mut image = empty(Family::Debian, reference("a/b"));
    image.config.user = Some("10001:10001".to_owned());
    assert!(!dockerfile(&image).contains("USER 0:0"));
    image.packages.install = vec!["curl".to_owned()];
    let text = dockerfile(&image);
    let users: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("USER"))
        .collect();
    assert_eq!(users, ["USER 0:0", "USER 10001:10001"]);
}

/// The lines that set a user, on a base with this user.
fn users(image: &ResolvedImage, user: &str) -> Vec<String> {
    let traits = BaseTraits {
        user: user.to_owned(),
        ..BaseTraits::default()
    };
    let text = on_base(image, &traits);
    let sets_user =
        |line: &&str| line.starts_with("USER") || line.starts_with("ARG GOLDEN_BASE_USER");
    text.lines().filter(sets_user).map(str::to_owned).collect()
}

#[test]
fn root_is_set_only_if_the_base_has_another_user() {
    let mut image = empty(Family::Debian, reference("a/b"));
    image.packages.install = vec!["curl".to_owned()];
    let restored = [
        "USER 0:0",
        "ARG GOLDEN_BASE_USER",
        "USER ${GOLDEN_BASE_USER}",
    ];
    for root in ["", "root", "0", "0:0", "root:root"] {
        assert!(users(&image, root).is_empty(), "{root}");
    }
    for other in ["app", "1000:0", "root:adm", "toor"] {
        assert_eq!(users(&image, other), restored, "{other}");
    }
    let step = |user: Option<&str>| RunStep {
        name: None,
        script: "true".to_owned(),
        user: user.map(str::to_owned),
        secrets: Vec::new(),
        ssh: false,
        location: None,
    };
    image.run = vec![
        step(None),
        step(Some("root")),
        step(Some("app")),
        step(Some("0")),
    ];
    assert_eq!(
        users(&image, ""),
        ["USER app", restored[0], restored[1], restored[2]]
    );
    image.run = vec![step(Some("app"))];
    image.config.user = Some("app".to_owned());
    assert_eq!(users(&image, "0"), ["USER app", "USER app"]);
}

#[test]
fn shell_forms_use_the_shell_of_the_base() {
    let mut image = empty(Family::Debian, reference("a/b"));
    let traits = BaseTraits {
        shell: ["/bin/bash", "-o", "pipefail", "-c"]
            .map(str::to_owned)
            .to_vec(),
        ..BaseTraits::default()
    };
    for text in [
        "echo $HOME",
        "[[ -n $HOME ]] && echo bash",
        "one\ntwo",
        " leading",
        "trailing ",
        "a\\",
        "--flag",
        "\ttab",
    ] {
        image.config.cmd = Some(Invocation::Shell(text.to_owned()));
        image.config.entrypoint = Some(Invocation::Shell(text.to_owned()));
        let test = ["CMD-SHELL".to_owned(), text.to_owned()].to_vec();
        image.config.healthcheck = Some(Healthcheck {
            test,
            interval: None,
            timeout: None,
            start_period: None,
            retries: None,
        });
        let rendered = on_base(&image, &traits);
        let words = "[\"/bin/bash\",\"-o\",\"pipefail\",\"-c\",";
        let lines = |start: &str| {
            rendered
                .lines()
                .filter(|line| line.starts_with(start))
                .count()
        };
        assert_eq!(lines(&format!("CMD {words}")), 1, "{rendered}");
        assert_eq!(lines(&format!("ENTRYPOINT {words}")), 1, "{rendered}");
        // A health check in shell form may start with `--`. A container runs it with its shell.
        let check = if ["echo $HOME", "--flag"].contains(&text) {
            format!("HEALTHCHECK CMD {text}")
        } else {
            format!("HEALTHCHECK CMD {words}")
        };
        assert_eq!(lines(&check), 1, "{rendered}");
    }
    // The shell of the spec overrides the shell of the base.
    image.config.shell = Some(vec!["/bin/ash".to_owned(), "-c".to_owned()]);
    assert!(!on_base(&image, &traits).contains("bash"));
}

#[test]
fn a_health_check_keeps_timings_of_the_base_that_the_spec_does_not_set() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let of_base = crate::oci::config::Healthcheck {
        test: vec!["CMD".to_owned(), "/old".to_owned()],
        interval: seconds(5),
        timeout: seconds(6),
        start_period: seconds(7),
        retries: Some(8),
    };
    let traits = BaseTraits {
        healthcheck: Some(of_base),
        ..BaseTraits::default()
    };
    let mut image = empty(Family::Debian, reference("a/b"));
    for (test, interval, line) in [
        (
            "CMD",
            None,
            "HEALTHCHECK --interval=5s --timeout=6s --start-period=7s --retries=8 CMD [\"/x\"]",
        ),
        (
            "CMD",
            seconds(0),
            "HEALTHCHECK --interval=5s --timeout=6s --start-period=7s --retries=8 CMD [\"/x\"]",
        ),
        (
            "CMD",
            seconds(9),
            "HEALTHCHECK --interval=9s --timeout=6s --start-period=7s --retries=8 CMD [\"/x\"]",
        ),
        ("NONE", None, "HEALTHCHECK NONE"),
    ] {
        let mut words = vec![test.to_owned()];
        words.extend((test == "CMD").then(|| "/x".to_owned()));
        image.config.healthcheck = Some(Healthcheck {
            test: words,
            interval,
            timeout: None,
            start_period: None,
            retries: None,
        });
        let text = on_base(&image, &traits);
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}

#[test]
fn a_build_without_golden_fails_if_it_would_lose_data() {
    let image = full(Family::Debian, reference("a/b"));
    let unknown = as_written(&image, ".slim");
    let traits = BaseTraits {
        user: "app".to_owned(),
        ..BaseTraits::default()
    };
    let how = Standalone {
        base: Some("a/b:1"),
        traits: Some(&traits),
        files: ContextFiles::OnBase(&FilesOnBase::default()),
        suffix: "",
    };
    let known = Renderer::new(&Templates::builtin())
        .standalone(&image, &how)
        .unwrap();
    insta::assert_snapshot!("by_hand_on_an_unknown_base", unknown.dockerfile);
    insta::assert_snapshot!("by_hand_on_a_known_base", known.dockerfile);
    let arguments: Vec<&String> = known.build_args.keys().collect();
    assert_eq!(arguments, ["GOLDEN_BAKE", "GOLDEN_CR", "GOLDEN_LF"]);
}

#[test]
fn a_workspace_template_replaces_and_can_include_the_built_in_one() {
    let own = "{% include \"builtin/debian\" %}\n{{ \"echo '$HOME'\" | run }}\n{{ [\"a b\", \"c\"] | sh }}";
    let own = [("debian", own), ("odd", "{{ nothing }}")];
    let own: BTreeMap<String, String> = own
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into();
    let templates = Templates::from(own);
    let image = empty(Family::Debian, reference("a/b"));
    let text = render(&image, &templates).unwrap().dockerfile;
    assert!(
        text.ends_with("RUN <<EOR\nset -e\necho '$HOME'\nEOR\n\n'a b' c\n"),
        "{text}"
    );

    let error = render(
        &ResolvedImage {
            template: "odd".to_owned(),
            ..image.clone()
        },
        &templates,
    )
    .unwrap_err();
    assert!(matches!(error, Error::Template { .. }), "{error}");
    let error = render(
        &ResolvedImage {
            template: "debain".to_owned(),
            ..image
        },
        &templates,
    )
    .unwrap_err();
    assert_eq!(error.hints(), ["did you mean `debian`?"]);
}

fn inputs(image: &ResolvedImage) -> Digest {
    let base = PinnedBase::Registry {
        reference: "a/b".parse().unwrap(),
        digest: Digest::of(b"base"),
        platforms: BTreeMap::default(),
    };
    fingerprint(image, &render(image, &Templates::builtin()).unwrap(), &base)
}

#[test]
fn every_input_changes_the_fingerprint() {
    let image = full(Family::Debian, reference("a/b"));
    let first = inputs(&image);
    let changes: [fn(&mut ResolvedImage); 22] = [
        |i| i.name = "other".parse().unwrap(),
        |i| i.version.patch = 4,
        |i| i.variant = Some("slim".parse().unwrap()),
        |i| i.description = Some(String::new()),
        |i| i.base = reference("a/c"),
        |i| i.platforms.push("linux/arm64".parse().unwrap()),
        |i| drop(i.labels.insert("framework".to_owned(), "java".to_owned())),
        |i| drop(i.labels.insert("lines".to_owned(), "a\nc".to_owned())),
        |i| i.suppressed_labels.extend(["version".to_owned()]),
        |i| i.env[0].1 = EnvValue::Set("2".to_owned()),
        |i| i.env[1].1 = EnvValue::Set("a\r\nc".to_owned()),
        |i| i.env.swap(0, 3),
        |i| i.config.stop_signal = None,
        |i| i.certificates[0].pem.push('\n'),
        |i| i.certificates[0].name = "b.crt".to_owned(),
        |i| i.packages.remove.clear(),
        |i| i.files[0].mode = 0o600,
        |i| i.files[0].owner = FileOwner::Numeric { uid: 1, gid: 0 },
        |i| i.files[0].path.push('2'),
        |i| i.files[0].kind = FileKind::File(Content::inline(*b"other")),
        |i| i.run[0].script.push(' '),
        |i| i.run[1].secrets.clear(),
    ];
    let mut seen = std::collections::BTreeSet::from([first]);
    for (number, change) in changes.iter().enumerate() {
        let mut image = image.clone();
        change(&mut image);
        assert!(seen.insert(inputs(&image)), "change {number}");
    }
    let rendered = render(&image, &Templates::builtin()).unwrap();
    assert!(seen.insert(fingerprint(&image, &rendered, &PinnedBase::Scratch)));
    let other = Rendered {
        dockerfile: rendered.dockerfile.clone() + "\n",
        ..rendered
    };
    assert!(seen.insert(fingerprint(&image, &other, &PinnedBase::Scratch)));
}

#[test]
fn provenance_and_paths_do_not_change_the_fingerprint() {
    let image = full(Family::Debian, reference("a/b"));
    let first = inputs(&image);
    let changes: [fn(&mut ResolvedImage); 5] = [
        |i| i.provenance.created = 7,
        |i| i.provenance.revision = Some("abc".to_owned()),
        |i| i.provenance.source = Some("https://example.com".to_owned()),
        |i| i.source = "elsewhere/image.toml".into(),
        |i| i.certificates[0].file = "elsewhere.crt".into(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut image = image.clone();
        change(&mut image);
        assert_eq!(inputs(&image), first, "change {number}");
    }
}

/// Published images carry these digests: a change of their computation rebuilds all images.
#[test]
fn the_fingerprint_is_equal_on_every_machine() {
    insta::assert_snapshot!(inputs(&empty(Family::Static, reference("a/b"))), @"sha256:d7b6224b0768df10bb1c4cc16563179e25695ced4850ff4186e617468a590965");
}

#[test]
fn late_labels_do_not_override_labels_of_the_spec() {
    let mut image = empty(Family::Static, reference("a/b"));
    image.provenance = Provenance {
        created: 86400,
        revision: Some("abc".to_owned()),
        ..Provenance::default()
    };
    image.labels.insert(
        "org.opencontainers.image.revision".to_owned(),
        "mine".to_owned(),
    );
    image
        .suppressed_labels
        .insert("org.opencontainers.image.base.name".to_owned());
    let rendered = render(&image, &Templates::builtin()).unwrap();
    let base = PinnedBase::Registry {
        reference: "a/b".parse().unwrap(),
        digest: Digest::of(b""),
        platforms: BTreeMap::default(),
    };
    let (inputs, spec_inputs) = (Digest::of(b"x"), Digest::of(b"y"));
    let recipe = Recipe {
        image,
        base,
        rendered,
        inputs,
        spec_inputs,
        templates: Arc::default(),
    };
    let labels: Vec<String> = late_labels(&recipe, None)
        .iter()
        .map(|(key, value)| format!("{key}={value:.20}"))
        .collect();
    insta::assert_snapshot!(labels.join("\n"), @r"
    dev.golden.inputs=sha256:2d711642b726b
    dev.golden.inputs.spec=sha256:a1fce4363854f
    org.opencontainers.image.base.digest=sha256:e3b0c44298fc1
    org.opencontainers.image.created=1970-01-02T00:00:00Z
    ");
}
