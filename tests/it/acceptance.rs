//! The main job against a real engine and a real registry, checked by a plain HTTP client.

use crate::auth::{signed_token, token_server};
use crate::support::curl::{curl, curl_with, digest, labels, tags};
use crate::support::logins::SECRET;
use crate::support::services;
use crate::support::workspace::Golden;

/// A workspace with one image, which is published below `namespace`.
fn workspace(namespace: &str, version: &str) -> Golden {
    Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace(&format!(
            "[[registry]]\nname = \"team\"\nhost = \"{}\"\nnamespace = \"{namespace}\"\n",
            services::registry()
        ))
        .image("app", &image(version))
}

fn image(version: &str) -> String {
    format!(
        r#"
[image]
name = "app"
version = "{version}"
description = "An application's base"
base = "{}"

[labels]
owner = "golden-images@example.com"

[env]
GREETING = "hello"
"#,
        services::base_busybox()
    )
}

/// A namespace that no other test or earlier run has used.
fn namespace(test: &str, engine: &str) -> String {
    let unique = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!("acceptance/{test}-{engine}-{unique}")
}

/// Publishes an image to a registry with a login or with TLS, reads its tags and deletes them.
/// curl, with the login or the CA in `options`, reads the registry. `table` holds further keys of
/// `[[registry]]`.
fn publish_read_delete_at(
    address: &str,
    table: &str,
    login: (&str, &str),
    options: &[&str],
    namespace: &str,
) {
    let host = address.split_once("://").unwrap().1;
    let golden = Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"t\"\nhost = \"{host}\"\nnamespace = \"{namespace}\"\n{table}"
        ))
        .image("app", &image("1.2.3"))
        .env("GOLDEN_REGISTRY_HOST", host)
        .env("GOLDEN_REGISTRY_USER", login.0)
        .env("GOLDEN_REGISTRY_PASSWORD", login.1);
    std::fs::copy(services::tls_ca(), golden.path().join("ca.crt")).unwrap();
    golden
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(0);
    let ask =
        |method: &str, path: &str| curl_with(options, method, &format!("{address}/v2/{path}"));
    let repository = format!("{namespace}/app");
    let catalog = ask("GET", "_catalog?n=1000").json();
    let names = catalog["repositories"].as_array().unwrap();
    assert!(
        names.iter().any(|name| *name == repository.as_str()),
        "{catalog}"
    );
    let list = ask("GET", &format!("{repository}/tags/list")).json();
    let mut found: Vec<String> = serde_json::from_value(list["tags"].clone()).unwrap();
    found.sort();
    assert_eq!(found, ["1", "1.2", "1.2.3", "latest"]);
    let head = |tag: &str| {
        let answer = ask("HEAD", &format!("{repository}/manifests/{tag}"));
        (
            answer.status,
            answer.header("docker-content-digest").map(str::to_owned),
        )
    };
    let first = head("1.2.3");
    assert!(first.0 == 200 && first.1.is_some(), "{first:?}");
    for tag in ["1.2", "1", "latest"] {
        assert_eq!(head(tag), first, "{tag}");
    }
    golden.run(&["verify", "--deep"]).exit(0);
    golden
        .run(&[
            "delete",
            &format!("{host}/{repository}:1.2.3"),
            "--all-tags",
            "--yes",
        ])
        .exit(0);
    let list = ask("GET", &format!("{repository}/tags/list"));
    assert!(list.json()["tags"].is_null(), "{}", list.body);
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        assert_eq!(head(tag).0, 404, "{tag}");
    }
}

#[test]
fn an_image_is_published_read_and_deleted_with_a_password() {
    let (user, password) = (services::htpasswd_user(), services::htpasswd_password());
    let address = format!("http://{}", services::registry_htpasswd());
    let login = format!("{user}:{password}");
    let namespace = namespace("at", "htpasswd");
    publish_read_delete_at(&address, "", (user, password), &["-u", &login], &namespace);
}

#[test]
fn an_image_is_published_read_and_deleted_with_tokens() {
    let namespace = namespace("at", "tokens");
    let scopes = [
        format!("repository:{namespace}/app:pull"),
        "registry:catalog:*".to_owned(),
    ];
    let header = format!("Authorization: Bearer {}", signed_token(&scopes));
    token_server();
    let address = format!("http://{}", services::registry_token());
    publish_read_delete_at(
        &address,
        "",
        ("robot", SECRET),
        &["-H", &header],
        &namespace,
    );
}

#[test]
fn an_image_is_published_read_and_deleted_over_tls() {
    let address = format!("https://{}", services::registry_tls());
    let (ca, namespace) = (services::tls_ca(), namespace("at", "tls"));
    publish_read_delete_at(
        &address,
        "ca = \"ca.crt\"\n",
        ("", ""),
        &["--cacert", ca.to_str().unwrap()],
        &namespace,
    );
}

