use std::collections::BTreeSet;

use super::choose::VERSION;
use super::*;
use crate::oci::ImageConfig;
use crate::reference::Tag;
use crate::render::{PinnedBase, Rendered, SPEC_INPUTS};
use crate::resolve::ResolvedImage;
use crate::resolve::image::{
    Base, Config, Family, FamilySource, Packages, Provenance, RunStep, SpecLocations, TrustOptions,
};
use crate::snapshot::{ObservedRepository, Published};
use crate::tags::{Rebuild, TagRules};

fn recipe(version: &str, content: &str, rules: TagRules) -> Recipe {
    let image = ResolvedImage {
        name: "app".parse().unwrap(),
        source: "image.toml".into(),
        row: BTreeMap::new(),
        version: version.parse().unwrap(),
        variant: None,
        description: None,
        base: Base::Scratch,
        family: Family::Static,
        family_source: FamilySource::Spec,
        template: "static".to_owned(),
        template_written: false,
        platforms: Vec::new(),
        labels: BTreeMap::from([("content".to_owned(), content.to_owned())]),
        suppressed_labels: BTreeSet::new(),
        env: Vec::new(),
        config: Config::default(),
        certificates: Vec::new(),
        trust: TrustOptions::default(),
        packages: Packages::default(),
        files: Vec::new(),
        run: Vec::new(),
        tags: rules,
        own_withdrawn: Vec::new(),
        tests: Vec::new(),
        lifecycle: crate::resolve::lifecycle::LifecycleRules::default(),
        channels: std::collections::BTreeMap::new(),
        provenance: Provenance::default(),
        locations: SpecLocations::default(),
    };
    let rendered = Rendered {
        dockerfile: String::new(),
        context: Vec::new(),
        build_args: BTreeMap::new(),
        api_labels: BTreeMap::new(),
    };
    Recipe {
        image,
        base: PinnedBase::Scratch,
        rendered,
        inputs: Digest::of(content.as_bytes()),
        spec_inputs: Digest::of(b"spec"),
        templates: std::sync::Arc::default(),
    }
}

/// A repository with the tags `tag=content …`. A tag without content points to a foreign image.
fn repository(text: &str) -> ObservedRepository {
    let mut seen = ObservedRepository::default();
    for word in text.split_whitespace() {
        let (tag, content) = word.split_once('=').unwrap_or((word, ""));
        let tag: Tag = tag.parse().unwrap();
        let digest = Digest::of(format!("manifest {content}").as_bytes());
        seen.digests.insert(tag.clone(), digest.clone());
        let (content, spec) = content.split_once('@').unwrap_or((content, "spec"));
        if !content.is_empty() {
            let labels = BTreeMap::from([
                ("content".to_owned(), content.to_owned()),
                (
                    SPEC_INPUTS.to_owned(),
                    Digest::of(spec.as_bytes()).to_string(),
                ),
            ]);
            let inputs = Some(Digest::of(content.as_bytes()));
            seen.published.insert(
                tag.clone(),
                Published {
                    lacking: BTreeSet::new(),
                    digest,
                    inputs,
                    labels,
                    runtime: ImageConfig::default(),
                    parts: None,
                },
            );
        }
        seen.tags.push(tag);
    }
    seen
}

/// The plan in words: `step publish | create a, move b…` for each registry.
fn plan_of(recipe: &Recipe, registries: &[&str], force: bool) -> Plan {
    let mut observed = Observed::default();
    let mut destinations = Vec::new();
    for (position, text) in registries.iter().enumerate() {
        let destination: Destination = format!("r{position}.example.com").parse().unwrap();
        observed.repositories.insert(
            destination.repository(&recipe.image.name).unwrap(),
            repository(text),
        );
        destinations.push(destination);
    }
    plan(
        std::slice::from_ref(recipe),
        &observed,
        &PlanOptions {
            destinations,
            force,
        },
    )
    .unwrap()
}

