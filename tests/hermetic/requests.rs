//! The number of requests that a publish sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::workspace::Golden;

fn app(host: &str) -> Golden {
    Golden::new()
        .workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n"))
        .image("app", "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n[[files]]\ncontent = \"x\"\ntarget = \"/x\"\n")
}

/// The requests of a first publish, as `METHOD KIND`, sorted, with their number.
fn first_publish(behaviour: Behaviour) -> Vec<(String, usize)> {
    let registry = FakeRegistry::start(behaviour);
    app(&registry.host()).run(&["build", "--push"]).exit(0);
    let mut kinds = std::collections::BTreeMap::new();
    for line in registry.requests() {
        let (method, path) = line.split_once(' ').unwrap();
        let kind = ["uploads", "blobs", "tags", "manifests"]
            .into_iter()
            .find(|kind| path.contains(&format!("/{kind}/")));
        *kinds
            .entry(format!("{method} {}", kind.unwrap()))
            .or_insert(0) += 1;
    }
    kinds.into_iter().collect()
}

fn expected(lines: &[(&str, usize)]) -> Vec<(String, usize)> {
    lines
        .iter()
        .map(|(kind, count)| ((*kind).to_owned(), *count))
        .collect()
}

/// The plan requests every tag. As the repository has no tags, the blobs are not requested, and
/// only the tag of the version is requested again before the first write.
#[test]
fn a_new_repository_is_not_asked_twice() {
    assert_eq!(
        first_publish(Behaviour::default()),
        expected(&[
            ("GET manifests", 4),
            ("GET tags", 3),
            ("HEAD manifests", 4 + 1),
            ("POST uploads", 2),
            ("PUT manifests", 5),
            ("PUT uploads", 2),
        ])
    );
}

/// The first small blob finds out that one request is enough.
#[test]
fn a_small_blob_is_sent_in_one_request_if_the_registry_supports_it() {
    let counts = first_publish(Behaviour {
        single_post: true,
        fan_out: true,
        ..Behaviour::default()
    });
    let posts = counts.iter().find(|(kind, _)| kind == "POST uploads");
    let puts = counts.iter().find(|(kind, _)| kind == "PUT uploads");
    assert_eq!(posts.unwrap().1, 2, "{counts:?}");
    // Both blobs are sent at the same time, so the second may not know yet.
    assert!(puts.is_none_or(|(_, count)| *count <= 1), "{counts:?}");
}

/// The list of tags is late, so only the request for the tag of the version shows that another
/// publisher has written it since the plan.
#[test]
fn a_tag_that_appears_before_the_first_write_is_not_overwritten() {
    let requested = Arc::new(AtomicUsize::new(0));
    let count = requested.clone();
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(move |seen| {
            if seen.route().ends_with("/tags/list") {
                return Some(refuse(404, "NAME_UNKNOWN", "unknown repository"));
            }
            let is_first = seen.route().ends_with("/manifests/1.2.3")
                && count.fetch_add(1, Ordering::SeqCst) == 0;
            is_first.then(|| refuse(404, "MANIFEST_UNKNOWN", "unknown manifest"))
        })),
        ..Behaviour::default()
    });
    let theirs = registry.image("app", "theirs", &["1.2.3"]);
    let run = app(&registry.host())
        .env("GOLDEN_REGISTRY_SETTLE", "1")
        .run(&["build", "--push"])
        .exit(1);
    assert!(
        run.stderr.contains("it lacks `1.2.3`, which can be read"),
        "{}",
        run.stderr
    );
    assert!(requested.load(Ordering::SeqCst) > 1);
    assert_eq!(registry.tags("app")["1.2.3"], theirs);
}

/// A new image is known to have no signature once it is signed, so its signatures are read once.
#[test]
fn the_signatures_of_a_new_image_are_not_read_twice() {
    let registry = FakeRegistry::start(Behaviour {
        referrers: true,
        ..Behaviour::default()
    });
    let host = registry.host();
    let golden = app(&host).workspace(&format!(
        "[[registry]]\nname = \"t\"\nhost = \"{host}\"\n[signing]\nkey = \"team.key\"\n"
    ));
    golden.write_key_pair("team");
    golden.run(&["build", "--push"]).exit(0);
    let requests = registry.requests();
    let put = requests
        .iter()
        .position(|line| line.starts_with("PUT") && line.ends_with("/manifests/1.2.3"))
        .unwrap();
    let is_referrers = |line: &&String| line.contains("/referrers/");
    assert!(
        requests[..put].iter().any(|line| is_referrers(&line)),
        "{requests:?}"
    );
    let later: Vec<&String> = requests[put..].iter().filter(is_referrers).collect();
    assert_eq!(later, Vec::<&String>::new(), "{requests:?}");
}

