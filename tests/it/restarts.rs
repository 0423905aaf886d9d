//! A registry that is killed and restarted sixty times while golden publishes: in the end
//! everything is published correctly, and no tag ever points to a wrong image.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use crate::support::served::Served;
use crate::support::workspace::Golden;

/// The number of restarts, and the number of publishes that they interrupt.
const RESTARTS: usize = 60;
const PUBLISHES: u64 = 6;

/// The tags of `app` with their digests; empty if `app` was never published.
fn tags(host: &str) -> BTreeMap<String, String> {
    let run = Golden::new().run(&["ls", &format!("{host}/app"), "--format", "json"]);
    let Ok(listed) = serde_json::from_str::<serde_json::Value>(&run.stdout) else {
        return BTreeMap::new();
    };
    let tags = listed["tags"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let pair = |tag: &serde_json::Value| (text(&tag["tag"]), text(&tag["digest"]));
    tags.iter().map(pair).collect()
}

#[test]
fn a_publish_to_a_registry_that_restarts_repeatedly_is_completed() {
    let mut served = Served::start(&[]);
    let host = served.host().to_owned();
    let golden = Golden::new()
        .workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n"))
        .env("SOURCE_DATE_EPOCH", "0")
        .env("GOLDEN_REGISTRY_TIMEOUT", "5");
    let write = |patch: u64| {
        let mut noise = vec![0; 600_000];
        fastrand::Rng::with_seed(patch).fill(&mut noise);
        golden.write("app/noise", noise);
        golden.write(
            "app/image.toml",
            format!(
                "[image]\nname = \"app\"\nversion = \"1.2.{patch}\"\nbase = \"scratch\"\nfamily = \"static\"\n\
                 [[files]]\nsource = \"noise\"\ntarget = \"/noise\"\n"
            ),
        );
    };
    write(0);
    golden.run(&["build", "--push"]).exit(0);
    let (mut restarts, mut publishes, mut patch) = (0, 0, 0);
    while restarts < RESTARTS {
        patch += 1;
        publishes += 1;
        write(patch);
        let before = tags(&host);
        let mut child = golden
            .command(&["build", "--push", "-q"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..RESTARTS / usize::try_from(PUBLISHES).unwrap() {
            std::thread::sleep(Duration::from_millis(fastrand::u64(5..60)));
            served.restart();
            restarts += 1;
        }
        child.wait().unwrap();
        // Each moving tag points to the previous or the new version, and no version tag has
        // changed.
        let between = tags(&host);
        let new = between.get(&format!("1.2.{patch}"));
        for (tag, digest) in &before {
            let now = between.get(tag);
            let is_moving = ["1", "1.2", "latest"].contains(&tag.as_str());
            assert!(
                now == Some(digest) || is_moving && now == new,
                "{tag} after {restarts} restarts: {before:?} {between:?}"
            );
        }
        golden.run(&["build", "--push"]).exit(0);
        let after = tags(&host);
        let new = after.get(&format!("1.2.{patch}"));
        assert!(new.is_some(), "{after:?}");
        for tag in ["1", "1.2", "latest"] {
            assert_eq!(after.get(tag), new, "{after:?}");
        }
        golden.run(&["verify", "--deep"]).exit(0);
    }
    assert!(publishes >= PUBLISHES);
}