fn planned(recipe: &Recipe, registries: &[&str], force: bool) -> String {
    let plan = plan_of(recipe, registries, force);
    let image = &plan.images[0];
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let step = word(serde_json::to_value(&image.step).unwrap()["step"].take());
    let mut text = format!("{step} {}", image.publish);
    for destination in &image.destinations {
        let tags: Vec<String> = destination
            .tags
            .iter()
            .map(|planned| {
                format!(
                    "{} {}",
                    word(serde_json::to_value(planned.action).unwrap()),
                    planned.tag
                )
            })
            .collect();
        text = format!("{text} | {}", tags.join(", "));
    }
    text
}

#[test]
fn an_image_is_built_only_if_its_inputs_changed() {
    let image = recipe("1.2.3", "a", TagRules::default());
    for (has, expected) in [
        (
            "",
            "build 1.2.3 | create 1.2.3, create 1.2, create 1, create latest",
        ),
        (
            "1.2.2 1.2 1 latest",
            "build 1.2.3 | create 1.2.3, move 1.2, move 1, move latest",
        ),
        (
            "1.2.3=a 1.2=a 1=a latest=a",
            "skip 1.2.3 | same 1.2.3, same 1.2, same 1, same latest",
        ),
        (
            "1.2.3=a 1.2=b 1=a",
            "retag 1.2.3 | same 1.2.3, move 1.2, same 1, create latest",
        ),
        (
            "1.2.3=a 1.2=a 1 latest=a",
            "retag 1.2.3 | same 1.2.3, same 1.2, move 1, same latest",
        ),
        (
            "1.2.3=a 1.2=a 2.0.0=c latest=c",
            "retag 1.2.3 | same 1.2.3, same 1.2, create 1, keep latest",
        ),
        (
            "1.2.3=a 1.2=a 1=a 2.0.0=c",
            "skip 1.2.3 | same 1.2.3, same 1.2, same 1, keep latest",
        ),
        (
            "1.2.3=a 1.2=a 1=a 2.0.0=c latest",
            "retag 1.2.3 | same 1.2.3, same 1.2, same 1, move latest",
        ),
        (
            "1.2.3=b 1.2 1",
            "refuse 1.2.3 | refuse 1.2.3, keep 1.2, keep 1, refuse latest",
        ),
        (
            "1.2.3",
            "build 1.2.3 | move 1.2.3, create 1.2, create 1, create latest",
        ),
        (
            "1.2.3=a 1.2=a 1=a 2.0.0=a latest=a",
            "refuse 1.2.3 | keep 1.2.3, keep 1.2, keep 1, keep latest",
        ),
    ] {
        assert_eq!(planned(&image, &[has], false), expected, "{has}");
    }
    assert_eq!(planned(&image, &[], false), "build 1.2.3");
    let forced = planned(&image, &["1.2.3=a 1.2=a 1=a latest=a"], true);
    assert_eq!(
        forced,
        "build 1.2.3 | move 1.2.3, move 1.2, move 1, move latest"
    );
}

/// The reasons for a rebuild of an image that was published with this config.
fn reasons(recipe: &Recipe, config: &serde_json::Value, parents: &PlannedParents) -> Vec<String> {
    let config = ImageConfig::parse(
        serde_json::json!({ "config": config })
            .to_string()
            .as_bytes(),
    )
    .unwrap();
    let published = Published {
        lacking: BTreeSet::new(),
        digest: Digest::of(b"manifest"),
        inputs: Some(Digest::of(b"others")),
        labels: config.labels(),
        runtime: config.without_labels(),
        parts: None,
    };
    let reasons = reasons::changed(recipe, &recipe.image.version, &published, parents);
    reasons.iter().map(ToString::to_string).collect()
}

