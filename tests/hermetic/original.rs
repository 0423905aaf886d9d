//! `1.2.3_r0` keeps the first content of a version when a revision takes its tag; and `rebuild =
//! "base"`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::workspace::{Golden, Run};

fn workspace(registries: &[&FakeRegistry]) -> Golden {
    let tables: Vec<String> = registries
        .iter()
        .enumerate()
        .map(|(n, registry)| {
            format!(
                "[[registry]]\nname = \"r{n}\"\nhost = \"{}\"\n",
                registry.host()
            )
        })
        .collect();
    Golden::new()
        .workspace(&tables.concat())
        .env("SOURCE_DATE_EPOCH", "0")
}

/// Publishes `app` 1.2.3 with this owner.
fn build(golden: &Golden, image: &str, owner: &str, tags: &str, more: &[&str]) -> Run {
    golden.write(
        "app/image.toml",
        format!(
            "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n{image}\n[labels]\nowner = \"{owner}\"\n[tags]\n{tags}\n"
        ),
    );
    golden.run(&[&["build", "--push"], more].concat())
}

const REVISE: &str = "rebuild = \"revise\"";

#[test]
fn the_first_content_gets_a_tag_before_the_version_moves() {
    for (image, suffix) in [("", ""), ("variant = \"alpine\"", "-alpine")] {
        let registry = FakeRegistry::start(Behaviour::default());
        let golden = workspace(&[&registry]);
        build(&golden, image, "a", REVISE, &[]).exit(0);
        let tag = |tag: &str| registry.tags("app")[&format!("{tag}{suffix}")].clone();
        let first = tag("1.2.3");
        build(&golden, image, "b", REVISE, &[]).exit(0);
        assert_eq!(tag("1.2.3_r0"), first);
        assert_eq!(tag("1.2.3"), tag("1.2.3_r1"));
        let puts: Vec<String> = registry
            .requests()
            .into_iter()
            .filter(|line| line.starts_with("PUT /v2/app/manifests/"))
            .collect();
        let at = |name: &str| {
            puts.iter()
                .rposition(|line| line.ends_with(&format!("/{name}{suffix}")))
                .unwrap()
        };
        assert!(
            at("1.2.3_r0") < at("1.2.3_r1") && at("1.2.3_r1") < at("1.2.3"),
            "{puts:?}"
        );
        build(&golden, image, "c", REVISE, &[]).exit(0);
        assert_eq!(tag("1.2.3_r0"), first, "it is never overwritten");
        assert_eq!(tag("1.2.3"), tag("1.2.3_r2"));
        golden.run(&["verify"]).exit(0);
        let plan = golden.run(&["plan"]).exit(0).stdout;
        assert!(plan.contains("skip: 1.2.3+r2 is published"), "{plan}");
        // A rollback to the first content is possible.
        golden
            .run(&["rollback", "app", "--to", "1.2.3_r0", "--yes"])
            .exit(0);
        assert_eq!((tag("1.2.3"), tag("1.2")), (first.clone(), first.clone()));
        golden.run(&["build", "--push"]).exit(0);
        assert_eq!(tag("1.2.3"), first);
    }
}

#[test]
fn a_version_with_build_metadata_preserves_the_plain_version() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = workspace(&[&registry]);
    build(&golden, "", "a", "", &[]).exit(0);
    let first = registry.tags("app")["1.2.3"].clone();
    let text = std::fs::read_to_string(golden.path().join("app/image.toml")).unwrap();
    golden.write("app/image.toml", text.replace("1.2.3", "1.2.3+b5"));
    let plan = golden.run(&["plan"]).exit(0).stdout;
    assert!(plan.contains("create  1.2.3_r0"), "{plan}");
    golden.run(&["build", "--push"]).exit(0);
    let tags = registry.tags("app");
    assert_eq!(tags["1.2.3_r0"], first);
    assert_eq!(
        (&tags["1.2.3"], &tags["latest"]),
        (&tags["1.2.3_b5"], &tags["1.2.3_b5"])
    );
    golden.run(&["verify"]).exit(0);
}

#[test]
fn every_registry_keeps_its_own_first_content() {
    let registries = [
        FakeRegistry::start(Behaviour::default()),
        FakeRegistry::start(Behaviour::default()),
    ];
    let golden = workspace(&[&registries[0], &registries[1]]);
    build(&golden, "", "a", REVISE, &["--all-registries"]).exit(0);
    let first = registries[0].tags("app")["1.2.3"].clone();
    build(&golden, "", "b", REVISE, &["--registry", "r0"]).exit(0);
    assert!(!registries[1].tags("app").contains_key("1.2.3_r0"));
    build(&golden, "", "b", REVISE, &["--all-registries"]).exit(0);
    for registry in &registries {
        let tags = registry.tags("app");
        assert_eq!(
            (&tags["1.2.3_r0"], &tags["1.2.3"]),
            (&first, &tags["1.2.3_r1"])
        );
    }
}

