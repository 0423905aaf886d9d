//! Referrers of an image are copied, listed and deleted with it; foreign referrers stay.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::curl::curl;
use crate::support::proxy::lagging;
use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::server::{Answer, Seen};
use crate::support::workspace::{Golden, Run};

const EMPTY: (&str, &str) = ("application/vnd.oci.empty.v1+json", "{}");
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// A referrer with its own content.
fn referrer(
    registry: &FakeRegistry,
    repository: &str,
    subject: &str,
    content: &str,
    tags: &[&str],
) -> String {
    let kind = "application/spdx+json";
    registry.artifact(
        repository,
        Some(kind),
        EMPTY,
        (kind, content),
        Some(subject),
        tags,
    )
}

/// A signature as cosign stores it under a tag.
fn signature(registry: &FakeRegistry, repository: &str, subject: &str, content: &str) -> String {
    let tag = format!("{}.sig", tag_of(subject));
    let config = (golden::oci::media::OCI_CONFIG, "{}");
    registry.artifact(repository, None, config, (SIMPLE, content), None, &[&tag])
}

fn tag_of(digest: &str) -> String {
    digest.replace(':', "-")
}

fn promote(from: &str, to: &str) -> Run {
    Golden::new()
        .run(&["promote", from, to, "--referrers"])
        .exit(0)
}

fn manifest(host: &str, repository: &str, target: &str) -> String {
    curl("GET", host, &format!("{repository}/manifests/{target}")).body
}

