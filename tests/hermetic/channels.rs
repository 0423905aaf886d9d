//! Channels: moving tags whose target the spec names.

use serde_json::Value;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::{Golden, Run};

struct Channels {
    registry: FakeRegistry,
    golden: Golden,
}

impl Channels {
    /// An image that is published in two versions.
    fn new() -> Self {
        let registry = FakeRegistry::start(Behaviour::default());
        let host = registry.host();
        let golden =
            Golden::new().workspace(&format!("[[registry]]\nname = \"r\"\nhost = \"{host}\"\n"));
        let channels = Self { registry, golden };
        for version in ["1.2.3", "1.2.4"] {
            channels.publish(version, "", 0);
        }
        channels
    }

    #[track_caller]
    fn publish(&self, version: &str, rest: &str, code: i32) -> Run {
        self.spec(version, rest);
        self.golden
            .run(&["build", "--push", "--engine", "embedded"])
            .exit(code)
    }

    fn spec(&self, version: &str, rest: &str) {
        let text = format!(
            "[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"scratch\"\n[env]\nV = \"{version}\"\n{rest}"
        );
        self.golden.write("app/image.toml", text);
    }

    /// Requires signatures by a key of the workspace.
    fn trust_a_key(&self) {
        self.golden.write_key_pair("team");
        let host = self.registry.host();
        let text = format!(
            "[[registry]]\nname = \"r\"\nhost = \"{host}\"\n\
             [[trust]]\nname = \"team\"\nimages = [\"{host}/**\"]\nkeys = [\"team.pub\"]\n"
        );
        self.golden.write("golden.toml", text);
    }

    fn tag(&self, tag: &str) -> Option<String> {
        self.registry.tags("app").get(tag).cloned()
    }

    /// The states of the channels, as `TAG STATE BECAUSE`.
    fn states(&self) -> Vec<String> {
        let run = self.golden.run(&["channels", "--format", "json"]).exit(0);
        let document: Value = serde_json::from_str(&run.stdout).unwrap();
        let rows = document["channels"].as_array().unwrap().iter();
        rows.map(|row| {
            let because = row["because"].as_str().unwrap_or("-");
            format!(
                "{} {} {because}",
                row["channel"].as_str().unwrap(),
                row["state"].as_str().unwrap()
            )
        })
        .collect()
    }
}

#[test]
fn a_publication_moves_a_channel_to_the_version_in_the_spec() {
    let channels = Channels::new();
    channels.spec("1.2.4", "[channels]\nprod = \"1.2.3\"\n");
    assert_eq!(channels.states(), ["prod behind -"]);
    assert_eq!(channels.tag("prod"), None);
    let run = channels.publish("1.2.4", "[channels]\nprod = \"1.2.3\"\n", 0);
    assert!(
        run.stderr.contains("app:prod → 1.2.3: moved"),
        "{}",
        run.stderr
    );
    assert_eq!(channels.tag("prod"), channels.tag("1.2.3"));
    assert_eq!(channels.states(), ["prod current -"]);
    channels.publish(
        "1.2.4",
        "[channels]\nprod = \"1.2.4\"\nedge = { follow = \"1.2\" }\n",
        0,
    );
    assert_eq!(channels.tag("prod"), channels.tag("1.2.4"));
    assert_eq!(channels.tag("edge"), channels.tag("1.2.4"));
}

#[test]
fn a_channel_never_moves_to_a_version_that_must_not_be_used() {
    let channels = Channels::new();
    channels.publish("1.2.4", "[channels]\nprod = \"1.2.4\"\n", 0);
    for (rest, reason) in [
        ("[channels]\nprod = \"9.9.9\"\n", "9.9.9 is not published"),
        (
            "[channels]\nprod = \"1.2.3\"\n[lifecycle]\neol = \"2020-01-01\"\n",
            "it reached its end of life on 2020-01-01",
        ),
        (
            "[channels]\nprod = \"1.2.3\"\n[[lifecycle.revoked]]\nversions = \"1.2.3\"\nreason = \"bad\"\n",
            "it is revoked: bad",
        ),
    ] {
        let run = channels.publish("1.2.4", rest, 4);
        assert!(
            run.stderr.contains(&format!("refused: {reason}")),
            "{}",
            run.stderr
        );
        assert_eq!(channels.tag("prod"), channels.tag("1.2.4"));
    }
    // Where a key is trusted, an unsigned version is refused too.
    channels.trust_a_key();
    let run = channels.publish("1.2.4", "[channels]\nprod = \"1.2.3\"\n", 4);
    assert!(
        run.stderr.contains("refused: it is not signed"),
        "{}",
        run.stderr
    );
    assert_eq!(channels.tag("prod"), channels.tag("1.2.4"));
}