#[test]
fn the_reasons_name_the_changed_keys_of_the_config() {
    use crate::resolve::image::{EnvValue, Invocation, Port, Protocol};
    let mut image = recipe("1.2.3", "a", TagRules::default());
    image.image.env = vec![
        ("A".to_owned(), EnvValue::Set("1".to_owned())),
        (
            "PATH".to_owned(),
            EnvValue::Extend {
                prepend: "/opt:".to_owned(),
                append: String::new(),
            },
        ),
    ];
    image.image.config = Config {
        user: Some("7".to_owned()),
        workdir: Some("/app/".to_owned()),
        entrypoint: Some(Invocation::Exec(vec!["/x".to_owned()])),
        expose: vec![Port {
            number: 80,
            protocol: Protocol::Tcp,
        }],
        ..Config::default()
    };
    let as_published = serde_json::json!({
        "Labels": {"content": "a", "dev.golden.inputs": "x", "org.opencontainers.image.created": "x"},
        "Env": ["PATH=/opt:/bin", "A=1"], "User": "7", "WorkingDir": "/app", "Entrypoint": ["/x"],
        "ExposedPorts": {"80/tcp": {}},
    });
    let with = |key: &str, value: serde_json::Value| {
        let mut config = as_published.clone();
        config[key] = value;
        reasons(&image, &config, &PlannedParents::new())
    };
    let unrecorded = reasons(&image, &as_published, &PlannedParents::new());
    assert_eq!(
        unrecorded,
        ["inputs changed that the image config does not record: the Dockerfile"]
    );
    for (key, value, expected) in [
        (
            "Labels",
            serde_json::json!({"content": "b"}),
            "labels.content changed",
        ),
        (
            "Labels",
            serde_json::json!({"content": "a", "owner": "x"}),
            "labels.owner removed",
        ),
        (
            "Env",
            serde_json::json!(["PATH=/opt:/bin", "A=2"]),
            "env.A changed",
        ),
        (
            "Env",
            serde_json::json!(["PATH=/bin", "A=1"]),
            "env.PATH changed",
        ),
        (
            "Env",
            serde_json::json!(["PATH=/opt:/bin", "A=1", "B=1"]),
            "env.B removed",
        ),
        ("User", serde_json::json!("8"), "config.user changed"),
        (
            "WorkingDir",
            serde_json::json!(""),
            "config.workdir changed",
        ),
        (
            "Entrypoint",
            serde_json::json!(["/y"]),
            "config.entrypoint changed",
        ),
        ("Cmd", serde_json::json!(["y"]), "config.cmd changed"),
        (
            "ExposedPorts",
            serde_json::json!({}),
            "config.expose changed",
        ),
    ] {
        assert_eq!(with(key, value), [expected], "{key}");
    }
    image.image.run.push(crate::resolve::image::RunStep {
        name: None,
        script: "true".to_owned(),
        user: None,
        secrets: Vec::new(),
        ssh: false,
        location: None,
    });
    let hidden = reasons(&image, &as_published, &PlannedParents::new());
    assert_eq!(
        hidden,
        ["inputs changed that the image config does not record: the Dockerfile or a step"]
    );
}

#[test]
fn the_reason_for_a_moved_base_has_both_digests() {
    let (was, now) = (Digest::of(b"was"), Digest::of(b"now"));
    let labels = |name: &str| {
        serde_json::json!({"Labels": {
            "content": "a",
            "org.opencontainers.image.base.name": name,
            "org.opencontainers.image.base.digest": was.as_str(),
        }})
    };
    let recipe_on = |base: PinnedBase| Recipe {
        base,
        ..recipe("1.2.3", "a", TagRules::default())
    };
    let external = recipe_on(PinnedBase::Registry {
        reference: "a.example/b:1".parse().unwrap(),
        digest: now.clone(),
        platforms: BTreeMap::default(),
    });
    let reasons_for = |recipe: &Recipe, name: &str, parents: &PlannedParents| {
        reasons(recipe, &labels(name), parents)
    };
    assert_eq!(
        reasons_for(&external, "a.example/b:1", &PlannedParents::new()),
        [format!("base moved {was} → {now}")]
    );
    assert_eq!(
        reasons_for(&external, "a.example/b:0", &PlannedParents::new()),
        ["base changed a.example/b:0 → a.example/b:1"]
    );

    let parent = "base:1.0.0";
    let child = recipe_on(PinnedBase::Workspace {
        parent: parent.to_owned(),
        inputs: Digest::of(b"p"),
    });
    let rebuilt = PlannedParents::from([(parent.to_owned(), None)]);
    assert_eq!(
        reasons_for(&child, parent, &rebuilt),
        ["its base base:1.0.0 is rebuilt"]
    );
    // The parent was published in an earlier run, without this child.
    let moved = PlannedParents::from([(parent.to_owned(), Some(now.clone()))]);
    assert_eq!(
        reasons_for(&child, parent, &moved),
        [format!("base moved {was} → {now}")]
    );
    assert_eq!(
        reasons_for(&child, "base:0.9.0", &moved),
        ["base changed base:0.9.0 → base:1.0.0"]
    );
}

