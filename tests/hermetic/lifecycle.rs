//! The lifecycle of published images: end of life, revocation and restoration, announced in the
//! registry and read by the commands that use a base.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::workspace::{Golden, Run};

const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const MICROSOFT: &str = "application/vnd.microsoft.artifact.lifecycle";

/// A registry with a base, and a workspace with an image that is built on it.
struct Fleet {
    registry: FakeRegistry,
    golden: Golden,
}

impl Fleet {
    fn new(behaviour: Behaviour, policy: &str) -> Self {
        let registry = FakeRegistry::start(behaviour);
        let none = json!({});
        registry.layered("golden/base", "amd64", &["os"], &none, &["1.2.3", "1.2"]);
        let host = registry.host();
        let golden = Golden::new()
            .workspace(&format!(
                "{policy}[[registry]]\nname = \"r\"\nhost = \"{host}\"\nnamespace = \"team\"\n"
            ))
            .image(
                "app",
                &format!(
                    "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"{host}/golden/base:1.2.3\"\nfamily = \"static\"\n"
                ),
            )
            .file("Dockerfile", format!("FROM {host}/golden/base:1.2.3\n"));
        golden.run(&["update"]).exit(0);
        Self { registry, golden }
    }

    fn base(&self) -> String {
        format!("{}/golden/base:1.2.3", self.registry.host())
    }

    #[track_caller]
    fn run(&self, args: &[&str], code: i32) -> Run {
        self.golden.run(args).exit(code)
    }

    #[track_caller]
    fn revoke(&self, options: &[&str]) -> Run {
        let base = self.base();
        let args = [
            "revoke",
            &base,
            "--reason",
            "CVE-2026-1234 in openssl",
            "--yes",
        ];
        self.run(&[&args[..], options].concat(), 0)
    }

    /// The types of the artifacts of an image, sorted.
    fn artifacts(&self, reference: &str) -> Vec<String> {
        let run = self.run(&["referrers", reference, "--format", "json"], 0);
        let tree: Value = serde_json::from_str(&run.stdout).unwrap();
        let images = tree["images"].as_array().unwrap().iter();
        let below = images.flat_map(|image| image["referrers"].as_array().unwrap());
        let own = tree["referrers"].as_array().unwrap().iter();
        let mut types: Vec<String> = own
            .chain(below)
            .map(|one| one["artifactType"].as_str().unwrap().to_owned())
            .collect();
        types.sort();
        types
    }
}

#[test]
fn a_revoked_base_is_refused_until_it_is_restored() {
    for behaviour in Behaviour::both() {
        let fleet = Fleet::new(behaviour, "");
        let base = fleet.base();
        let target = format!("{}/production/base", fleet.registry.host());
        let uses: [&[&str]; 6] = [
            &["plan"],
            &["build", "--push", "--engine", "embedded"],
            &["outdated"],
            &["audit", &base],
            &["promote", &base, &target, "--dry-run"],
            &["audit", "--dockerfile", "Dockerfile"],
        ];
        for args in [&uses[0], &uses[2], &uses[3], &uses[4], &uses[5]] {
            fleet.run(args, 0);
        }
        let run = fleet.revoke(&["--replacement", "1.2.5"]);
        assert!(run.stderr.contains("1 image revoked"), "{}", run.stderr);
        for args in uses {
            let run = fleet.run(args, 3);
            let help = format!("use {}/golden/base:1.2.5 instead", fleet.registry.host());
            assert!(
                run.stderr.contains("is revoked: CVE-2026-1234 in openssl")
                    && run.stderr.contains(&help),
                "{args:?}: {}",
                run.stderr
            );
        }
        let again = fleet.revoke(&["--replacement", "1.2.5"]);
        assert!(
            again.stderr.contains("1 had this announcement before"),
            "{}",
            again.stderr
        );
        assert_eq!(fleet.artifacts(&base).len(), 1);
        fleet.run(&["revoke", &base, "--restore", "--yes"], 0);
        fleet.run(&["plan"], 0);
        fleet.run(&["audit", "--dockerfile", "Dockerfile"], 0);
        fleet.revoke(&[]);
        fleet.run(&["plan"], 3);
    }
}

