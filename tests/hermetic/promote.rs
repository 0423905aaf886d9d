//! `golden promote` moves the tags of the destination by the rules of publishing.

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

#[test]
fn a_moving_tag_that_is_copied_by_its_name_does_not_go_back_to_an_older_version() {
    let registry = FakeRegistry::start(Behaviour::default());
    let old = registry.image("dev/app", "a", &["1.2.3", "1.2", "1", "latest", "stable"]);
    let new = registry.image("app", "b", &["3.0.0", "3.0", "3", "latest", "stable"]);
    let host = registry.host();
    let promote = |tag: &str, to: &str| {
        Golden::new()
            .run(&[
                "promote",
                &format!("{host}/dev/app:{tag}"),
                &format!("{host}/{to}"),
            ])
            .exit(0)
            .stderr
    };
    let shown = promote("latest", "app");
    assert!(
        shown.contains("kept latest: 3.0.0 is the higher version"),
        "{shown}"
    );
    assert_eq!(registry.tags("app")["latest"], new);
    promote("1", "app");
    promote("stable", "app");
    let tags = registry.tags("app");
    assert_eq!((&tags["1"], &tags["stable"]), (&old, &old));
    assert!(!tags.contains_key("1.2.3"));
    promote("latest", "app:latest");
    assert_eq!(registry.tags("app")["latest"], old);
}