#[test]
fn a_channel_that_follows_a_tag_waits_for_its_age_and_its_artifacts() {
    let channels = Channels::new();
    for (table, state) in [
        (
            "{ follow = \"latest\", after = \"24h\" }",
            "staging waiting it is too new until ",
        ),
        (
            "{ follow = \"latest\", require = [\"sbom\"] }",
            "staging waiting it has no bill of materials",
        ),
        (
            "{ follow = \"latest\", require = [\"signature\"] }",
            "staging waiting it cannot be verified: no [[trust]] table",
        ),
        (
            "{ follow = \"latest\", require = [\"scan\"] }",
            "staging waiting it has no attestation of a scan",
        ),
        (
            "{ follow = \"latest\", after = \"0h\" }",
            "staging behind -",
        ),
    ] {
        channels.spec("1.2.4", &format!("[channels]\nstaging = {table}\n"));
        let states = channels.states();
        assert!(states[0].starts_with(state), "{states:?}");
    }
}

#[test]
fn a_plan_shows_the_channels_after_the_publication() {
    let channels = Channels::new();
    channels.publish("1.2.4", "[channels]\nprod = \"1.2.3\"\n", 0);
    // Version 1.2.5 is not published yet; the plan counts its tags.
    let table = "[channels]\nprod = \"1.2.5\"\nedge = { follow = \"latest\" }\n\
                 slow = { follow = \"1.2\", after = \"24h\" }\n\
                 checked = { follow = \"1\", require = [\"sbom\"] }\nold = \"1.2.3\"\n";
    channels.spec("1.2.5", table);
    let golden = &channels.golden;
    let text = golden.run(&["plan"]).exit(0).stdout;
    let host = channels.registry.host();
    let below = text.split_once(&format!("  channels of {host}/app\n"));
    let rows: Vec<&str> = below.unwrap().1.lines().map(str::trim).collect();
    assert_eq!(
        rows[..2],
        [
            "wait    checked  1.2.5 (it has no bill of materials)",
            "create  edge     1.2.5",
        ]
    );
    assert_eq!(rows[2], "create  old      1.2.3");
    assert_eq!(rows[3], "move    prod     1.2.3 → 1.2.5");
    assert!(
        rows[4].starts_with("wait    slow     1.2.5 (it is too new until "),
        "{rows:?}"
    );
    let run = golden.run(&["plan", "--format", "json"]).exit(0);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let prod = &document["images"][0]["channels"][3];
    let expected = serde_json::json!({
        "repository": format!("{host}/app"),
        "channel": "prod",
        "target": "1.2.5",
        "action": "move",
        "from": "1.2.3",
        "to": "1.2.5",
    });
    assert_eq!(*prod, expected);
    assert_eq!(channels.tag("prod"), channels.tag("1.2.3"));
    // The publication does what the plan showed.
    channels.publish("1.2.5", table, 0);
    for (channel, version) in [("prod", "1.2.5"), ("edge", "1.2.5"), ("old", "1.2.3")] {
        assert_eq!(channels.tag(channel), channels.tag(version), "{channel}");
    }
    assert_eq!(channels.tag("slow"), None);
    assert_eq!(channels.tag("checked"), None);
    let text = channels.golden.run(&["plan"]).exit(0).stdout;
    assert!(text.contains("same  prod     1.2.5\n"), "{text}");
}

#[test]
fn a_plan_refuses_a_channel_as_a_publication_does() {
    let channels = Channels::new();
    channels.publish("1.2.4", "[channels]\nprod = \"1.2.4\"\n", 0);
    for (rest, row) in [
        (
            "[channels]\nprod = \"9.9.9\"\n",
            "refuse  prod  1.2.4 → 9.9.9 (9.9.9 is not published)",
        ),
        (
            "[channels]\nprod = \"1.2.3\"\n[[lifecycle.revoked]]\nversions = \"1.2.3\"\nreason = \"bad\"\n",
            "refuse  prod  1.2.4 → 1.2.3 (it is revoked: bad)",
        ),
    ] {
        channels.spec("1.2.4", rest);
        let text = channels.golden.run(&["plan"]).exit(4).stdout;
        assert!(text.contains(row), "{text}");
        channels.publish("1.2.4", rest, 4);
    }
    // A new version is signed by the publication, or is refused.
    channels.trust_a_key();
    channels.spec("1.2.5", "[channels]\nprod = \"1.2.5\"\n");
    let text = channels.golden.run(&["plan"]).exit(4).stdout;
    let row = "refuse  prod  1.2.4 → 1.2.5 (it is not signed)";
    assert!(text.contains(row), "{text}");
}