#[test]
fn an_interrupted_revision_loses_nothing_and_the_same_command_completes_it() {
    for tag in ["1.2.3_r0", "1.2.3_r1", "1.2.3", "latest"] {
        let armed = Arc::new(AtomicBool::new(false));
        let (seen, ending) = (armed.clone(), format!("/manifests/{tag}"));
        let behaviour = Behaviour {
            instead: Some(Arc::new(move |request| {
                let hit = seen.load(Ordering::SeqCst)
                    && request.method == "PUT"
                    && request.route().ends_with(&ending);
                hit.then(|| refuse(403, "DENIED", "not this one"))
            })),
            ..Behaviour::default()
        };
        let registry = FakeRegistry::start(behaviour);
        let golden = workspace(&[&registry]);
        build(&golden, "", "a", REVISE, &[]).exit(0);
        let first = registry.tags("app")["1.2.3"].clone();
        armed.store(true, Ordering::SeqCst);
        build(&golden, "", "b", REVISE, &[]).exit(1);
        assert!(
            registry.tags("app").values().any(|digest| *digest == first),
            "{tag}"
        );
        armed.store(false, Ordering::SeqCst);
        build(&golden, "", "b", REVISE, &[]).exit(0);
        let tags = registry.tags("app");
        let named: BTreeMap<&str, bool> = ["1.2.3", "1.2", "1", "latest"]
            .map(|name| (name, tags[name] == tags["1.2.3_r1"]))
            .into();
        assert!(named.values().all(|right| *right), "{tag}: {tags:?}");
        assert_eq!(tags["1.2.3_r0"], first, "{tag}");
        assert_eq!(tags.len(), 6, "{tag}: {tags:?}");
    }
}

/// A moved base gives a revision. A changed spec, file or certificate is refused.
#[test]
fn rebuild_base_publishes_a_moved_base_and_refuses_a_changed_spec() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    registry.image("base/one", "one", &["1"]);
    let golden = workspace(&[&registry]);
    let spec = |more: &str| {
        format!(
            "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"{host}/base/one:1\"\nfamily = \"static\"\n{more}\n[tags]\nrebuild = \"base\"\n"
        )
    };
    golden.write("app/image.toml", spec(""));
    let build = ["build", "--push", "--engine", "embedded"];
    golden.run(&build).exit(0);
    golden.run(&["update"]);
    registry.image("base/one", "two", &["1"]);
    golden.run(&["update"]).exit(0);
    for changed in [
        "description = \"changed\"",
        "[labels]\nowner = \"me\"",
        "[env]\nA = \"b\"",
        "[config]\nuser = \"7\"",
        "[[files]]\ncontent = \"x\"\ntarget = \"/x\"",
    ] {
        golden.write("app/image.toml", spec(changed));
        let run = golden.run(&build).exit(4);
        assert!(
            run.stderr.contains("rebuild = \"revise\""),
            "{}",
            run.stderr
        );
    }
    golden.write("app/image.toml", spec(""));
    let plan = golden.run(&["plan", "--engine", "embedded"]).exit(0).stdout;
    assert!(
        plan.contains("as 1.2.3+r1") && plan.contains("base moved"),
        "{plan}"
    );
    golden.run(&build).exit(0);
    let tags = registry.tags("app");
    assert_eq!(tags["1.2.3"], tags["1.2.3_r1"]);
    assert_ne!(tags["1.2.3"], tags["1.2.3_r0"]);
    let run = golden.run(&build).exit(0);
    assert!(run.stdout.contains("unchanged"), "{}", run.stdout);
}

#[test]
fn a_revision_is_published_if_the_registry_lost_a_part_of_the_first_content() {
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(|request| {
            let is_original =
                request.method == "PUT" && request.route().ends_with("/manifests/1.2.3_r0");
            is_original.then(|| refuse(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"))
        })),
        ..Behaviour::default()
    });
    let golden = workspace(&[&registry]);
    build(&golden, "", "a", REVISE, &[]).exit(0);
    let run = build(&golden, "", "b", REVISE, &[]).exit(0);
    let warning = "1.2.3_r0 was not created, because the registry lost a part of the first content";
    assert!(run.stderr.contains(warning), "{}", run.stderr);
    let tags = registry.tags("app");
    assert_eq!(tags["1.2.3"], tags["1.2.3_r1"]);
    assert!(!tags.contains_key("1.2.3_r0"), "{tags:?}");
}
