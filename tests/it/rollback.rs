//! From a spec to tags and back, with the real binary and a real registry: plan, build --push,
//! verify, rollback.

use crate::support::curl;
use crate::support::proxy::answering;
use crate::support::publisher::fresh_name;
use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::services;
use crate::support::workspace::{Golden, Run};

struct App {
    golden: Golden,
    name: String,
}

impl App {
    fn new() -> Self {
        let name = fresh_name("app");
        let registry = format!(
            "[[registry]]\nname = \"team\"\nhost = \"{}\"\nnamespace = \"e2e\"\n",
            services::registry()
        );
        Self {
            golden: Golden::new()
                .workspace(&registry)
                .env("SOURCE_DATE_EPOCH", "0"),
            name,
        }
    }

    /// Writes the spec with a version, and with more lines under `[tags]`.
    fn version(&self, version: &str, owner: &str, tags: &str) -> &Self {
        let name = &self.name;
        let text = format!(
            "[image]\nname = \"{name}\"\nversion = \"{version}\"\nbase = \"scratch\"\n[labels]\nowner = \"{owner}\"\n[tags]\n{tags}\n"
        );
        self.golden.write("app/image.toml", text);
        self
    }

    fn spec(&self) -> String {
        std::fs::read_to_string(self.golden.path().join("app/image.toml")).unwrap()
    }

    #[track_caller]
    fn run(&self, args: &[&str], code: i32) -> Run {
        self.golden.run(args).exit(code)
    }

    /// stdout without the parts that differ between runs.
    fn shown(&self, run: &Run) -> String {
        let host = format!("{}/e2e/{}", services::registry(), self.name);
        run.stdout
            .replace(&host, "REPOSITORY")
            .replace(&self.name, "app")
    }
}