#[test]
fn an_audit_reports_the_revoked_base_of_a_published_image() {
    let fleet = Fleet::new(Behaviour::default(), "");
    fleet.run(&["build", "--push", "--engine", "embedded"], 0);
    fleet.run(&["audit", "app"], 0);
    fleet.revoke(&["--replacement", "1.2.5"]);
    let run = fleet.run(&["audit", "app"], 3);
    let (host, base) = (fleet.registry.host(), fleet.base());
    for expected in [
        format!("error[base.revoked]: the base {base} is revoked: CVE-2026-1234 in openssl"),
        format!("use {host}/golden/base:1.2.5 instead"),
    ] {
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
    }
    // The labels of an image with other layers are forged, or come from the base of its base.
    let digest = fleet.registry.tags("golden/base")["1.2.3"].clone();
    let labels = json!({
        "org.opencontainers.image.base.name": base,
        "org.opencontainers.image.base.digest": digest,
    });
    fleet
        .registry
        .layered("team/forged", "amd64", &["other"], &labels, &["1"]);
    fleet.run(&["audit", &format!("{host}/team/forged:1")], 0);
    // The layers of a base that was deleted after its revocation cannot be compared.
    fleet.registry.lose("golden/base", &digest);
    let run = fleet.run(&["audit", "app"], 3);
    assert!(run.stderr.contains("the base "), "{}", run.stderr);
    // A label does not make golden contact another host.
    let other = FakeRegistry::start(Behaviour::default());
    let digest = other.image("base", "os", &["1"]);
    let labels = json!({
        "org.opencontainers.image.base.name": format!("{}/base:1", other.host()),
        "org.opencontainers.image.base.digest": digest,
    });
    fleet
        .registry
        .layered("team/foreign", "amd64", &["os"], &labels, &["1"]);
    fleet.run(&["audit", &format!("{host}/team/foreign:1")], 0);
    assert_eq!(other.requests(), Vec::<String>::new());
}

