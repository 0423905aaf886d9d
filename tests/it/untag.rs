//! `golden delete` with distribution 2.8, which cannot delete a tag by its name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use golden::reference::Digest;

use crate::support::proxy::answering;
use crate::support::publisher::fresh_name;
use crate::support::registry::refuse;
use crate::support::server::{Answer, Seen, Server};
use crate::support::workspace::{Golden, Run};
use crate::support::{curl, services};

/// Publishes an image with its four tags; returns the repository.
fn published() -> String {
    let name = fresh_name("untag");
    let table = format!(
        "[[registry]]\nname = \"t\"\nhost = \"{}\"\nnamespace = \"untag\"\n",
        services::registry()
    );
    let image = format!("[image]\nname = \"{name}\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n");
    Golden::new()
        .workspace(&table)
        .image("app", &image)
        .run(&["build", "--push"])
        .exit(0);
    format!("untag/{name}")
}

fn delete(host: &str, repository: &str, tag: &str, flags: &[&str]) -> Run {
    let reference = format!("{host}/{repository}:{tag}");
    let golden = Golden::new().env("GOLDEN_REGISTRY_SETTLE", "2");
    golden.run(&[&["delete", &reference, "--yes"], flags].concat())
}

#[test]
fn several_tags_of_a_digest_are_deleted_together() {
    let (host, repository) = (services::registry(), published());
    let reference = |tag: &str| format!("{host}/{repository}:{tag}");
    let run = |tags: [&str; 2]| {
        let [one, two] = tags.map(reference);
        Golden::new()
            .run(&["delete", "--untag", "--yes", &one, &two])
            .exit(0);
    };
    run(["1.2.3", "1.2"]);
    assert_eq!(curl::tags(&repository), ["1", "latest"]);
    run(["latest", "1"]);
    assert!(curl::tags(&repository).is_empty());
}

#[test]
fn a_shared_digest_is_refused_and_untag_deletes_one_tag() {
    let (host, repository) = (services::registry(), published());
    let digest = curl::digest(&repository, "1.2.3").unwrap();
    let run = delete(host, &repository, "1.2.3", &[]).exit(4);
    assert!(
        run.stderr
            .contains(&format!("shares the digest {digest} with 1, 1.2, latest")),
        "{}",
        run.stderr
    );
    let by_digest = format!("{host}/{repository}@{digest}");
    let run = Golden::new().run(&["delete", &by_digest, "--yes"]).exit(4);
    assert!(
        run.stderr
            .contains(&format!("{by_digest} has tags: 1, 1.2, 1.2.3, latest")),
        "{}",
        run.stderr
    );
    Golden::new()
        .run(&["delete", &by_digest, "--untag", "--yes"])
        .exit(2);
    for tag in ["latest", "1", "1.2"] {
        let run = delete(host, &repository, tag, &["--untag"]).exit(0);
        assert_eq!(
            run.stdout,
            format!("removed {host}/{repository}:{tag}; {digest} stays\n")
        );
        assert_eq!(curl::digest(&repository, tag), None);
    }
    assert_eq!(curl::tags(&repository), ["1.2.3"]);
    // Removing the last tag keeps the digest without a tag.
    delete(host, &repository, "1.2.3", &["--untag"]).exit(0);
    assert!(curl::tags(&repository).is_empty());
    assert_eq!(curl::digest(&repository, &digest), Some(digest));
    let run = delete(host, &repository, "1.2.3", &["--untag"]).exit(1);
    assert!(
        run.stderr.contains("has no tag `1.2.3`; it has no tags"),
        "{}",
        run.stderr
    );
}

#[test]
fn nothing_changes_if_deletion_is_disabled() {
    let host = services::registry_nodelete();
    let repository = published();
    let copy = format!("{host}/{repository}");
    let golden = Golden::new();
    golden
        .run(&[
            "promote",
            &format!("{}/{repository}:1.2.3", services::registry()),
            &copy,
            "--tags",
        ])
        .exit(0);
    let before = golden
        .run(&["ls", &copy, "--format", "json"])
        .exit(0)
        .stdout;
    for flags in [["--untag"], ["--all-tags"]] {
        let run = delete(host, &repository, "latest", &flags).exit(1);
        assert!(run.stderr.contains("405 UNSUPPORTED"), "{}", run.stderr);
        assert!(
            run.stderr.contains("storage.delete.enabled"),
            "{}",
            run.stderr
        );
    }
    assert_eq!(
        golden
            .run(&["ls", &copy, "--format", "json"])
            .exit(0)
            .stdout,
        before
    );
}

