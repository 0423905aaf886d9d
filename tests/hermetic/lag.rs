//! Registries that show a write only after a delay: golden waits, and does not repeat the write.

use std::time::Duration;

use crate::support::proxy::lagging;
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::Server;
use crate::support::workspace::{Golden, Run};

const LAG: Duration = Duration::from_millis(900);
const FOREVER: Duration = Duration::from_mins(10);

/// A workspace with one version of `app`.
fn app(host: &str, version: &str) -> Golden {
    let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n");
    let image = format!("[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"scratch\"\n");
    Golden::new().workspace(&table).image("app", &image)
}

/// The tags of `app`, each with the number of its PUT requests.
fn puts(server: &Server) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for seen in server.seen().iter().filter(|seen| seen.method == "PUT") {
        let Some((_, tag)) = seen.route().rsplit_once("/manifests/") else {
            continue;
        };
        match found.iter_mut().find(|(known, _)| known == tag) {
            Some((_, times)) => *times += 1,
            None => found.push((tag.to_owned(), 1)),
        }
    }
    found
}

fn once(server: &Server) {
    let found: Vec<_> = puts(server)
        .into_iter()
        .filter(|(tag, times)| *times != 1 && !tag.contains(':'))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn build_waits_for_a_slow_registry() {
    let registry = FakeRegistry::start(Behaviour::default());
    for lists in [false, true] {
        for version in ["1.0.0", "1.0.1"] {
            let proxy = lagging(&registry.host(), LAG, lists);
            let version = if lists {
                version.replace('1', "2")
            } else {
                version.to_owned()
            };
            let run = app(&proxy.host(), &version)
                .run(&["build", "--push", "--engine", "embedded"])
                .exit(0);
            assert!(!run.stderr.contains("publisher"), "{}", run.stderr);
            once(&proxy);
            let tags = registry.tags("app");
            for tag in [
                version[..3].to_owned(),
                version[..1].to_owned(),
                "latest".to_owned(),
            ] {
                assert_eq!(tags[&tag], tags[&version], "{tag}");
            }
        }
    }
}

#[test]
fn promote_rollback_untag_and_delete_wait_for_a_slow_registry() {
    let registry = FakeRegistry::start(Behaviour::default());
    let mut golden = app(&registry.host(), "1.0.0");
    golden.run(&["build", "--push"]).exit(0);
    golden = app(&registry.host(), "1.0.1");
    golden.run(&["build", "--push"]).exit(0);
    let digests = registry.tags("app");

    let proxy = lagging(&registry.host(), LAG, true);
    let (source, destination) = (
        format!("{}/app:1.0.1", registry.host()),
        format!("{}/prod/app", proxy.host()),
    );
    golden
        .run(&["promote", &source, &destination, "--tags"])
        .exit(0);
    once(&proxy);
    assert_eq!(registry.tags("prod/app")["latest"], digests["1.0.1"]);

    let proxy = lagging(&registry.host(), LAG, true);
    let golden = app(&proxy.host(), "1.0.1");
    golden
        .run(&["rollback", "app", "--to", "1.0.0", "--yes"])
        .exit(0);
    once(&proxy);
    assert_eq!(registry.tags("app")["latest"], digests["1.0.0"]);

    let proxy = lagging(&registry.host(), LAG, true);
    let reference = |tag: &str| format!("{}/app:{tag}", proxy.host());
    golden
        .run(&["delete", &reference("latest"), "--untag", "--yes"])
        .exit(0);
    assert!(!registry.tags("app").contains_key("latest"));

    let proxy = lagging(&registry.host(), LAG, true);
    golden
        .run(&[
            "delete",
            &format!("{}/app:1.0.1", proxy.host()),
            "--all-tags",
            "--yes",
        ])
        .exit(0);
    assert!(!registry.has("app", &digests["1.0.1"]));
}

/// At the deadline the error states the facts and does not guess the cause.
#[test]
fn a_registry_that_stays_outdated_is_reported() {
    let registry = FakeRegistry::start(Behaviour::default());
    app(&registry.host(), "1.0.0")
        .run(&["build", "--push"])
        .exit(0);
    let digests = registry.tags("app");
    let reported = |run: Run, proxy: &Server| {
        let run = run.exit(1);
        let words = " s to move it to sha256:";
        assert!(
            run.stderr.contains(words) && run.stderr.contains(" attempts over "),
            "{}",
            run.stderr
        );
        assert!(
            [" still points to sha256:", " does not exist after "]
                .iter()
                .any(|words| run.stderr.contains(words)),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr.contains("GOLDEN_REGISTRY_SETTLE=SECONDS"),
            "{}",
            run.stderr
        );
        assert!(!run.stderr.contains("publisher"), "{}", run.stderr);
        let often: Vec<_> = puts(proxy)
            .into_iter()
            .filter(|(_, times)| *times > 2)
            .collect();
        assert!(often.is_empty(), "{often:?}");
    };
    let settle = |golden: Golden| golden.env("GOLDEN_REGISTRY_SETTLE", "2");

    let proxy = lagging(&registry.host(), FOREVER, false);
    reported(
        settle(app(&proxy.host(), "1.0.1")).run(&["build", "--push"]),
        &proxy,
    );

    let proxy = lagging(&registry.host(), FOREVER, false);
    registry.image("dev", "other", &["2.0.0", "2.0", "2", "latest"]);
    let source = format!("{}/dev:2.0.0", registry.host());
    let destination = format!("{}/app", proxy.host());
    reported(
        settle(Golden::new()).run(&["promote", &source, &destination, "--tags"]),
        &proxy,
    );

    let proxy = lagging(&registry.host(), FOREVER, false);
    reported(
        settle(app(&proxy.host(), "1.0.1")).run(&["rollback", "app", "--to", "1.0.0", "--yes"]),
        &proxy,
    );
    assert_eq!(registry.tags("app")["1.0"], digests["1.0.0"]);
}