#[test]
fn the_policy_decides_the_severity_and_a_planned_revocation_is_a_warning() {
    let fleet = Fleet::new(
        Behaviour::default(),
        "[policy.lifecycle]\nrevoked = \"warn\"\n",
    );
    fleet.revoke(&["--replacement", "1.2.5"]);
    let run = fleet.run(&["plan"], 0);
    assert!(run.stderr.contains("base.revoked: base"), "{}", run.stderr);
    let help = format!("; use {}/golden/base:1.2.5 instead", fleet.registry.host());
    assert!(run.stderr.contains(&help), "{}", run.stderr);
    fleet.run(&["audit", "--dockerfile", "Dockerfile"], 0);
    let fleet = Fleet::new(
        Behaviour::default(),
        "[policy.severity]\n\"base.revoked\" = \"off\"\n",
    );
    fleet.revoke(&[]);
    let run = fleet.run(&["plan"], 0);
    assert!(!run.stderr.contains("revoked"), "{}", run.stderr);
    let fleet = Fleet::new(Behaviour::default(), "");
    fleet.revoke(&["--from", "2999-01-01"]);
    let run = fleet.run(&["plan"], 0);
    assert!(
        run.stderr.contains("will be revoked on 2999-01-01"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_end_of_life_by_another_tool_is_read() {
    for (date, policy, code, text) in [
        (
            "2020-01-01",
            "",
            0,
            Some("reached its end of life on 2020-01-01"),
        ),
        (
            "2020-01-01T00:00:00Z",
            "[policy.lifecycle]\neol = \"error\"\n",
            3,
            Some("end of life on 2020-01-01"),
        ),
        (
            "2999-01-01",
            "[policy.lifecycle]\neol = \"error\"\n",
            0,
            None,
        ),
    ] {
        let fleet = Fleet::new(
            Behaviour {
                referrers: true,
                ..Behaviour::default()
            },
            policy,
        );
        let image = fleet.registry.tags("golden/base")["1.2.3"].clone();
        let empty = json!({ "mediaType": EMPTY, "digest": golden::reference::Digest::of(b"{}"), "size": 2, "data": "e30=" });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": golden::oci::media::OCI_MANIFEST, "artifactType": MICROSOFT,
            "config": &empty, "layers": [&empty],
            "subject": { "mediaType": golden::oci::media::OCI_MANIFEST, "digest": image, "size": 1 },
            "annotations": { "vnd.microsoft.artifact.lifecycle.end-of-life.date": date,
                "org.opencontainers.image.created": "2024-01-01T00:00:00Z" },
        });
        fleet.registry.manifest(
            "golden/base",
            golden::oci::media::OCI_MANIFEST,
            &manifest,
            &[],
        );
        let run = fleet.run(&["plan"], code);
        match text {
            Some(text) => assert!(run.stderr.contains(text), "{}", run.stderr),
            None => assert!(!run.stderr.contains("end of life"), "{}", run.stderr),
        }
    }
}

#[test]
fn only_signed_announcements_count_where_a_key_is_trusted() {
    let fleet = Fleet::new(Behaviour::default(), "");
    let golden = &fleet.golden;
    let host = fleet.registry.host();
    golden.write_key_pair("team");
    golden.write_key_pair("other");
    let workspace = std::fs::read_to_string(golden.path().join("golden.toml")).unwrap();
    golden.write(
        "golden.toml",
        format!("{workspace}[[trust]]\nname = \"team\"\nimages = [\"{host}/golden/**\"]\nkeys = [\"team.pub\"]\n"),
    );
    let run = fleet.revoke(&[]);
    assert!(
        run.stderr.contains("only a signed announcement counts"),
        "{}",
        run.stderr
    );
    fleet.run(&["plan"], 0);
    let base = fleet.base();
    let revoke = ["revoke", &base, "--reason", "signed", "--yes", "--key"];
    fleet.run(&[&revoke[..], &["other.key"]].concat(), 0);
    fleet.run(&["plan"], 0);
    fleet.run(&[&revoke[..], &["team.key"]].concat(), 0);
    let run = fleet.run(&["plan"], 3);
    assert!(run.stderr.contains("is revoked: signed"), "{}", run.stderr);
    // An unsigned restoration does not count either.
    fleet.run(&["revoke", &base, "--restore", "--yes"], 0);
    fleet.run(&["plan"], 3);
    fleet.run(
        &["revoke", &base, "--restore", "--yes", "--key", "team.key"],
        0,
    );
    fleet.run(&["plan"], 0);
}

#[test]
fn descendants_are_revoked_with_their_base() {
    let fleet = Fleet::new(Behaviour::default(), "");
    let none = json!({});
    let host = fleet.registry.host();
    fleet.registry.layered(
        "golden/java",
        "amd64",
        &["os", "java"],
        &none,
        &["17.0.1", "17"],
    );
    fleet
        .registry
        .layered("team/web", "amd64", &["os", "java", "web"], &none, &["3"]);
    fleet
        .registry
        .layered("team/other", "amd64", &["alpine"], &none, &["1"]);
    let dry = fleet.revoke(&["--descendants", "--dry-run", "--replacement", "1.2.5"]);
    assert!(
        dry.stderr.contains("3 images would be revoked"),
        "{}",
        dry.stderr
    );
    assert_eq!(dry.stdout.lines().count(), 3, "{}", dry.stdout);
    assert!(
        dry.stdout.contains("(use 1.2.5)") && dry.stdout.contains("golden/java:17.0.1@"),
        "{}",
        dry.stdout
    );
    let java = format!("{host}/golden/java:17.0.1");
    assert_eq!(fleet.artifacts(&java), [""; 0]);
    fleet.revoke(&["--descendants"]);
    assert_eq!(
        fleet.artifacts(&java),
        ["application/vnd.golden.lifecycle.v1+json"]
    );
    let run = fleet.run(&["audit", &java, &format!("{host}/team/web:3")], 3);
    let text = format!("(because of {host}/golden/base:1.2.3)");
    assert_eq!(run.stderr.matches(&text).count(), 2, "{}", run.stderr);
    fleet.run(&["audit", &format!("{host}/team/other:1")], 0);
    // An image that was revoked for its own reason remains revoked, and one that was never revoked
    // gets no announcement.
    let late = ["os", "late"];
    fleet
        .registry
        .layered("team/late", "amd64", &late, &none, &["1"]);
    fleet.run(&["revoke", &java, "--reason", "its own", "--yes"], 0);
    let run = fleet.run(
        &[
            "revoke",
            &fleet.base(),
            "--restore",
            "--descendants",
            "--yes",
        ],
        0,
    );
    assert!(run.stderr.contains("1 image restored"), "{}", run.stderr);
    for text in [
        "golden/java:17.0.1 remains revoked, because ".to_owned(),
        format!("team/web:3 remains revoked, because {java} is revoked"),
    ] {
        assert!(run.stderr.contains(&text), "{}", run.stderr);
    }
    let run = fleet.run(&["audit", &java], 3);
    assert!(run.stderr.contains("revoked: its own"), "{}", run.stderr);
    fleet.expect(&fleet.base(), None);
    fleet.expect(&format!("{host}/team/web:3"), Some(&java));
    assert_eq!(fleet.artifacts(&format!("{host}/team/late:1")), [""; 0]);
    // It keeps its reason, and remains revoked when the base is restored.
    let run = fleet.revoke(&["--descendants"]);
    let kept = "golden/java:17.0.1 keeps its own revocation: its own";
    assert!(run.stderr.contains(kept), "{}", run.stderr);
    let run = fleet.run(&["audit", &java], 3);
    assert!(run.stderr.contains("revoked: its own"), "{}", run.stderr);
}

/// A fleet with a chain of three images: base, java and web. The labels name the bases.
fn chain() -> (Fleet, [String; 3]) {
    let fleet = Fleet::new(Behaviour::default(), "");
    let host = fleet.registry.host();
    let on = |base: &str| {
        let (repository, tag) = base.rsplit_once(':').unwrap();
        json!({
            "org.opencontainers.image.base.name": format!("{host}/{base}"),
            "org.opencontainers.image.base.digest": fleet.registry.tags(repository)[tag],
        })
    };
    let layers = ["os", "java", "web"];
    let labels = on("golden/base:1.2.3");
    let java = &layers[..2];
    fleet
        .registry
        .layered("golden/java", "amd64", java, &labels, &["17"]);
    let labels = on("golden/java:17");
    fleet
        .registry
        .layered("team/web", "amd64", &layers, &labels, &["3"]);
    let names = ["golden/base:1.2.3", "golden/java:17", "team/web:3"];
    (fleet, names.map(|name| format!("{host}/{name}")))
}

impl Fleet {
    /// Revokes images and their descendants.
    #[track_caller]
    fn revoke_tree(&self, images: &[&String]) -> Run {
        let mut args = vec!["revoke", "--descendants", "--yes", "--reason", "bad"];
        args.extend(images.iter().map(|one| one.as_str()));
        self.run(&args, 0)
    }

    /// Restores an image and its descendants.
    #[track_caller]
    fn restore_tree(&self, image: &str) -> Run {
        let args = ["revoke", image, "--restore", "--descendants", "--yes"];
        self.run(&args, 0)
    }

    /// Fails unless an image is revoked because of `base`, for its own reason, or not at all. Its base
    /// may be revoked.
    #[track_caller]
    fn expect(&self, image: &str, base: Option<&str>) {
        let run = self.golden.run(&["audit", image]);
        let is_revoked = run.stderr.contains("the image is revoked: ");
        let Some(base) = base else {
            assert!(!is_revoked, "{}", run.stderr);
            return;
        };
        let run = run.exit(3);
        assert!(is_revoked, "{}", run.stderr);
        let own = "error[base.revoked]: the image is revoked";
        assert_eq!(run.stderr.matches(own).count(), 1, "{}", run.stderr);
        let because = format!("(because of {base})");
        let expected = !base.is_empty();
        let is_inherited = run.stderr.contains("(because of ");
        assert_eq!(is_inherited, expected, "{}", run.stderr);
        assert_eq!(run.stderr.contains(&because), expected, "{}", run.stderr);
    }
}

#[test]
fn an_image_that_is_named_with_its_base_has_its_own_revocation_in_each_order() {
    for is_base_first in [true, false] {
        let (fleet, [base, java, web]) = chain();
        let mut images = [&base, &java];
        if !is_base_first {
            images.reverse();
        }
        let run = fleet.revoke_tree(&images);
        assert!(run.stderr.contains("3 images revoked"), "{}", run.stderr);
        fleet.expect(&base, Some(""));
        fleet.expect(&java, Some(""));
        let first = if is_base_first { &base } else { &java };
        fleet.expect(&web, Some(first));
        let run = fleet.restore_tree(&base);
        assert!(run.stderr.contains("1 image restored"), "{}", run.stderr);
        fleet.expect(&base, None);
        fleet.expect(&java, Some(""));
        fleet.expect(&web, Some(&java));
        fleet.restore_tree(&java);
        fleet.expect(&java, None);
        fleet.expect(&web, None);
        // Both are restored together in the same orders.
        fleet.revoke_tree(&images);
        let mut args = vec!["revoke", "--restore", "--descendants", "--yes"];
        args.extend(images.iter().map(|one| one.as_str()));
        let run = fleet.run(&args, 0);
        assert!(run.stderr.contains("3 images restored"), "{}", run.stderr);
        assert!(!run.stderr.contains("remains"), "{}", run.stderr);
        fleet.expect(&web, None);
    }
}

#[test]
fn an_image_on_two_revoked_bases_remains_revoked_until_both_are_restored() {
    // The upper base first.
    let (fleet, [base, java, web]) = chain();
    fleet.revoke_tree(&[&java]);
    let run = fleet.revoke_tree(&[&base]);
    let kept = format!("{web} remains revoked because of {java}");
    assert!(run.stderr.contains(&kept), "{}", run.stderr);
    fleet.restore_tree(&base);
    fleet.expect(&java, Some(""));
    fleet.expect(&web, Some(&java));
    // The lower base remains, which is below the one that is restored.
    fleet.revoke_tree(&[&base]);
    let run = fleet.restore_tree(&java);
    let still = format!("{web} remains revoked, because {base} is revoked");
    assert!(run.stderr.contains(&still), "{}", run.stderr);
    fleet.expect(&java, None);
    fleet.expect(&web, Some(&base));
    fleet.restore_tree(&base);
    fleet.expect(&web, None);
    // The lower base first.
    let (fleet, [base, java, web]) = chain();
    fleet.revoke_tree(&[&base]);
    fleet.revoke_tree(&[&java]);
    fleet.expect(&web, Some(&base));
    fleet.restore_tree(&base);
    fleet.expect(&java, Some(""));
    fleet.expect(&web, Some(&java));
    fleet.restore_tree(&java);
    fleet.expect(&web, None);
}

#[test]
fn a_planned_revocation_keeps_its_reason_when_a_base_is_revoked_earlier() {
    let (fleet, [base, java, _]) = chain();
    let revoke = ["revoke", &java, "--yes", "--reason", "its own"];
    fleet.run(&[&revoke[..], &["--from", "2999-01-01"]].concat(), 0);
    fleet.expect(&java, None);
    let run = fleet.revoke_tree(&[&base]);
    let kept = "keeps its own revocation, which takes effect earlier: its own";
    assert!(run.stderr.contains(kept), "{}", run.stderr);
    fleet.expect(&java, Some(""));
    let run = fleet.restore_tree(&base);
    let kept = format!("{java} remains revoked, because {base} was not the reason");
    assert!(run.stderr.contains(&kept), "{}", run.stderr);
    fleet.expect(&java, Some(""));
}

/// A tag and a requirement may select the same tag, which may move before the second one is locked.
#[test]
fn golden_lock_has_one_digest_for_each_tag() {
    let fleet = Fleet::new(Behaviour::default(), "");
    let host = fleet.registry.host();
    let old = fleet.registry.tags("golden/base")["1.2.3"].clone();
    let other = ["other"];
    let none = json!({});
    fleet
        .registry
        .layered("golden/base", "amd64", &other, &none, &["1.2.3"]);
    let new = fleet.registry.tags("golden/base")["1.2.3"].clone();
    fleet.golden.write(
        "late/image.toml",
        format!(
            "[image]\nname = \"late\"\nversion = \"1.0.0\"\nfamily = \"static\"\n\
             base = {{ ref = \"{host}/golden/base\", version = \"=1.2.3\" }}\n"
        ),
    );
    fleet.run(&["build", "--push", "--engine", "embedded"], 0);
    let lock = || std::fs::read_to_string(fleet.golden.path().join("golden.lock")).unwrap();
    assert_eq!(lock().matches(&format!("digest = \"{old}\"")).count(), 2);
    // An update of one entry moves the other one too, and reports both.
    let range = format!("{host}/golden/base =1.2.3");
    let before = lock();
    let update = ["update", &fleet.base(), "--format", "json"];
    let document: Value = serde_json::from_str(&fleet.run(&update, 0).stdout).unwrap();
    let bases = document["bases"].as_array().unwrap().iter();
    let facts: Vec<Value> = bases
        .map(|one| {
            json!([
                one["base"],
                one["change"],
                one["locked"]["digest"],
                one["current"]["digest"],
                one["images"]
            ])
        })
        .collect();
    let expected = [
        json!([range, "moved", old, new, ["late:1.0.0"]]),
        json!([fleet.base(), "moved", old, new, ["app:1.0.0"]]),
    ];
    assert_eq!(facts, expected);
    fleet.golden.write("golden.lock", &before);
    let run = fleet.run(&["update", &fleet.base()], 0);
    assert!(run.stdout.contains(&range), "{}", run.stdout);
    let summary = "golden.lock: 2 changed, 0 unchanged, 0 removed";
    assert!(run.stderr.contains(summary), "{}", run.stderr);
    let text = lock();
    assert_eq!(text.matches(&format!("digest = \"{new}\"")).count(), 2);
    // The first entry is that of the requirement.
    let [from, to] = [&new, &old].map(|digest| format!("digest = \"{digest}\""));
    let edited = text.replacen(&from, &to, 1);
    fleet.golden.write("golden.lock", &edited);
    let expected = format!(
        "error: golden.lock: {base} has two digests: {old} in the entry `{range}`, and {new} in the \
         entry `{base}`\n  help: `golden update {base}` gives all of them the current digest\n",
        base = fleet.base()
    );
    for args in [
        &["plan"][..],
        &["outdated"],
        &["update", "--packages"],
        &["ls"],
    ] {
        let run = fleet.run(args, 2);
        assert_eq!(run.stderr, expected, "{args:?}");
    }
    // The entry that is current gives its digest to the other one.
    let run = fleet.run(&["update", &fleet.base()], 0);
    assert!(run.stdout.contains(&range), "{}", run.stdout);
    assert_eq!(lock(), text);
    let base = format!("{host}/golden/base@{new}");
    fleet.run(&["revoke", &base, "--reason", "bad", "--yes"], 0);
    let run = fleet.run(&["outdated"], 3);
    assert!(run.stderr.contains("is revoked: bad"), "{}", run.stderr);
}

#[test]
fn more_announcements_than_are_read_count_as_unreadable() {
    let behaviour = Behaviour {
        referrers: true,
        ..Behaviour::default()
    };
    let fleet = Fleet::new(behaviour, "");
    let image = fleet.registry.tags("golden/base")["1.2.3"].clone();
    for number in 0..201 {
        let kind = ("application/vnd.golden.lifecycle.v1+json", EMPTY);
        let layer = number.to_string();
        fleet.registry.artifact(
            "golden/base",
            Some(kind.0),
            (kind.1, "{}"),
            (kind.1, &layer),
            Some(&image),
            &[],
        );
    }
    let run = fleet.run(&["plan"], 3);
    assert!(
        run.stderr.contains("has more than 200 announcements"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_revocation_needs_a_version_a_reason_and_a_confirmation() {
    let fleet = Fleet::new(Behaviour::default(), "");
    let base = fleet.base();
    let run = fleet.run(&["revoke", &base, "--reason", "x"], 2);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    fleet.run(&["revoke", &base, "--yes"], 2);
    let bare = format!("{}/golden/base", fleet.registry.host());
    let run = fleet.run(&["revoke", &bare, "--reason", "x", "--yes"], 2);
    assert!(
        run.stderr.contains("has neither a tag nor a digest"),
        "{}",
        run.stderr
    );
    fleet.run(
        &["revoke", &format!("{bare}:9"), "--reason", "x", "--yes"],
        1,
    );
    assert_eq!(fleet.artifacts(&base), [""; 0]);
}

#[test]
fn unreadable_announcements_are_refused_unless_the_policy_warns() {
    let behaviour = || Behaviour {
        instead: Some(Arc::new(|seen| {
            let route = seen.route();
            let is_list = route.contains("/referrers/") || route.contains("/manifests/sha256-");
            is_list.then(|| refuse(403, "DENIED", "no list"))
        })),
        ..Behaviour::default()
    };
    let fleet = Fleet::new(behaviour(), "[policy.lifecycle]\nunknown = \"warn\"\n");
    let run = fleet.run(&["plan"], 0);
    assert!(
        run.stderr.contains("announcements cannot be read"),
        "{}",
        run.stderr
    );
    let workspace = std::fs::read_to_string(fleet.golden.path().join("golden.toml")).unwrap();
    fleet
        .golden
        .write("golden.toml", workspace.replace("\"warn\"", "\"error\""));
    let run = fleet.run(&["plan"], 3);
    assert!(
        run.stderr.contains("unknown = \"warn\" accepts this"),
        "{}",
        run.stderr
    );
}

/// A workspace image that is published in three versions.
fn published(lifecycle: &str) -> Fleet {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let golden =
        Golden::new().workspace(&format!("[[registry]]\nname = \"r\"\nhost = \"{host}\"\n"));
    let fleet = Fleet { registry, golden };
    for version in ["1.2.3", "1.2.4", "1.2.5"] {
        fleet.golden.write("app/image.toml", spec(version, ""));
        fleet.run(&["build", "--push", "--engine", "embedded"], 0);
    }
    fleet
        .golden
        .write("app/image.toml", spec("1.2.5", lifecycle));
    fleet
}

fn spec(version: &str, lifecycle: &str) -> String {
    format!(
        "[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [env]\nV = \"{version}\"\n{lifecycle}"
    )
}

#[test]
fn the_spec_announces_the_end_of_life_and_revoked_versions() {
    let revoked =
        "[[lifecycle.revoked]]\nversions = \"1.2.4\"\nreason = \"bad\"\nreplacement = \"1.2.5\"\n";
    let fleet = published(&format!("[lifecycle]\neol = \"2999-06-30\"\n{revoked}"));
    let at = |version: &str| format!("{}/app:{version}", fleet.registry.host());
    let dry = fleet.run(&["lifecycle", "apply", "--dry-run"], 0);
    assert_eq!(dry.stdout.lines().count(), 4, "{}", dry.stdout);
    let run = fleet.run(&["lifecycle", "apply"], 0);
    assert_eq!(run.stdout, dry.stdout);
    assert!(
        run.stdout.contains("app:1.2.4: revoked: bad (use 1.2.5)"),
        "{}",
        run.stdout
    );
    // On the index and on the images of both platforms.
    assert_eq!(fleet.artifacts(&at("1.2.3")), [MICROSOFT; 3]);
    assert_eq!(fleet.artifacts(&at("1.2.4")).len(), 6);
    let again = fleet.run(&["lifecycle", "apply"], 0);
    assert_eq!(
        (again.stdout.as_str(), again.stderr.as_str()),
        ("", "the registry has every announcement\n")
    );
    fleet.run(&["audit", &at("1.2.4")], 3);
    fleet.run(&["audit", &at("1.2.5")], 0);
    fleet.golden.write(
        "app/image.toml",
        spec("1.2.5", "[lifecycle]\neol = \"2999-06-30\"\n"),
    );
    let run = fleet.run(&["lifecycle", "apply"], 0);
    assert!(
        run.stdout.contains("app:1.2.4: may be used again"),
        "{}",
        run.stdout
    );
    fleet.run(&["audit", &at("1.2.4")], 0);
}

#[test]
fn no_moving_tag_points_to_a_revoked_version_and_a_publication_announces_it() {
    let revoked = "[[lifecycle.revoked]]\nversions = \">=1.2.4, <2\"\nreason = \"bad\"\n";
    let fleet = published(revoked);
    let run = fleet.run(&["build", "--push", "--engine", "embedded"], 0);
    assert!(run.stdout.contains("withdrawn"), "{}", run.stdout);
    let tags = fleet.registry.tags("app");
    for moving in ["1.2", "1", "latest"] {
        assert_eq!(tags[moving], tags["1.2.3"], "{moving}");
    }
    assert_ne!(tags["latest"], tags["1.2.5"]);
    fleet.run(
        &["audit", &format!("{}/app:1.2.5", fleet.registry.host())],
        3,
    );
    let planned = "[[lifecycle.revoked]]\nversions = \">=1.2.4, <2\"\nreason = \"bad\"\nfrom = \"2999-01-01\"\n";
    fleet.golden.write("app/image.toml", spec("1.2.5", planned));
    fleet.run(&["build", "--push", "--engine", "embedded"], 0);
    let tags = fleet.registry.tags("app");
    assert_eq!(tags["latest"], tags["1.2.5"]);
}

#[test]
fn revoking_a_workspace_image_edits_its_spec() {
    let fleet = published("[lifecycle]\neol = \"2999-06-30\" # decided\n");
    let args = [
        "revoke",
        "app:1.2.4",
        "--reason",
        "bad",
        "--replacement",
        "1.2.5",
    ];
    let dry = fleet.run(&[&args[..], &["--dry-run"]].concat(), 0);
    assert!(
        dry.stdout.contains("+[[lifecycle.revoked]]"),
        "{}",
        dry.stdout
    );
    fleet.run(&[&args[..], &["--yes"]].concat(), 0);
    let text = std::fs::read_to_string(fleet.golden.path().join("app/image.toml")).unwrap();
    assert!(
        text.ends_with(
            "eol = \"2999-06-30\" # decided\n\n[[lifecycle.revoked]]\nversions = \"1.2.4\"\nreason = \"bad\"\nreplacement = \"1.2.5\"\n"
        ),
        "{text}"
    );
    let again = fleet.run(&[&args[..], &["--dry-run"]].concat(), 0);
    assert!(!again.stdout.contains("+[["), "{}", again.stdout);
    let run = fleet.run(&["revoke", "app:1.2.4", "--restore", "--yes"], 2);
    assert!(
        run.stderr.contains("app/image.toml revokes 1.2.4"),
        "{}",
        run.stderr
    );
}

/// The text of a spec.
fn text_of(fleet: &Fleet, directory: &str) -> String {
    let path = fleet.golden.path().join(directory).join("image.toml");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn several_revoked_versions_are_added_to_one_spec() {
    let fleet = published("");
    let before = text_of(&fleet, "app");
    let run = fleet.run(
        &[
            "revoke",
            "app:1.2.3",
            "app:1.2.4",
            "app:1.2.3",
            "--reason",
            "bad",
            "--yes",
        ],
        0,
    );
    assert_eq!(run.stdout.matches("--- app/image.toml").count(), 1);
    let table = |version: &str| {
        format!("\n[[lifecycle.revoked]]\nversions = \"{version}\"\nreason = \"bad\"\n")
    };
    let expected = format!("{before}{}{}", table("1.2.3"), table("1.2.4"));
    assert_eq!(text_of(&fleet, "app"), expected);
    let run = fleet.run(&["lifecycle", "apply"], 0);
    assert_eq!(run.stdout, "");
}

#[test]
fn the_variant_in_a_tag_decides_which_spec_is_edited() {
    let fleet = published("");
    for variant in ["alpine", "slim-alpine"] {
        let text =
            spec("1.2.5", "").replace("base = ", &format!("variant = \"{variant}\"\nbase = "));
        fleet.golden.write(&format!("{variant}/image.toml"), text);
    }
    fleet.run(&["build", "--push", "--engine", "embedded"], 0);
    let all = ["app", "alpine", "slim-alpine"];
    for (tag, edited) in [
        ("1.2.5-slim-alpine", "slim-alpine"),
        ("1.2.5-alpine", "alpine"),
        ("1.2.5", "app"),
    ] {
        let before = all.map(|directory| text_of(&fleet, directory));
        let name = format!("app:{tag}");
        fleet.run(&["revoke", &name, "--reason", "bad", "--yes"], 0);
        for (directory, before) in all.iter().zip(before) {
            let is_same = text_of(&fleet, directory) == before;
            assert_eq!(is_same, *directory != edited, "{tag}: {directory}");
        }
    }
}

#[test]
fn a_revocation_that_is_not_in_the_spec_is_announced_with_a_warning() {
    let fleet = published("");
    let digest = fleet.registry.tags("app")["1.2.4"].clone();
    fleet.registry.tag("app", "1.2.4_r1", &digest);
    let warning = |image: &str, options: &[&str]| {
        let args = ["revoke", image, "--reason", "bad", "--dry-run"];
        let run = fleet.run(&[&args[..], options].concat(), 0);
        let text = format!(
            "{image}: image.toml does not revoke it, so the next `golden lifecycle apply` announces \
             that it may be used again; "
        );
        let found = run.stderr.split_once(&text)?.1;
        Some(found.lines().next().unwrap_or_default().to_owned())
    };
    let at_digest = format!("app@{digest}");
    for image in ["app:latest", "app:1.2", "app:1.2.4_r1", &at_digest] {
        let found = warning(image, &[]);
        assert_eq!(found.as_deref(), Some("name its version"), "{image}");
    }
    let found = warning("app:1.2.4", &["--no-edit"]);
    assert_eq!(found.as_deref(), Some("omit --no-edit"));
    assert_eq!(warning("app:1.2.4", &[]), None);
    let revoked = "[[lifecycle.revoked]]\nversions = \"1.2.4\"\nreason = \"bad\"\n";
    fleet.golden.write("app/image.toml", spec("1.2.5", revoked));
    assert_eq!(warning("app:1.2.4", &["--no-edit"]), None);
}

#[test]
fn only_lifecycle_apply_restores_a_version_that_others_revoked() {
    let fleet = published("[lifecycle]\neol = \"2999-06-30\"\n");
    let at = format!("{}/app:1.2.4", fleet.registry.host());
    fleet.run(
        &[
            "revoke",
            "app:1.2.4",
            "--reason",
            "bad",
            "--no-edit",
            "--yes",
        ],
        0,
    );
    fleet.run(&["build", "--push", "--engine", "embedded"], 0);
    fleet.run(&["audit", &at], 3);
    let run = fleet.run(&["lifecycle", "apply"], 0);
    assert!(
        run.stdout.contains("app:1.2.4: may be used again"),
        "{}",
        run.stdout
    );
    fleet.run(&["audit", &at], 0);
}

/// After a key was replaced, announcements by the earlier key count until `[[trust]]` no longer has
/// it.
#[test]
fn announcements_by_an_earlier_key_are_seen_and_replaced() {
    let fleet = published("");
    let host = fleet.registry.host();
    for name in ["old", "new"] {
        fleet.golden.write_key_pair(name);
    }
    fleet.golden.write(
        "golden.toml",
        format!(
            "[[registry]]\nname = \"r\"\nhost = \"{host}\"\n[signing]\nkey = \"new.key\"\n\
             [[trust]]\nname = \"team\"\nimages = [\"{host}/**\"]\nkeys = [\"old.pub\", \"new.pub\"]\n"
        ),
    );
    let at = format!("{host}/app:1.2.4");
    let args = [
        "revoke", &at, "--reason", "bad", "--yes", "--key", "old.key",
    ];
    fleet.run(&args, 0);
    let again = fleet.run(&args[..5], 0);
    assert!(
        again.stderr.contains("1 had this announcement before"),
        "{}",
        again.stderr
    );
    fleet.run(&["audit", &at], 3);
    let run = fleet.run(&["lifecycle", "apply"], 0);
    assert!(
        run.stdout.contains("app:1.2.4: may be used again"),
        "{}",
        run.stdout
    );
    fleet.run(&["audit", &at], 0);
}

#[test]
fn a_rollback_to_a_revoked_version_is_refused() {
    let revoked = |more: &str| {
        format!("[[lifecycle.revoked]]\nversions = \"1.2.4\"\nreason = \"bad\"\n{more}")
    };
    let fleet = published(&revoked(""));
    let before = fleet.registry.tags("app");
    let run = fleet.run(&["rollback", "app", "--to", "1.2.4", "--yes"], 2);
    for text in [
        "app/image.toml revokes app 1.2.4: bad",
        "choose another version, or remove it from [[lifecycle.revoked]]",
    ] {
        assert!(run.stderr.contains(text), "{}", run.stderr);
    }
    assert_eq!(fleet.registry.tags("app"), before);
    let planned = spec("1.2.5", &revoked("from = \"2999-01-01\"\n"));
    fleet.golden.write("app/image.toml", planned);
    fleet.run(&["rollback", "app", "--to", "1.2.4", "--yes"], 0);
    let tags = fleet.registry.tags("app");
    assert_eq!(tags["latest"], tags["1.2.4"]);
}

#[test]
fn mistakes_in_the_lifecycle_are_reported_with_their_place() {
    for (lifecycle, message, place) in [
        (
            "[[lifecycle.revoked]]\nversions = \"1.2.4\"\n",
            "`reason` is missing in [[lifecycle.revoked]]",
            "8:1",
        ),
        (
            "[[lifecycle.revoked]]\nreason = \"x\"\n",
            "`versions` is missing in [[lifecycle.revoked]]",
            "8:1",
        ),
        (
            "[[lifecycle.revoked]]\nversions = \"1.2.3.4.5\"\nreason = \"x\"\n",
            "`1.2.3.4.5` is not a range of versions",
            "9:12",
        ),
        (
            "[[lifecycle.revoked]]\nversions = \"1.2\"\nreason = \"x\"\nreplacement = \"1.2.9\"\n",
            "the replacement is revoked by the same table",
            "11:15",
        ),
        (
            "[lifecycle]\neol = \"soon\"\n",
            "`soon` is not a date",
            "9:7",
        ),
        (
            "[lifecycle]\nwarn_before = \"3 weeks\"\n",
            "is not a number of days",
            "9:15",
        ),
    ] {
        let golden = Golden::new()
            .workspace("")
            .image("app", &spec("1.2.5", lifecycle));
        let run = golden.run(&["check"]).exit(2);
        assert!(run.stderr.contains(message), "{lifecycle}: {}", run.stderr);
        let place = format!(" --> app/image.toml:{place}\n");
        assert!(run.stderr.contains(&place), "{lifecycle}: {}", run.stderr);
    }
}