#[test]
fn the_next_revision_has_the_next_number() {
    let image = recipe(
        "1.2.3",
        "a",
        TagRules {
            rebuild: Rebuild::Revise,
            ..TagRules::default()
        },
    );
    for (has, expected) in [
        (
            "",
            "build 1.2.3 | create 1.2.3, create 1.2, create 1, create latest",
        ),
        (
            "1.2.3=b 1.2 1 latest",
            "build 1.2.3+r1 | create 1.2.3_r0, create 1.2.3_r1, move 1.2.3, move 1.2, move 1, move latest",
        ),
        (
            "1.2.3=b 1.2.3_r9=b",
            "build 1.2.3+r10 | create 1.2.3_r10, move 1.2.3, create 1.2, create 1, create latest",
        ),
        (
            "1.2.3=a 1.2.3_r1=a 1.2=a 1=a latest=a",
            "skip 1.2.3+r1 | same 1.2.3_r1, same 1.2.3, same 1.2, same 1, same latest",
        ),
    ] {
        assert_eq!(planned(&image, &[has], false), expected, "{has}");
    }
}

#[test]
fn rebuild_base_allows_revisions_only_for_changed_bases_and_packages() {
    let image = recipe(
        "1.2.3",
        "a",
        TagRules {
            rebuild: Rebuild::Base,
            ..TagRules::default()
        },
    );
    let moved = "create 1.2.3_r0, create 1.2.3_r1, move 1.2.3, create 1.2, create 1, create latest";
    assert_eq!(
        planned(&image, &["1.2.3=b"], false),
        format!("build 1.2.3+r1 | {moved}")
    );
    let refused = "refuse 1.2.3, refuse 1.2, refuse 1, refuse latest";
    assert_eq!(
        planned(&image, &["1.2.3=b@other"], false),
        format!("refuse 1.2.3 | {refused}")
    );
    let one_of_two = planned(&image, &["1.2.3=b", "1.2.3=c@other"], false);
    assert_eq!(one_of_two, format!("refuse 1.2.3 | {refused} | {refused}"));
}

#[test]
fn the_moving_tags_of_a_withdrawn_version_move_back() {
    let rules = TagRules {
        withdrawn: vec![Version::new(1, 3, 0).into()],
        ..TagRules::default()
    };
    let image = recipe("1.3.0", "a", rules);
    for (has, expected) in [
        (
            "1.2.3=b 1.2=b 1.3.0=a 1.3=a 1=a latest=a",
            "retag 1.3.0 | keep 1.3.0, keep 1.3, move 1, move latest",
        ),
        (
            "1.2.3=b 1.3.0=a 1.3=a 1=b latest=b",
            "skip 1.3.0 | keep 1.3.0, keep 1.3, keep 1, keep latest",
        ),
        (
            "1.2.3=b 1=b latest=b",
            "skip 1.3.0 | keep 1.3.0, keep 1.3, keep 1, keep latest",
        ),
        (
            "1.3.0=a 1.3=a 1=a latest=a",
            "skip 1.3.0 | keep 1.3.0, keep 1.3, keep 1, keep latest",
        ),
        (
            "1.2.3=b 1=b latest=b 1.3.0=other",
            "skip 1.3.0 | keep 1.3.0, keep 1.3, keep 1, keep latest",
        ),
    ] {
        assert_eq!(planned(&image, &[has], false), expected, "{has}");
        assert_eq!(planned(&image, &[has], true), expected, "{has}, forced");
    }
}

