//! Artifacts that cosign 3 and oras 1.3 attach to an index and to its images: signatures,
//! attestations and bills of materials, in every scheme of these tools. `data/attached.json`
//! contains the original bytes.
//!
//! The source has an index of two images (`1.2.3`), with:
//! - signatures of the index and of both images under `.sig` tags; signature bundles that refer to
//!   the index and to its bill of materials; a signature that refers to the second image
//! - an attestation under an `.att` tag, and one that refers to the first image
//! - a bill of materials under an `.sbom` tag, and one by oras
//! - a scan report that refers to the first image
//!
//! The destination has the same index with a signature by another key in both schemes, and an
//! artifact.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::curl::curl;
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

const INDEX: &str = "sha256:eb40588415bd62d834bdc5dfa3d176ace80490b1b4eb5e5c348381885910d883";
const FIRST: &str = "sha256:bafcfd3f6bd4b4893c0cf95d313574ca59265b18b2338b7aee2233687775e9cf";
const SECOND: &str = "sha256:ecdee4a1fab9be9e0475e5009e12a8fe8239fd8ba42c63f953550fd24235b40e";
const BOM: &str = "sha256:77721148561cb5a9c854b8913652ef6d3d999421db4b3168175137cc5beaa5fa";
const SCAN: &str = "sha256:11f19839447b2a1a2741d9a10d4272bb632609a0e1d5692b28697b4ffed43fe2";

fn content(side: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("data/attached.json")).unwrap();
    all[side].clone()
}

fn registry(side: &str, referrers: bool) -> FakeRegistry {
    let registry = FakeRegistry::start(Behaviour {
        referrers,
        ..Behaviour::default()
    });
    registry.load("app", &content(side));
    registry
}

fn name(registry: &FakeRegistry, what: &str) -> String {
    format!("{}/app{what}", registry.host())
}

fn tag_of(digest: &str, suffix: &str) -> String {
    format!("{}{suffix}", digest.replace(':', "-"))
}

/// The manifests of one side, except the lists of referrers.
fn manifests(side: &str) -> BTreeSet<String> {
    let content = content(side);
    let all = content["manifests"].as_array().unwrap().iter();
    all.map(|text| text.as_str().unwrap())
        .filter(|text| !text.contains("artifactType\":\"application/vnd.oci.empty.v1+json\""))
        .filter(|text| !text.contains("\"manifests\":") || !text.contains("artifactType"))
        .map(|text| golden::reference::Digest::of(text.as_bytes()).to_string())
        .collect()
}

/// The signatures under a `.sig` tag.
fn signatures(registry: &FakeRegistry, digest: &str) -> BTreeSet<String> {
    let target = format!("app/manifests/{}", tag_of(digest, ".sig"));
    let body = curl("GET", &registry.host(), &target).body;
    let manifest: Value = serde_json::from_str(&body).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers
        .map(|layer| layer["annotations"]["dev.cosignproject.cosign/signature"].to_string())
        .collect()
}

/// The entries of the list under the fallback tag of a digest, by digest.
fn list(registry: &FakeRegistry, digest: &str) -> BTreeMap<String, Value> {
    let target = format!("app/manifests/{}", tag_of(digest, ""));
    let body = curl("GET", &registry.host(), &target).body;
    let index: Value = serde_json::from_str(&body).unwrap();
    let entries = index["manifests"].as_array().cloned().unwrap_or_default();
    let digest = |entry: &Value| entry["digest"].as_str().unwrap().to_owned();
    entries
        .into_iter()
        .map(|entry| (digest(&entry), entry))
        .collect()
}

#[test]
fn attached_artifacts_are_promoted_and_merged() {
    let source = registry("source", false);
    for referrers in [false, true] {
        let target = registry("destination", referrers);
        let own = signatures(&target, INDEX);
        let before = list(&target, INDEX);
        let (from, to) = (name(&source, ":1.2.3"), name(&target, ":1.2.3"));
        let promote = [
            "promote",
            &from,
            &to,
            "--referrers",
            "--tags",
            "--format",
            "json",
        ];
        let copied = |more: &[&str]| -> Vec<String> {
            let run = Golden::new().run(&[&promote, more].concat()).exit(0);
            let output: Value = serde_json::from_str(&run.stdout).unwrap();
            let mut copied: Vec<String> =
                serde_json::from_value(output["referrers"].clone()).unwrap();
            copied.sort();
            copied
        };
        let planned = copied(&["--dry-run"]);
        for _ in 0..2 {
            assert_eq!(copied(&[]), planned);
        }
        let there = target.manifests("app");
        let signature = source.tags("app")[&tag_of(INDEX, ".sig")].clone();
        let lacking: Vec<String> = manifests("source")
            .into_iter()
            .filter(|digest| *digest != signature && !there.contains(digest))
            .collect();
        assert_eq!(lacking, Vec::<String>::new(), "referrers {referrers}");
        let expected: BTreeSet<String> = own.union(&signatures(&source, INDEX)).cloned().collect();
        assert_eq!(signatures(&target, INDEX), expected);
        assert_eq!(expected.len(), 2);
        for (digest, suffix) in [
            (FIRST, ".sig"),
            (SECOND, ".sig"),
            (INDEX, ".att"),
            (INDEX, ".sbom"),
        ] {
            let tag = tag_of(digest, suffix);
            assert_eq!(target.tags("app")[&tag], source.tags("app")[&tag], "{tag}");
        }
        if !referrers {
            let mut expected = before;
            expected.extend(list(&source, INDEX));
            assert_eq!(list(&target, INDEX), expected);
            for digest in [FIRST, SECOND, BOM] {
                assert_eq!(list(&target, digest), list(&source, digest));
            }
        }
    }
}

