//! The images of files of every format, with their positions and corrections.

use super::*;
use crate::reference::Digest;

/// The images of a file: the text at the position, the image, and the text that can be edited.
fn shown(format: ConsumerFormat, text: &str) -> Vec<String> {
    let found = images(format, text).unwrap().into_iter();
    let show = |one: ImageUse| {
        let image = match one.image {
            Ok(reference) => reference.to_string(),
            Err(reason) => format!("({reason})"),
        };
        let edited = one.editable.map(|editable| {
            let text = &text[editable.position];
            format!("{text} as {:?}", editable.part)
        });
        let edited = edited.unwrap_or_else(|| "-".to_owned());
        format!("{} = {image}, edit {edited}", &text[one.position])
    };
    found.map(show).collect()
}

#[test]
fn the_bases_of_a_dockerfile_are_found_with_their_build_arguments() {
    let text = "# syntax=docker/dockerfile:1\nARG VERSION=12.1\nARG BASE=a.example/go:1\n\
        FROM --platform=$BUILDPLATFORM debian:${VERSION} AS build\r\nFROM \\\n  $BASE\n\
        FROM scratch\nFROM build AS last\nFROM ${OTHER}\nCOPY --from=build /a /a\n\
        FROM a.example:5000/x/y:1.2@sha256:0\n";
    let text = text.replace("sha256:0", Digest::of(b"").as_str());
    let short = |line: String| line.replace(Digest::of(b"").as_str(), "DIGEST");
    let found: Vec<String> = shown(ConsumerFormat::Dockerfile, &text)
        .into_iter()
        .map(short)
        .collect();
    assert_eq!(
        [&found[..2], &found[3..]].concat(),
        [
            "debian:${VERSION} = docker.io/library/debian:12.1, edit 12.1 as Tag",
            "$BASE = a.example/go:1, edit a.example/go:1 as Reference",
            "a.example:5000/x/y:1.2@DIGEST = a.example:5000/x/y:1.2@DIGEST, \
             edit a.example:5000/x/y:1.2@DIGEST as Reference",
        ]
    );
    assert!(found[2].starts_with("${OTHER} = ("), "{}", found[2]);
    // A correction would change the other use too.
    for (text, edited) in [
        ("ARG V=1\nFROM a:$V\nARG W\nRUN $W\n", "1 as Tag"),
        ("ARG V=1\nFROM a:$V\nFROM b:$V\n", "-"),
        ("ARG V=1\nARG V=1\nFROM a:$V\n", "-"),
        ("ARG V=1\nARG A=2 V=1\nFROM a:$V\n", "-"),
        ("ARG V=1\nFROM a:$V\nARG V\nRUN ./install $V\n", "-"),
        ("ARG V=1\nARG NAME=x-${V}\nFROM a:$V\n", "-"),
        ("ARG V=1\nFROM --platform=linux/$V a:$V\n", "-"),
        ("ARG V=1\nARG VERSION=$V2\nFROM a:$V\n", "1 as Tag"),
    ] {
        assert_eq!(
            shown(ConsumerFormat::Dockerfile, text)[0],
            format!("a:$V = docker.io/library/a:1, edit {edited}"),
            "{text}"
        );
    }
}

#[test]
fn the_images_of_a_compose_file_are_found_unless_they_are_built() {
    let text = "services:\n  web:\n    image: nginx:1.25.1 # the proxy\n    ports: ['80:80']\n  app:\n    build: .\n    image: team/app\n  \
        db: {image: \"postgres:${PG:-16.1}\", user: x}\n  cache:\n    image: '${CACHE_IMAGE}'\n  other:\n    image: ${A-redis}\n  \
        notes:\n    text: |\n      image: not/this\n";
    assert_eq!(
        shown(ConsumerFormat::Compose, text),
        [
            "nginx:1.25.1 = docker.io/library/nginx:1.25.1, edit nginx:1.25.1 as Reference",
            "postgres:${PG:-16.1} = docker.io/library/postgres:16.1, edit 16.1 as Tag",
            "${CACHE_IMAGE} = (the variable `CACHE_IMAGE` determines it), edit -",
            "${A-redis} = docker.io/library/redis, edit redis as Reference",
        ]
    );
    let flow = "services: {web: {build: ., image: own}, db: {image: \"b:1\", ports: [\"1:1\"]}}\n";
    let json = r#"{"services":{"web":{"image":"own","build":"."},"db":{"scale":1,"image":"b:1"}}}"#;
    for text in [flow, json] {
        assert_eq!(
            shown(ConsumerFormat::Compose, text),
            ["b:1 = docker.io/library/b:1, edit b:1 as Reference"]
        );
    }
}

#[test]
fn the_images_of_kubernetes_manifests_are_found_in_lists_and_templates() {
    let text = "apiVersion: v1\nkind: Pod\nspec:\n  initContainers:\n  - image: a.example/init:1\n    name: init\n  \
        containers:\n    - name: app\n      image: \"a.example/app:2.0.1\"\n    - name: helm\n      image: {{ .Values.image }}\n---\n\
        image:\n  repository: x\n# image: commented\n\"image\": b.example/last\n";
    assert_eq!(
        shown(ConsumerFormat::Kubernetes, text),
        [
            "a.example/init:1 = a.example/init:1, edit a.example/init:1 as Reference",
            "a.example/app:2.0.1 = a.example/app:2.0.1, edit a.example/app:2.0.1 as Reference",
            "{{ .Values.image }} = (a template determines it), edit -",
            "b.example/last = b.example/last, edit b.example/last as Reference",
        ]
    );
}