#[test]
fn a_refusal_names_the_accepted_version() {
    let help = |version: &str, rules: TagRules, has: &str| {
        let image = recipe(version, "a", rules);
        let mut observed = Observed::default();
        let destination: Destination = "r.example.com".parse().unwrap();
        observed.repositories.insert(
            destination.repository(&image.image.name).unwrap(),
            repository(has),
        );
        let options = PlanOptions {
            destinations: vec![destination],
            force: false,
        };
        let plan = plan(&[image], &observed, &options).unwrap();
        let PlanStep::Refuse { help, .. } = plan.images[0].step.clone() else {
            panic!("{:?}", plan.images[0].step)
        };
        help
    };
    let revise = "or set rebuild = \"revise\" under [tags], to publish the change as 1.2.3+r1";
    assert_eq!(
        help("1.2.3", TagRules::default(), "1.2.3=b@other 1.2.4"),
        [
            "set version = \"1.2.5\" in image.toml (or `golden bump app 1.2.5`)",
            revise
        ]
    );
    assert_eq!(
        help("1.2.3", TagRules::default(), "1.2.3=b"),
        [
            "set version = \"1.2.4\" in image.toml (or `golden bump app 1.2.4`)",
            &revise.replace("revise", "base")
        ]
    );
    let base = TagRules {
        rebuild: Rebuild::Base,
        ..TagRules::default()
    };
    assert_eq!(
        help("1.2.3", base, "1.2.3=b@other"),
        [
            "set version = \"1.2.4\" in image.toml (or `golden bump app 1.2.4`)",
            revise
        ]
    );
    assert_eq!(
        help("1.2.3+b", TagRules::default(), "1.2.3_b=b"),
        ["set version = \"1.2.4\" in image.toml (or `golden bump app 1.2.4`)"]
    );
    assert_eq!(
        help("1.2.3", TagRules::default(), "1.2.3_b=b"),
        ["set version = \"1.2.4\" in image.toml (or `golden bump app 1.2.4`)"]
    );
}

#[test]
fn all_registries_of_an_image_get_the_same_decision() {
    let image = recipe("1.2.3", "a", TagRules::default());
    let everywhere = "same 1.2.3, same 1.2, same 1, same latest";
    let nowhere = "create 1.2.3, create 1.2, create 1, create latest";
    let here = "1.2.3=a 1.2=a 1=a latest=a";
    assert_eq!(
        planned(&image, &[here, here], false),
        format!("skip 1.2.3 | {everywhere} | {everywhere}")
    );
    assert_eq!(
        planned(&image, &[here, ""], false),
        format!("copy 1.2.3 | {everywhere} | {nowhere}")
    );
    let refused = "refuse 1.2.3, refuse 1.2, refuse 1, refuse latest";
    assert_eq!(
        planned(&image, &["", "1.2.3=b"], false),
        format!("refuse 1.2.3 | {refused} | {refused}")
    );
    let revise = recipe(
        "1.2.3",
        "a",
        TagRules {
            rebuild: Rebuild::Revise,
            ..TagRules::default()
        },
    );
    let behind = "create 1.2.3_r0, create 1.2.3_r1, move 1.2.3, move 1.2, move 1, move latest";
    assert_eq!(
        planned(
            &revise,
            &[
                "1.2.3=a 1.2.3_r1=a 1.2=a 1=a latest=a",
                "1.2.3=b 1.2 1 latest"
            ],
            false
        ),
        format!(
            "copy 1.2.3+r1 | same 1.2.3_r1, same 1.2.3, same 1.2, same 1, same latest | {behind}"
        )
    );
}