#[test]
fn a_plan_without_channels_requests_nothing_about_them() {
    let channels = Channels::new();
    let requests = |channels: &Channels| {
        let before = channels.registry.requests().len();
        channels.golden.run(&["plan", "app"]).exit(0);
        channels.registry.requests().len() - before
    };
    requests(&channels);
    let without = requests(&channels);
    channels.golden.write(
        "other/image.toml",
        "[image]\nname = \"other\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n[channels]\nprod = \"1.0.0\"\n",
    );
    assert_eq!(requests(&channels), without);
    channels.spec("1.2.4", "[channels]\nprod = \"1.2.3\"\n");
    assert!(requests(&channels) > without);
}

#[test]
fn mistakes_in_channels_are_reported() {
    for (line, message) in [
        ("prod = \"1.2\"", "a version is MAJOR.MINOR.PATCH"),
        (
            "\"1.2\" = \"1.2.3\"",
            "the channel `1.2` looks like a version or a part of one",
        ),
        (
            "v1 = \"1.2.3\"",
            "the channel `v1` looks like a version or a part of one",
        ),
        (
            "latest-prod = \"1.2.3\"",
            "the channel `latest-prod` contains `latest`",
        ),
        (
            "LATEST = \"1.2.3\"",
            "the channel `LATEST` contains `latest`",
        ),
        (
            "buildcache = \"1.2.3\"",
            "the channel `buildcache` is reserved for the build cache",
        ),
        (
            "prod = \"1.2.3\"\n[tags]\nextra = [\"prod\"]",
            "the channel `prod` is also an extra tag",
        ),
        ("\"a b\" = \"1.2.3\"", "`a b` is not a tag"),
        (
            "prod = { follow = \"latest\", after = \"1 day\" }",
            "`1 day` is not a time span such as \"24h\" or \"7d\"",
        ),
    ] {
        let image = format!(
            "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n[channels]\n{line}\n"
        );
        let run = Golden::new()
            .workspace("")
            .image("app", &image)
            .run(&["check"])
            .exit(2);
        assert!(run.stderr.contains(message), "{line}: {}", run.stderr);
    }
}

/// A channel never has the tag of another image of the repository.
#[test]
fn a_channel_that_claims_the_tag_of_another_image_is_refused() {
    let image = |version: &str, rest: &str| {
        format!("[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"scratch\"\n{rest}\n")
    };
    let channel = |name: &str, target: &str| format!("[channels]\n{name} = \"{target}\"");
    let check = |first: &str, second: &str, code: i32| {
        Golden::new()
            .workspace("")
            .image("a", first)
            .image("b", second)
            .run(&["check"])
            .exit(code)
            .stderr
    };
    let first = image("1.2.3", &channel("slim", "1.2.3"));
    let slim = image("1.2.3", "variant = \"slim\"");
    let shown = check(&first, &slim, 2);
    assert!(
        shown.contains("the channel `slim` is the name of a variant"),
        "{shown}"
    );
    let first = image("1.2.3", &channel("\"1.2-slim\"", "1.2.3"));
    let shown = check(&first, &slim, 2);
    assert!(
        shown.contains("the channel `1.2-slim` looks like a version or a part of one"),
        "{shown}"
    );
    let long = "a".repeat(128);
    let first = image(
        "1.2.3",
        &format!("variant = \"b\"\n{}", channel(&long, "1.2.3")),
    );
    let shown = check(&first, &slim, 2);
    let message = format!("the channel: `{long}-b` is not a tag");
    assert!(shown.contains(&message), "{shown}");
    let prod = image("1.2.3", &channel("prod", "1.2.3"));
    for (other, code) in [
        (image("1.3.0", "[tags]\nextra = [\"prod\"]"), 2),
        (image("1.3.0", &channel("prod", "1.3.0")), 2),
        (image("1.3.0", &channel("prod", "1.2.3")), 0),
    ] {
        let shown = check(&prod, &other, code);
        assert_eq!(code == 2, shown.contains("`app:prod`"), "{shown}");
    }
}

#[test]
fn the_history_of_a_channel_comes_from_git() {
    let channels = Channels::new();
    channels.golden.git(&["init", "-q"]);
    for target in ["1.2.3", "1.2.4"] {
        channels.spec("1.2.4", &format!("[channels]\nprod = \"{target}\"\n"));
        channels.golden.git(&["add", "app/image.toml"]);
        channels.golden.git(&["commit", "-q", "-m", target]);
    }
    let run = channels
        .golden
        .run(&["channels", "app", "--history", "--format", "json"])
        .exit(0);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let rows = document["history"].as_array().unwrap().iter();
    let mut changes: Vec<String> = rows
        .map(|row| {
            assert!(row["published"].is_string());
            format!(
                "{} {} → {}",
                row["channel"].as_str().unwrap(),
                row["from"].as_str().unwrap_or("-"),
                row["to"].as_str().unwrap()
            )
        })
        .collect();
    changes.sort();
    assert_eq!(changes, ["prod - → 1.2.3", "prod 1.2.3 → 1.2.4"]);
}
