//! Several registries in one run, and several images with `--atomic`: the real binary with real
//! registries.

use crate::support::curl::{self, curl};
use crate::support::proxy::answering;
use crate::support::publisher::fresh_name;
use crate::support::registry::refuse;
use crate::support::services;
use crate::support::workspace::Golden;

fn table(name: &str, host: &str, namespace: &str) -> String {
    format!("[[registry]]\nname = \"{name}\"\nhost = \"{host}\"\nnamespace = \"{namespace}\"\n")
}

fn image(name: &str, version: &str, owner: &str) -> String {
    format!(
        "[image]\nname = \"{name}\"\nversion = \"{version}\"\nbase = \"scratch\"\n[labels]\nowner = \"{owner}\"\n"
    )
}

/// The digest of a tag in a registry; `None` if the tag does not exist.
fn digest(host: &str, repository: &str, tag: &str) -> Option<String> {
    let answer = curl("HEAD", host, &format!("{repository}/manifests/{tag}"));
    answer
        .header("docker-content-digest")
        .filter(|_| answer.status == 200)
        .map(str::to_owned)
}

#[test]
fn one_run_publishes_to_all_registries_or_to_none() {
    let (one, two) = (services::registry(), services::registry_nodelete());
    let namespace = fresh_name("several");
    let both = table("one", one, &namespace) + &table("two", two, &namespace);
    let repository = format!("{namespace}/app");
    let golden = Golden::new()
        .workspace(&both)
        .image("app", &image("app", "1.2.3", "me"));
    golden.run(&["build", "--push", "--all-registries"]).exit(0);
    let first = digest(one, &repository, "1.2.3");
    assert!(first.is_some());
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        assert_eq!(
            (digest(one, &repository, tag), digest(two, &repository, tag)),
            (first.clone(), first.clone())
        );
    }
    golden
        .run(&["verify", "--registry", "one", "--registry", "two"])
        .exit(0);
    for receipt in ["one", "two"] {
        assert!(
            golden
                .path()
                .join(format!(".golden/receipts/{receipt}/app/1.2.3.json"))
                .exists()
        );
    }
    // A version that only the second registry has, with different content: the first registry
    // receives nothing either.
    golden.write("app/image.toml", image("app", "1.3.0", "me"));
    golden
        .run(&["build", "--push", "--registry", "two"])
        .exit(0);
    golden.write("app/image.toml", image("app", "1.3.0", "you"));
    let run = golden.run(&["build", "--push", "--all-registries"]).exit(4);
    assert!(
        run.stderr.contains(&format!("{two}/{repository}")) || run.stderr.contains("labels.owner"),
        "{}",
        run.stderr
    );
    assert_eq!(digest(one, &repository, "1.3.0"), None);
    assert_eq!(digest(one, &repository, "latest"), first);
    // An unreadable registry stops the run too.
    golden.write("app/image.toml", image("app", "1.4.0", "me"));
    golden
        .run(&[
            "build",
            "--push",
            "--registry",
            "one",
            "--registry",
            "127.0.0.1:1/nothing",
        ])
        .exit(1);
    assert_eq!(digest(one, &repository, "1.4.0"), None);
}

#[test]
fn with_atomic_no_moving_tag_moves_before_every_upload_is_done() {
    let namespace = fresh_name("atomic");
    let broken = format!("/v2/{namespace}/two/manifests/1.2.3");
    let proxy = answering(services::registry(), move |seen| {
        let refused = seen.method == "PUT" && seen.route() == broken;
        refused.then(|| refuse(403, "DENIED", "not this one"))
    });
    let golden = Golden::new().workspace(&table("t", services::registry(), &namespace));
    let versions = |version: &str| {
        for name in ["one", "two"] {
            golden.write(&format!("{name}/image.toml"), image(name, version, "me"));
        }
    };
    versions("1.2.2");
    golden.run(&["build", "--push", "--atomic"]).exit(0);
    versions("1.2.3");
    let on = |name: &str, tag: &str| curl::digest(&format!("{namespace}/{name}"), tag);
    let old = on("one", "1.2.2");
    assert!(old.is_some());

    golden.write("golden.toml", table("t", &proxy.host(), &namespace));
    let run = golden
        .run(&["build", "--push", "--atomic", "--jobs", "1"])
        .exit(1);
    assert!(
        run.stderr
            .contains("403 DENIED: no login was used: not this one"),
        "{}",
        run.stderr
    );
    assert!(on("one", "1.2.3").is_some(), "the uploaded content is kept");
    assert!(
        run.stderr.contains("one:1.2.3: uploaded\n"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("published"), "{}", run.stderr);
    for tag in ["1.2", "1", "latest"] {
        assert_eq!(on("one", tag), old, "{tag} moved");
    }
    // Without --atomic, each image is independent.
    golden.run(&["build", "--push", "--jobs", "1"]).exit(1);
    assert_eq!(on("one", "latest"), on("one", "1.2.3"));
    assert_eq!(on("two", "latest"), on("two", "1.2.2"));

    golden.write("golden.toml", table("t", services::registry(), &namespace));
    golden.run(&["build", "--push", "--atomic"]).exit(0);
    golden.run(&["verify"]).exit(0);
    assert_eq!(on("two", "latest"), on("two", "1.2.3"));
}
