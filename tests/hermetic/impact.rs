//! `golden impact`: the images that are built on an image, found by their layers.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::workspace::Golden;

const NAME: &str = "org.opencontainers.image.base.name";
const DIGEST: &str = "org.opencontainers.image.base.digest";
const EMPTY: (&str, &str) = ("application/vnd.oci.empty.v1+json", "{}");

/// The labels of an image that golden built on a base.
fn labels(registry: &FakeRegistry, base: &str, digest: &str) -> Value {
    let name = format!("{}/{base}", registry.host());
    json!({ NAME: name, DIGEST: digest, "dev.golden.inputs": "sha256:0" })
}

/// A registry with a base of two platforms, and images of several publishers.
fn fleet(behaviour: Behaviour) -> FakeRegistry {
    let registry = FakeRegistry::start(behaviour);
    let none = json!({});
    let amd = registry.layered("golden/base", "amd64", &["os"], &none, &[]);
    let arm = registry.layered("golden/base", "arm64", &["os-arm"], &none, &[]);
    let base = registry.index_for(
        "golden/base",
        &[("amd64", &amd), ("arm64", &arm)],
        &["1.2.3", "1.2", "latest"],
    );
    let own = labels(&registry, "golden/base:1.2.3", &base);
    let amd = registry.layered("golden/app", "amd64", &["os", "app"], &own, &[]);
    let arm = registry.layered("golden/app", "arm64", &["os-arm", "app"], &own, &[]);
    registry.index_for(
        "golden/app",
        &[("amd64", &amd), ("arm64", &arm)],
        &["2.0.0", "2.0", "latest"],
    );
    // Docker inherits the labels of the base, which name the base of the base.
    registry.layered("team/web", "amd64", &["os", "app", "web"], &own, &["7"]);
    registry.layered("team/worker", "amd64", &["os", "other"], &none, &["1"]);
    // The label names the base, but the layers are others.
    registry.layered("team/squashed", "amd64", &["flat"], &own, &["1"]);
    registry.layered("team/foreign", "amd64", &["alpine", "x"], &none, &["1"]);
    registry
}

fn run(registry: &FakeRegistry, arguments: &[&str]) -> (String, String) {
    let hide = |text: String| text.replace(&registry.host(), "HOST");
    let run = Golden::new()
        .run(&[&["impact"], arguments].concat())
        .exit(0);
    (hide(run.stdout), hide(run.stderr))
}