#[test]
fn a_rollback_edits_the_spec_and_the_next_build_agrees() {
    let app = App::new();
    app.version("1.2.2", "me", "").run(&["build", "--push"], 0);
    app.version("1.2.3", "me", "").run(&["build", "--push"], 0);
    app.run(&["verify", "--deep"], 0);
    let spec = app.spec();
    let digest = |tag: &str| curl::digest(&format!("e2e/{}", app.name), tag).unwrap();
    let (before, new) = (digest("1.2.2"), digest("1.2.3"));

    // Without a terminal and without --yes, nothing changes.
    let refused = app.run(&["rollback", &app.name, "--to", "1.2.2"], 2);
    assert!(
        refused.stderr.contains("add --yes to confirm"),
        "{}",
        refused.stderr
    );
    let dry = app.run(&["rollback", &app.name, "--to", "1.2.2", "--dry-run"], 0);
    assert_eq!((app.spec(), digest("latest")), (spec.clone(), new.clone()));

    let run = app.run(&["rollback", &app.name, "--to", "1.2.2", "--yes"], 0);
    assert_eq!(run.stdout, dry.stdout, "both show the edit and the moves");
    let shown = app
        .shown(&run)
        .replace(&before[..19], "OLD")
        .replace(&new[..19], "NEW");
    let expected = [
        "--- app/image.toml",
        "+++ app/image.toml",
        "@@ -5,4 +5,5 @@",
        " [labels]",
        " owner = \"me\"",
        " [tags]",
        "+withdrawn = [\"1.2.3\"]",
        " ",
        "move  REPOSITORY:1.2     NEW → OLD (1.2.2)",
        "move  REPOSITORY:1       NEW → OLD (1.2.2)",
        "move  REPOSITORY:latest  NEW → OLD (1.2.2)",
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    assert!(
        app.spec().contains("withdrawn = [\"1.2.3\"]"),
        "{}",
        app.spec()
    );
    app.run(&["verify"], 0);
    let again = app.run(
        &[
            "rollback", &app.name, "--to", "1.2.2", "--yes", "--format", "json",
        ],
        0,
    );
    let output: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(output["edits"], serde_json::json!([]));
    let done = &output["images"][0];
    assert_eq!(
        (&done["version"], &done["withdrawn"]),
        (&"1.2.2".into(), &serde_json::json!(["1.2.3"]))
    );
    assert_eq!(done["tags"][2]["previous"], done["digest"]);

    // The next run moves no tag.
    let plan = app.run(&["plan"], 0);
    assert!(
        plan.stdout.contains("skip: 1.2.3 is withdrawn"),
        "{}",
        plan.stdout
    );
    let run = app.run(&["build", "--push"], 0);
    assert!(run.stdout.contains("withdrawn"), "{}", run.stdout);
    assert!(
        run.stderr
            .contains("set version = \"1.2.4\" in app/image.toml"),
        "{}",
        run.stderr
    );
    assert_eq!(digest("latest"), before);

    // A rollback to the higher version removes it from `withdrawn`.
    app.run(&["rollback", &app.name, "--to", "1.2.3", "--yes"], 0);
    assert!(app.spec().contains("withdrawn = []"), "{}", app.spec());
    let run = app.run(&["build", "--push"], 0);
    assert!(run.stdout.contains("unchanged"), "{}", run.stdout);
    assert_eq!(digest("latest"), new);
}

#[test]
fn a_rollback_without_an_edit_warns_that_the_next_publish_undoes_it() {
    let app = App::new();
    app.version("1.2.2", "me", "").run(&["build", "--push"], 0);
    app.version("1.2.3", "me", "").run(&["build", "--push"], 0);
    let spec = app.spec();
    let run = app.run(
        &["rollback", &app.name, "--to", "1.2.2", "--no-edit", "--yes"],
        0,
    );
    assert!(
        run.stderr.contains("moves the tags forward again"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("withdrawn = [\"1.2.3\"]"),
        "{}",
        run.stderr
    );
    assert_eq!(app.spec(), spec);
    app.run(&["verify"], 5);
    let plan = app.run(&["plan"], 0);
    assert!(
        plan.stdout
            .contains("retag: 1.2.3 is published with the same inputs"),
        "{}",
        plan.stdout
    );
    assert!(
        app.shown(&plan).contains("move  latest  sha256:"),
        "{}",
        plan.stdout
    );
    let run = app.run(&["build", "--push"], 0);
    assert!(run.stdout.contains("retagged"), "{}", run.stdout);
    app.run(&["verify"], 0);
}

/// A rollback writes `withdrawn` into the image.toml of a matrix, for all its rows, and copies the
/// workspace's default list into it.
#[test]
fn a_rollback_edits_the_spec_of_a_matrix_and_copies_the_default_list() {
    let app = App::new();
    let registry = std::fs::read_to_string(app.golden.path().join("golden.toml")).unwrap();
    app.golden.write(
        "golden.toml",
        format!("{registry}[defaults.tags]\nwithdrawn = [\"1.0.0\"]\n"),
    );
    let spec = |version: &str| {
        format!(
            "# keep\r\n[image]\r\nname = \"{}\"\r\nversion = \"{version}\"\r\nbase = \"scratch\"\r\nvariant = \"{{{{ matrix.v }}}}\"\r\n[matrix] # rows\r\nv = [\"slim\", \"fat\"]\r\n",
            app.name
        )
    };
    for version in ["1.2.2", "1.2.3"] {
        app.golden.write("app/image.toml", spec(version));
        app.run(&["build", "--push"], 0);
    }
    app.run(&["rollback", &app.name, "--to", "1.2.2", "--yes"], 0);
    let edited = format!(
        "{}\r\n[tags]\r\nwithdrawn = [\"1.0.0\", \"1.2.3\"]\r\n",
        spec("1.2.3")
    );
    assert_eq!(app.spec(), edited);
    let digest = |tag: &str| curl::digest(&format!("e2e/{}", app.name), tag).unwrap();
    for variant in ["slim", "fat"] {
        assert_eq!(digest(variant), digest(&format!("1.2.2-{variant}")));
    }
    let run = app.run(&["build", "--push"], 0);
    assert_eq!(
        run.stdout.matches("  withdrawn ").count(),
        2,
        "{}",
        run.stdout
    );
    app.run(&["verify"], 0);
}

#[test]
fn extra_tags_are_rolled_back_with_the_rest() {
    let app = App::new();
    let tags = "extra = [\"edge\", \"next\"]";
    app.version("1.2.2", "me", tags)
        .run(&["build", "--push"], 0);
    app.version("1.2.3", "me", "extra = [\"edge\"]")
        .run(&["build", "--push"], 0);
    app.version("2.0.0-rc.1", "me", "extra = [\"next\"]")
        .run(&["build", "--push"], 0);
    app.version("1.2.3", "me", tags).run(
        &["rollback", &app.name, "--to", "1.2.2", "--no-edit", "--yes"],
        0,
    );
    let digest = |tag: &str| curl::digest(&format!("e2e/{}", app.name), tag).unwrap();
    assert_eq!(digest("edge"), digest("1.2.2"));
    assert_eq!(
        digest("next"),
        digest("2.0.0-rc.1"),
        "a pre-release is not rolled back"
    );
    app.version("1.2.3", "me", "extra = [\"edge\"]");
    let plan = app.run(&["plan"], 0);
    assert!(app.shown(&plan).contains("move  latest"), "{}", plan.stdout);
}

#[test]
fn a_read_only_workspace_can_be_planned_and_publishes_only_once() {
    let app = App::new();
    app.version("1.2.3", "me", "").run(&["build", "--push"], 0);
    app.golden.forget();
    app.golden.write(".golden", "in place of the directory");
    let plan = app.run(&["plan"], 0);
    assert!(
        plan.stdout.contains("skip: 1.2.3 is published"),
        "{}",
        plan.stdout
    );
    app.run(&["build", "--push"], 0);
    app.run(&["verify"], 0);
}

#[test]
fn a_rollback_of_a_revision_restores_the_previous_revision() {
    let app = App::new();
    let revise = "rebuild = \"revise\"";
    for owner in ["a", "b", "c"] {
        app.version("1.2.3", owner, revise)
            .run(&["build", "--push"], 0);
    }
    app.run(&["rollback", &app.name, "--to", "1.2.3_r1", "--yes"], 0);
    let tags = format!("{revise}\nwithdrawn = [\"1.2.3+r2\"]");
    assert!(app.spec().contains(&tags), "{}", app.spec());
    // Withdrawn content is not published again, under any number.
    let plan = app.run(&["plan"], 0);
    assert!(
        plan.stdout.contains("skip: 1.2.3+r2 is withdrawn"),
        "{}",
        plan.stdout
    );
    app.run(&["build", "--push"], 0);
    app.run(&["verify"], 0);
    // The spec of the previous revision matches the registry.
    let plan = app.version("1.2.3", "b", &tags).run(&["plan"], 0);
    assert!(
        plan.stdout
            .contains("skip: 1.2.3+r1 is published with the same inputs"),
        "{}",
        plan.stdout
    );
    app.run(&["build", "--push"], 0);
    app.run(&["verify"], 0);
    // New content gets a number that was never used.
    let run = app
        .version("1.2.3", "d", &tags)
        .run(&["build", "--push"], 0);
    assert!(run.stderr.contains("1.2.3_r3"), "{}", run.stderr);
    app.run(&["verify"], 0);
}

#[test]
fn a_missing_blob_is_a_difference_and_a_forced_build_restores_it() {
    let app = App::new();
    let files = "[[files]]\ncontent = \"x\"\ntarget = \"/x\"\n";
    app.version("1.2.3", &app.name, files)
        .run(&["build", "--push"], 0);
    let repository = format!("e2e/{}", app.name);
    let image = format!("{}/{repository}:latest", services::registry());
    let run = app.run(&["inspect", &image, "--format", "json"], 0);
    let inspected: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let lose = |blob: &serde_json::Value| {
        let blob = format!("{repository}/blobs/{}", blob["digest"].as_str().unwrap());
        let url = format!("http://{}/v2/{blob}", services::registry());
        assert_eq!(
            curl::curl_with(&["-X", "DELETE"], "DELETE", &url).status,
            202
        );
    };
    lose(&inspected["manifest"]["layers"][0]);
    app.run(&["verify"], 0);
    app.run(&["verify", "--deep"], 5);
    app.run(&["build", "--push", "--force"], 0);
    app.run(&["verify", "--deep"], 0);

    lose(&inspected["manifest"]["config"]);
    for args in [
        &["verify"][..],
        &["verify", "--deep"],
        &["verify", &image],
        &["verify", "--deep", &image],
    ] {
        let run = app.run(args, 5);
        assert_eq!(
            run.stderr.matches("BLOB_UNKNOWN").count(),
            1,
            "{}",
            run.stderr
        );
    }
}

#[test]
fn an_extra_tag_that_belongs_to_a_variant_is_refused() {
    let app = App::new();
    app.version("1.2.3\"\nvariant = \"alpine", "me", "")
        .run(&["build", "--push"], 0);
    for extra in ["alpine", "1.2-alpine"] {
        app.version("1.2.3", "me", &format!("extra = [\"{extra}\"]"));
        for args in [&["plan"][..], &["build", "--push"]] {
            let run = app.run(args, 2);
            assert!(
                run.stderr.contains(&format!("extra tag `{extra}`")),
                "{}",
                run.stderr
            );
        }
    }
    // A pre-release may have an extra tag with a channel's name, which each publish moves.
    app.version("1.3.0-beta", "me", "extra = [\"beta\"]")
        .run(&["build", "--push"], 0);
    app.version("1.4.0-beta", "me", "extra = [\"beta\"]")
        .run(&["build", "--push"], 0);
    app.run(&["plan"], 0);
}

#[test]
fn a_rollback_names_the_registries_that_lack_the_version() {
    let app = App::new();
    let registry = |name: &str, namespace: &str| {
        let host = services::registry();
        format!("[[registry]]\nname = \"{name}\"\nhost = \"{host}\"\nnamespace = \"{namespace}\"\n")
    };
    app.golden.write(
        "golden.toml",
        registry("team", "e2e") + &registry("behind", "e2e-behind"),
    );
    app.version("1.2.2", "me", "").run(&["build", "--push"], 0);
    app.version("1.2.3", "me", "")
        .run(&["build", "--push", "--all-registries"], 0);
    let run = app.run(
        &[
            "rollback",
            &app.name,
            "--to",
            "1.2.2",
            "--all-registries",
            "--yes",
        ],
        0,
    );
    let lacks = format!(
        "e2e-behind/{} has no version 1.2.2; its tags do not move",
        app.name
    );
    assert!(run.stderr.contains(&lacks), "{}", run.stderr);
    app.run(
        &["rollback", &app.name, "--to", "1.2.1", "--all-registries"],
        1,
    );
}

#[test]
fn a_kept_tag_that_never_existed_is_not_a_difference() {
    let app = App::new();
    app.version("2.0.0", "me", "latest = \"never\"")
        .run(&["build", "--push"], 0);
    app.version("1.2.9", "me", "").run(&["build", "--push"], 0);
    let verify = app.run(&["verify"], 0);
    assert!(!verify.stdout.contains("latest"), "{}", verify.stdout);
}

#[test]
fn a_version_with_only_a_v_tag_gets_its_own_tag() {
    let app = App::new();
    app.version("1.2.3", "me", "").run(&["build", "--push"], 0);
    let image = format!("{}/e2e/{}", services::registry(), app.name);
    app.run(
        &[
            "promote",
            &format!("{image}:1.2.3"),
            &format!("{image}:v1.2.3"),
        ],
        0,
    );
    app.run(
        &["delete", &format!("{image}:1.2.3"), "--untag", "--yes"],
        0,
    );
    let plan = app.run(&["plan"], 0);
    assert!(
        app.shown(&plan).contains("create  1.2.3"),
        "{}",
        plan.stdout
    );
    app.run(&["build", "--push"], 0);
    let run = app.run(&["build", "--push"], 0);
    assert!(run.stdout.contains("unchanged"), "{}", run.stdout);
    app.run(&["verify"], 0);
}

#[test]
fn a_changed_version_is_refused_everywhere() {
    let app = App::new();
    app.version("1.2.3", "me", "").run(&["build", "--push"], 0);
    app.version("1.2.3", "you", "");
    let plan = app.run(&["plan"], 4);
    assert!(
        plan.stdout.contains("labels.owner changed"),
        "{}",
        plan.stdout
    );
    let push = app.run(&["build", "--push"], 4);
    assert!(
        push.stderr.contains("labels.owner changed"),
        "{}",
        push.stderr
    );
    let verify = app.run(&["verify"], 5);
    assert!(
        verify
            .stderr
            .contains("label owner is \"me\" instead of \"you\""),
        "{}",
        verify.stderr
    );
    let run = app
        .version("1.2.3", "you", "rebuild = \"revise\"")
        .run(&["build", "--push"], 0);
    assert!(run.stderr.contains("1.2.3_r1"), "{}", run.stderr);
    app.run(&["verify"], 0);
}

#[test]
fn plan_shows_what_would_be_done() {
    let app = App::new();
    app.version("1.2.2", "me", "").run(&["build", "--push"], 0);
    app.version("1.2.3", "me", "extra = [\"edge\"]");
    let plan = app.run(&["plan"], 0);
    insta::assert_snapshot!(app.shown(&plan), @r"
    app:1.2.3  build: new version
      base scratch
      engine embedded
      REPOSITORY
        create  1.2.3   1.2.3
        move    1.2     1.2.2 → 1.2.3
        move    1       1.2.2 → 1.2.3
        move    latest  1.2.2 → 1.2.3
        create  edge    1.2.3
    ");
}

#[test]
fn references_are_verified_without_a_workspace() {
    let app = App::new();
    app.version("1.2.2", "me", "").run(&["build", "--push"], 0);
    let reference = format!("{}/e2e/{}", services::registry(), app.name);
    let elsewhere = Golden::new();
    elsewhere
        .run(&["verify", &format!("{reference}:1.2.2"), "--deep"])
        .exit(0);
    elsewhere
        .run(&["verify", &format!("{reference}:latest")])
        .exit(0);
    let missing = elsewhere
        .run(&["verify", &format!("{reference}:9.9.9")])
        .exit(5);
    assert!(missing.stdout.starts_with("missing "), "{}", missing.stdout);
    let digest = curl::digest(&format!("e2e/{}", app.name), "1.2.2").unwrap();
    let run = elsewhere
        .run(&["verify", &format!("{reference}@{digest}"), "--deep"])
        .exit(0);
    assert_eq!(run.stdout, format!("ok  {reference}@{digest}  {digest}\n"));
}

#[test]
fn every_image_of_an_index_is_verified() {
    let registry = FakeRegistry::start(Behaviour::default());
    let children = ["me", "you"].map(|content| registry.image("app", content, &[]));
    registry.index(
        "app",
        &[&children[0], &children[1]],
        &["1.2.3", "1.2", "1", "latest"],
    );
    let golden = Golden::new()
        .workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{}\"\n", registry.host()))
        .image(
            "app",
            "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n[labels]\ncontent = \"me\"\n",
        );
    let run = golden.run(&["verify"]).exit(5);
    assert!(
        run.stderr
            .contains("label content is \"you\" instead of \"me\""),
        "{}",
        run.stderr
    );
    assert_eq!(
        run.stderr.matches("label content").count(),
        1,
        "{}",
        run.stderr
    );
    // An image of an index has no tag.
    let run = golden
        .run(&[
            "inspect",
            &format!("{}/app@{}", registry.host(), children[1]),
        ])
        .exit(0);
    assert!(
        run.stdout.contains("  tags        none\n"),
        "{}",
        run.stdout
    );
}

/// The next publish sees an interrupted rollback and corrects every moving tag; the same rollback
/// also completes it.
#[test]
fn an_interrupted_rollback_is_completed_later() {
    for tag in ["1.2", "1", "latest"] {
        for again in [false, true] {
            let app = App::new();
            app.version("1.2.2", "me", "").run(&["build", "--push"], 0);
            app.version("1.2.3", "me", "").run(&["build", "--push"], 0);
            let ending = format!("/manifests/{tag}");
            let proxy = answering(services::registry(), move |seen| {
                let refused = seen.method == "PUT" && seen.route().ends_with(&ending);
                refused.then(|| refuse(403, "DENIED", "not this one"))
            });
            let elsewhere = format!("{}/e2e", proxy.host());
            app.run(
                &[
                    "rollback",
                    &app.name,
                    "--to",
                    "1.2.2",
                    "--no-edit",
                    "--yes",
                    "--registry",
                    &elsewhere,
                ],
                1,
            );
            if again {
                app.run(
                    &["rollback", &app.name, "--to", "1.2.2", "--no-edit", "--yes"],
                    0,
                );
                let digest = |tag| curl::digest(&format!("e2e/{}", app.name), tag);
                assert!(
                    ["1.2", "1", "latest"]
                        .iter()
                        .all(|tag| digest(tag) == digest("1.2.2")),
                    "{tag}"
                );
            } else {
                app.run(&["build", "--push"], 0);
                app.run(&["verify"], 0);
            }
        }
    }
}