#[test]
fn a_changed_step_is_named_by_its_name_or_its_number() {
    let with_steps = |scripts: &[&str]| {
        let mut recipe = recipe("1.2.3", "a", TagRules::default());
        let steps = scripts.iter().zip([None, Some("install"), None]);
        recipe.image.run = steps
            .map(|(script, name)| RunStep {
                name: name.map(str::to_owned),
                script: (*script).to_owned(),
                user: None,
                secrets: Vec::new(),
                ssh: false,
                location: None,
            })
            .collect();
        recipe
    };
    let was = parts::parts(&with_steps(&["a", "b", "c"]));
    for (scripts, expected) in [
        (["x", "b", "c"], "step 1"),
        (["a", "x", "c"], "step install"),
        (["a", "b", "x"], "step 3"),
    ] {
        let differences = parts::differences(&was, &with_steps(&scripts));
        assert_eq!(differences, [expected], "{scripts:?}");
        // The Dockerfile, which contains the steps, is named only if nothing else is.
        let mut rendered = with_steps(&scripts);
        rendered.rendered.dockerfile.push_str("RUN x");
        assert_eq!(parts::differences(&was, &rendered), [expected]);
        let mut rendered = with_steps(&["a", "b", "c"]);
        rendered.rendered.dockerfile.push_str("RUN x");
        assert_eq!(parts::differences(&was, &rendered), [parts::DOCKERFILE]);
    }
}

#[test]
fn a_withdrawn_revision_is_not_published_again_and_not_compared_with_other_inputs() {
    let image = |rebuild| {
        let rules = TagRules {
            rebuild,
            withdrawn: vec!["1.2.3+r1".parse::<Version>().unwrap().into()],
            ..TagRules::default()
        };
        recipe("1.2.3", "a", rules)
    };
    for (rebuild, has, expected) in [
        // The withdrawn revision has these inputs.
        (
            Rebuild::Revise,
            "1.2.3=b 1.2.3_r1=a 1.2=b 1=b latest=b",
            "skip 1.2.3+r1 |",
        ),
        // The latest valid revision has them.
        (
            Rebuild::Refuse,
            "1.2.3=a 1.2.3_r1=b 1.2=a 1=a latest=a",
            "skip 1.2.3 |",
        ),
        (Rebuild::Revise, "1.2.3=b 1.2.3_r1=c", "build 1.2.3+r2 |"),
        (Rebuild::Refuse, "1.2.3=b 1.2.3_r1=c", "refuse 1.2.3 |"),
    ] {
        let found = planned(&image(rebuild), &[has], false);
        assert!(found.starts_with(expected), "{has}: {found}");
    }
    // The tags that have moved to the withdrawn revision move back.
    let has = "1.2.3_r0=b 1.2.3=a 1.2.3_r1=a 1.2=a 1=a latest=a";
    let found = planned(&image(Rebuild::Revise), &[has], false);
    let expected = "retag 1.2.3+r1 | keep 1.2.3_r1, move 1.2.3, move 1.2, move 1, move latest";
    assert_eq!(found, expected);
    let plan = plan_of(&image(Rebuild::Revise), &[has], false);
    let next = Version::new(1, 2, 4);
    assert_eq!(plan.images[0].withdrawn, Some(next));
    // Without a registry, nothing prevents the build of a withdrawn version.
    let rules = TagRules {
        withdrawn: vec![Version::new(1, 2, 3).into()],
        ..TagRules::default()
    };
    let found = planned(&recipe("1.2.3", "a", rules), &[], false);
    assert_eq!(found, "build 1.2.3");
}

#[test]
fn another_spelling_of_the_version_tag_is_not_its_tag() {
    let image = recipe("1.2.3", "a", TagRules::default());
    let found = planned(&image, &["v1.2.3=a 1.2=a 1=a latest=a"], false);
    assert!(found.starts_with("copy 1.2.3 | "), "{found}");
}

#[test]
fn the_reason_for_a_build_says_what_the_registries_have() {
    let image = recipe("1.2.3", "a", TagRules::default());
    for (registries, expected) in [
        (&[][..], Reason::NothingPublished),
        (&[""], Reason::NewVersion),
        (&["1.2.2=b"], Reason::NewVersion),
        (&["1.2.3"], Reason::Damaged(Version::new(1, 2, 3))),
        (
            &["1.2.3=b 1.2.3_r1"],
            Reason::Damaged("1.2.3+r1".parse().unwrap()),
        ),
    ] {
        let (recipes, mut observed) = (std::slice::from_ref(&image), Observed::default());
        let mut destinations = Vec::new();
        for (position, text) in registries.iter().enumerate() {
            let destination: Destination = format!("r{position}.example.com").parse().unwrap();
            let name = destination.repository(&image.image.name).unwrap();
            observed.repositories.insert(name, repository(text));
            destinations.push(destination);
        }
        let options = PlanOptions {
            destinations,
            force: false,
        };
        let found = plan(recipes, &observed, &options).unwrap();
        assert_eq!(found.images[0].step.because(), [expected], "{registries:?}");
    }
}

