//! Lists of tags that repeat, end early or never end: golden compares no version with an incomplete
//! list.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use golden::reference::Reference;
use golden::registry::{Registries, RegistryEnv};
use serde_json::json;

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::server::{Answer, Seen};
use crate::support::workspace::Golden;

/// The tags of the two versions.
const TAGS: [&str; 7] = ["1", "1.0", "1.0.0", "3", "3.0", "3.0.0", "latest"];

/// Every command that compares versions, with `{}` as the registry.
const COMMANDS: [&str; 9] = [
    "plan",
    "build --push",
    "verify",
    "verify {}/app:1.0",
    "rollback app --to 1.0.0 --yes",
    "promote {}/dev:1.0.1 {}/app --tags",
    "prune {}/app --keep 1 --yes",
    "delete {}/app:1.0.0 --all-tags --yes",
    "outdated",
];

type List = dyn Fn(&Seen) -> Answer + Send + Sync;

/// A registry with 1.0.0 and 3.0.0, whose lists of tags come from `list`.
fn registry(list: Arc<List>) -> FakeRegistry {
    let instead = move |seen: &Seen| seen.route().ends_with("/app/tags/list").then(|| list(seen));
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(instead)),
        ..Behaviour::default()
    });
    registry.image("app", "a", &["1.0.0", "1.0", "1"]);
    registry.image("app", "c", &["3.0.0", "3.0", "3", "latest"]);
    registry.image("dev", "b", &["1.0.1", "1.0", "1", "latest"]);
    registry
}

fn page(tags: &[&str]) -> Answer {
    Answer::new(200, json!({ "name": "app", "tags": tags }).to_string())
}

fn next(answer: Answer, address: &str) -> Answer {
    answer.header("link", format!("<{address}>; rel=\"next\""))
}

/// Runs every command against a registry with these lists. Each must exit with 1 and change
/// nothing.
#[track_caller]
fn assert_refused(words: &str, list: impl Fn(&Seen) -> Answer + Send + Sync + 'static) {
    let registry = registry(Arc::new(list));
    let before = registry.tags("app");
    let host = registry.host();
    let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n");
    let image = "[image]\nname = \"app\"\nversion = \"1.0.1\"\nbase = \"scratch\"\n";
    let based = format!(
        "[image]\nname = \"based\"\nversion = \"1.0.0\"\nbase = {{ ref = \"{host}/app\", version = \"^1\" }}\n"
    );
    for command in COMMANDS {
        let golden = Golden::new()
            .workspace(&table)
            .env("GOLDEN_REGISTRY_SETTLE", "1")
            .env("GOLDEN_REGISTRY_TIMEOUT", "2");
        let golden = golden.image("app", if command == "outdated" { &based } else { image });
        let command = command.replace("{}", &host);
        let run = golden.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(
            run.code, 1,
            "{words}: {command}:\n{}{}",
            run.stdout, run.stderr
        );
        assert!(
            run.stderr.contains(words),
            "{command}: not {words:?} in\n{}",
            run.stderr
        );
        assert_eq!(registry.tags("app"), before, "{command}");
    }
}

#[test]
fn a_list_that_repeats_itself_is_refused() {
    // Every page is the first one, with its link.
    assert_refused("the list repeats itself", |_| {
        next(page(&TAGS[..3]), "/v2/app/tags/list?n=1000&last=1.0.0")
    });
    // A page names itself.
    assert_refused("the list repeats itself", |seen| {
        next(page(&TAGS[..3]), &seen.path)
    });
    // The same page under another address each time.
    let calls = AtomicUsize::new(0);
    assert_refused("the list repeats itself", move |_| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        next(page(&TAGS[..3]), &format!("/v2/app/tags/list?last={call}"))
    });
}

