//! Two concurrent publishers: when both have finished, every moving tag points to the highest
//! version.

use std::process::Stdio;
use std::time::Duration;

use crate::support::curl;
use crate::support::publisher::{Image, Publisher, fresh_name};
use crate::support::services;
use crate::support::workspace::{Golden, Run};

#[tokio::test]
async fn latest_ends_on_the_higher_version() {
    for round in 0..20 {
        let name = fresh_name("race");
        let (low, high) = (Image::new(&name, "1.2.3"), Image::new(&name, "1.3.0"));
        let run = |image: Image| {
            let pause = std::time::Duration::from_millis(fastrand::u64(0..20));
            async move {
                tokio::time::sleep(pause).await;
                Publisher::new(&[services::registry()], 3)
                    .publish(&image)
                    .await
                    .result
            }
        };
        let (first, second) = tokio::join!(run(low.clone()), run(high.clone()));
        assert!(first.is_ok(), "round {round}: {first:?}");
        assert!(second.is_ok(), "round {round}: {second:?}");
        let tags = Publisher::new(&[services::registry()], 3).tags(&name).await;
        let on = |tag: &str| {
            if tags[tag] == high.digest() {
                "1.3.0"
            } else {
                "1.2.3"
            }
        };
        let found = ["1", "1.2", "1.2.3", "1.3", "1.3.0", "latest"].map(on);
        assert_eq!(
            found,
            ["1.3.0", "1.2.3", "1.2.3", "1.3.0", "1.3.0", "1.3.0"],
            "round {round}"
        );
    }
}

/// A workspace with one image. A different `owner` results in different content.
fn publisher(name: &str, version: &str, owner: &str) -> Golden {
    let host = services::registry();
    let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\nnamespace = \"race\"\n");
    let text = format!(
        "[image]\nname = \"{name}\"\nversion = \"{version}\"\nbase = \"scratch\"\n[labels]\nowner = \"{owner}\"\n"
    );
    Golden::new().workspace(&table).image("app", &text)
}

/// Runs `build --push` in both workspaces at once, each in its own process as two CI jobs do.
fn at_once(publishers: &[Golden; 2]) -> [Run; 2] {
    let start = |golden: &Golden| {
        // The start times vary, so that either process may be ahead; mostly they overlap.
        std::thread::sleep(Duration::from_millis(fastrand::u64(0..15)));
        let mut command = golden.command(&["build", "--push"]);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    publishers
        .each_ref()
        .map(start)
        .map(|child| Run::of(child.wait_with_output().unwrap()))
}

#[test]
fn two_processes_leave_latest_on_the_higher_version() {
    for round in 0..20 {
        let name = fresh_name("processes");
        let mut versions = ["1.2.3", "1.3.0"];
        if round % 2 == 1 {
            versions.reverse();
        }
        for run in at_once(&versions.map(|version| publisher(&name, version, "me"))) {
            run.exit(0);
        }
        let digest = |tag: &str| curl::digest(&format!("race/{name}"), tag).unwrap();
        let (low, high) = (digest("1.2.3"), digest("1.3.0"));
        assert_ne!(low, high);
        for (tag, expected) in [
            ("latest", &high),
            ("1", &high),
            ("1.3", &high),
            ("1.2", &low),
        ] {
            assert_eq!(digest(tag), *expected, "round {round}: {tag}");
        }
    }
}

/// Two CI jobs of the same commit: both succeed, and only one uploads.
#[test]
fn two_processes_with_the_same_content_both_succeed() {
    for round in 0..30 {
        let name = fresh_name("twins");
        for run in at_once(&["me", "me"].map(|owner| publisher(&name, "1.2.3", owner))) {
            assert_eq!(run.code, 0, "round {round}: {}", run.stderr);
        }
        let repository = format!("race/{name}");
        let digest = curl::digest(&repository, "1.2.3");
        for tag in ["1.2", "1", "latest"] {
            assert_eq!(
                curl::digest(&repository, tag),
                digest,
                "round {round}: {tag}"
            );
        }
    }
}

/// One publisher gets the version with all its tags; the other one is refused.
#[test]
fn with_two_contents_for_one_version_one_process_is_refused() {
    let mut refused = 0;
    for round in 0..20 {
        let name = fresh_name("same");
        let runs = at_once(&["me", "you"].map(|owner| publisher(&name, "1.2.3", owner)));
        assert!(
            runs.iter().any(|run| run.code == 0),
            "round {round}: {} {}",
            runs[0].stderr,
            runs[1].stderr
        );
        for run in runs.iter().filter(|run| run.code != 0) {
            refused += 1;
            let words = [
                "another publisher published",
                "labels.owner changed",
                "is already published",
            ];
            assert!(
                words.iter().any(|words| run.stderr.contains(words)),
                "round {round}: {}",
                run.stderr
            );
        }
        let repository = format!("race/{name}");
        let digest = curl::digest(&repository, "1.2.3");
        for tag in ["1.2", "1", "latest"] {
            assert_eq!(
                curl::digest(&repository, tag),
                digest,
                "round {round}: {tag}"
            );
        }
    }
    assert!(refused > 15, "only {refused} were refused");
}