/// True if the request deletes the placeholder by digest. The request that tests if deletion is
/// enabled is not counted.
fn is_second_step(seen: &Seen) -> bool {
    let probe = Digest::of(b"golden asks whether deletion is enabled").to_string();
    seen.method == "DELETE"
        && seen.path.contains("/manifests/sha256:")
        && !seen.path.contains(&probe)
}

/// A proxy that answers exactly that DELETE with `answer`.
fn failing(answer: Answer) -> Server {
    answering(services::registry(), move |seen| {
        is_second_step(seen).then(|| answer.clone())
    })
}

#[test]
fn the_tag_is_restored_if_the_second_step_fails() {
    for (answer, words) in [
        (
            refuse(403, "DENIED", "not you"),
            "403 DENIED: no login was used: not you",
        ),
        (
            refuse(405, "UNSUPPORTED", "not now"),
            "405 UNSUPPORTED: not now",
        ),
        (
            refuse(500, "UNKNOWN", "disk full").header("retry-after", 0),
            "500 UNKNOWN: disk full",
        ),
    ] {
        let (repository, proxy) = (published(), failing(answer));
        let digest = curl::digest(&repository, "latest");
        let run = delete(&proxy.host(), &repository, "latest", &["--untag"]).exit(1);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(
            run.stderr.contains("it points to its digest again"),
            "{}",
            run.stderr
        );
        assert_eq!(curl::digest(&repository, "latest"), digest);
        assert_eq!(curl::tags(&repository), ["1", "1.2", "1.2.3", "latest"]);
        delete(services::registry(), &repository, "latest", &["--untag"]).exit(0);
        assert_eq!(curl::tags(&repository), ["1", "1.2", "1.2.3"]);
    }
}

/// A registry that accepts no writes after the first step: the tag points to the placeholder, an
/// error says so, and the same command completes the deletion.
#[test]
fn a_tag_that_cannot_be_restored_is_reported() {
    let repository = published();
    let gone = Arc::new(AtomicBool::new(false));
    let state = gone.clone();
    let proxy = answering(services::registry(), move |seen| {
        state.fetch_or(is_second_step(seen), Ordering::SeqCst);
        state
            .load(Ordering::SeqCst)
            .then(|| refuse(403, "DENIED", "read only from now on"))
    });
    let run = delete(&proxy.host(), &repository, "latest", &["--untag"]).exit(1);
    assert!(
        run.stderr
            .contains("it now points to an empty stand-in manifest and could not be restored"),
        "{}",
        run.stderr
    );
    assert!(gone.load(Ordering::SeqCst));
    delete(services::registry(), &repository, "latest", &["--untag"]).exit(0);
    assert_eq!(curl::tags(&repository), ["1", "1.2", "1.2.3"]);
}

/// An answer of a proxy, or for a misspelt path, does not prove a deletion; nor does the registry's
/// own answer while the tag is still listed.
#[test]
fn a_404_alone_does_not_prove_a_deletion() {
    let unknown = || refuse(404, "MANIFEST_UNKNOWN", "manifest unknown");
    for (answer, words) in [
        (
            Answer::new(404, "404 page not found\n"),
            "404: 404 page not found",
        ),
        (Answer::new(200, "<html>"), "the response is a web page"),
        (
            unknown(),
            "still exists 2 s after the registry accepted its deletion",
        ),
    ] {
        let repository = published();
        let accepted = Arc::new(AtomicBool::new(false));
        let state = accepted.clone();
        // The registry only claims the deletion; everything still exists, behind answers that look
        // like success.
        let proxy = answering(services::registry(), move |seen| {
            if seen.method == "DELETE" {
                state.store(true, Ordering::SeqCst);
                return Some(Answer::new(202, ""));
            }
            let is_manifest = state.load(Ordering::SeqCst) && seen.path.contains("/manifests/");
            is_manifest.then(|| answer.clone())
        });
        let run = delete(&proxy.host(), &repository, "1.2.3", &["--all-tags"]).exit(1);
        assert!(accepted.load(Ordering::SeqCst));
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert_eq!(run.stdout, "");
        assert_eq!(curl::tags(&repository).len(), 4);
    }
}