#[test]
fn a_list_that_ends_in_an_error_is_refused() {
    for (answer, words) in [
        (
            refuse(404, "NAME_UNKNOWN", "repository name not known to registry"),
            "the list ends in an error",
        ),
        (
            refuse(400, "PAGINATION_NUMBER_INVALID", "invalid"),
            "the list ends in an error",
        ),
        (
            Answer::new(200, r#"{"errors":[{"code":"UNKNOWN","message":"oops"}]}"#),
            "the list ends in an error",
        ),
        (
            Answer::new(200, "{}"),
            "the response is JSON, but not a list",
        ),
        (Answer::new(200, "<html>"), "the response is a web page"),
        (refuse(403, "DENIED", "not that page"), "403 DENIED"),
    ] {
        assert_refused(words, move |seen| {
            if seen.query("last").is_empty() {
                next(page(&TAGS[..3]), "/v2/app/tags/list?last=1.0.0")
            } else {
                answer.clone()
            }
        });
    }
    assert_refused("the URL of the next page of the list is invalid", |_| {
        next(page(&TAGS[..3]), "http://[")
    });
}

#[test]
fn a_list_that_lacks_an_existing_tag_is_refused() {
    assert_refused(
        "the list of tags is incomplete: it lacks `latest`, which can be read",
        |_| page(&TAGS[..3]),
    );
}

/// The list has `latest`, which points to an image with the label 3.0.0, but not the tag 3.0.0.
#[test]
fn a_list_that_lacks_the_version_of_a_moving_tag_is_refused() {
    for variant in ["", "-alpine"] {
        let full = format!("3.0.0{variant}");
        let moving = ["1", "1.0", "1.0.0", "latest"].map(|tag| match (variant, tag) {
            ("", tag) => tag.to_owned(),
            (_, "latest") => "alpine".to_owned(),
            (_, tag) => format!("{tag}{variant}"),
        });
        let listed = moving.to_vec();
        let registry = FakeRegistry::start(Behaviour {
            instead: Some(Arc::new(move |seen: &Seen| {
                let tags: Vec<&str> = listed.iter().map(String::as_str).collect();
                let is_list = seen.route().ends_with("/app/tags/list");
                is_list.then(|| page(&tags))
            })),
            ..Behaviour::default()
        });
        let old: Vec<&str> = moving[..3].iter().map(String::as_str).collect();
        let labels = json!({ "org.opencontainers.image.version": "3.0.0" });
        registry.image("app", "old", &old);
        registry.labelled("app", "new", &labels, &[&full, &moving[3]]);
        let dev = ["1.0.1", "1.0", "1"].map(|tag| format!("{tag}{variant}"));
        let dev: Vec<&str> = dev
            .iter()
            .map(String::as_str)
            .chain([moving[3].as_str()])
            .collect();
        registry.image("dev", "next", &dev);
        let before = registry.tags("app");
        let host = registry.host();
        let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n");
        let key = match variant {
            "" => "",
            _ => "variant = \"alpine\"\n",
        };
        let image =
            format!("[image]\nname = \"app\"\nversion = \"1.0.1\"\n{key}base = \"scratch\"\n");
        for command in [
            "plan".to_owned(),
            "build --push".to_owned(),
            "verify".to_owned(),
            format!("verify {host}/app:{}", moving[3]),
            "rollback app --to 1.0.0 --yes".to_owned(),
            format!("promote {host}/dev:1.0.1{variant} {host}/app --tags"),
            format!("prune {host}/app --keep 1 --yes"),
        ] {
            let golden = Golden::new()
                .workspace(&table)
                .image("app", &image)
                .env("GOLDEN_REGISTRY_SETTLE", "1");
            let run = golden.run(&command.split(' ').collect::<Vec<_>>());
            let words =
                format!("the list of tags is incomplete: it lacks `{full}`, which can be read");
            assert_eq!(run.code, 1, "{command}:\n{}{}", run.stdout, run.stderr);
            assert!(run.stderr.contains(&words), "{command}:\n{}", run.stderr);
            assert_eq!(registry.tags("app"), before, "{command}");
        }
    }
}

/// The version may have been deleted, or another tool may have kept the label of the base.
#[test]
fn a_moving_tag_may_claim_a_version_that_does_not_exist() {
    let registry = FakeRegistry::start(Behaviour::default());
    let labels = json!({ "org.opencontainers.image.version": "3.0.0" });
    registry.labelled("app", "new", &labels, &["latest"]);
    let table = format!(
        "[[registry]]\nname = \"t\"\nhost = \"{}\"\n",
        registry.host()
    );
    let image = "[image]\nname = \"app\"\nversion = \"1.0.1\"\nbase = \"scratch\"\n";
    let golden = Golden::new().workspace(&table).image("app", image);
    golden.run(&["plan"]).exit(0);
    golden.run(&["build", "--push"]).exit(0);
    golden.run(&["verify"]).exit(0);
    let lists = registry.requests();
    let lists = lists.iter().filter(|line| line.contains("/tags/list"));
    let before = lists.count();
    golden.run(&["plan"]).exit(0);
    let after = registry.requests();
    let after = after.iter().filter(|line| line.contains("/tags/list"));
    assert_eq!(
        after.count() - before,
        1,
        "a list that is consistent is read once"
    );
}

#[test]
fn a_list_that_never_ends_is_refused() {
    let last = |seen: &Seen| {
        seen.query("last")
            .pop()
            .map_or(0, |last| last.parse::<usize>().unwrap())
    };
    assert_refused("the list does not end", move |seen| {
        next(
            page(&[]),
            &format!("/v2/app/tags/list?last={}", last(seen) + 1),
        )
    });
}

/// Like `assert_refused`, but with one command, because 4,000 pages take a while.
#[test]
fn a_list_that_always_has_one_more_tag_is_refused() {
    let last = |seen: &Seen| {
        seen.query("last")
            .pop()
            .map_or(0, |last| last.parse::<usize>().unwrap())
    };
    let registry = registry(Arc::new(move |seen: &Seen| {
        let at = last(seen) + 1;
        next(
            page(&[&format!("t{at}")]),
            &format!("/v2/app/tags/list?last={at}"),
        )
    }));
    let run = Golden::new()
        .run(&["ls", &format!("{}/app", registry.host())])
        .exit(1);
    assert!(
        run.stderr
            .contains("the list does not end (more than 4000 pages)"),
        "{}",
        run.stderr
    );
}

/// A proxy that removes the Link header leaves a full page.
#[test]
fn a_full_page_without_a_link_is_not_the_end() {
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(|seen: &Seen| {
            let first = seen.query("last").is_empty();
            let from = if first { 0 } else { 1000 };
            let until = if first { 1000 } else { 1003 };
            let tags: Vec<String> = (from..until).map(|n| format!("t{n}")).collect();
            let list = seen.route().ends_with("/tags/list");
            list.then(|| page(&tags.iter().map(String::as_str).collect::<Vec<_>>()))
        })),
        ..Behaviour::default()
    });
    let run = Golden::new()
        .run(&[
            "ls",
            &format!("{}/app", registry.host()),
            "--format",
            "json",
        ])
        .exit(0);
    drop(run);
    let lists = registry
        .requests()
        .iter()
        .filter(|line| line.contains("/tags/list"))
        .count();
    assert_eq!(lists, 2);
}

