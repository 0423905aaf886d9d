//! `golden rollback` moves the extra tags that belong to the moving tags.

use serde_json::{Value, json};

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

#[test]
fn an_extra_tag_is_rolled_back_only_with_a_moving_tag_of_the_same_image() {
    let registry = FakeRegistry::start(Behaviour::default());
    let old = registry.image("app", "old", &["1.2.2", "done"]);
    let new = registry.image("app", "new", &["1.2.3", "1.2", "1", "latest", "edge"]);
    let next = registry.image("app", "next", &["2.0.0-rc.1", "next"]);
    let spec = "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n\
                [tags]\nextra = [\"done\", \"edge\", \"next\", \"none\"]\n";
    let golden = Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"t\"\nhost = \"{}\"\n",
            registry.host()
        ))
        .image("app", spec);
    let run = golden
        .run(&[
            "rollback",
            "app",
            "--to",
            "1.2.2",
            "--no-edit",
            "--yes",
            "--format",
            "json",
        ])
        .exit(0);
    let output: Value = serde_json::from_str(&run.stdout).unwrap();
    let row = |tag: &str, previous: &str| json!({ "tag": tag, "previous": previous });
    let expected = [
        row("1.2", &new),
        row("1", &new),
        row("latest", &new),
        row("done", &old),
        row("edge", &new),
    ];
    assert_eq!(output["images"][0]["tags"], json!(expected));
    let tags = registry.tags("app");
    for tag in ["1.2", "1", "latest", "done", "edge"] {
        assert_eq!(tags[tag], old, "{tag}");
    }
    assert_eq!(tags["next"], next);
    assert!(!tags.contains_key("none"));
}