#[test]
fn the_descendants_are_found_by_their_layers_and_shown_as_a_tree() {
    let registry = fleet(Behaviour::default());
    let base = format!("{}/golden/base:1.2.3", registry.host());
    let (tree, summary) = run(&registry, &[&base]);
    insta::assert_snapshot!(tree, @r"
    HOST/golden/base:1.2.3
    ├── HOST/golden/app:2.0.0  (also 2.0, latest; linux/amd64, linux/arm64)
    │   └── HOST/team/web:7  (linux/amd64)
    └── HOST/team/worker:1  (linux/amd64)
    ");
    assert_eq!(
        summary,
        "3 images are built on HOST/golden/base:1.2.3 (6 images in 6 repositories checked)\n"
    );
    // Every version of the base, and the digest of one platform.
    let every = run(&registry, &[&format!("{}/golden/base", registry.host())]);
    assert_eq!(
        every.0.replace("golden/base\n", "golden/base:1.2.3\n"),
        tree
    );
    let arm = registry.layered("golden/base", "arm64", &["os-arm"], &json!({}), &[]);
    let (tree, _) = run(
        &registry,
        &[&format!("{}/golden/base@{arm}", registry.host())],
    );
    let tree = tree.replace(&arm, "ARM");
    insta::assert_snapshot!(tree, @r"
    HOST/golden/base@ARM
    └── HOST/golden/app:2.0.0  (also 2.0, latest; linux/arm64)
    ");
}

#[test]
fn the_document_has_the_evidence_and_the_parents() {
    let registry = fleet(Behaviour::default());
    let base = format!("{}/golden/base:1.2.3", registry.host());
    let (json, _) = run(&registry, &[&base, "--format", "json"]);
    let document: Value = serde_json::from_str(&json).unwrap();
    let images = document["images"].as_array().unwrap().iter();
    let facts: Vec<String> = images
        .map(|image| {
            let platform = &image["platforms"][0];
            format!(
                "{} {} depth {} parent {} by {}",
                image["reference"].as_str().unwrap(),
                image["platforms"].as_array().unwrap().len(),
                image["depth"],
                image["parent"].as_str().unwrap_or("-"),
                platform["evidence"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        facts,
        [
            "HOST/golden/app:2.0.0 2 depth 0 parent - by label",
            "HOST/team/web:7 1 depth 1 parent HOST/golden/app:2.0.0 by label",
            "HOST/team/worker:1 1 depth 0 parent - by layers",
        ]
    );
    assert_eq!(
        (&document["checked"], &document["repositories"]),
        (&json!(6), &json!(6))
    );
    assert_eq!(document["bases"][0]["images"], 3);
    let app = format!("{}/golden/app", registry.host());
    let (json, _) = run(&registry, &[&app, "--format", "json"]);
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["images"].as_array().unwrap().len(), 1);
    // The label names the base of golden/app, so that only the layers show this.
    assert_eq!(document["images"][0]["platforms"][0]["evidence"], "layers");
}

#[test]
fn images_on_an_earlier_digest_of_a_tag_are_listed() {
    let registry = fleet(Behaviour::default());
    registry.layered("golden/base", "amd64", &["os-new"], &json!({}), &["1.2.3"]);
    let base = format!("{}/golden/base:1.2.3", registry.host());
    let (tree, _) = run(&registry, &[&base]);
    let lines: Vec<&str> = tree.lines().collect();
    assert_eq!(lines.len(), 4, "{tree}");
    assert!(lines[1].contains("; on the earlier sha256:"), "{tree}");
    let digest = registry.tags("golden/base")["1.2.3"].clone();
    let (tree, summary) = run(
        &registry,
        &[&format!("{}/golden/base@{digest}", registry.host())],
    );
    assert_eq!(tree.lines().count(), 1, "{tree}");
    assert!(summary.starts_with("no image is built on"), "{summary}");
}

/// Earlier versions of golden wrote a lock file with two digests of one tag.
#[test]
fn a_commit_of_a_lock_with_two_digests_of_a_tag_shows_an_earlier_digest() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let none = json!({});
    let old = registry.layered("golden/base", "amd64", &["os-old"], &none, &["1.2.3"]);
    let new = registry.layered("golden/base", "amd64", &["os-new"], &none, &["1.2.3"]);
    registry.layered("team/old", "amd64", &["os-old", "x"], &none, &["1"]);
    let base = format!("{host}/golden/base:1.2.3");
    let entry = |key: &str, digest: &str| {
        format!("[[base]]\nbase = \"{key}\"\nreference = \"{base}\"\ndigest = \"{digest}\"\n")
    };
    let golden =
        Golden::new().workspace(&format!("[[registry]]\nname = \"r\"\nhost = \"{host}\"\n"));
    golden.git(&["init", "--quiet"]);
    let range = format!("{host}/golden/base ^1");
    for entries in [
        entry(&range, &old) + &entry(&base, &new),
        entry(&base, &new),
    ] {
        golden.write("golden.lock", format!("version = 1\n{entries}"));
        golden.git(&["add", "."]);
        golden.git(&["commit", "--quiet", "--message", "lock"]);
    }
    let run = golden.run(&["impact", &base]).exit(0);
    let expected = format!("└── {host}/team/old:1  (linux/amd64; on the earlier sha256:");
    assert!(run.stdout.contains(&expected), "{}", run.stdout);
}

#[test]
fn each_tag_and_platform_costs_one_request_and_configs_are_read_once() {
    let registry = fleet(Behaviour::default());
    let golden = Golden::new();
    let base = format!("{}/golden/base:1.2.3", registry.host());
    golden.run(&["impact", &base]).exit(0);
    let count = |requests: &[String], part: &str| {
        requests.iter().filter(|line| line.contains(part)).count()
    };
    let first = registry.requests();
    assert_eq!(count(&first, "/blobs/"), 8, "{first:#?}");
    // The base with its two platforms, the ten tags, and the four entries of the two indexes.
    assert_eq!(count(&first, "/manifests/"), 3 + 10 + 4, "{first:#?}");
    golden.run(&["impact", &base]).exit(0);
    let second = &registry.requests()[first.len()..];
    assert_eq!(count(second, "/blobs/"), 0, "{second:#?}");
}

#[test]
fn a_registry_without_a_catalog_needs_a_list_of_repositories() {
    let registry = fleet(Behaviour {
        instead: Some(Arc::new(|seen| {
            (seen.route() == "/v2/_catalog").then(|| refuse(405, "UNSUPPORTED", "no catalog"))
        })),
        ..Behaviour::default()
    });
    let base = format!("{}/golden/base:1.2.3", registry.host());
    let golden = Golden::new();
    let refused = golden.run(&["impact", &base]).exit(1);
    assert!(
        refused.stderr.contains("--repositories FILE"),
        "{}",
        refused.stderr
    );
    let host = registry.host();
    golden.write(
        "list",
        format!("# ours\n{host}/team/web\n\n{host}/golden/base # the base\n"),
    );
    let run = golden
        .run(&["impact", &base, "--repositories", "list"])
        .exit(0);
    assert_eq!(
        run.stdout,
        format!("{base}\n└── {host}/team/web:7  (linux/amd64)\n")
    );
    golden.write("list", "https://x/y\n");
    let refused = golden
        .run(&["impact", &base, "--repositories", "list"])
        .exit(2);
    assert!(refused.stderr.contains("list:1: "), "{}", refused.stderr);
    // The images of the workspace are known without a catalog.
    let golden = Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"r\"\nhost = \"{host}\"\nnamespace = \"golden\"\n"
        ))
        .image(
            "app",
            "[image]\nname = \"app\"\nversion = \"2.0.0\"\nbase = \"scratch\"\n",
        );
    let run = golden.run(&["impact", &base]).exit(0);
    assert_eq!(run.stdout.lines().count(), 2, "{}", run.stdout);
    assert!(
        run.stderr.contains(
            "only those of the workspace are read; use --repositories FILE to read others instead"
        ),
        "{}",
        run.stderr
    );
}

#[test]
fn a_repository_that_cannot_be_read_makes_the_list_incomplete() {
    let registry = fleet(Behaviour {
        instead: Some(Arc::new(|seen| {
            seen.route()
                .starts_with("/v2/team/worker/")
                .then(|| refuse(403, "DENIED", "not yours"))
        })),
        ..Behaviour::default()
    });
    let base = format!("{}/golden/base:1.2.3", registry.host());
    let run = Golden::new().run(&["impact", &base]).exit(1);
    assert_eq!(run.stdout.lines().count(), 3, "{}", run.stdout);
    assert!(
        run.stderr.contains("1 of 6 repositories cannot be read"),
        "{}",
        run.stderr
    );
    let absent = format!("{}/golden/none:1", registry.host());
    let run = Golden::new().run(&["impact", &absent]).exit(1);
    assert!(run.stderr.contains("golden/none"), "{}", run.stderr);
}

#[test]
fn images_with_a_package_are_found_by_their_bills_of_materials() {
    for behaviour in Behaviour::both() {
        let referrers = behaviour.referrers;
        let registry = fleet(behaviour);
        let kind = "application/vnd.cyclonedx+json";
        for (repository, tag, version) in [
            ("team/web", "7", "3.0.11-1"),
            ("team/worker", "1", "3.0.15-1"),
        ] {
            let image = registry.tags(repository)[tag].clone();
            let bill = json!({ "bomFormat": "CycloneDX", "components": [
                { "type": "library", "name": "libssl3", "version": version,
                  "purl": format!("pkg:deb/debian/libssl3@{version}?upstream=openssl") }] })
            .to_string();
            let bill = registry.artifact(
                repository,
                Some(kind),
                EMPTY,
                (kind, &bill),
                Some(&image),
                &[],
            );
            if !referrers {
                registry.fallback(repository, &image, &[&bill]);
            }
        }
        let base = format!("{}/golden/base:1.2.3", registry.host());
        let (tree, summary) = run(&registry, &[&base, "--package", "openssl<3.0.15"]);
        assert_eq!(
            tree,
            "HOST/golden/base:1.2.3\n└── HOST/team/web:7  (linux/amd64; libssl3 3.0.11-1)\n"
        );
        assert_eq!(
            summary,
            "1 image is built on HOST/golden/base:1.2.3 and has openssl < 3.0.15 (6 images in 6 repositories checked); \
             1 image cannot be judged without a bill of materials, such as HOST/golden/app:2.0.0\n"
        );
        let host = registry.host();
        let (list, _) = run(&registry, &["--package", "libssl3", "--registry", &host]);
        assert_eq!(
            list,
            "HOST/team/web:7  (linux/amd64; libssl3 3.0.11-1)\nHOST/team/worker:1  (linux/amd64; libssl3 3.0.15-1)\n"
        );
    }
    let wrong = Golden::new()
        .run(&["impact", "a/b", "--package", "a<<1"])
        .exit(2);
    assert!(wrong.stderr.contains("openssl<3.0.15"), "{}", wrong.stderr);
}