/// The requests of a second run, without those of an image that is not signed.
fn check_of_signatures(behaviour: &Behaviour, platforms: &str, signing: &str) -> Vec<String> {
    let run = |tables: &str| {
        let registry = FakeRegistry::start(behaviour.clone());
        let host = registry.host();
        let golden = app(&host).workspace(&format!(
            "[[registry]]\nname = \"t\"\nhost = \"{host}\"\n{tables}"
        ));
        let spec = std::fs::read_to_string(golden.path().join("app/image.toml")).unwrap();
        let spec = spec.replace("[[files]]", &format!("{platforms}[[files]]"));
        golden.write("app/image.toml", spec);
        golden.write_key_pair("team");
        golden.run(&["build", "--push"]).exit(0);
        let before = registry.requests().len();
        golden.run(&["build", "--push"]).exit(0);
        let requests = registry.requests();
        let kind = |line: &String| {
            let digest = regex::Regex::new("sha256([:-])[0-9a-f]{64}").unwrap();
            digest.replace_all(line, "sha256${1}HEX").into_owned()
        };
        requests[before..].iter().map(kind).collect::<Vec<String>>()
    };
    let mut unsigned = run("");
    let mut more = run(signing);
    more.retain(|line| {
        let position = unsigned.iter().position(|one| one == line);
        position.is_none_or(|position| {
            unsigned.remove(position);
            false
        })
    });
    more
}

/// The manifests are cached by digest. The first image finds out that the registry has no lists of
/// referrers.
#[test]
fn the_signatures_of_an_unchanged_image_cost_one_request_for_each_format() {
    let [without, with] = Behaviour::both();
    let signing = "[signing]\nkey = \"team.key\"\n";
    let bundle = "[signing]\nkey = \"team.key\"\nformats = [\"bundle\"]\n";
    let fallback = "GET /v2/app/manifests/sha256-HEX";
    let list = "GET /v2/app/referrers/sha256:HEX";
    let simple = "GET /v2/app/manifests/sha256-HEX.sig";
    assert_eq!(check_of_signatures(&with, "", signing), [list, simple]);
    assert_eq!(check_of_signatures(&with, "", bundle), [list]);
    let first = [list, fallback, simple];
    assert_eq!(check_of_signatures(&without, "", signing), first);
    let platforms = "platforms = [\"linux/amd64\", \"linux/arm64\"]\n";
    let each = [list, simple];
    let expected = [each, each, each].concat();
    assert_eq!(check_of_signatures(&with, platforms, signing), expected);
    let next = [fallback, simple];
    let expected = [&first[..], &next, &next].concat();
    assert_eq!(check_of_signatures(&without, platforms, signing), expected);
}

/// The manifests that a new list replaces are deleted only where few tags may point to them.
#[test]
fn signing_again_does_not_read_every_tag_of_a_repository() {
    // With the signed image, the first repository has 20 tags.
    sign_again(19, true);
    sign_again(20, false);
}

fn sign_again(others: usize, is_small: bool) {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let golden = app(&host);
    for key in ["team", "other"] {
        golden.write_key_pair(key);
    }
    for number in 0..others {
        let tag = format!("tag{number}");
        registry.image("app", &tag, &[&tag]);
    }
    registry.image("app", "signed", &["signed"]);
    let image = format!("{host}/app:signed");
    golden.run(&["sign", &image, "--key", "team.key"]).exit(0);
    let before = registry.requests().len();
    let manifests = registry.manifests("app").len();
    golden.run(&["sign", &image, "--key", "other.key"]).exit(0);
    let requests = registry.requests();
    let is_other = |line: &&String| line.contains("/manifests/tag");
    let reads = requests[before..].iter().filter(is_other).count();
    let is_deletion = |line: &&String| line.starts_with("DELETE");
    let deletions = requests[before..].iter().filter(is_deletion).count();
    // A bundle, a list and a manifest of simple signatures. Of these, the list and the simple
    // signatures replace others.
    let added = registry.manifests("app").len() - manifests;
    let expected = if is_small { (others, 2, 1) } else { (0, 0, 3) };
    assert!(
        reads >= expected.0 && (deletions, added) == (expected.1, expected.2),
        "{others}: {reads} reads, {deletions} deletions, {added} manifests"
    );
    assert_eq!(reads == 0, !is_small);
    for key in ["team.pub", "other.pub"] {
        golden
            .run(&["verify", &image, "--signed", "--key", key])
            .exit(0);
    }
}

/// A tag that the registry serves but does not list may point to a replaced manifest.
#[test]
fn a_replaced_manifest_is_kept_if_the_list_of_tags_is_incomplete() {
    let is_hidden = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let hides = is_hidden.clone();
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(move |seen| {
            let is_list = seen.route().ends_with("/tags/list") && hides.load(Ordering::SeqCst);
            is_list.then(|| {
                let list = r#"{"name":"app","tags":["1.0.0"]}"#;
                crate::support::server::Answer::new(200, list)
                    .header("content-type", "application/json")
            })
        })),
        ..Behaviour::default()
    });
    let host = registry.host();
    let golden = app(&host).env("GOLDEN_REGISTRY_SETTLE", "1");
    for key in ["team", "other"] {
        golden.write_key_pair(key);
    }
    registry.image("app", "signed", &["1.0.0", "1.0"]);
    let image = format!("{host}/app:1.0.0");
    golden.run(&["sign", &image, "--key", "team.key"]).exit(0);
    let manifests = registry.manifests("app").len();
    is_hidden.store(true, Ordering::SeqCst);
    golden.run(&["sign", &image, "--key", "other.key"]).exit(0);
    assert_eq!(registry.manifests("app").len(), manifests + 3);
}
