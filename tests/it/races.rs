//! Two publishers at once: when both have finished, every moving tag is on the highest version.

use std::process::Stdio;
use std::time::Duration;

use crate::support::curl;
use crate::support::publisher::{Image, Publisher, fresh_name};
use crate::support::services;
use crate::support::workspace::Golden;

#[tokio::test]
async fn the_higher_version_has_latest_in_the_end() {
    for round in 0..20 {
        let name = fresh_name("race");
        let (low, high) = (Image::new(&name, "1.2.3"), Image::new(&name, "1.3.0"));
        let run = |image: Image| {
            let pause = std::time::Duration::from_millis(fastrand::u64(0..20));
            async move {
                tokio::time::sleep(pause).await;
                Publisher::new(&[services::registry()], 3).publish(&image).await.result
            }
        };
        let (first, second) = tokio::join!(run(low.clone()), run(high.clone()));
        assert!(first.is_ok(), "round {round}: {first:?}");
        assert!(second.is_ok(), "round {round}: {second:?}");
        let tags = Publisher::new(&[services::registry()], 3).tags(&name).await;
        let on = |tag: &str| if tags[tag] == high.digest() { "1.3.0" } else { "1.2.3" };
        let found = ["1", "1.2", "1.2.3", "1.3", "1.3.0", "latest"].map(on);
        assert_eq!(found, ["1.3.0", "1.2.3", "1.2.3", "1.3.0", "1.3.0", "1.3.0"], "round {round}");
    }
}

/// Two processes at once, each with a workspace of its own, as two CI jobs are.
#[test]
fn two_processes_leave_latest_on_the_higher_version() {
    for round in 0..20 {
        let name = fresh_name("processes");
        let table = format!(
            "[[registry]]\nname = \"t\"\nhost = \"{}\"\nnamespace = \"race\"\n",
            services::registry()
        );
        let publishers = ["1.2.3", "1.3.0"].map(|version| {
            let text = format!("[image]\nname = \"{name}\"\nversion = \"{version}\"\nbase = \"scratch\"\n");
            Golden::new().workspace(&table).image("app", &text)
        });
        let mut children = publishers.each_ref().map(|golden| {
            // Sometimes one is a little ahead, sometimes the other, mostly they are in the middle of each other.
            std::thread::sleep(Duration::from_millis(fastrand::u64(0..15)));
            let mut command = golden.command(&["build", "--push"]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        });
        if round % 2 == 1 {
            children.reverse();
        }
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "round {round}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let digest = |tag: &str| curl::digest(&format!("race/{name}"), tag).unwrap();
        let (low, high) = (digest("1.2.3"), digest("1.3.0"));
        assert_ne!(low, high);
        for (tag, expected) in [("latest", &high), ("1", &high), ("1.3", &high), ("1.2", &low)] {
            assert_eq!(digest(tag), *expected, "round {round}: {tag}");
        }
    }
}