/// The plan of an image for repositories with these tags, one on each registry.
fn plan_for(recipe: &Recipe, repositories: Vec<ObservedRepository>) -> Result<Plan, Error> {
    let mut observed = Observed::default();
    let mut destinations = Vec::new();
    for (position, repository) in repositories.into_iter().enumerate() {
        let destination: Destination = format!("r{position}.example.com").parse().unwrap();
        let name = destination.repository(&recipe.image.name).unwrap();
        observed.repositories.insert(name, repository);
        destinations.push(destination);
    }
    let options = PlanOptions {
        destinations,
        force: false,
    };
    plan(std::slice::from_ref(recipe), &observed, &options)
}

/// The spec may set the version label itself, and the label may name the version of a base.
#[test]
fn a_version_tag_was_overwritten_if_its_label_is_another_version_that_exists() {
    for (own, published, expected) in [
        (None, "1.2.2", true),
        (Some("1.2.3"), "1.2.2", true),
        (Some("1.2.2"), "1.2.2", false),
        (Some("1.2.2"), "1.2.3", false),
        (None, "1.2.1", false),
        (None, "edge", false),
    ] {
        let mut image = recipe("1.2.3", "a", TagRules::default());
        let labels = &mut image.image.labels;
        labels.extend(own.map(|own| (VERSION.to_owned(), own.to_owned())));
        let mut has = repository("1.2.2=c 1.2.3=b");
        let overwritten = has.published.get_mut(&"1.2.3".parse().unwrap()).unwrap();
        let label = (VERSION.to_owned(), published.to_owned());
        overwritten.labels.extend([label]);
        let plan = plan_for(&image, vec![has]).unwrap();
        let because = plan.images[0].step.because();
        let found = matches!(because, [Reason::Overwritten { .. }]);
        assert_eq!(found, expected, "{own:?} {published}: {because:?}");
    }
}

#[test]
fn a_tag_moves_because_of_its_version_or_because_it_points_elsewhere() {
    let image = recipe("1.2.3", "a", TagRules::default());
    for (has, expected) in [
        ("1.2.2 1.2 1 latest", "move 1.2 Lower(Tag(\"1.2.2\"))"),
        ("1.2.3=a 1.2=b 1=a", "move 1.2 Elsewhere"),
        ("1.2.3=a 1.2=a 1=a", "same 1.2 InPlace"),
    ] {
        let plan = plan_for(&image, vec![repository(has)]).unwrap();
        let minor = plan.images[0].destinations[0].of(&"1.2".parse().unwrap());
        let PlannedMove {
            tag,
            action,
            because,
            ..
        } = minor.unwrap();
        let action = format!("{action:?}").to_lowercase();
        assert_eq!(format!("{action} {tag} {because:?}"), expected, "{has}");
    }
}

/// An extra tag that points to neither of the two images was moved by somebody else.
#[test]
fn an_extra_tag_moves_back_only_from_the_withdrawn_version() {
    let rules = TagRules {
        withdrawn: vec![Version::new(1, 3, 0).into()],
        extra: vec!["stable".to_owned()],
        ..TagRules::default()
    };
    let image = recipe("1.3.0", "a", rules);
    for (has, expected) in [
        ("1.2.3=b 1.3.0=a stable=a", "move stable"),
        ("1.2.3=b 1.3.0=a stable=b", "keep stable"),
        ("1.2.3=b 1.3.0=a 1.1.0=c stable=c", "keep stable"),
    ] {
        let found = planned(&image, &[has], false);
        assert!(found.ends_with(expected), "{has}: {found}");
    }
}