/// The images that a manifest names, as they are written.
fn names(text: &str) -> Vec<&str> {
    let found = images(ConsumerFormat::Kubernetes, text).unwrap();
    found.into_iter().map(|one| &text[one.position]).collect()
}

#[test]
fn the_texts_of_scripts_are_no_images() {
    for text in [
        "args:\n- |\n  image: not/this\n- image: a:1\n",
        "args:\n  - -c\n  - >-\n    image: not/this\n  - &script |\n    image: nor/this\nimage: a:1\n",
        "args:\n- - |2\n    image: not/this\n  - x\nimage: a:1\n",
        "run: !!str |\n image: not/this\nimage: a:1\n",
    ] {
        assert_eq!(names(text), ["a:1"], "{text}");
    }
}

#[test]
fn the_images_in_flow_mappings_and_json_are_found() {
    for text in [
        "- {name: a, command: [\"sleep\", \"1\"], image: a:1}\n- image: b:2\n",
        "- {image: a:1, n: 1, x: {y: [{z: 'it''s'}]}} # image: c\n- {image: 'b:2'}\n",
        "- {name: x,\n   # image: c\n   image: a:1}\n- image: b:2\n",
        "x: [{image: a:1}, {image: b:2}]\ny: 1\n",
        r#"{"apiVersion":"v1","replicas":1,"a":[1,true,null],"c":[{"name":"\"}","image":"a:1"},{"image":"b:2"}]}"#,
        "{\n  \"replicas\": 1,\n  \"c\": [\n    { \"image\": \"a:1\" },\n    {\n      \"image\": \"b:2\"\n    }\n  ]\n}\n",
        "x: {a: {{ .Values.a }}, image: a:1}\n{{- if .Values.x }}\ny:\n  image: b:2\n{{- end }}\n",
        "x: [{{ .Values.a }}\ny:\n- image: a:1\n- image: b:2\n",
    ] {
        assert_eq!(names(text), ["a:1", "b:2"], "{text}");
    }
}

#[test]
fn the_references_of_image_volumes_are_found() {
    for text in [
        "volumes:\n- name: v\n  image:\n    reference: a:1\n    pullPolicy: Always\n- name: w\n  emptyDir: {}\n",
        "volumes:\n- image:\n    pullPolicy: Always\n    reference: \"a:1\"\n  name: v\nreference: b\n",
        "volumes:\n- {name: v, image: {pullPolicy: Always, reference: a:1}}\n- reference: b\n",
    ] {
        assert_eq!(names(text), ["a:1"], "{text}");
    }
    assert_eq!(
        names("image:\n  repository: x\nother:\n  reference: y\n"),
        [""; 0]
    );
}

#[test]
fn a_correction_changes_only_the_tag_and_the_digest() {
    let digest = Digest::of(b"");
    let text = "ARG V=1.0 \nFROM  debian:$V\r\nFROM a.example:5000/x AS x\nFROM b:1@sha256:00\n";
    let text = text.replace("sha256:00", digest.as_str());
    let uses = images(ConsumerFormat::Dockerfile, &text).unwrap();
    let replacements = uses.into_iter().map(|one| Replacement {
        old: one.editable.unwrap(),
        tag: Some("2.0".parse().unwrap()),
        digest: Some(digest.clone()),
    });
    let new = replaced(&text, replacements.collect());
    assert_eq!(
        new.replace(digest.as_str(), "DIGEST"),
        "ARG V=2.0@DIGEST \nFROM  debian:$V\r\nFROM a.example:5000/x:2.0@DIGEST AS x\nFROM b:2.0@DIGEST\n"
    );
}

/// Files of about 400 KB, in which a search for each item would take minutes.
#[test]
fn the_time_to_read_a_file_grows_with_its_length() {
    let nested = |number: usize| format!("{}image:\n", " ".repeat(number));
    for (format, text) in [
        (ConsumerFormat::Compose, "image: a\n".repeat(50_000)),
        (ConsumerFormat::Compose, "- image: a\n".repeat(50_000)),
        (ConsumerFormat::Kubernetes, "x: {image: ".repeat(40_000)),
        (ConsumerFormat::Kubernetes, (0..1_000).map(nested).collect()),
        (
            ConsumerFormat::Kubernetes,
            format!("x: [{}]\n", "1,".repeat(200_000)),
        ),
        (
            ConsumerFormat::Kubernetes,
            format!("x: [{}]\n", "${".repeat(20_000)),
        ),
        (
            ConsumerFormat::Kubernetes,
            format!("x: [{}]\n", "{{,".repeat(20_000)),
        ),
        (
            ConsumerFormat::Kubernetes,
            format!("x: [{}]\n", "\"a\",".repeat(100_000)),
        ),
    ] {
        let start = std::time::Instant::now();
        drop(images(format, &text));
        let elapsed = start.elapsed();
        let limit = std::time::Duration::from_secs(5);
        assert!(elapsed < limit, "{elapsed:?}: {}", &text[..40]);
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in "([a-z:{}\\[\\]$\"'#|>-]|image: |build:|\\n|  |FROM |ARG |é|,|=|\\\\){0,40}") {
        for format in [ConsumerFormat::Dockerfile, ConsumerFormat::Compose, ConsumerFormat::Kubernetes] {
            for one in images(format, &text).unwrap_or_default() {
                proptest::prop_assert!(text.get(one.position).is_some());
                proptest::prop_assert!(one.editable.is_none_or(|one| text.get(one.position).is_some()));
            }
        }
    }
}
