use std::collections::BTreeMap;

use super::*;
use crate::reference::Tag;
use crate::render::Rendered;
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, Config, Family, Packages, Provenance};
use crate::snapshot::ObservedRepository;
use crate::tags::TagRules;

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
        template: "static".to_owned(),
        platforms: Vec::new(),
        labels: BTreeMap::from([("content".to_owned(), content.to_owned())]),
        suppressed_labels: BTreeSet::new(),
        env: Vec::new(),
        config: Config::default(),
        certificates: Vec::new(),
        packages: Packages::default(),
        files: Vec::new(),
        run: Vec::new(),
        tags: rules,
        provenance: Provenance::default(),
    };
    let rendered = Rendered {
        dockerfile: String::new(),
        context: Vec::new(),
        build_args: BTreeMap::new(),
        api_labels: BTreeMap::new(),
    };
    Recipe { image, base: PinnedBase::Scratch, rendered, inputs: Digest::of(content.as_bytes()) }
}

/// `tag=content …`: what a repository has; a tag without content was not looked at.
fn repository(text: &str) -> ObservedRepository {
    let mut seen = ObservedRepository::default();
    for word in text.split_whitespace() {
        let (tag, content) = word.split_once('=').unwrap_or((word, ""));
        let tag: Tag = tag.parse().unwrap();
        if !content.is_empty() {
            let labels = BTreeMap::from([("content".to_owned(), content.to_owned())]);
            let digest = Digest::of(format!("manifest {content}").as_bytes());
            let inputs = Some(Digest::of(content.as_bytes()));
            seen.published.insert(tag.clone(), Published { digest, inputs, labels });
        }
        seen.tags.push(tag);
    }
    seen
}

/// The plan in words: `step publish | create a, move b…` for each registry.
fn planned(recipe: &Recipe, registries: &[&str], force: bool) -> String {
    let mut observed = Observed::default();
    let mut destinations = Vec::new();
    for (position, text) in registries.iter().enumerate() {
        let destination: Destination = format!("r{position}.example.com").parse().unwrap();
        observed.repositories.insert(destination.repository(&recipe.image.name).unwrap(), repository(text));
        destinations.push(destination);
    }
    let plan = plan(std::slice::from_ref(recipe), &observed, &PlanOptions { destinations, force }).unwrap();
    let image = &plan.images[0];
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let step = word(serde_json::to_value(&image.step).unwrap()["step"].take());
    let mut text = format!("{step} {}", image.publish);
    for destination in &image.destinations {
        let tags: Vec<String> = destination
            .tags
            .iter()
            .map(|planned| format!("{} {}", word(serde_json::to_value(planned.action).unwrap()), planned.tag))
            .collect();
        text = format!("{text} | {}", tags.join(", "));
    }
    text
}

#[test]
fn inputs_decide_whether_an_image_is_built() {
    let image = recipe("1.2.3", "a", TagRules::default());
    for (has, expected) in [
        ("", "build 1.2.3 | create 1.2.3, create 1.2, create 1, create latest"),
        ("1.2.2 1.2 1 latest", "build 1.2.3 | create 1.2.3, move 1.2, move 1, move latest"),
        ("1.2.3=a 1.2 1 latest=a", "skip 1.2.3 | same 1.2.3, same 1.2, same 1, same latest"),
        ("1.2.3=a 1.2=b 1=a", "skip 1.2.3 | same 1.2.3, move 1.2, same 1, create latest"),
        ("1.2.3=a 1.2 2.0.0 latest", "skip 1.2.3 | same 1.2.3, same 1.2, create 1, keep latest"),
        ("1.2.3=b 1.2 1", "refuse 1.2.3 | refuse 1.2.3, keep 1.2, keep 1, refuse latest"),
        ("1.2.3", "refuse 1.2.3 | refuse 1.2.3, refuse 1.2, refuse 1, refuse latest"),
    ] {
        assert_eq!(planned(&image, &[has], false), expected, "{has}");
    }
    assert_eq!(planned(&image, &[], false), "build 1.2.3");
    let forced = planned(&image, &["1.2.3=a 1.2 1 latest=a"], true);
    assert_eq!(forced, "build 1.2.3 | move 1.2.3, move 1.2, move 1, move latest");
}

#[test]
fn revisions_count_on() {
    let image = recipe("1.2.3", "a", TagRules { rebuild: Rebuild::Revise, ..TagRules::default() });
    for (has, expected) in [
        ("", "build 1.2.3 | create 1.2.3, create 1.2, create 1, create latest"),
        (
            "1.2.3=b 1.2 1 latest",
            "build 1.2.3+r1 | create 1.2.3_r1, move 1.2.3, move 1.2, move 1, move latest",
        ),
        (
            "1.2.3=b 1.2.3_r9=b",
            "build 1.2.3+r10 | create 1.2.3_r10, move 1.2.3, create 1.2, create 1, create latest",
        ),
        (
            "1.2.3 1.2.3_r1=a 1.2 1 latest=a",
            "skip 1.2.3+r1 | same 1.2.3_r1, same 1.2.3, same 1.2, same 1, same latest",
        ),
    ] {
        assert_eq!(planned(&image, &[has], false), expected, "{has}");
    }
}

#[test]
fn several_registries_share_one_decision() {
    let image = recipe("1.2.3", "a", TagRules::default());
    let everywhere = "same 1.2.3, same 1.2, same 1, same latest";
    let nowhere = "create 1.2.3, create 1.2, create 1, create latest";
    let here = "1.2.3=a 1.2 1 latest";
    assert_eq!(planned(&image, &[here, here], false), format!("skip 1.2.3 | {everywhere} | {everywhere}"));
    assert_eq!(planned(&image, &[here, ""], false), format!("copy 1.2.3 | {everywhere} | {nowhere}"));
    let refused = "refuse 1.2.3, refuse 1.2, refuse 1, refuse latest";
    assert_eq!(planned(&image, &["", "1.2.3=b"], false), format!("refuse 1.2.3 | {refused} | {refused}"));
    let revise = recipe("1.2.3", "a", TagRules { rebuild: Rebuild::Revise, ..TagRules::default() });
    let behind = "create 1.2.3_r1, move 1.2.3, move 1.2, move 1, move latest";
    assert_eq!(
        planned(&revise, &["1.2.3 1.2.3_r1=a 1.2 1 latest=a", "1.2.3=b 1.2 1 latest"], false),
        format!("copy 1.2.3+r1 | same 1.2.3_r1, same 1.2.3, same 1.2, same 1, same latest | {behind}")
    );
}

#[test]
fn a_plan_can_be_read_again() {
    let image = recipe("1.2.3", "a", TagRules::default());
    let plan = plan(&[image], &Observed::default(), &PlanOptions::default()).unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}