/// Publishes an image with its four tags, reads them, and deletes them.
fn an_image_is_published_with_four_tags_read_and_deleted(engine: &str) {
    let namespace = namespace("whole", engine);
    let repository = format!("{namespace}/app");
    let golden = workspace(&namespace, "1.2.3");
    golden.run(&["build", "--push", "--engine", engine]).exit(0);

    let catalog = curl("GET", services::registry(), "_catalog?n=1000").json();
    assert!(
        catalog["repositories"]
            .as_array()
            .unwrap()
            .iter()
            .any(|name| *name == repository.as_str()),
        "{catalog}"
    );
    assert_eq!(tags(&repository), ["1", "1.2", "1.2.3", "latest"]);
    let first = digest(&repository, "1.2.3");
    assert!(first.is_some());
    for tag in ["1.2", "1", "latest"] {
        assert_eq!(digest(&repository, tag), first, "{tag}");
    }
    let labels = labels(&repository, "latest");
    assert_eq!(labels["owner"], "golden-images@example.com");
    assert_eq!(labels["version"], "1.2.3");
    assert_eq!(labels["description"], "An application's base");
    golden.run(&["verify"]).exit(0);
    golden.run(&["verify", "--deep"]).exit(0);

    let reference = format!("{}/{repository}:1.2.3", services::registry());
    golden.run(&["delete", &reference, "--yes"]).exit(4);
    assert_eq!(tags(&repository).len(), 4, "a shared digest was deleted");
    golden
        .run(&["delete", &reference, "--all-tags", "--yes"])
        .exit(0);
    let list = curl(
        "GET",
        services::registry(),
        &format!("{repository}/tags/list"),
    );
    assert!(list.json()["tags"].is_null(), "{}", list.body);
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        assert_eq!(
            curl(
                "HEAD",
                services::registry(),
                &format!("{repository}/manifests/{tag}")
            )
            .status,
            404,
            "{tag}"
        );
    }
}

/// Runs the same command again, without `.golden`, on an engine that has never had the image.
fn a_repeated_build_on_another_engine_changes_nothing(engine: &str) {
    let namespace = namespace("again", engine);
    let repository = format!("{namespace}/app");
    workspace(&namespace, "1.2.3")
        .run(&["build", "--push", "--engine", engine])
        .exit(0);
    let before = digest(&repository, "1.2.3");

    let elsewhere = workspace(&namespace, "1.2.3").env("DOCKER_HOST", services::docker_second());
    elsewhere.run(&["plan", "--engine", engine]).exit(0);
    elsewhere
        .run(&["build", "--push", "--engine", engine])
        .exit(0);
    assert_eq!(tags(&repository), ["1", "1.2", "1.2.3", "latest"]);
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        assert_eq!(digest(&repository, tag), before, "{tag}");
    }
    let images = std::process::Command::new("docker")
        .args([
            "-H",
            services::docker_second(),
            "images",
            "-q",
            &format!("{}/{repository}", services::registry()),
        ])
        .output()
        .unwrap();
    assert!(images.stdout.is_empty(), "it was built again");
}

/// A release of an older line moves only that line's tags; a pre-release moves nothing.
fn a_backport_moves_only_the_tags_of_its_line(engine: &str) {
    let namespace = namespace("moves", engine);
    let repository = format!("{namespace}/app");
    let build = |version: &str| {
        workspace(&namespace, version)
            .run(&["build", "--push", "--engine", engine])
            .exit(0)
    };
    build("1.2.3");
    build("2.0.0");
    let (one, two) = (digest(&repository, "1.2.3"), digest(&repository, "2.0.0"));
    assert_ne!(one, two);
    for (tag, expected) in [
        ("1.2", &one),
        ("1", &one),
        ("2.0", &two),
        ("2", &two),
        ("latest", &two),
    ] {
        assert_eq!(&digest(&repository, tag), expected, "{tag}");
    }
    let run = build("1.2.4");
    let backport = digest(&repository, "1.2.4");
    assert_ne!(backport, one);
    for (tag, expected) in [
        ("1.2.3", &one),
        ("1.2", &backport),
        ("1", &backport),
        ("2", &two),
        ("latest", &two),
    ] {
        assert_eq!(&digest(&repository, tag), expected, "{tag}\n{}", run.stderr);
    }
    let before = tags(&repository);
    build("2.1.0-rc.1");
    let mut after = before.clone();
    after.push("2.1.0-rc.1".to_owned());
    after.sort();
    assert_eq!(tags(&repository), after);
    assert_eq!(digest(&repository, "latest"), two);
}

/// Different content under a published version is refused before the build, with the list of
/// changes.
fn a_changed_version_is_refused_before_the_build(engine: &str) {
    let namespace = namespace("changed", engine);
    let repository = format!("{namespace}/app");
    workspace(&namespace, "1.2.3")
        .run(&["build", "--push", "--engine", engine])
        .exit(0);
    let before = digest(&repository, "1.2.3");
    let changed = workspace(&namespace, "1.2.3")
        .image("app", &image("1.2.3").replace("hello", "good evening"));
    let run = changed
        .run(&["build", "--push", "--engine", engine])
        .exit(4);
    assert!(run.stderr.contains("1.2.3"), "{}", run.stderr);
    changed.run(&["plan", "--engine", engine]).exit(4);
    assert_eq!(digest(&repository, "1.2.3"), before);
    assert_eq!(tags(&repository), ["1", "1.2", "1.2.3", "latest"]);
}

