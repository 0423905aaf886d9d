use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::tags::{TagRules, Variant, fan_out, precedence};

/// The decisions for `version` in a repository with the tags `existing`, as `tag action, …`.
fn decisions(
    version: &str,
    variant: &str,
    existing: &str,
    rules: &TagRules,
    published: PublishedContent,
) -> String {
    let variant: Option<Variant> = (!variant.is_empty()).then(|| variant.parse().unwrap());
    let tags: Vec<Tag> = existing
        .split_whitespace()
        .map(|tag| tag.parse().unwrap())
        .collect();
    let existing = TagList::new(&tags, variant.as_ref(), &rules.withdrawn);
    let out = fan_out(&version.parse().unwrap(), variant.as_ref(), rules).unwrap();
    let mut text = String::new();
    for decided in decide(&out, &existing, rules, published) {
        let action = match &decided.action {
            Action::Create => "create".to_owned(),
            Action::Move => "move".to_owned(),
            Action::Keep { tag, .. } => format!("keep({tag})"),
            Action::Refuse => "refuse".to_owned(),
        };
        write!(text, "{} {action}, ", decided.tag).unwrap();
    }
    text.trim_end_matches(", ").to_owned()
}

#[test]
fn decisions_depend_on_the_names_of_tags() {
    let rules = TagRules::default();
    for (version, variant, existing, expected) in [
        (
            "1.2.3",
            "",
            "",
            "1.2.3 create, 1.2 create, 1 create, latest create",
        ),
        (
            "1.2.3",
            "",
            "1.2.2 1.2 1 latest",
            "1.2.3 create, 1.2 move, 1 move, latest move",
        ),
        (
            "1.2.9",
            "",
            "2.0.0 1.2.8 1.2 1 2 2.0 latest",
            "1.2.9 create, 1.2 move, 1 move, latest keep(2.0.0)",
        ),
        (
            "1.2.9",
            "",
            "2.0.0 1.3.0 1.2 1",
            "1.2.9 create, 1.2 move, 1 keep(1.3.0), latest keep(2.0.0)",
        ),
        (
            "1.2.3",
            "",
            "1.2.10",
            "1.2.3 create, 1.2 keep(1.2.10), 1 keep(1.2.10), latest keep(1.2.10)",
        ),
        (
            "1.2.3",
            "",
            "2.0.0-rc.1 2 3.1",
            "1.2.3 create, 1.2 create, 1 create, latest create",
        ),
        (
            "1.2.3",
            "",
            "v2.0.0",
            "1.2.3 create, 1.2 create, 1 create, latest keep(v2.0.0)",
        ),
        (
            "1.2.3",
            "",
            "1.2.3 1.2 1 latest",
            "1.2.3 refuse, 1.2 move, 1 move, latest move",
        ),
        ("1.2.3-rc.1", "", "1.2.2 latest", "1.2.3-rc.1 create"),
        ("1.2.3-rc.1", "", "1.2.3-rc.1", "1.2.3-rc.1 refuse"),
        (
            "1.2.3",
            "alpine",
            "2.0.0 2.0.0-alpine3.20 1.2.2-alpine alpine",
            "1.2.3-alpine create, 1.2-alpine create, 1-alpine create, alpine move",
        ),
        (
            "1.2.3",
            "",
            "2.0.0-alpine alpine",
            "1.2.3 create, 1.2 create, 1 create, latest create",
        ),
        (
            "1.2.3",
            "",
            "1.2.3_build.5",
            "1.2.3 refuse, 1.2 keep(1.2.3_build.5), 1 keep(1.2.3_build.5), latest keep(1.2.3_build.5)",
        ),
        (
            "1.2.3+build.5",
            "",
            "1.2.3 1.2 1 latest",
            "1.2.3_build.5 create, 1.2.3 move, 1.2 move, 1 move, latest move",
        ),
        (
            "1.2.3+build.5",
            "",
            "1.2.3 1.2.3_build.6",
            "1.2.3_build.5 create, 1.2.3 keep(1.2.3_build.6), 1.2 keep(1.2.3_build.6), 1 keep(1.2.3_build.6), latest keep(1.2.3_build.6)",
        ),
        (
            "1.2.3+build.5",
            "",
            "1.2.3_build.5",
            "1.2.3_build.5 refuse, 1.2.3 create, 1.2 create, 1 create, latest create",
        ),
    ] {
        assert_eq!(
            decisions(
                version,
                variant,
                existing,
                &rules,
                PublishedContent::Different
            ),
            expected,
            "{version} after {existing}"
        );
    }
}