fn digests(index: &str) -> Vec<String> {
    let index: Value = serde_json::from_str(index).unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["digest"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn lists_of_referrers_are_merged_and_foreign_entries_stay_byte_for_byte() {
    let (source, target) = (
        FakeRegistry::start(Behaviour::default()),
        FakeRegistry::start(Behaviour::default()),
    );
    let image = source.image("app", "a", &["1.2.3"]);
    let ours = referrer(&source, "app", &image, "ours", &[]);
    source.fallback("app", &image, &[&ours]);
    target.image("app", "a", &["1.2.3"]);
    let theirs = referrer(&target, "app", &image, "theirs", &[]);
    target.fallback("app", &image, &[&theirs]);
    let (before, wanted) = (
        manifest(&target.host(), "app", &tag_of(&image)),
        manifest(&source.host(), "app", &tag_of(&image)),
    );
    let entry =
        |text: &str| text[text.find("[{").unwrap() + 1..=text.rfind("}]").unwrap()].to_owned();
    for _ in 0..2 {
        promote(
            &format!("{}/app:1.2.3", source.host()),
            &format!("{}/app", target.host()),
        );
        let after = manifest(&target.host(), "app", &tag_of(&image));
        assert_eq!(digests(&after), [theirs.clone(), ours.clone()]);
        assert!(
            after.contains(&entry(&before)) && after.contains(&entry(&wanted)),
            "{after}"
        );
    }
}

#[test]
fn a_replaced_list_of_referrers_is_deleted_if_nothing_uses_it() {
    for (no_deletion, is_tagged) in [(false, false), (true, false), (false, true)] {
        let source = FakeRegistry::start(Behaviour::default());
        let target = FakeRegistry::start(Behaviour {
            no_deletion,
            ..Behaviour::default()
        });
        let image = source.image("app", "a", &["1.2.3"]);
        let ours = ["one", "two"].map(|text| referrer(&source, "app", &image, text, &[]));
        source.fallback("app", &image, &[&ours[0], &ours[1]]);
        target.image("app", "a", &["1.2.3"]);
        let theirs = referrer(&target, "app", &image, "theirs", &[]);
        let replaced = target.fallback("app", &image, &[&theirs]);
        if is_tagged {
            target.tag("app", "kept", &replaced);
        }
        let other = target.image("app", "b", &[]);
        promote(
            &format!("{}/app:1.2.3", source.host()),
            &format!("{}/app", target.host()),
        );
        let [one, two] = ours;
        assert_eq!(
            digests(&manifest(&target.host(), "app", &tag_of(&image))),
            [theirs.clone(), one.clone(), two.clone()]
        );
        assert_eq!(target.has("app", &replaced), no_deletion || is_tagged);
        if !no_deletion {
            let list = target.tags("app")[&tag_of(&image)].clone();
            let mut kept = vec![image, theirs, one, two, other, list];
            kept.extend(is_tagged.then_some(replaced));
            kept.sort();
            assert_eq!(
                target.manifests("app").into_iter().collect::<Vec<_>>(),
                kept
            );
        }
    }
}

#[test]
fn a_signature_at_the_destination_is_kept_next_to_the_copied_one() {
    let (source, target) = (
        FakeRegistry::start(Behaviour::default()),
        FakeRegistry::start(Behaviour::default()),
    );
    let image = source.image("app", "a", &["1.2.3"]);
    signature(&source, "app", &image, "ours");
    target.image("app", "a", &["1.2.3"]);
    signature(&target, "app", &image, "theirs");
    for _ in 0..2 {
        promote(
            &format!("{}/app:1.2.3", source.host()),
            &format!("{}/app", target.host()),
        );
        let merged: Value = serde_json::from_str(&manifest(
            &target.host(),
            "app",
            &format!("{}.sig", tag_of(&image)),
        ))
        .unwrap();
        let layers: Vec<&str> = merged["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| layer["digest"].as_str().unwrap())
            .collect();
        let digest = |text: &str| golden::reference::Digest::of(text.as_bytes()).to_string();
        assert_eq!(layers, [digest("theirs"), digest("ours")]);
    }
}

#[test]
fn referrers_of_the_images_of_an_index_are_copied() {
    let source = FakeRegistry::start(Behaviour {
        referrers: true,
        ..Behaviour::default()
    });
    let child = source.image("app", "a", &[]);
    let index = source.index("app", &[&child], &["1.2.3"]);
    let of_child = referrer(&source, "app", &child, "of the child", &[]);
    let of_that = referrer(&source, "app", &of_child, "of that", &[]);
    signature(&source, "app", &child, "cosign");
    let target = FakeRegistry::start(Behaviour {
        referrers: true,
        ..Behaviour::default()
    });
    promote(
        &format!("{}/app:1.2.3", source.host()),
        &format!("{}/app", target.host()),
    );
    assert!(
        [&index, &child, &of_child, &of_that]
            .iter()
            .all(|digest| target.has("app", digest))
    );
    assert!(
        target
            .tags("app")
            .contains_key(&format!("{}.sig", tag_of(&child)))
    );
}

#[test]
fn without_the_referrers_api_the_fallback_tag_is_read() {
    for answer in [
        refuse(400, "UNSUPPORTED", "no"),
        refuse(404, "NOT_FOUND", "no"),
        Answer::new(404, "404 page not found\n"),
        refuse(405, "UNSUPPORTED", "no"),
        Answer::new(406, ""),
        Answer::new(200, "<html>a page</html>"),
        Answer::new(200, "{}"),
    ] {
        let source = FakeRegistry::start(Behaviour {
            instead: Some(Arc::new(move |seen: &Seen| {
                seen.path.contains("/referrers/").then(|| answer.clone())
            })),
            ..Behaviour::default()
        });
        let image = source.image("app", "a", &["1.2.3"]);
        let one = referrer(&source, "app", &image, "one", &[]);
        source.fallback("app", &image, &[&one]);
        let target = FakeRegistry::start(Behaviour {
            referrers: true,
            ..Behaviour::default()
        });
        promote(
            &format!("{}/app:1.2.3", source.host()),
            &format!("{}/app", target.host()),
        );
        assert!(target.has("app", &one));
    }
}

#[test]
fn all_pages_of_a_list_of_referrers_are_read() {
    let pages = Arc::new(std::sync::Mutex::new(Vec::<Value>::new()));
    let shown = pages.clone();
    let source = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(move |seen: &Seen| {
            let at: usize = seen
                .query("page")
                .pop()
                .map_or(0, |page| page.parse().unwrap());
            seen.path.contains("/referrers/").then(|| {
                let pages = shown.lock().unwrap();
                let index = json!({ "schemaVersion": 2, "mediaType": golden::oci::media::OCI_INDEX, "manifests": [pages[at]] });
                let answer = Answer::new(200, index.to_string()).header("content-type", golden::oci::media::OCI_INDEX);
                if at + 1 < pages.len() {
                    answer.header("link", format!("<{}?page={}>; rel=\"next\"", seen.route(), at + 1))
                } else {
                    answer
                }
            })
        })),
        ..Behaviour::default()
    });
    let image = source.image("app", "a", &["1.2.3"]);
    let all: Vec<String> = ["a", "b", "c"]
        .iter()
        .map(|content| referrer(&source, "app", &image, content, &[]))
        .collect();
    *pages.lock().unwrap() = all
        .iter()
        .map(|digest| json!({ "mediaType": golden::oci::media::OCI_MANIFEST, "digest": digest, "size": 1, "artifactType": digest }))
        .collect();
    let target = FakeRegistry::start(Behaviour {
        referrers: true,
        ..Behaviour::default()
    });
    let dry = Golden::new().run(&[
        "promote",
        &format!("{}/app:1.2.3", source.host()),
        &format!("{}/app", target.host()),
        "--referrers",
    ]);
    // The same pages answer for the referrers' own referrers, which refer to another subject.
    drop(dry.exit(0));
    assert!(all.iter().all(|digest| target.has("app", digest)));
}