/// The same command completes an interrupted publish: it corrects missing and outdated moving tags.
fn the_same_command_completes_an_interrupted_publish(engine: &str) {
    let namespace = namespace("finishes", engine);
    let repository = format!("{namespace}/app");
    workspace(&namespace, "1.2.3")
        .run(&["build", "--push", "--engine", engine])
        .exit(0);
    let before = digest(&repository, "1.2.3");
    let reference = format!("{}/{repository}:1", services::registry());
    workspace(&namespace, "1.2.3")
        .run(&["delete", &reference, "--untag", "--yes"])
        .exit(0);
    assert_eq!(tags(&repository), ["1.2", "1.2.3", "latest"]);
    workspace(&namespace, "1.2.3").run(&["verify"]).exit(5);
    workspace(&namespace, "1.2.3")
        .run(&["build", "--push", "--engine", engine])
        .exit(0);
    assert_eq!(tags(&repository), ["1", "1.2", "1.2.3", "latest"]);
    assert_eq!(digest(&repository, "1"), before);
}

/// A refused image stops only the images built on it. The others are published, and the summary
/// names each image.
#[test]
fn a_refused_image_stops_only_the_images_built_on_it() {
    let namespace = namespace("refusal", "embedded");
    workspace(&namespace, "1.2.3")
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(0);
    let named = |name: &str, base: &str| {
        format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = {base}\n")
    };
    let golden = workspace(&namespace, "1.2.3")
        .image("app", &image("1.2.3").replace("hello", "good evening"))
        .image("child", &named("child", "{ image = \"app\" }"))
        .image("other", &named("other", "\"scratch\""));
    let run = golden
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(4);
    assert!(
        run.stderr
            .contains("error: app:1.2.3: refused: 1.2.3 is published"),
        "{}",
        run.stderr
    );
    for outcome in [
        "app:1.2.3    refused",
        "child:1.0.0  skipped",
        "other:1.0.0  published",
    ] {
        assert!(run.stdout.contains(outcome), "{}", run.stdout);
    }
    assert_eq!(
        tags(&format!("{namespace}/other")),
        ["1", "1.0", "1.0.0", "latest"]
    );
    let child = curl(
        "GET",
        services::registry(),
        &format!("{namespace}/child/tags/list"),
    );
    assert!(
        child.json().to_string().contains("NAME_UNKNOWN"),
        "{}",
        child.json()
    );
}

/// An image whose base is unavailable stops only the images built on it, or every image with
/// `--atomic`.
#[test]
fn a_missing_base_stops_only_the_images_built_on_it() {
    let namespace = namespace("base", "embedded");
    let named = |name: &str, base: &str| {
        format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = {base}\n")
    };
    let nowhere = format!("\"{}/{namespace}/nowhere:1\"", services::registry());
    let golden = workspace(&namespace, "1.2.3")
        .image("adrift", &named("adrift", &nowhere))
        .image("child", &named("child", "{ image = \"adrift\" }"));
    let args = [
        "build", "--push", "--engine", "embedded", "--format", "json",
    ];
    let run = golden.run(&[&args[..], &["--atomic"]].concat()).exit(1);
    assert!(
        run.stderr.contains("nowhere:1") && run.stderr.contains("--atomic"),
        "{}",
        run.stderr
    );
    let run = golden.run(&args).exit(1);
    assert!(
        run.stderr.contains("error[base.unavailable]: base") && run.stderr.contains("help:"),
        "{}",
        run.stderr
    );
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let outcomes: Vec<String> = json["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| {
            format!(
                "{} {}",
                image["image"].as_str().unwrap(),
                image["outcome"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        outcomes,
        ["app published", "adrift failed", "child skipped"]
    );
    assert_eq!(
        tags(&format!("{namespace}/app")),
        ["1", "1.2", "1.2.3", "latest"]
    );
    // A plan shows the other images too.
    let run = golden.run(&["plan", "--engine", "embedded"]).exit(1);
    assert!(run.stdout.starts_with("app:1.2.3  skip"), "{}", run.stdout);
    assert!(!run.stdout.contains("adrift"), "{}", run.stdout);
    for words in [
        "error[base.unavailable]: base",
        "warning: child:1.0.0: skipped: its base adrift:1.0.0 failed",
        "help:",
    ] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    // If it is the only image, the whole run fails.
    let run = golden.run(&["build", "child"]).exit(1);
    assert!(
        run.stderr.starts_with("error[base.unavailable]: base") && run.stdout.is_empty(),
        "{}",
        run.stderr
    );
}

macro_rules! on_both_engines {
    ($($name:ident),*) => {
        mod docker { $(#[test] fn $name() { super::$name("docker"); })* }
        mod embedded { $(#[test] fn $name() { super::$name("embedded"); })* }
    };
}

on_both_engines!(
    an_image_is_published_with_four_tags_read_and_deleted,
    a_repeated_build_on_another_engine_changes_nothing,
    a_backport_moves_only_the_tags_of_its_line,
    a_changed_version_is_refused_before_the_build,
    the_same_command_completes_an_interrupted_publish
);