#[test]
fn the_same_content_again_is_not_refused() {
    let rules = TagRules::default();
    let same = |existing| decisions("1.2.3", "", existing, &rules, PublishedContent::Same);
    assert_eq!(
        same("1.2.3 1.2 latest"),
        "1.2.3 move, 1.2 move, 1 create, latest move"
    );
    assert_eq!(
        same("1.2.3 1.2.3_r1"),
        "1.2.3 keep(1.2.3_r1), 1.2 keep(1.2.3_r1), 1 keep(1.2.3_r1), latest keep(1.2.3_r1)"
    );
    assert!(same("1.2.3_r1").starts_with("1.2.3 refuse"));
}

#[test]
fn the_rules_of_a_spec_change_the_decisions() {
    let always = TagRules {
        latest: Latest::Always,
        ..TagRules::default()
    };
    assert_eq!(
        decisions(
            "1.2.3",
            "",
            "2.0.0 latest",
            &always,
            PublishedContent::Different
        ),
        "1.2.3 create, 1.2 create, 1 create, latest move"
    );
    assert_eq!(
        decisions("1.2.3-rc.1", "", "", &always, PublishedContent::Different),
        "1.2.3-rc.1 create"
    );
    let mutable = TagRules {
        immutable: false,
        ..TagRules::default()
    };
    assert_eq!(
        decisions(
            "1.2.3",
            "",
            "1.2.3 latest",
            &mutable,
            PublishedContent::Different
        ),
        "1.2.3 move, 1.2 create, 1 create, latest move"
    );
    let withdrawn = TagRules {
        withdrawn: vec![Version::new(1, 2, 3).into()],
        ..TagRules::default()
    };
    assert_eq!(
        decisions(
            "1.2.2",
            "",
            "1.2.3 1.2.2 1.2 1 latest",
            &withdrawn,
            PublishedContent::Same
        ),
        "1.2.2 move, 1.2 move, 1 move, latest move"
    );
    assert_eq!(
        decisions(
            "1.2.3",
            "",
            "1.2.3 1.2.2 1.2 1 latest",
            &withdrawn,
            PublishedContent::Same
        ),
        "1.2.3 keep(1.2.3), 1.2 keep(1.2.2), 1 keep(1.2.2), latest keep(1.2.2)"
    );
    assert_eq!(
        decisions(
            "1.2.3",
            "",
            "1.1.0 1.2.3",
            &withdrawn,
            PublishedContent::Different
        ),
        "1.2.3 keep(1.2.3), 1.2 keep(1.2.3), 1 keep(1.1.0), latest keep(1.1.0)"
    );
    let extra = TagRules {
        extra: vec!["edge".into()],
        ..TagRules::default()
    };
    assert!(
        decisions(
            "1.2.3",
            "",
            "2.0.0 edge",
            &extra,
            PublishedContent::Different
        )
        .ends_with("edge move")
    );
}

prop_compose! {
    fn any_version()(numbers in prop::array::uniform3(0_u64..4), pre in prop::option::weighted(0.2, "rc\\.[0-3]"), build in prop::option::weighted(0.3, "(r[1-9]|b\\.[0-9])")) -> Version {
        let [major, minor, patch] = numbers;
        let text = format!("{major}.{minor}.{patch}{}{}", pre.map(|p| format!("-{p}")).unwrap_or_default(), build.map(|b| format!("+{b}")).unwrap_or_default());
        text.parse().unwrap()
    }
}

