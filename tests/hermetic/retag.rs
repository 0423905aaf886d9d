//! Every tag of the fan-out is read: tags that another tool moved are reported and corrected, and
//! an overwritten version tag stops the image.

use std::collections::BTreeMap;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::{Golden, Run};

struct App {
    registry: FakeRegistry,
    golden: Golden,
}

impl App {
    fn new() -> Self {
        Self::behaving(Behaviour::default())
    }

    fn behaving(behaviour: Behaviour) -> Self {
        let registry = FakeRegistry::start(behaviour);
        let golden = Golden::new()
            .workspace(&format!(
                "[[registry]]\nname = \"t\"\nhost = \"{}\"\n",
                registry.host()
            ))
            .env("SOURCE_DATE_EPOCH", "0");
        Self { registry, golden }
    }

    /// Writes the spec with a version, and with more lines under `[image]` and `[tags]`.
    fn spec(&self, version: &str, image: &str, tags: &str) -> &Self {
        self.golden.write(
            "app/image.toml",
            format!(
                "[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"scratch\"\n{image}\n[tags]\n{tags}\n"
            ),
        );
        self
    }

    fn version(&self, version: &str) -> &Self {
        self.spec(version, "", "")
    }

    #[track_caller]
    fn run(&self, args: &[&str], code: i32) -> Run {
        self.golden.run(args).exit(code)
    }

    #[track_caller]
    fn publish(&self) -> Run {
        self.run(&["build", "--push"], 0)
    }

    fn tags(&self) -> BTreeMap<String, String> {
        self.registry.tags("app")
    }

    /// Points `tag` to the image of `from`, as another tool does.
    fn overwrite(&self, tag: &str, from: &str) {
        self.registry.tag("app", tag, &self.tags()[from]);
    }

    /// Removes a tag, as another user does.
    fn untag(&self, tag: &str) {
        let reference = format!("{}/app:{tag}", self.registry.host());
        self.run(&["delete", &reference, "--untag", "--yes"], 0);
    }