#[test]
fn a_version_is_not_compared_with_a_revision_of_it() {
    let rules = TagRules {
        immutable: false,
        ..TagRules::default()
    };
    let image = recipe("1.2.3", "a", rules);
    let found = planned(&image, &["1.2.3=b", "1.2.3=b 1.2.3_r1=a"], false);
    let [changed, same] = [
        "keep 1.2.3, refuse 1.2, refuse 1, refuse latest",
        "refuse 1.2.3, keep 1.2, keep 1, keep latest",
    ];
    assert_eq!(found, format!("refuse 1.2.3 | {changed} | {same}"));
}

#[test]
fn an_extra_tag_must_not_be_the_name_of_a_variant() {
    let rules = TagRules {
        extra: vec!["slim".to_owned()],
        ..TagRules::default()
    };
    let image = recipe("1.2.3", "a", rules);
    let plan = |has: &str| {
        let plan = plan_for(&image, vec![repository(has)]);
        plan.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(plan("1.2.2-slim"), Ok(()));
    let expected = "app:1.2.3: r0.example.com/app: extra tag `slim` is the name of a variant";
    assert_eq!(plan("1.2.2-slim 1.2-slim"), Err(expected.to_owned()));
}

/// The Dockerfile also contains the values that the config records.
#[test]
fn changed_parts_are_reasons_unless_the_config_explains_the_dockerfile() {
    let changed = |user: &str, dockerfile: &str, steps: &[&str]| {
        let with = |user: &str, dockerfile: &str, steps: &[&str]| {
            let mut recipe = recipe("1.2.3", "a", TagRules::default());
            recipe.image.config.user = Some(user.to_owned());
            recipe.rendered.dockerfile = dockerfile.to_owned();
            let steps = steps.iter().map(|script| RunStep {
                name: None,
                script: (*script).to_owned(),
                user: None,
                secrets: Vec::new(),
                ssh: false,
                location: None,
            });
            recipe.image.run = steps.collect();
            recipe
        };
        let recipe = with(user, dockerfile, steps);
        let published = Published {
            lacking: BTreeSet::new(),
            digest: Digest::of(b"manifest"),
            inputs: Some(Digest::of(b"others")),
            labels: recipe.image.labels.clone(),
            runtime: ImageConfig::parse(br#"{"config":{"User":"7"}}"#).unwrap(),
            parts: Some(parts::parts(&with("7", "FROM x", &["true"]))),
        };
        reasons::changed(
            &recipe,
            &recipe.image.version,
            &published,
            &PlannedParents::new(),
        )
    };
    let user = || Reason::Changed("config.user".to_owned());
    let parts = |part: &str| Reason::PartsChanged {
        was: Version::new(1, 2, 3),
        parts: vec![part.to_owned()],
    };
    for (found, expected) in [
        (
            changed("7", "other", &["true"]),
            vec![parts(parts::DOCKERFILE)],
        ),
        (changed("8", "other", &["true"]), vec![user()]),
        (
            changed("8", "other", &["false"]),
            vec![user(), parts("step 1")],
        ),
        (changed("7", "other", &["false"]), vec![parts("step 1")]),
    ] {
        assert_eq!(found, expected);
    }
}

/// A value that the spec does not have may come from the base.
#[test]
fn only_an_image_without_a_base_has_removed_values() {
    let config = serde_json::json!({ "Labels": {"content": "a", "owner": "x"}, "Env": ["B=1"] });
    let reasons_on = |base| {
        let recipe = Recipe {
            base,
            ..recipe("1.2.3", "a", TagRules::default())
        };
        reasons(&recipe, &config, &PlannedParents::new())
    };
    let registry_base = PinnedBase::Registry {
        reference: "a.example/b:1".parse().unwrap(),
        digest: Digest::of(b"base"),
        platforms: BTreeMap::default(),
    };
    let removed = ["labels.owner removed", "env.B removed"];
    assert_eq!(reasons_on(PinnedBase::Scratch), removed);
    let unrecorded = ["inputs changed that the image config does not record: the Dockerfile"];
    assert_eq!(reasons_on(registry_base), unrecorded);
}