/// Applies the decisions to a simulated registry, which maps each tag to a version.
fn publish(
    registry: &mut std::collections::BTreeMap<Tag, Version>,
    version: &Version,
) -> Vec<Move> {
    let rules = TagRules::default();
    let out = fan_out(version, None, &rules).unwrap();
    let published = if registry.get(out.full()) == Some(version) {
        PublishedContent::Same
    } else {
        PublishedContent::Different
    };
    let moves = decide(
        &out,
        &TagList::new(registry.keys(), None, &[]),
        &rules,
        published,
    );
    if !moves.iter().any(Move::is_refusal) {
        for pushed in moves.iter().filter(|decided| decided.is_push()) {
            registry.insert(pushed.tag.clone(), version.clone());
        }
    }
    moves
}

proptest! {
    #[test]
    fn a_moving_tag_never_moves_back(versions in prop::collection::vec(any_version(), 1..12)) {
        let mut registry = std::collections::BTreeMap::new();
        for version in &versions {
            let before: std::collections::BTreeMap<Tag, Version> = registry.clone();
            publish(&mut registry, version);
            for (tag, was) in before {
                prop_assert!(precedence(&registry[&tag], &was).is_ge(), "{tag} went from {was} to {}", registry[&tag]);
            }
        }
        let stable = registry.values().filter(|version| version.pre.is_empty()).max_by(|a, b| precedence(a, b));
        prop_assert_eq!(registry.get(&Tag::latest()), stable);
    }

    #[test]
    fn publishing_again_changes_nothing(versions in prop::collection::vec(any_version(), 1..8)) {
        let mut registry = std::collections::BTreeMap::new();
        for version in &versions {
            publish(&mut registry, version);
            let once = registry.clone();
            publish(&mut registry, version);
            prop_assert_eq!(&registry, &once);
        }
    }

    #[test]
    fn the_order_of_the_tags_does_not_matter(version in any_version(), tags in prop::collection::vec(any_version(), 0..10).prop_shuffle()) {
        let rules = TagRules::default();
        let out = fan_out(&version, None, &rules).unwrap();
        let tags: Vec<Tag> = tags.iter().map(|v| fan_out(v, None, &rules).unwrap().full().clone()).collect();
        let forwards = decide(&out, &TagList::new(&tags, None, &[]), &rules, PublishedContent::Different);
        let backwards = decide(&out, &TagList::new(tags.iter().rev(), None, &[]), &rules, PublishedContent::Different);
        prop_assert_eq!(forwards, backwards);
    }
}

#[test]
fn a_move_says_what_it_does_and_why() {
    let rules = TagRules::default();
    let tags: Vec<Tag> = ["1.2.3", "1.2", "latest", "2.0.0"]
        .map(|tag| tag.parse().unwrap())
        .to_vec();
    let existing = TagList::new(&tags, None, &[]);
    let summary = |version: &str| {
        let out = fan_out(&version.parse().unwrap(), None, &rules).unwrap();
        let decided = decide(&out, &existing, &rules, PublishedContent::Different);
        let line = |decided: &Move| {
            let kind = match (decided.is_push(), decided.is_refusal()) {
                (true, false) => "push",
                (false, true) => "refuse",
                (false, false) => "keep",
                (true, true) => unreachable!("a tag is not both moved and refused"),
            };
            format!("{} {kind}: {}\n", decided.tag, decided.because)
        };
        decided.iter().map(line).collect::<String>()
    };
    for (version, expected) in [
        (
            "1.2.3",
            "1.2.3 refuse: 1.2.3 is already published, and versions are immutable\n\
             1.2 push: no stable version is higher\n\
             1 push: does not exist yet\n\
             latest keep: 2.0.0 is the higher version\n",
        ),
        (
            "1.2.4",
            "1.2.4 push: does not exist yet\n\
             1.2 push: 1.2.3 is lower\n\
             1 push: does not exist yet\n\
             latest keep: 2.0.0 is the higher version\n",
        ),
        (
            "2.0.1",
            "2.0.1 push: does not exist yet\n\
             2.0 push: does not exist yet\n\
             2 push: does not exist yet\n\
             latest push: 2.0.0 is lower\n",
        ),
    ] {
        assert_eq!(summary(version), expected, "{version}");
    }
}
