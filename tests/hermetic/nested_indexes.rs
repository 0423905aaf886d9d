//! Nested indexes that repeat the same entries cost one request for each manifest, in every
//! command.

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

/// A registry in which `team/app:1.0.0` is an index of indexes, `depth` levels deep, each of which
/// names the next one ten times.
fn nested(depth: usize) -> FakeRegistry {
    let registry = FakeRegistry::start(Behaviour {
        referrers: true,
        ..Behaviour::default()
    });
    let mut below = registry.image("team/app", "content", &[]);
    for level in 1..=depth {
        let tags: &[&str] = if level == depth { &["1.0.0"] } else { &[] };
        below = registry.index("team/app", &[below.as_str(); 10], tags);
    }
    registry
}

#[test]
fn every_manifest_is_read_once() {
    for command in [
        &["inspect", "HOST/team/app:1.0.0"][..],
        &["ls", "HOST/team/app"],
        &["verify", "HOST/team/app:1.0.0"],
        &["verify", "--deep", "HOST/team/app:1.0.0"],
        &["audit", "HOST/team/app:1.0.0"],
        &["promote", "HOST/team/app:1.0.0", "HOST/team/copy:1.0.0"],
    ] {
        let registry = nested(8);
        let args: Vec<String> = command
            .iter()
            .map(|word| word.replace("HOST", &registry.host()))
            .collect();
        let golden = Golden::new().workspace("");
        let run = golden.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(
            run.code == 0 || run.code == 5,
            "{command:?}: {} {}",
            run.code,
            run.stderr
        );
        let reads = registry
            .requests()
            .iter()
            .filter(|request| request.contains("app/manifests/"))
            .count();
        // By default, a promotion also reads the referrers and the tags of tools of every manifest.
        let more = if command[0] == "promote" { 5 * 9 } else { 0 };
        assert!(reads <= 4 * 9 + 10 + more, "{command:?}: {reads} requests");
    }
}

#[test]
fn an_index_that_is_too_deep_is_refused() {
    for command in [
        &["inspect", "HOST/team/app:1.0.0"][..],
        &["verify", "--deep", "HOST/team/app:1.0.0"],
        &["promote", "HOST/team/app:1.0.0", "HOST/team/copy:1.0.0"],
    ] {
        let registry = nested(12);
        let args: Vec<String> = command
            .iter()
            .map(|word| word.replace("HOST", &registry.host()))
            .collect();
        let run = Golden::new()
            .workspace("")
            .run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(run.code != 0, "{command:?}");
        assert!(
            run.stderr.contains("more than 8 levels of nested indexes"),
            "{command:?}: {}",
            run.stderr
        );
    }
}