/// The error of a list of tags that must be complete within 300 ms, and the time until it.
fn within_a_time_limit(list: Arc<List>) -> (String, Duration) {
    let registry = registry(list);
    let mut env = RegistryEnv::from_vars(&BTreeMap::new());
    env.retry_policy.list = Duration::from_millis(300);
    let registries = Registries::new(Vec::new(), env);
    let repository: Reference = format!("{}/app", registry.host()).parse().unwrap();
    let start = Instant::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tags = runtime.block_on(registries.repo(&repository.repository).tags());
    (tags.unwrap_err().to_string(), start.elapsed())
}

#[test]
fn a_list_that_is_not_complete_in_time_is_refused() {
    let calls = AtomicUsize::new(0);
    let endless = move |_: &Seen| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        next(
            page(&[&format!("1.0.{call}")]),
            &format!("/v2/app/tags/list?last={call}"),
        )
    };
    let slow = |_: &Seen| {
        std::thread::sleep(Duration::from_secs(3));
        page(&TAGS)
    };
    for list in [Arc::new(endless) as Arc<List>, Arc::new(slow)] {
        let (error, time) = within_a_time_limit(list);
        assert!(
            error.ends_with("the list was not complete after 0.3 s"),
            "{error}"
        );
        assert!(time < Duration::from_secs(2), "{time:?}");
    }
    assert_eq!(
        RegistryEnv::from_vars(&BTreeMap::new()).retry_policy.list,
        Duration::from_mins(10)
    );
}