/// An image that another index contains is kept, with all artifacts attached to it.
#[test]
fn attached_artifacts_are_deleted_with_the_index() {
    for command in ["delete", "prune"] {
        let registry = registry("source", false);
        let all = registry.manifests("app");
        let (other, tag) = ("2.0.0", ["2.0.0"]);
        let stays = registry.index("app", &[FIRST], &tag);
        let name = name(&registry, "");
        let at = format!("{name}:1.2.3");
        let arguments = if command == "delete" {
            vec!["delete", &at, "--all-tags"]
        } else {
            for moving in ["1", "1.2", "latest"] {
                registry.tag("app", moving, &stays);
            }
            vec!["prune", &name, "--keep", "1"]
        };
        let kept: BTreeSet<String> = [
            stays.clone(),
            FIRST.to_owned(),
            registry.tags("app")[&tag_of(FIRST, ".sig")].clone(),
            registry.tags("app")[&tag_of(FIRST, "")].clone(),
        ]
        .into_iter()
        .chain(list(&registry, FIRST).into_keys())
        .collect();
        let dry = Golden::new()
            .run(&[&arguments[..], &["--dry-run"]].concat())
            .exit(0);
        let shown = format!("{}{}", dry.stdout, dry.stderr);
        let attached = all
            .iter()
            .filter(|digest| ![INDEX, SECOND].contains(&digest.as_str()));
        for digest in attached {
            let line = format!("would delete: {name}@{digest} (");
            assert_eq!(
                shown.contains(&line),
                !kept.contains(digest),
                "{line}\n{shown}"
            );
        }
        let run = Golden::new()
            .run(&[&arguments[..], &["--yes"]].concat())
            .exit(0);
        assert_eq!(registry.manifests("app"), kept, "{command}\n{}", run.stderr);
        let mut tags = vec![other.to_owned(), tag_of(FIRST, ""), tag_of(FIRST, ".sig")];
        if command == "prune" {
            tags.extend(["1", "1.2", "latest"].map(str::to_owned));
        }
        tags.sort();
        assert_eq!(registry.tags("app").into_keys().collect::<Vec<_>>(), tags);
    }
}

#[test]
fn attached_artifacts_are_shown_with_their_kind() {
    let registry = registry("source", false);
    let at = name(&registry, "");
    let run = Golden::new()
        .run(&["ls", &at, "--all", "--format", "json"])
        .exit(0);
    let output: Value = serde_json::from_str(&run.stdout).unwrap();
    let rows = output["tags"].as_array().unwrap().iter();
    let kinds: BTreeMap<&str, &str> = rows
        .map(|row| (row["tag"].as_str().unwrap(), row["kind"].as_str().unwrap()))
        .collect();
    let bundle = list(&registry, INDEX)
        .into_keys()
        .find(|digest| digest != BOM)
        .unwrap();
    let of_first = list(&registry, FIRST)
        .into_keys()
        .find(|digest| digest != SCAN)
        .unwrap();
    let of_second = list(&registry, SECOND).into_keys().next().unwrap();
    for (what, json, text) in [
        (":1.2.3".to_owned(), "index", "index"),
        (
            format!(":{}", tag_of(INDEX, "")),
            "referrers",
            "list of referrers",
        ),
        (
            format!(":{}", tag_of(INDEX, ".sig")),
            "signature",
            "signature",
        ),
        (
            format!(":{}", tag_of(INDEX, ".att")),
            "attestation",
            "attestation",
        ),
        (format!(":{}", tag_of(INDEX, ".sbom")), "sbom", "SBOM"),
        (format!("@{bundle}"), "signature", "signature"),
        (format!("@{of_first}"), "attestation", "attestation"),
        (format!("@{of_second}"), "signature", "signature"),
        (format!("@{BOM}"), "sbom", "SBOM"),
        (
            format!("@{SCAN}"),
            "application/vnd.acme.scan",
            "application/vnd.acme.scan",
        ),
    ] {
        if let Some(tag) = what.strip_prefix(':') {
            assert_eq!(kinds[tag], json);
        }
        let reference = format!("{at}{what}");
        let run = Golden::new()
            .run(&["inspect", &reference, "--format", "json"])
            .exit(0);
        let output: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(output["kind"], json, "{what}");
        let run = Golden::new()
            .run(&["verify", &reference, "--deep", "--format", "json"])
            .exit(0);
        let output: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(output["findings"][0]["kind"], json, "{what}");
        let run = Golden::new().run(&["verify", &reference]).exit(0);
        let first = run.stdout.lines().next().unwrap();
        assert_eq!(
            first.ends_with(&format!("  {text}")),
            json != "index",
            "{first}"
        );
    }
}