    /// The outcome of the single image of a run.
    fn outcome(&self, args: &[&str], code: i32) -> String {
        let run = self.run(&[args, &["--format", "json"]].concat(), code);
        let output: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        output["images"][0]["outcome"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_foreign_or_lagging_tag_is_planned_and_corrected() {
    for (image, own, tags) in [
        ("", "1.2.4", ["1.2", "1", "latest", "edge"]),
        (
            "variant = \"alpine\"",
            "1.2.4-alpine",
            ["1.2-alpine", "1-alpine", "alpine", "edge-alpine"],
        ),
    ] {
        let app = App::new();
        let extra = "extra = [\"edge\"]";
        app.spec("1.2.3", image, extra).publish();
        let old = own.replace("1.2.4", "1.2.3");
        app.spec("1.2.4", image, extra).publish();
        let right = app.tags();
        let foreign = app.registry.image("app", "foreign", &[]);
        for tag in tags {
            for digest in [&foreign, &right[&old]] {
                app.registry.tag("app", tag, digest);
                let plan = app.run(&["plan"], 0).stdout;
                let from = if *digest == foreign {
                    &foreign[..19]
                } else {
                    &right[&old][..19]
                };
                assert!(
                    plan.starts_with("app:1.2.4") && plan.contains("  retag: 1.2.4 is published"),
                    "{plan}"
                );
                let row = plan
                    .lines()
                    .find(|line| line.contains(&format!(" {tag} ")))
                    .unwrap();
                assert!(
                    row.contains("move") && row.contains(from) && row.contains("→ 1.2.4"),
                    "{plan}"
                );
                assert_eq!(plan.matches("\n    same ").count(), 4, "{plan}");
                let run = app.publish();
                assert!(run.stdout.contains("retagged"), "{}", run.stdout);
                assert_eq!(app.tags(), right, "{tag}");
                app.run(&["verify"], 0);
                assert_eq!(app.outcome(&["build", "--push"], 0), "unchanged");
            }
        }
    }
}

/// `latest` must point to 2.0.0, independent of the version that is published.
#[test]
fn a_kept_tag_with_a_wrong_image_is_corrected() {
    let app = App::new();
    app.version("1.2.3").publish();
    app.version("2.0.0").publish();
    let foreign = app.registry.image("app", "foreign", &[]);
    let right = app.tags();
    for digest in [&foreign, &right["1.2.3"]] {
        app.registry.tag("app", "latest", digest);
        let plan = app.version("1.2.3").run(&["plan"], 0).stdout;
        assert!(plan.contains("retag") && plan.contains("→ 2.0.0"), "{plan}");
        assert_eq!(app.outcome(&["build", "--push"], 0), "retagged");
        assert_eq!(app.tags(), right);
        // A new version corrects it as well.
        app.registry.tag("app", "latest", digest);
        let run = app.version("1.2.9").publish();
        let note = format!(
            "moved latest to {}: the tag rules do not allow the image that it pointed to",
            &right["2.0.0"][..19]
        );
        assert!(run.stderr.contains(&note), "{}", run.stderr);
        assert_eq!(app.tags()["latest"], right["2.0.0"]);
        app.run(&["verify"], 0);
        app.run(
            &[
                "delete",
                &format!("{}/app:1.2.9", app.registry.host()),
                "--all-tags",
                "--yes",
            ],
            0,
        );
        for tag in ["1.2", "1"] {
            app.overwrite(tag, "1.2.3");
        }
    }
}

#[test]
fn an_overwritten_version_tag_is_refused() {
    for (image, suffix, tags) in [
        ("", "", ""),
        ("variant = \"alpine\"", "-alpine", ""),
        ("", "", "rebuild = \"revise\""),
        ("", "", "rebuild = \"base\""),
    ] {
        let app = App::new();
        app.spec("1.2.3", image, tags).publish();
        app.spec("1.2.4", image, tags).publish();
        let (old, new) = (format!("1.2.3{suffix}"), format!("1.2.4{suffix}"));
        let right = app.tags();
        app.overwrite(&new, &old);
        let wrong = app.tags();
        // Checked from the version itself, and from the version whose manifest was used.
        for version in ["1.2.4", "1.2.3"] {
            let plan = app.spec(version, image, tags).run(&["plan"], 4).stdout;
            assert!(plan.contains("its tag was overwritten"), "{plan}");
            assert!(plan.contains("help: "), "{plan}");
            let run = app.run(&["build", "--push"], 4);
            assert!(
                run.stderr.contains("its tag was overwritten"),
                "{}",
                run.stderr
            );
            assert!(run.stdout.contains("refused"), "{}", run.stdout);
            assert_eq!(app.tags(), wrong, "nothing is written");
        }
        app.registry.tag("app", &new, &right[&new]);
        assert_eq!(
            app.spec("1.2.4", image, tags)
                .outcome(&["build", "--push"], 0),
            "unchanged"
        );
    }
}

#[test]
fn a_new_version_reports_the_real_targets_of_the_tags() {
    let app = App::new();
    app.version("1.2.3").publish();
    let foreign = app.registry.image("app", "foreign", &["latest"]);
    let plan = app.version("1.2.4").run(&["plan"], 0).stdout;
    assert!(plan.contains("1.2     1.2.3 → 1.2.4"), "{plan}");
    assert!(
        plan.contains(&format!("latest  {} → 1.2.4", &foreign[..19])),
        "{plan}"
    );
}

/// One list, one HEAD for each tag; the config was cached by the publish that wrote it.
#[test]
fn a_plan_of_a_published_image_needs_one_list_and_one_head_per_tag() {
    let app = App::new();
    app.version("1.2.3").publish();
    for cold in [false, true] {
        if cold {
            app.golden.forget();
        }
        let before = app.registry.requests().len();
        app.run(&["plan"], 0);
        let requests = app.registry.requests().split_off(before);
        let count = |start: &str, part: &str| {
            requests
                .iter()
                .filter(|line| line.starts_with(start) && line.contains(part))
                .count()
        };
        assert_eq!(count("GET", "/tags/list"), 1, "{requests:?}");
        assert_eq!(count("HEAD", "/manifests/"), 4, "{requests:?}");
        let reads = usize::from(cold);
        assert_eq!(count("GET", "/manifests/"), reads, "{requests:?}");
        assert_eq!(count("GET", "/blobs/"), reads, "{requests:?}");
        assert_eq!(count("", "/app/"), 5 + 2 * reads, "{requests:?}");
    }
}

#[test]
fn a_withdrawn_version_releases_its_tags_and_is_not_published() {
    let app = App::new();
    let extra = "extra = [\"edge\"]\n";
    app.spec("1.9.0", "", extra).publish();
    app.spec("1.10.0", "", extra).publish();
    let withdrawn = format!("{extra}withdrawn = [\"1.10.0\"]");
    let plan = app.spec("1.10.0", "", &withdrawn).run(&["plan"], 0).stdout;
    assert!(plan.contains("retag: 1.10.0 is withdrawn"), "{plan}");
    assert!(
        plan.contains("help: the next free version is 1.10.1"),
        "{plan}"
    );
    let run = app.publish();
    assert!(run.stdout.contains("withdrawn"), "{}", run.stdout);
    assert!(
        run.stderr
            .contains("set version = \"1.10.1\" in app/image.toml"),
        "{}",
        run.stderr
    );
    let tags = app.tags();
    for tag in ["1", "latest", "edge"] {
        assert_eq!(tags[tag], tags["1.9.0"], "{tag}");
    }
    let note = format!(
        "moved latest to {}: 1.10.0 is withdrawn",
        &tags["1.9.0"][..19]
    );
    assert!(run.stderr.contains(&note), "{}", run.stderr);
    assert_ne!(tags["1.10.0"], tags["1.9.0"], "its own tag remains");
    app.run(&["verify"], 0);
    let plan = app.run(&["plan"], 0).stdout;
    assert!(
        plan.contains("skip: 1.10.0 is withdrawn") && !plan.contains("move"),
        "{plan}"
    );
    assert_eq!(app.outcome(&["build", "--push"], 0), "withdrawn");
    // With different content it is not published either, and the run does not fail.
    app.spec("1.10.0", "description = \"changed\"", &withdrawn);
    assert_eq!(app.outcome(&["build", "--push"], 0), "withdrawn");
    assert_eq!(app.tags(), tags);
    // The same holds for a version that was never published.
    app.spec("1.11.0", "", "withdrawn = [\"1.10.0\", \"1.11.0\"]");
    assert_eq!(app.outcome(&["build", "--push", "--force"], 0), "withdrawn");
    assert_eq!(app.tags(), tags);
    app.spec("1.10.1", "", &withdrawn).publish();
    assert_eq!(app.tags()["latest"], app.tags()["1.10.1"]);
}

/// The version of the spec has tags of another line, so that its own fan-out has no tag that points
/// to the withdrawn version.
#[test]
fn a_withdrawn_version_of_another_line_releases_its_tags() {
    let app = App::new();
    for version in ["1.2.9", "1.2.10", "1.3.0", "2.0.0"] {
        app.version(version).publish();
    }
    let before = app.tags();
    let withdrawn = "withdrawn = [\"1.2.10\", \"1.3.0\"]";
    for (version, outcome) in [
        ("2.0.0", "retagged"),
        ("2.0.1", "published"),
        ("3.0.0-rc.1", "published"),
    ] {
        for tag in ["1.2", "1"] {
            app.registry.tag("app", tag, &before[tag]);
        }
        let plan = app.spec(version, "", withdrawn).run(&["plan"], 0).stdout;
        for row in [
            "move    1.2     1.2.10 → 1.2.9",
            "move    1       1.3.0 → 1.2.9",
        ] {
            let words: Vec<&str> = row.split_whitespace().collect();
            let is_row = |line: &str| line.split_whitespace().eq(words.iter().copied());
            assert!(plan.lines().any(is_row), "{plan}");
        }
        let run = app.publish();
        assert!(run.stdout.contains(outcome), "{}", run.stdout);
        assert!(
            run.stderr.contains("moved 1.2 to") && run.stderr.contains(": 1.2.10 is withdrawn"),
            "{}",
            run.stderr
        );
        let tags = app.tags();
        for tag in ["1.2", "1"] {
            assert_eq!(tags[tag], before["1.2.9"], "{tag}");
        }
        for tag in ["1.2.10", "1.3.0", "1.3"] {
            assert_eq!(tags[tag], before[tag], "{tag}");
        }
        assert_eq!(app.outcome(&["build", "--push"], 0), "unchanged");
    }
}

/// The tag of another line is already on a lower version when that one is withdrawn too. Other tags
/// that are not on a withdrawn version stay where they are.
#[test]
fn only_tags_on_a_withdrawn_version_leave_it() {
    let app = App::new();
    for version in ["1.1.0", "1.2.9", "1.2.10", "1.3.0", "2.0.0"] {
        app.version(version).publish();
    }
    let before = app.tags();
    for (withdrawn, one, minor) in [
        ("\"1.3.0\"", "1.2.10", "1.2.10"),
        ("\"1.3.0\", \"1.2.10\"", "1.2.9", "1.2.9"),
        ("\"1.3.0\", \"1.2.9\", \"1.2.10\"", "1.1.0", "1.2.9"),
    ] {
        app.spec("2.0.0", "", &format!("withdrawn = [{withdrawn}]"))
            .publish();
        let tags = app.tags();
        assert_eq!(tags["1"], before[one], "{withdrawn}");
        assert_eq!(tags["1.2"], before[minor], "{withdrawn}");
        assert_eq!(app.outcome(&["build", "--push"], 0), "unchanged");
    }
    app.registry.tag("app", "1", &before["1.1.0"]);
    app.registry.tag("app", "1.2", &before["1.2.10"]);
    app.spec("2.0.0", "", "withdrawn = [\"1.2.10\"]").publish();
    let tags = app.tags();
    assert_eq!(
        [&tags["1"], &tags["1.2"]],
        [&before["1.1.0"], &before["1.2.9"]]
    );
    let receipt =
        std::fs::read_to_string(app.golden.path().join(".golden/receipts/t/app/2.0.0.json"))
            .unwrap();
    let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
    let moved = receipt["tags"].as_array().unwrap().last().unwrap().clone();
    let expected = serde_json::json!({
        "tag": "1.2",
        "action": "move",
        "previous": before["1.2.10"],
        "digest": before["1.2.9"],
    });
    assert_eq!(moved, expected);
}

/// Two specs publish versions of one image, and only one of them withdraws a version.
#[test]
fn a_version_that_one_spec_withdraws_is_withdrawn_for_the_other_specs_of_the_image() {
    let app = App::new();
    for version in ["1.2.9", "1.2.10", "2.0.0"] {
        app.version(version).publish();
    }
    let before = app.tags();
    app.spec("2.0.0", "", "withdrawn = [\"1.1.0\", \"1.2.10\"]");
    let other = "[image]\nname = \"app\"\nversion = \"1.2.10\"\nbase = \"scratch\"\n";
    app.golden.write("older/image.toml", other);
    for _ in 0..2 {
        app.publish();
        assert_eq!(app.tags()["1.2"], before["1.2.9"]);
    }
    // A rollback adds to each spec only the versions above its target.
    app.run(&["rollback", "app", "--to", "1.2.9", "--yes"], 0);
    let text = |spec: &str| std::fs::read_to_string(app.golden.path().join(spec)).unwrap();
    let [own, other] = [text("app/image.toml"), text("older/image.toml")];
    let added = "\"1.2.10\", \"2.0.0\"]";
    assert!(own.contains(&format!("[\"1.1.0\", {added}")), "{own}");
    assert!(other.contains(&format!("[{added}")), "{other}");
}

#[test]
fn a_withdrawn_version_whose_tag_was_removed_releases_its_other_tags() {
    let app = App::new();
    app.version("1.9.0").publish();
    app.version("1.10.0").publish();
    app.untag("1.10.0");
    app.spec("1.10.0", "", "withdrawn = [\"1.10.0\"]").publish();
    let tags = app.tags();
    assert!(!tags.contains_key("1.10.0"), "{tags:?}");
    for tag in ["1", "latest"] {
        assert_eq!(tags[tag], tags["1.9.0"], "{tag}");
    }
}

#[test]
fn a_withdrawn_version_creates_no_tag_and_takes_no_extra_tag_of_another_image() {
    let app = App::new();
    let extra = "extra = [\"edge\"]\n";
    app.spec("1.9.0", "", extra).publish();
    app.spec("1.10.0", "", extra).publish();
    let foreign = app.registry.image("app", "foreign", &["edge"]);
    app.untag("latest");
    let withdrawn = format!("{extra}withdrawn = [\"1.10.0\"]");
    app.spec("1.10.0", "", &withdrawn).publish();
    let tags = app.tags();
    assert_eq!(tags["1"], tags["1.9.0"]);
    assert_eq!(tags["edge"], foreign);
    assert!(!tags.contains_key("latest"), "{tags:?}");
}

/// A withdrawn image does not fail the run: the images built on it are skipped until its version is
/// raised.
#[test]
fn an_image_on_a_withdrawn_base_that_is_not_published_is_skipped() {
    let app = App::new();
    app.spec("1.0.0", "", "withdrawn = [\"1.0.0\"]");
    let child = |name: &str, base: &str| {
        let text = format!(
            "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = {{ image = \"{base}\" }}\n"
        );
        app.golden.write(&format!("{name}/image.toml"), text);
    };
    child("child", "app");
    child("grandchild", "child");
    let other = "[image]\nname = \"other\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n";
    app.golden.write("other/image.toml", other);

    let plan = app.run(&["plan"], 0).stdout;
    for name in ["child", "grandchild"] {
        let line =
            format!("{name}:1.0.0  skip: its base app:1.0.0 is withdrawn and not published\n");
        assert!(plan.contains(&line), "{plan}");
    }
    assert!(
        plan.contains("  help: raise the version of app:1.0.0\n"),
        "{plan}"
    );
    let build = app.run(&["build", "--push", "--format", "json"], 0);
    let output: serde_json::Value = serde_json::from_str(&build.stdout).unwrap();
    let outcomes: BTreeMap<&str, &str> = output["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| {
            let text = |key: &str| image[key].as_str().unwrap();
            (text("image"), text("outcome"))
        })
        .collect();
    let expected = [
        ("app", "withdrawn"),
        ("child", "skipped"),
        ("grandchild", "skipped"),
        ("other", "published"),
    ];
    assert_eq!(outcomes, BTreeMap::from(expected));
    let warning = "warning: grandchild:1.0.0: its base app:1.0.0 is withdrawn and not published, so it is skipped";
    assert!(build.stderr.contains(warning), "{}", build.stderr);
    for name in ["app", "child", "grandchild"] {
        assert_eq!(app.registry.tags(name), BTreeMap::new());
    }

    // A base that was published before it was withdrawn still exists.
    app.version("1.0.0").publish();
    app.spec("1.0.0", "", "withdrawn = [\"1.0.0\"]");
    let text = "[image]\nname = \"fresh\"\nversion = \"1.0.0\"\nbase = { image = \"app\" }\n";
    app.golden.write("fresh/image.toml", text);
    app.publish();
    assert!(app.registry.tags("fresh").contains_key("1.0.0"));
}