#[test]
fn referrers_are_deleted_with_their_image() {
    for behaviour in Behaviour::both() {
        let referrers = behaviour.referrers;
        let registry = FakeRegistry::start(behaviour);
        let child = registry.image("app", "a", &[]);
        let index = registry.index("app", &[&child], &["1.2.3"]);
        let stays = registry.image("app", "stays", &["2.0.0"]);
        let bom = referrer(&registry, "app", &index, "bom", &[]);
        let of_bom = referrer(&registry, "app", &bom, "of the bom", &[]);
        let of_child = referrer(&registry, "app", &child, "of the child", &[]);
        let named = referrer(&registry, "app", &index, "named", &["v1-notes"]);
        let of_other = referrer(&registry, "app", &stays, "of the other", &[]);
        if !referrers {
            registry.fallback("app", &index, &[&bom, &named, &of_other]);
            registry.fallback("app", &bom, &[&of_bom]);
            registry.fallback("app", &child, &[&of_child]);
            registry.fallback("app", &stays, &[&of_other]);
        }
        let sig = signature(&registry, "app", &index, "of the index");
        let of_stays = signature(&registry, "app", &stays, "of the other");
        let name = format!("{}/app:1.2.3", registry.host());
        let dry = Golden::new().run(&["delete", &name, "--dry-run"]).exit(0);
        assert!(dry.stdout.contains("attached artifact"), "{}", dry.stdout);
        assert!(registry.has("app", &bom));
        let run = Golden::new().run(&["delete", &name, "--yes"]).exit(0);
        for gone in [&index, &child, &bom, &of_bom, &of_child, &sig] {
            assert!(
                !registry.has("app", gone),
                "referrers {referrers}: {gone} stays\n{}",
                run.stderr
            );
            assert!(
                run.stderr.contains(gone) || run.stdout.contains(gone) || *gone == child,
                "{}",
                run.stderr
            );
        }
        for kept in [&stays, &of_other, &of_stays, &named] {
            assert!(
                registry.has("app", kept),
                "referrers {referrers}: {kept} is gone\n{}",
                run.stderr
            );
        }
        let mut expected = vec![
            "2.0.0".to_owned(),
            "v1-notes".to_owned(),
            format!("{}.sig", tag_of(&stays)),
        ];
        expected.extend((!referrers).then(|| tag_of(&stays)));
        expected.sort();
        assert_eq!(
            registry.tags("app").into_keys().collect::<Vec<_>>(),
            expected
        );
    }
}

/// A referrer that is deleted directly is removed from the list of its subject.
#[test]
fn a_deleted_referrer_is_removed_from_the_list() {
    let registry = FakeRegistry::start(Behaviour::default());
    let image = registry.image("app", "a", &["1.2.3"]);
    let (one, two) = (
        referrer(&registry, "app", &image, "one", &[]),
        referrer(&registry, "app", &image, "two", &[]),
    );
    let replaced = registry.fallback("app", &image, &[&one, &two]);
    Golden::new()
        .run(&["delete", &format!("{}/app@{one}", registry.host()), "--yes"])
        .exit(0);
    assert!(!registry.has("app", &one) && registry.has("app", &two) && registry.has("app", &image));
    assert_eq!(
        digests(&manifest(&registry.host(), "app", &tag_of(&image))),
        [two]
    );
    assert!(!registry.has("app", &replaced));
}

#[test]
fn referrers_are_pruned_with_their_version() {
    let registry = FakeRegistry::start(Behaviour::default());
    let old = registry.image("app", "old", &["1.0.0"]);
    let new = registry.image("app", "new", &["1.1.0", "latest"]);
    let (of_old, of_new) = (
        signature(&registry, "app", &old, "old"),
        signature(&registry, "app", &new, "new"),
    );
    let name = format!("{}/app", registry.host());
    let dry = Golden::new()
        .run(&["prune", &name, "--keep", "1", "--dry-run"])
        .exit(0);
    assert!(
        dry.stderr.contains(&format!(
            "would delete: {name}@{of_old} (signature: {}.sig)",
            tag_of(&old)
        )),
        "{}",
        dry.stderr
    );
    Golden::new()
        .run(&["prune", &name, "--keep", "1", "--yes"])
        .exit(0);
    assert!(!registry.has("app", &old) && !registry.has("app", &of_old));
    assert!(registry.has("app", &new) && registry.has("app", &of_new));
    assert_eq!(registry.tags("app").len(), 3);
}

