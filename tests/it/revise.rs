//! `rebuild = "revise"`: a moved base gives a revision of each image of a family, on both engines.

use std::collections::BTreeMap;

use crate::support::curl::{digest, labels, tags};
use crate::support::publisher::fresh_name;
use crate::support::services;
use crate::support::workspace::Golden;

/// Publishes the upstream base of the family below its namespace, with this content.
fn upstream(namespace: &str, content: &str) {
    let registry = services::registry();
    let golden = Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"up\"\nhost = \"{registry}\"\nnamespace = \"{namespace}\"\n[defaults.tags]\nrebuild = \"revise\"\n"
        ))
        .image(
            "upstream",
            &format!(
                "[image]\nname = \"upstream\"\nversion = \"1.0.0\"\nbase = \"{}\"\n[env]\nCONTENT = \"{content}\"\n",
                services::base_busybox()
            ),
        );
    golden
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(0);
}

/// A parent on the upstream base, and a child on the parent.
fn family(namespace: &str) -> Golden {
    let registry = services::registry();
    let image = |name: &str, base: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"1.2.3\"\ndescription = \"x\"\nbase = {base}\n[[files]]\ncontent = \"{name}\"\ntarget = \"/{name}\"\n"
        )
    };
    Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace(&format!(
            "[[registry]]\nname = \"team\"\nhost = \"{registry}\"\nnamespace = \"{namespace}\"\n[defaults.tags]\nrebuild = \"revise\"\n"
        ))
        .image("parent", &image("parent", &format!("\"{registry}/{namespace}/upstream:1\"")))
        .image("child", &image("child", "{ image = \"parent\" }"))
}

/// Tag → digest.
fn contents(namespace: &str, name: &str) -> BTreeMap<String, String> {
    let repository = format!("{namespace}/{name}");
    tags(&repository)
        .into_iter()
        .map(|tag| (tag.clone(), digest(&repository, &tag).unwrap()))
        .collect()
}

/// Asserts that an image is at this revision, and that the version and all moving tags point to it.
#[track_caller]
fn assert_at(found: &BTreeMap<String, String>, revision: &str, revisions: usize) {
    // The first content has its own tag once a revision exists.
    assert_eq!(
        found.len(),
        4 + revisions + usize::from(revisions > 0),
        "{found:?}"
    );
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        assert_eq!(found[tag], found[revision], "{tag}: {found:?}");
    }
}

fn revises(engine: &str) {
    let namespace = format!("revise/{}", fresh_name(engine));
    upstream(&namespace, "one");
    let golden = family(&namespace);
    let build = |images: &[&str]| {
        golden
            .run(&[&["build", "--push", "--engine", engine], images].concat())
            .exit(0)
    };
    build(&[]);
    let first = (
        contents(&namespace, "parent"),
        contents(&namespace, "child"),
    );
    assert_at(&first.0, "1.2.3", 0);
    assert_at(&first.1, "1.2.3", 0);

    // The base moves: parent and child follow in one run.
    upstream(&namespace, "two");
    golden.run(&["update"]).exit(0);
    let plan = golden.run(&["plan", "--engine", engine]).exit(0).stdout;
    assert!(
        plan.contains("base moved sha256:") && plan.contains("its base parent:1.2.3 is rebuilt"),
        "{plan}"
    );
    assert!(
        plan.contains("as 1.2.3+r1") && plan.contains("create  1.2.3_r1"),
        "{plan}"
    );
    build(&[]);
    let second = (
        contents(&namespace, "parent"),
        contents(&namespace, "child"),
    );
    assert_at(&second.0, "1.2.3_r1", 1);
    assert_at(&second.1, "1.2.3_r1", 1);
    assert_ne!(second.0["1.2.3"], first.0["1.2.3"]);
    let base = |name: &str| {
        labels(&format!("{namespace}/{name}"), "latest")["org.opencontainers.image.base.digest"]
            .clone()
    };
    assert_eq!(base("child"), second.0["1.2.3_r1"].as_str());

    // It moves again, and only the parent is selected; the child follows when it is selected.
    upstream(&namespace, "three");
    golden.run(&["update"]).exit(0);
    build(&["parent"]);
    let third = contents(&namespace, "parent");
    assert_at(&third, "1.2.3_r2", 2);
    assert_eq!(
        third["1.2.3_r1"], second.0["1.2.3_r1"],
        "a revision is immutable"
    );
    assert_eq!(
        contents(&namespace, "child"),
        second.1,
        "the child was not selected"
    );
    let plan = golden
        .run(&["plan", "child", "--engine", engine])
        .exit(0)
        .stdout;
    let (was, now) = (&third["1.2.3_r1"], &third["1.2.3_r2"]);
    assert!(
        plan.contains(&format!("base moved {was} → {now}")),
        "{plan}"
    );
    build(&["child"]);
    assert_eq!(
        contents(&namespace, "parent"),
        third,
        "the parent is published already"
    );
    assert_at(&contents(&namespace, "child"), "1.2.3_r2", 2);
    assert_eq!(base("child"), now.as_str());

    // A further run changes nothing.
    let quiet = build(&[]);
    assert_eq!(
        quiet.stdout.matches("  unchanged").count(),
        2,
        "{}",
        quiet.stdout
    );
    golden.run(&["verify"]).exit(0);
}

#[test]
fn the_embedded_engine_revises_a_family() {
    revises("embedded");
}

#[test]
fn docker_revises_a_family() {
    revises("docker");
}
