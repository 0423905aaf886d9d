//! Publishing to a real registry: the fan-out, the tag rules, repeated runs, and several
//! registries.

use std::collections::BTreeSet;

use golden::tags::{Latest, Rebuild, TagRules};

use crate::support::proxy::{FaultProxy, fault_proxy};
use crate::support::publisher::{Image, Publisher, fresh_name};
use crate::support::services;

fn publisher() -> Publisher {
    Publisher::new(&[services::registry()], 3)
}

/// `tag=version …`, for the tags that point to one of `images`.
async fn tags_with_versions(publisher: &Publisher, name: &str, images: &[&Image]) -> String {
    let tags = publisher.tags(name).await;
    let name_of = |digest: &golden::reference::Digest| {
        images
            .iter()
            .find(|image| image.digest() == *digest)
            .map_or("?", |image| image.content.as_str())
    };
    tags.iter()
        .map(|(tag, digest)| format!("{tag}={}", name_of(digest)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test]
async fn a_version_gets_four_tags_with_one_digest() {
    let (publisher, name) = (publisher(), fresh_name("four"));
    let image = Image::new(&name, "1.2.3");
    let receipts = publisher.publish(&image).await.receipts();
    assert_eq!(
        tags_with_versions(&publisher, &name, &[&image]).await,
        "1=1.2.3 1.2=1.2.3 1.2.3=1.2.3 latest=1.2.3"
    );
    assert_eq!(receipts.len(), 1);
    assert_eq!(receipts[0].digest, image.digest());
    let done: Vec<String> = receipts[0]
        .tags
        .iter()
        .map(|tag| format!("{} {}", tag.action, tag.tag))
        .collect();
    assert_eq!(
        done,
        ["create 1.2.3", "create 1.2", "create 1", "create latest"]
    );
    let path = publisher.state().path(format!(
        "receipts/{}_golden/{name}/1.2.3.json",
        services::registry()
    ));
    assert!(path.exists(), "{}", path.display());
}

#[tokio::test]
async fn a_repeated_publish_writes_nothing_even_without_caches() {
    let name = fresh_name("again");
    let image = Image::new(&name, "1.2.3");
    publisher().publish(&image).await.receipts();
    let second = publisher();
    let done = second.publish(&image).await;
    assert_eq!(done.step(), "skip");
    assert!(done.receipts().is_empty());
}

#[tokio::test]
async fn backports_and_prereleases_move_only_their_tags() {
    let (publisher, name) = (publisher(), fresh_name("moves"));
    let images: Vec<Image> = ["1.2.8", "2.0.0", "1.2.9", "3.0.0-rc.1"]
        .map(|version| Image::new(&name, version))
        .into();
    for image in &images {
        publisher.publish(image).await.receipts();
    }
    let all: Vec<&Image> = images.iter().collect();
    assert_eq!(
        tags_with_versions(&publisher, &name, &all).await,
        "1=1.2.9 1.2=1.2.9 1.2.8=1.2.8 1.2.9=1.2.9 2=2.0.0 2.0=2.0.0 2.0.0=2.0.0 3.0.0-rc.1=3.0.0-rc.1 latest=2.0.0"
    );
}

#[tokio::test]
async fn a_changed_version_is_refused_with_the_list_of_changes() {
    let (publisher, name) = (publisher(), fresh_name("changed"));
    let image = Image::new(&name, "1.2.3");
    publisher.publish(&image).await.receipts();
    let changed = image.clone().content("other");
    let done = publisher.publish(&changed).await;
    assert_eq!(done.step(), "refuse");
    let message = done.result.unwrap_err().to_string();
    assert!(message.contains("labels.content changed"), "{message}");
    assert_eq!(
        tags_with_versions(&publisher, &name, &[&image]).await,
        "1=1.2.3 1.2=1.2.3 1.2.3=1.2.3 latest=1.2.3"
    );
}

#[tokio::test]
async fn revisions_are_numbered_in_sequence() {
    let (publisher, name) = (publisher(), fresh_name("revise"));
    let rules = TagRules {
        rebuild: Rebuild::Revise,
        ..TagRules::default()
    };
    let images = ["a", "b", "c"].map(|content| {
        Image::new(&name, "1.2.3")
            .content(content)
            .rules(rules.clone())
    });
    for image in &images {
        publisher.publish(image).await.receipts();
        assert_eq!(publisher.publish(image).await.step(), "skip");
    }
    let all: Vec<&Image> = images.iter().collect();
    assert_eq!(
        tags_with_versions(&publisher, &name, &all).await,
        "1=c 1.2=c 1.2.3=c 1.2.3_r0=a 1.2.3_r1=b 1.2.3_r2=c latest=c"
    );
}

#[tokio::test]
async fn variants_and_extras_have_their_own_tags() {
    let (publisher, name) = (publisher(), fresh_name("variants"));
    let plain = Image::new(&name, "1.2.3");
    let rules = TagRules {
        extra: vec!["edge".into()],
        ..TagRules::default()
    };
    let alpine = Image::new(&name, "1.3.0")
        .variant("alpine")
        .rules(rules)
        .content("alpine");
    publisher.publish(&plain).await.receipts();
    publisher.publish(&alpine).await.receipts();
    assert_eq!(
        tags_with_versions(&publisher, &name, &[&plain, &alpine]).await,
        "1=1.2.3 1-alpine=alpine 1.2=1.2.3 1.2.3=1.2.3 1.3-alpine=alpine 1.3.0-alpine=alpine alpine=alpine edge-alpine=alpine latest=1.2.3"
    );
}

#[tokio::test]
async fn missing_and_outdated_tags_are_corrected() {
    let (publisher, name) = (publisher(), fresh_name("behind"));
    let (old, new) = (Image::new(&name, "1.2.2"), Image::new(&name, "1.2.3"));
    publisher.publish(&old).await.receipts();
    publisher.publish(&new).await.receipts();
    publisher.retag(&name, "1.2.2", "latest").await;
    publisher.retag(&name, "1.2.2", "1").await;
    let done = publisher.publish(&new).await;
    assert_eq!(done.step(), "retag");
    done.receipts();
    assert_eq!(
        tags_with_versions(&publisher, &name, &[&old, &new]).await,
        "1=1.2.3 1.2=1.2.3 1.2.2=1.2.2 1.2.3=1.2.3 latest=1.2.3"
    );
}

#[tokio::test]
async fn withdrawn_versions_do_not_hold_moving_tags() {
    let (publisher, name) = (publisher(), fresh_name("withdrawn"));
    let bad = Image::new(&name, "1.3.0");
    publisher.publish(&bad).await.receipts();
    let rules = TagRules {
        withdrawn: vec![golden::tags::Withdrawn::Version("1.3.0".parse().unwrap())],
        ..TagRules::default()
    };
    let fixed = Image::new(&name, "1.2.4").rules(rules.clone());
    publisher.publish(&fixed).await.receipts();
    assert_eq!(
        tags_with_versions(&publisher, &name, &[&bad, &fixed]).await,
        "1=1.2.4 1.2=1.2.4 1.2.4=1.2.4 1.3=1.3.0 1.3.0=1.3.0 latest=1.2.4"
    );
    let again = publisher.publish(&bad.rules(rules)).await;
    assert_eq!(
        (again.step(), again.plan.images[0].withdrawn.is_some()),
        ("skip", true)
    );
    assert!(again.receipts().is_empty());
}

#[tokio::test]
async fn latest_always_moves_latest_and_force_rebuilds() {
    let (mut publisher, name) = (publisher(), fresh_name("always"));
    let rules = TagRules {
        latest: Latest::Always,
        ..TagRules::default()
    };
    let (two, one) = (
        Image::new(&name, "2.0.0"),
        Image::new(&name, "1.0.0").rules(rules),
    );
    publisher.publish(&two).await.receipts();
    publisher.publish(&one).await.receipts();
    let expected = "1=1.0.0 1.0=1.0.0 1.0.0=1.0.0 2=2.0.0 2.0=2.0.0 2.0.0=2.0.0 latest=1.0.0";
    assert_eq!(
        tags_with_versions(&publisher, &name, &[&two, &one]).await,
        expected
    );
    publisher.force = true;
    let done = publisher.publish(&one).await;
    assert_eq!(done.step(), "build");
    done.receipts();
    assert_eq!(
        tags_with_versions(&publisher, &name, &[&two, &one]).await,
        expected
    );
}

#[tokio::test]
async fn several_registries_publish_all_or_nothing_and_mount_blobs() {
    let hosts = [services::registry(), services::registry_nodelete()];
    let (both, name) = (Publisher::new(&hosts, 3), fresh_name("both"));
    let first = Publisher::new(&hosts[..1], 3);
    let image = Image::new(&name, "1.2.3");
    first.publish(&image).await.receipts();
    let done = both.publish(&image).await;
    assert_eq!(done.step(), "copy");
    let receipts = done.receipts();
    assert_eq!(receipts.len(), 1);
    assert_eq!(receipts[0].digest, image.digest());
    let second = Publisher::new(&hosts[1..], 3);
    assert_eq!(
        tags_with_versions(&second, &name, &[&image]).await,
        "1=1.2.3 1.2=1.2.3 1.2.3=1.2.3 latest=1.2.3"
    );

    let other = Image::new(&name, "1.2.4");
    first.publish(&other).await.receipts();
    let changed = other.clone().content("other");
    assert_eq!(both.publish(&changed).await.step(), "refuse");
    assert!(!second.tags(&name).await.contains_key("1.2.4"));
}

#[tokio::test]
async fn revisions_are_numbered_over_all_registries() {
    let hosts = [services::registry(), services::registry_nodelete()];
    let name = fresh_name("revise-both");
    let rules = TagRules {
        rebuild: Rebuild::Revise,
        ..TagRules::default()
    };
    let [a, b, c] = ["a", "b", "c"].map(|content| {
        Image::new(&name, "1.0.0")
            .content(content)
            .rules(rules.clone())
    });
    let first = Publisher::new(&hosts[..1], 3);
    first.publish(&a).await.receipts();
    first.publish(&b).await.receipts();
    let both = Publisher::new(&hosts, 3);
    both.publish(&c).await.receipts();
    let second = Publisher::new(&hosts[1..], 3);
    assert_eq!(
        tags_with_versions(&second, &name, &[&a, &b, &c]).await,
        "1=c 1.0=c 1.0.0=c 1.0.0_r2=c latest=c"
    );
    assert!(first.tags(&name).await.contains_key("1.0.0_r2"));
}

/// The requests of a run: method and path, without the repository and without random parts.
fn requests_of(proxy: &FaultProxy, name: &str) -> Vec<String> {
    let short = |request: String| {
        let request = request.replace(&format!("/v2/golden/{name}/"), "");
        match request.split_once("blobs/uploads/") {
            Some((method, _)) => format!("{method}blobs/uploads"),
            None => request,
        }
    };
    proxy.requests().into_iter().map(short).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_are_read_again_just_before_the_first_write() {
    let proxy = fault_proxy(services::registry(), None);
    let image = Image::new(&fresh_name("order"), "1.2.3");
    Publisher::new(&[&proxy.host()], 3)
        .publish(&image)
        .await
        .receipts();
    let requests = requests_of(&proxy, &image.name);
    let upload = ["POST blobs/uploads", "PUT blobs/uploads"];
    let is_blob = |request: &&String| request.contains("blobs/");
    let (blobs, others): (Vec<_>, Vec<_>) = requests.iter().partition(is_blob);
    // A list of tags is trusted if it lacks no existing tag of the fan-out. In an empty repository,
    // only the tag of the version is requested again before the first write.
    let is_head = |request: &&String| request.starts_with("HEAD manifests/");
    let (heads, others): (Vec<_>, Vec<_>) = others.into_iter().partition(is_head);
    assert_eq!(heads.len(), 5, "{requests:?}");
    assert_eq!(
        blobs
            .iter()
            .filter(|request| upload.contains(&request.as_str()))
            .count(),
        4,
        "{blobs:?}"
    );
    assert_eq!(blobs.len(), 4, "{blobs:?}");
    let digest = image.digest();
    let expected = [
        "GET tags/list",
        "GET tags/list",
        "PUT manifests/1.2.3",
        &format!("PUT manifests/{digest}"),
        "PUT manifests/1.2",
        "PUT manifests/1",
        "PUT manifests/latest",
    ];
    assert_eq!(others[..expected.len()], expected, "{requests:?}");
    let verified: BTreeSet<&str> = others[expected.len()..]
        .iter()
        .map(|r| r.as_str())
        .collect();
    let all = [
        "manifests/1",
        "manifests/1.2",
        "manifests/1.2.3",
        "manifests/latest",
        "tags/list",
    ];
    let all = all.map(|read| format!("GET {read}"));
    assert_eq!(
        verified,
        all.iter().map(String::as_str).collect(),
        "{requests:?}"
    );
    assert_eq!(others.len(), expected.len() + all.len(), "{requests:?}");
    let last_blob = requests
        .iter()
        .rposition(|request| request.contains("blobs/"))
        .unwrap();
    let decided = requests
        .iter()
        .position(|request| request.starts_with("PUT manifests"))
        .unwrap();
    assert_eq!(
        (requests[last_blob + 1].as_str(), decided),
        ("GET tags/list", last_blob + 2 + 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_shared_by_two_images_are_uploaded_once() {
    let proxy = fault_proxy(services::registry(), None);
    let publisher = Publisher::new(&[&proxy.host()], 3);
    let names = [fresh_name("share"), fresh_name("share")];
    let images = names
        .each_ref()
        .map(|name| Image::new(name, "1.2.3").content("shared"));
    // Their configs are equal too, so there are two blobs in all.
    let (first, second) =
        tokio::join!(publisher.publish(&images[0]), publisher.publish(&images[1]));
    first.receipts();
    second.receipts();
    let requests = proxy.requests();
    let count = |method: &str| {
        requests
            .iter()
            .filter(|r| r.starts_with(method) && r.contains("/blobs/uploads/"))
            .count()
    };
    assert_eq!((count("PUT"), count("POST")), (2, 4), "{requests:?}");
    for name in &names {
        assert_eq!(publisher.tags(name).await["latest"], images[0].digest());
    }
}

#[tokio::test]
async fn a_mutable_version_records_the_previous_digest_of_each_tag() {
    let (publisher, name) = (publisher(), fresh_name("mutable"));
    let rules = TagRules {
        immutable: false,
        ..TagRules::default()
    };
    let (old, new) = (
        Image::new(&name, "1.2.3").content("old"),
        Image::new(&name, "1.2.3").content("new"),
    );
    publisher
        .publish(&old.clone().rules(rules.clone()))
        .await
        .receipts();
    let receipt = publisher
        .publish(&new.clone().rules(rules))
        .await
        .receipts()
        .remove(0);
    let moves: Vec<_> = receipt
        .tags
        .iter()
        .map(|tag| (tag.action.as_str(), tag.previous.clone()))
        .collect();
    assert_eq!(moves, vec![("move", Some(old.digest())); 4]);
}