#[test]
fn a_slow_registry_loses_no_referrer() {
    let source = FakeRegistry::start(Behaviour {
        referrers: true,
        ..Behaviour::default()
    });
    let image = source.image("app", "a", &["1.2.3"]);
    let all: Vec<String> = ["a", "b", "c"]
        .iter()
        .map(|content| referrer(&source, "app", &image, content, &[]))
        .collect();
    signature(&source, "app", &image, "cosign");
    let target = FakeRegistry::start(Behaviour::default());
    let proxy = lagging(&target.host(), Duration::from_millis(700), false);
    promote(
        &format!("{}/app:1.2.3", source.host()),
        &format!("{}/app", proxy.host()),
    );
    let mut found = digests(&manifest(&target.host(), "app", &tag_of(&image)));
    found.sort();
    let mut expected = all;
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn artifacts_that_something_else_uses_are_kept_with_what_is_attached_to_them() {
    let registry = FakeRegistry::start(Behaviour {
        referrers: true,
        ..Behaviour::default()
    });
    let image = registry.image("app", "a", &["1.2.3"]);
    let free = referrer(&registry, "app", &image, "free", &[]);
    let tagged = referrer(&registry, "app", &image, "tagged", &["notes"]);
    let part = referrer(&registry, "app", &image, "part", &[]);
    let index = registry.index("app", &[&part], &["bundle"]);
    let signed = signature(&registry, "app", &image, "signature");
    registry.tag("app", "kept", &signed);
    let [of_free, of_tagged, of_part] =
        [&free, &tagged, &part].map(|one| referrer(&registry, "app", one, "attached", &[]));
    let name = format!("{}/app:1.2.3", registry.host());
    let run = Golden::new()
        .run(&["delete", &name, "--yes", "--format", "json"])
        .exit(0);
    let output: Value = serde_json::from_str(&run.stdout).unwrap();
    let listed = output["deleted"][0]["attached"].as_array().unwrap().iter();
    let mut listed: Vec<Value> = listed
        .map(|one| json!([one["digest"], one["tags"], one["stays"]]))
        .collect();
    let tag = format!("{}.sig", tag_of(&image));
    let mut expected = vec![
        json!([free, [], false]),
        json!([of_free, [], false]),
        json!([signed, [tag], true]),
    ];
    for list in [&mut listed, &mut expected] {
        list.sort_by_key(Value::to_string);
    }
    assert_eq!(listed, expected);
    let kept = [tagged, of_tagged, part, of_part, index, signed];
    assert_eq!(registry.manifests("app"), kept.into_iter().collect());
    assert_eq!(
        registry.tags("app").into_keys().collect::<Vec<_>>(),
        ["bundle", "kept", "notes"]
    );
}

/// `BuildKit` refers from the attestation in an index to its image.
#[test]
fn an_image_of_a_deleted_index_is_not_reported_as_attached_to_another_one() {
    let registry = FakeRegistry::start(Behaviour {
        referrers: true,
        ..Behaviour::default()
    });
    let image = registry.image("app", "a", &[]);
    let attestation = referrer(&registry, "app", &image, "attestation", &[]);
    registry.index("app", &[&image, &attestation], &["1.2.3"]);
    let name = format!("{}/app:1.2.3", registry.host());
    let run = Golden::new()
        .run(&["delete", &name, "--yes", "--format", "json"])
        .exit(0);
    let output: Value = serde_json::from_str(&run.stdout).unwrap();
    let mut children = [image, attestation];
    children.sort();
    assert_eq!(output["deleted"][0]["children"], json!(children));
    assert_eq!(output["deleted"][0]["attached"], json!([]));
}

#[test]
fn a_signature_that_cannot_be_merged_is_not_reported_as_copied() {
    let (source, target) = (
        FakeRegistry::start(Behaviour::default()),
        FakeRegistry::start(Behaviour::default()),
    );
    let image = source.image("app", "a", &["1.2.3"]);
    let copied = referrer(&source, "app", &image, "copied", &[]);
    source.fallback("app", &image, &[&copied]);
    signature(&source, "app", &image, "ours");
    let tag = format!("{}.sig", tag_of(&image));
    let theirs = target.image("app", "not a signature", &[&tag]);
    let (from, to) = (
        format!("{}/app:1.2.3", source.host()),
        format!("{}/app", target.host()),
    );
    let run = Golden::new()
        .run(&["promote", &from, &to, "--referrers", "--format", "json"])
        .exit(0);
    let output: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(output["referrers"], json!([copied]));
    let warning = format!("{tag} has different content that cannot be merged");
    assert!(run.stderr.contains(&warning), "{}", run.stderr);
    assert_eq!(target.tags("app")[&tag], theirs);
}
