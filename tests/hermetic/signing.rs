//! Images are signed before a tag points to them, and their signatures are verified, copied and
//! repaired.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use golden::oci::media::OCI_MANIFEST;
use golden::reference::Digest;
use serde_json::{Value, json};

use crate::support::curl::curl;
use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::server::{Answer, Seen};
use crate::support::workspace::{Golden, Run};

const PASSWORD: &str = "correct horse battery";

/// A workspace with a signing key, and its registry.
struct SignedApp {
    registry: FakeRegistry,
    golden: Golden,
}

impl SignedApp {
    fn new(behaviour: Behaviour) -> Self {
        let registry = FakeRegistry::start(behaviour);
        let golden = Golden::new()
            .workspace(&format!(
                "[[registry]]\nname = \"t\"\nhost = \"{}\"\n[signing]\nkey = \"team.key\"\n",
                registry.host()
            ))
            .env("SOURCE_DATE_EPOCH", "0")
            .env("GOLDEN_SIGNING_PASSWORD", PASSWORD)
            .image("app", &spec("1.2.3"));
        golden.write_key_pair("team");
        Self { registry, golden }
    }

    /// Replaces the key pair by an encrypted one.
    fn encrypt_key(&self) {
        for name in ["team.key", "team.pub"] {
            std::fs::remove_file(self.golden.path().join(name)).unwrap();
        }
        self.run(&["key", "new", "--out", "team"], 0);
    }

    #[track_caller]
    fn run(&self, args: &[&str], code: i32) -> Run {
        self.golden.run(args).exit(code)
    }

    /// The full reference of an image in the registry.
    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.host())
    }

    /// The requests since the last call that write.
    fn writes(&self) -> Vec<String> {
        let seen = self.registry.server.seen();
        let writes = seen
            .iter()
            .filter(|seen| !["GET", "HEAD"].contains(&seen.method.as_str()));
        writes
            .map(|seen| format!("{} {}", seen.method, seen.route()))
            .collect()
    }

    fn referrers(&self, reference: &str) -> Value {
        let run = self.run(&["referrers", reference, "--format", "json"], 0);
        serde_json::from_str(&run.stdout).unwrap()
    }
}

fn spec(version: &str) -> String {
    format!(
        "[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"scratch\"\n\
         platforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [[files]]\ncontent = \"x\"\ntarget = \"/x\"\n"
    )
}

#[test]
fn a_key_pair_is_private_and_is_never_overwritten() {
    let golden = Golden::new().env("GOLDEN_SIGNING_PASSWORD", PASSWORD);
    let run = golden.run(&["key", "new", "--out", "team"]).exit(0);
    assert_eq!(run.stdout, "team.key\nteam.pub\n");
    let path = golden.path().join("team.key");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&path).unwrap();
    assert!(before.starts_with(b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"));
    let run = golden.run(&["key", "new", "--out", "team"]).exit(2);
    assert!(run.stderr.contains("team.key exists"), "{}", run.stderr);
    std::fs::remove_file(&path).unwrap();
    let run = golden.run(&["key", "new", "--out", "team"]).exit(2);
    assert!(run.stderr.contains("team.pub exists"), "{}", run.stderr);
    assert!(!path.exists());
    let run = Golden::new().run(&["key", "new", "--out", "team"]).exit(2);
    assert!(
        run.stderr.contains("GOLDEN_SIGNING_PASSWORD"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_image_is_signed_in_both_formats_before_a_tag_points_to_it() {
    for behaviour in Behaviour::both() {
        let has_api = behaviour.referrers;
        let app = SignedApp::new(behaviour);
        app.run(&["build", "--push", "--events", "run.jsonl"], 0);
        let events = std::fs::read_to_string(app.golden.path().join("run.jsonl")).unwrap();
        let attach = "\"attach signature to ";
        assert_eq!(events.matches(attach).count(), 1, "{events}");
        let tree = app.referrers("app:1.2.3");
        assert_eq!(tree["schema"], json!(1));
        let kinds = |node: &Value| -> Vec<String> {
            let nodes = node["referrers"].as_array().unwrap().iter();
            nodes
                .map(|node| node["artifactType"].as_str().unwrap().to_owned())
                .collect()
        };
        let both = [
            "application/vnd.dev.sigstore.bundle.v0.3+json",
            "application/vnd.dev.cosign.simplesigning.v1+json",
        ];
        assert_eq!(kinds(&tree), both);
        let images = tree["images"].as_array().unwrap();
        assert_eq!(images.len(), 2);
        assert!(images.iter().all(|image| kinds(image) == both));
        let writes = app.writes();
        let is_tag = |write: &&String| write.ends_with("/manifests/1.2.3");
        let tag = writes.iter().position(|write| is_tag(&write)).unwrap();
        let is_signature = |write: &String| write.contains(".sig");
        let last = writes.iter().rposition(is_signature).unwrap();
        assert!(last < tag, "{writes:?}");
        let lists = writes
            .iter()
            .rposition(|write| write.contains("/manifests/sha256-") && !is_signature(write));
        assert_eq!(lists.is_none(), has_api);
        assert!(lists.is_none_or(|last| last < tag), "{writes:?}");
    }
}

#[test]
fn a_second_run_writes_nothing_and_a_lost_signature_is_repaired() {
    for behaviour in Behaviour::both() {
        let app = SignedApp::new(behaviour);
        app.run(&["build", "--push"], 0);
        let before = app.writes().len();
        let seen = app.registry.requests().len();
        let plan = app.run(&["plan"], 0).stdout;
        assert!(plan.contains("skip") && !plan.contains("attach"), "{plan}");
        let requests = app.registry.requests().split_off(seen);
        let index = &app.registry.tags("app")["1.2.3"];
        let read = format!("GET /v2/app/manifests/{index}");
        assert!(!requests.contains(&read), "the publish cached the index");
        app.run(&["build", "--push"], 0);
        app.run(&["push"], 0);
        app.run(&["sign", "app:1.2.3"], 0);
        assert_eq!(app.writes().len(), before, "{:?}", app.writes());
        let digest = app.lose_signatures();
        let plan = app.run(&["plan"], 0).stdout;
        assert!(plan.contains("app:1.2.3  attach: "), "{plan}");
        assert!(plan.contains("attach signature"), "{plan}");
        let run = app.run(&["plan", "--format", "json"], 0);
        let shown: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(shown["images"][0]["step"], "attach");
        assert_eq!(
            shown["images"][0]["destinations"][0]["attach"],
            json!(["signature"])
        );
        app.run(&["build", "--push"], 0);
        let repaired = app.referrers(&app.at(&format!("app@{digest}")));
        assert_eq!(repaired["referrers"].as_array().unwrap().len(), 2);
        let after = app.writes().len();
        app.run(&["build", "--push"], 0);
        assert_eq!(app.writes().len(), after);
    }
}

impl SignedApp {
    /// Deletes the signatures of the image of one platform, as another tool does; returns its digest.
    fn lose_signatures(&self) -> String {
        let tree = self.referrers("app:1.2.3");
        let image = &tree["images"][1];
        for signature in image["referrers"].as_array().unwrap() {
            let digest = signature["digest"].as_str().unwrap();
            let reference = self.at(&format!("app@{digest}"));
            self.run(&["delete", &reference, "--all-tags", "--yes"], 0);
        }
        image["digest"].as_str().unwrap().to_owned()
    }
}

/// A proxy serves an index as an image once. The digest does not cover the header with the type.
#[test]
fn a_wrong_media_type_is_not_cached() {
    let is_wrong = Arc::new(AtomicBool::new(false));
    let wrong = is_wrong.clone();
    let index = Arc::new(Mutex::new(String::new()));
    let content = index.clone();
    let app = SignedApp::new(Behaviour {
        instead: Some(Arc::new(move |seen: &Seen| {
            let text = content.lock().unwrap().clone();
            let is_index = seen.method == "GET"
                && !text.is_empty()
                && seen.route().ends_with(Digest::of(text.as_bytes()).as_str());
            (is_index && wrong.load(Ordering::SeqCst))
                .then(|| Answer::new(200, text).header("content-type", OCI_MANIFEST))
        })),
        ..Behaviour::default()
    });
    app.run(&["build", "--push"], 0);
    let text = curl("GET", &app.registry.host(), "app/manifests/1.2.3").body;
    *index.lock().unwrap() = text;
    // The next plan reads the index again.
    app.golden.forget_manifests();
    is_wrong.store(true, Ordering::SeqCst);
    app.run(&["plan"], 0);
    is_wrong.store(false, Ordering::SeqCst);
    app.lose_signatures();
    let plan = app.run(&["plan"], 0).stdout;
    assert!(plan.contains("attach signature"), "{plan}");
}

/// The manifests of the last plan are cached, also those that the registry lost.
#[test]
fn an_index_that_lost_the_image_of_a_platform_is_published_again() {
    for behaviour in Behaviour::both() {
        let app = SignedApp::new(behaviour);
        app.run(&["build", "--push"], 0);
        app.run(&["plan"], 0);
        let right = app.registry.tags("app")["1.2.3"].clone();
        let lost = app.lose_signatures();
        let path = format!("app/manifests/{lost}");
        curl("DELETE", &app.registry.host(), &path);
        assert!(!app.registry.has("app", &lost));
        let plan = app.run(&["plan"], 0).stdout;
        assert!(
            plan.contains("build: 1.2.3 is published, but the registry lost a part of it"),
            "{plan}"
        );
        app.run(&["build", "--push"], 0);
        assert!(app.registry.has("app", &lost));
        assert_eq!(app.registry.tags("app")["1.2.3"], right);
        let repaired = app.referrers(&app.at(&format!("app@{lost}")));
        assert_eq!(repaired["referrers"].as_array().unwrap().len(), 2);
        let plan = app.run(&["plan"], 0).stdout;
        assert!(plan.contains("skip") && !plan.contains("attach"), "{plan}");
    }
}

#[test]
fn an_image_with_only_the_signature_of_an_old_key_is_signed_again() {
    let app = SignedApp::new(Behaviour::default());
    app.run(&["build", "--push"], 0);
    app.golden.write_key_pair("team");
    let plan = app.run(&["plan"], 0).stdout;
    assert!(plan.contains("attach signature"), "{plan}");
    let run = app.run(&["verify", &app.at("app:1.2.3"), "--signed"], 5);
    assert!(
        run.stderr
            .contains("is made with a key that is not trusted"),
        "{}",
        run.stderr
    );
    app.run(&["build", "--push"], 0);
    app.run(&["verify", "--signed"], 0);
    let tree = app.referrers("app:1.2.3");
    assert_eq!(tree["referrers"].as_array().unwrap().len(), 3);
}

#[test]
fn a_missing_or_foreign_signature_fails_the_verification() {
    let app = SignedApp::new(Behaviour::default());
    app.golden.write_key_pair("other");
    app.registry.image("plain", "a", &["1.0.0"]);
    let verify = |name: &str, more: &[&str], code: i32| {
        let reference = app.at(name);
        let args = [&["verify", &reference, "--signed"], more].concat();
        app.run(&args, code)
    };
    let run = verify("plain:1.0.0", &[], 5);
    assert!(
        run.stderr.contains("plain:1.0.0: is not signed"),
        "{}",
        run.stderr
    );
    app.run(&["sign", &app.at("plain:1.0.0")], 0);
    let run = verify("plain:1.0.0", &[], 0);
    assert!(run.stdout.contains("signed by team.key"), "{}", run.stdout);
    verify("plain:1.0.0", &["--key", "team.pub"], 0);
    let run = verify("plain:1.0.0", &["--key", "other.pub"], 5);
    assert!(run.stderr.contains("not trusted"), "{}", run.stderr);
    let run = verify("plain:1.0.0", &["--key", "team.key"], 2);
    assert!(run.stderr.contains("it is a private key"), "{}", run.stderr);
    // The tables of trust name the signers, and none is trusted for other images.
    let host = app.registry.host();
    app.golden.write(
        "golden.toml",
        format!(
            "[[registry]]\nname = \"t\"\nhost = \"{host}\"\n\
             [[trust]]\nname = \"team\"\nimages = [\"{host}/plain\"]\nkeys = [\"other.pub\", \"team.pub\"]\n"
        ),
    );
    let run = verify("plain:1.0.0", &[], 0);
    assert!(run.stdout.contains("signed by team"), "{}", run.stdout);
    app.registry.image("else", "b", &["1.0.0"]);
    let run = verify("else:1.0.0", &[], 2);
    assert!(
        run.stderr.contains("no key is trusted for the images of"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_signature_of_another_digest_or_repository_does_not_count() {
    for (format, because) in [
        ("bundle", "is not signed"),
        ("simple", "is for the digest sha256:"),
    ] {
        let app = SignedApp::new(Behaviour::default());
        let text = std::fs::read_to_string(app.golden.path().join("golden.toml")).unwrap();
        app.golden
            .write("golden.toml", format!("{text}formats = [\"{format}\"]\n"));
        app.registry.image("one", "a", &["1.0.0"]);
        let other = app.registry.image("one", "b", &["2.0.0"]);
        app.run(&["sign", &app.at("one:1.0.0")], 0);
        let signed = app.registry.tags("one")["1.0.0"].replace(':', "-");
        let moved = other.replace(':', "-");
        let (from, to) = match format {
            "bundle" => (signed, moved),
            _ => (format!("{signed}.sig"), format!("{moved}.sig")),
        };
        let digest = app.registry.tags("one")[&from].clone();
        app.registry.tag("one", &to, &digest);
        let run = app.run(&["verify", &app.at("one:2.0.0"), "--signed"], 5);
        assert!(run.stderr.contains(because), "{format}: {}", run.stderr);
    }
}

#[test]
fn a_promoted_image_is_signed_for_its_new_repository() {
    for behaviour in Behaviour::both() {
        let app = SignedApp::new(behaviour);
        app.run(&["build", "--push"], 0);
        app.run(
            &["promote", "app:1.2.3", &app.at("prod/app"), "--dry-run"],
            0,
        );
        assert!(app.registry.tags("prod/app").is_empty());
        app.run(&["promote", "app:1.2.3", &app.at("prod/app")], 0);
        let run = app.run(&["verify", &app.at("prod/app:1.2.3"), "--signed"], 0);
        assert!(run.stdout.contains("signed by"), "{}", run.stdout);
        let tree = app.referrers(&app.at("prod/app:1.2.3"));
        // The copied bundle stays valid; the simple signature names the new repository.
        assert_eq!(tree["referrers"].as_array().unwrap().len(), 2);
        let before = app.writes().len();
        let run = app.run(&["promote", "app:1.2.3", &app.at("prod/app")], 0);
        assert!(!run.stderr.contains("signed for"), "{}", run.stderr);
        let writes = app.writes().split_off(before);
        assert!(
            !writes.iter().any(|write| write.contains(".sig")),
            "{writes:?}"
        );
        // Nothing remains after the deletion, and the source keeps everything.
        app.run(
            &["delete", &app.at("prod/app:1.2.3"), "--all-tags", "--yes"],
            0,
        );
        assert!(app.registry.tags("prod/app").is_empty());
        assert!(app.registry.manifests("prod/app").is_empty());
        app.run(&["verify", "app:1.2.3", "--signed"], 0);
        app.run(
            &[
                "promote",
                "app:1.2.3",
                &app.at("bare/app"),
                "--no-referrers",
            ],
            0,
        );
    }
}

#[test]
fn the_end_of_life_of_an_image_is_not_promoted() {
    let registry = FakeRegistry::start(Behaviour::default());
    let image = registry.image("app", "a", &["1.2.3"]);
    let kind = "application/vnd.microsoft.artifact.lifecycle";
    let empty = ("application/vnd.oci.empty.v1+json", "{}");
    let ended = registry.artifact("app", Some(kind), empty, empty, Some(&image), &[]);
    let bom = "application/spdx+json";
    let bom = registry.artifact("app", Some(bom), empty, (bom, "{}"), Some(&image), &[]);
    registry.fallback("app", &image, &[&ended, &bom]);
    let host = registry.host();
    let (from, to) = (format!("{host}/app:1.2.3"), format!("{host}/prod"));
    Golden::new().run(&["promote", &from, &to]).exit(0);
    assert!(registry.has("prod", &bom) && !registry.has("prod", &ended));
}

#[test]
fn a_key_that_cannot_sign_stops_the_run_before_any_build() {
    let app = SignedApp::new(Behaviour::default());
    app.encrypt_key();
    // A plan does not need the password of the key.
    let mut command = app.golden.command(&["plan"]);
    command.env_remove("GOLDEN_SIGNING_PASSWORD");
    Run::of(command.output().unwrap()).exit(0);
    let key = |key: &str| {
        let host = app.registry.host();
        app.golden.write(
            "golden.toml",
            format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n[signing]\nkey = \"{key}\"\n"),
        );
    };
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    app.golden.write("ed.key", ed25519.serialize_pem());
    app.golden.write("notes.txt", "hunter2");
    for (source, message) in [
        ("absent.key", "cannot read"),
        ("ed.key", "it is an Ed25519 key"),
        ("notes.txt", "it is not a key in PEM format"),
        (
            "team.pub",
            "it is a public key; signing needs the private key",
        ),
        ("env:NO_SUCH_KEY", "the environment variable is not set"),
        (
            "env:GOLDEN_SIGNING_PASSWORD",
            "it is not a key in PEM format",
        ),
        (
            "plugin:absent://key",
            "sigstore-kms-absent failed: the program is not in PATH",
        ),
    ] {
        key(source);
        let run = app.golden.run(&["build", "--push"]);
        assert!([1, 2].contains(&run.code), "{source}: {}", run.stderr);
        assert!(run.stderr.contains(message), "{source}: {}", run.stderr);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
        assert!(!run.stderr.contains(PASSWORD), "{}", run.stderr);
    }
    assert_eq!(app.writes(), Vec::<String>::new());
    key("team.key");
    for (password, message) in [
        (Some("wrong"), "its password is wrong"),
        (None, "it is encrypted, and no password is given"),
    ] {
        let mut command = app.golden.command(&["build", "--push"]);
        command.env_remove("GOLDEN_SIGNING_PASSWORD");
        command.envs(password.map(|password| ("COSIGN_PASSWORD", password)));
        let run = Run::of(command.output().unwrap()).exit(2);
        assert!(run.stderr.contains(message), "{}", run.stderr);
    }
    let mut command = app.golden.command(&["build", "--push"]);
    command.env_remove("GOLDEN_SIGNING_PASSWORD");
    command.env("COSIGN_PASSWORD", PASSWORD);
    Run::of(command.output().unwrap()).exit(0);
}

#[test]
fn a_key_comes_from_the_environment_or_from_a_plugin() {
    let app = SignedApp::new(Behaviour::default());
    let pair = rcgen::KeyPair::generate().unwrap();
    let pem = pair.serialize_pem();
    app.registry.image("one", "a", &["1.0.0"]);
    let mut command = app
        .golden
        .command(&["sign", &app.at("one:1.0.0"), "--key", "env:MY_KEY"]);
    Run::of(command.env("MY_KEY", &pem).output().unwrap()).exit(0);
    app.golden.write("plain.pub", pair.public_key_pem());
    app.run(
        &[
            "verify",
            &app.at("one:1.0.0"),
            "--signed",
            "--key",
            "plain.pub",
        ],
        0,
    );
}

/// A plugin program with this script.
fn plugin(golden: &Golden, script: &str) -> String {
    let path = golden.write("bin/sigstore-kms-test", format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let directories = path.parent().unwrap().display();
    format!("{directories}:{}", std::env::var("PATH").unwrap())
}

#[test]
fn a_plugin_that_hangs_or_prints_rubbish_is_an_error_with_its_name() {
    let app = SignedApp::new(Behaviour::default());
    app.registry.image("one", "a", &["1.0.0"]);
    let reference = app.at("one:1.0.0");
    for (script, message) in [
        ("sleep 60", "it did not end within 1 s and was stopped"),
        ("yes", "it printed more than 1048576 bytes and was stopped"),
        ("echo hello", "did not answer with JSON"),
        ("exit 3", "did not answer with JSON"),
        ("echo '{}'", "did not return a public key"),
        (
            "echo '{\"errorMessage\":\"no such key\"}'; exit 1",
            "failed: no such key",
        ),
        (
            "echo '{\"publicKey\":{\"publicKeyPEM\":\"eA==\"}}'",
            "returned a public key that cannot be used: it is not a key in PEM format",
        ),
    ] {
        let path = plugin(&app.golden, script);
        let mut command = app
            .golden
            .command(&["sign", &reference, "--key", "plugin:test://k"]);
        command
            .env("PATH", path)
            .env("GOLDEN_KEY_PLUGIN_TIMEOUT", "1");
        let run = Run::of(command.output().unwrap()).exit(1);
        let expected = "the key plugin sigstore-kms-test ";
        assert!(run.stderr.contains(expected), "{}", run.stderr);
        assert!(run.stderr.contains(message), "{script}: {}", run.stderr);
    }
    assert_eq!(app.writes(), Vec::<String>::new());
}

#[test]
fn mistakes_in_the_tables_of_keys_are_reported_with_their_place() {
    let golden = Golden::new()
        .workspace(
            "[signing]\nkey = \"env://KEY\"\nformats = [\"notation\"]\nformat = \"bundle\"\n\
             [[trust]]\nname = \"team\"\nimages = [\"[\"]\n[[trust]]\nname = \"team\"\nimage = \"x\"\nkeys = [\"a\"]\n",
        )
        .image("app", &spec("1.2.3"));
    let run = golden.run(&["check"]).exit(2);
    for expected in [
        "golden.toml:2:7",
        "golden.toml:3:12",
        "golden.toml:4:1",
        "`keys` is missing in [[trust]]",
        "is not a valid glob",
        "two [[trust]] tables have the name `team`",
        "did you mean `images`?",
    ] {
        assert!(run.stderr.contains(expected), "{expected}: {}", run.stderr);
    }
}

#[test]
fn a_lost_update_of_the_list_is_repaired_and_a_late_blob_is_put_again() {
    let overwritten = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let refused = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (lose, late) = (overwritten.clone(), refused.clone());
    let app = SignedApp::new(Behaviour {
        instead: Some(Arc::new(move |seen: &Seen| {
            let is_put = seen.method == "PUT" && seen.path.contains("/manifests/sha256-");
            // distribution does not see a blob that another client is uploading.
            if is_put && late.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 {
                return Some(refuse(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown"));
            }
            // The registry accepts a list, and another client overwrites it at once.
            (is_put && !lose.swap(true, std::sync::atomic::Ordering::SeqCst))
                .then(|| crate::support::server::Answer::new(201, ""))
        })),
        ..Behaviour::default()
    });
    app.registry.image("one", "a", &["1.0.0"]);
    app.run(&["sign", &app.at("one:1.0.0")], 0);
    app.run(&["verify", &app.at("one:1.0.0"), "--signed"], 0);
    assert!(refused.load(std::sync::atomic::Ordering::SeqCst) > 3);
    let tree = app.referrers(&app.at("one:1.0.0"));
    assert_eq!(tree["referrers"].as_array().unwrap().len(), 2);
}

#[test]
fn a_base_that_no_trusted_key_signed_stops_the_build() {
    let app = SignedApp::new(Behaviour::default());
    let host = app.registry.host();
    app.registry.image("base", "a", &["1.0.0", "1.0"]);
    let workspace = |more: &str| {
        app.golden.write(
            "golden.toml",
            format!(
                "[[registry]]\nname = \"t\"\nhost = \"{host}\"\n\
                 [[trust]]\nname = \"vendor\"\nimages = [\"{host}/base\"]\nkeys = [\"team.pub\"]\n\
                 [policy.base]\nsigned_by = [\"vendor\"]\n{more}"
            ),
        );
    };
    workspace("");
    app.golden.write(
        "app/image.toml",
        format!("[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"{host}/base:1.0\"\n"),
    );
    let image = format!("base {host}/base:1.0 at sha256:");
    for command in [&["plan"][..], &["build", "--push"], &["build"], &["update"]] {
        let run = app.run(command, 3);
        assert!(run.stderr.contains("base.signed_by"), "{}", run.stderr);
        assert!(run.stderr.contains(&image), "{}", run.stderr);
        assert!(run.stderr.contains("is not signed"), "{}", run.stderr);
        assert!(!app.golden.path().join("golden.lock").exists());
    }
    assert_eq!(app.writes(), Vec::<String>::new());
    workspace("[policy.severity]\n\"base.signed_by\" = \"warn\"\n");
    let run = app.run(&["plan"], 0);
    assert!(run.stderr.contains("is not signed"), "{}", run.stderr);
    workspace("");
    app.run(&["sign", &app.at("base:1.0"), "--key", "team.key"], 0);
    app.run(&["update"], 0);
    app.run(&["build", "--push"], 0);
    // The tag moves to an image that is not signed; the lock keeps the signed one.
    app.registry.image("base", "b", &["1.0"]);
    app.run(&["plan"], 0);
    app.run(&["update"], 3);
    let run = app.golden.run(&["check"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    app.golden.write(
        "golden.toml",
        "[[trust]]\nname = \"vendor\"\nimages = [\"x\"]\nkeys = [\"team.pub\"]\n[policy.base]\nsigned_by = [\"vendr\"]\n",
    );
    let run = app.run(&["check"], 2);
    assert!(
        run.stderr.contains("did you mean \"vendor\"?"),
        "{}",
        run.stderr
    );
}

/// A base is verified by a program if no key signed it, and golden.lock records the name of its
/// table.
#[test]
fn a_base_is_verified_by_the_program_of_its_table() {
    let app = SignedApp::new(Behaviour::default());
    let host = app.registry.host();
    app.registry.image("base", "a", &["1.0.0", "1.0"]);
    let digest = app.registry.tags("base")["1.0"].clone();
    app.golden.write(
        "app/image.toml",
        format!("[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"{host}/base:1.0\"\n"),
    );
    let workspace = |verify: &str| {
        let text = format!(
            "[[registry]]\nname = \"t\"\nhost = \"{host}\"\n\
             [[trust]]\nname = \"vendor\"\nimages = [\"{host}/base\"]\nverify = {verify}\n\
             [policy.base]\nsigned_by = [\"vendor\"]\n"
        );
        app.golden.write("golden.toml", text);
    };
    let script = |text: &str| {
        let path = app.golden.write("check", format!("#!/bin/sh\n{text}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    for (text, verify, because) in [
        (
            "echo no signature >&2; exit 3",
            "[\"./check\"]",
            "the program `./check` refused it (exit status: 3): no signature",
        ),
        (
            "exec sleep 60",
            "[\"./check\"]",
            "the program `./check` failed: it did not end within 1 s and was stopped",
        ),
        (
            "",
            "[\"absent-verifier\"]",
            "is not verified: the program `absent-verifier` is not in PATH",
        ),
        (
            "",
            "[\"./verify.sh\"]",
            "is not verified: the program `./verify.sh` does not exist",
        ),
        ("kill -9 $$", "[\"./check\"]", "refused it (signal: 9"),
    ] {
        script(text);
        workspace(verify);
        for command in [&["build", "--push"][..], &["update"]] {
            let mut command = app.golden.command(command);
            if text.starts_with("exec sleep") {
                command.env("GOLDEN_VERIFY_TIMEOUT", "1");
            }
            let run = Run::of(command.output().unwrap()).exit(3);
            assert!(run.stderr.contains(because), "{text}: {}", run.stderr);
            assert!(run.stderr.contains(&digest), "{}", run.stderr);
        }
    }
    assert_eq!(app.writes(), Vec::<String>::new());
    assert!(!app.golden.path().join("golden.lock").exists());
    // A command that only reads the workspace runs nothing that it names.
    script("touch ran; echo \"$@\" > arguments; env > variables");
    workspace("[\"./check\", \"--of={reference}\", \"--strict\"]");
    let run = app.run(&["plan"], 0);
    assert!(
        run.stderr
            .contains("this command runs no program of [[trust]] vendor"),
        "{}",
        run.stderr
    );
    assert!(!app.golden.path().join("ran").exists());
    app.run(&["build", "--push"], 0);
    let read = |name: &str| std::fs::read_to_string(app.golden.path().join(name)).unwrap();
    assert_eq!(
        read("arguments"),
        format!("--of={host}/base@{digest} --strict\n")
    );
    assert!(!read("variables").contains(PASSWORD));
    assert!(
        read("golden.lock").contains("signed_by = \"vendor\""),
        "{}",
        read("golden.lock")
    );
    std::fs::remove_file(app.golden.path().join("golden.lock")).unwrap();
    workspace("[\"./check\"]");
    app.run(&["update"], 0);
    assert_eq!(read("arguments"), format!("{host}/base@{digest}\n"));
    assert!(read("golden.lock").contains("signed_by = \"vendor\""));
    workspace("[]");
    let run = app.run(&["check"], 2);
    assert!(
        run.stderr.contains("`verify` names no program"),
        "{}",
        run.stderr
    );
}

const SCAN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";

#[test]
fn a_statement_is_attached_once_and_is_not_a_signature() {
    for behaviour in Behaviour::both() {
        let app = SignedApp::new(behaviour);
        let unsigned = app.golden.path().join("golden.toml");
        let text = std::fs::read_to_string(&unsigned).unwrap();
        app.golden
            .write("golden.toml", text.replace("key = \"team.key\"\n", ""));
        app.run(&["build", "--push"], 0);
        app.golden
            .write("scan.json", "{ \"result\": [\"CVE-2026-1\"] }");
        let attest = |predicate: &str, code: i32| {
            let args = ["attest", "app:1.2.3", "--type", SCAN, "--key", "team.key"];
            app.run(
                &[args.as_slice(), &["--predicate", predicate]].concat(),
                code,
            )
        };
        let first = attest("scan.json", 0).stdout;
        assert!(
            first.contains(SCAN) && first.trim_end().ends_with(" attached"),
            "{first}"
        );
        let before = app.writes().len();
        let second = attest("scan.json", 0).stdout;
        assert!(second.trim_end().ends_with("already attached"), "{second}");
        assert_eq!(app.writes().len(), before);
        app.golden.write("scan.json", "{ \"result\": [] }");
        attest("scan.json", 0);
        let tree = app.referrers("app:1.2.3");
        let nodes = tree["referrers"].as_array().unwrap();
        assert_eq!(nodes.len(), 2, "{tree}");
        assert!(
            nodes
                .iter()
                .all(|node| node["annotations"]["in-toto.io/predicate-type"] == SCAN)
        );
        let run = app.run(&["verify", "app:1.2.3", "--signed", "--key", "team.pub"], 5);
        assert!(run.stderr.contains("is not signed"), "{}", run.stderr);
        app.golden.write("scan.json", "{");
        let run = attest("scan.json", 2);
        assert!(
            run.stderr.contains("scan.json is not valid JSON"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_statement_needs_a_uri_a_key_and_an_image() {
    let app = SignedApp::new(Behaviour::default());
    app.golden.write("scan.json", "{}");
    let run = |reference: &str, kind: &str, code: i32| {
        let args = [
            "attest",
            reference,
            "--type",
            kind,
            "--predicate",
            "scan.json",
        ];
        app.run(&args, code).stderr
    };
    let text = run("app:1.2.3", "scan", 2);
    assert!(text.contains("it is not a URI"), "{text}");
    let text = run("app:1.2.3", "https://sigstore.dev/cosign/sign/v1", 2);
    assert!(text.contains("use `golden sign`"), "{text}");
    let text = run("app:1.2.3", SCAN, 1);
    assert!(text.contains("app"), "{text}");
    let golden = Golden::new();
    golden.write("scan.json", "{}");
    let args = [
        "attest",
        "localhost:1/app:1",
        "--type",
        SCAN,
        "--predicate",
        "scan.json",
    ];
    let text = golden.run(&args).exit(2).stderr;
    assert!(text.contains("there is no key to sign with"), "{text}");
}

#[test]
fn only_a_bundle_about_the_image_is_attached() {
    let app = SignedApp::new(Behaviour::default());
    app.run(&["build", "--push"], 0);
    let tree = app.referrers("app:1.2.3");
    let index = tree["digest"].as_str().unwrap().to_owned();
    // The bundle of the signature is the one of another program here.
    let digest = tree["referrers"][0]["digest"].as_str().unwrap();
    let host = app.registry.host();
    let manifest = curl("GET", &host, &format!("app/manifests/{digest}")).json();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let bundle = curl("GET", &host, &format!("app/blobs/{layer}")).body;
    app.golden.write("bundle.json", bundle);
    let run = app.run(&["attach", "app:1.2.3", "bundle.json"], 0);
    assert!(
        run.stdout.trim_end().ends_with("already attached"),
        "{}",
        run.stdout
    );
    // A copy of the image has no bundle.
    let copy = app.at("copy:1.2.3");
    let bundle = app.golden.path().join("bundle.json");
    let bundle = bundle.to_str().unwrap();
    Golden::new()
        .run(&["promote", &app.at("app:1.2.3"), &copy, "--no-referrers"])
        .exit(0);
    for is_new in [true, false] {
        let run = Golden::new().run(&["attach", &copy, bundle]).exit(0);
        let says_so = run.stdout.trim_end().ends_with("already attached");
        assert_eq!(says_so, !is_new, "{}", run.stdout);
    }
    let image = tree["images"][0]["digest"].as_str().unwrap();
    let run = app.run(
        &["attach", &app.at(&format!("app@{image}")), "bundle.json"],
        2,
    );
    assert!(
        run.stderr.contains(&format!("is for the digest {index}")),
        "{}",
        run.stderr
    );
    for (content, reason) in [
        ("", "is truncated"),
        ("{}", "it is not a Sigstore bundle"),
        (
            "{\"mediaType\": \"application/vnd.dev.sigstore.bundle.v0.3+json\"}",
            "has no envelope",
        ),
    ] {
        app.golden.write("bundle.json", content);
        let run = app.run(&["attach", "app:1.2.3", "bundle.json"], 2);
        assert!(run.stderr.contains(reason), "{}", run.stderr);
    }
}

#[test]
fn required_artifacts_of_published_images_are_checked() {
    for behaviour in Behaviour::both() {
        let app = SignedApp::new(behaviour);
        app.run(&["build", "--push"], 0);
        let text = std::fs::read_to_string(app.golden.path().join("golden.toml")).unwrap();
        let policy = "[policy.published]\nrequire = [\"signature\", \"sbom\", \"provenance\"]\n";
        app.golden.write("golden.toml", format!("{text}{policy}"));
        let run = app.run(&["audit", "app:1.2.3"], 3);
        for problem in [
            "cannot be verified: no [[trust]] table has a glob",
            "the image has no bill of materials",
            "the image has no provenance statement",
        ] {
            assert!(run.stderr.contains(problem), "{}", run.stderr);
        }
        let trust = format!(
            "[[trust]]\nname = \"team\"\nimages = [\"{}/**\"]\nkeys = [\"team.pub\"]\n",
            app.registry.host()
        );
        app.golden
            .write("golden.toml", format!("{text}{policy}{trust}"));
        let run = app.run(&["verify", "app:1.2.3"], 5);
        assert!(!run.stderr.contains("[[trust]]"), "{}", run.stderr);
        assert!(
            run.stderr.contains("has no provenance statement"),
            "{}",
            run.stderr
        );
        // A signature that is required twice is one problem.
        app.golden.write_key_pair("other");
        let other = trust.replace("team.pub", "other.pub");
        app.golden
            .write("golden.toml", format!("{text}{policy}{other}"));
        let run = app.run(&["verify", "app:1.2.3", "--signed"], 5);
        let problem = format!("{}: has no valid signature", app.at("app:1.2.3"));
        assert_eq!(run.stderr.matches(&problem).count(), 1, "{}", run.stderr);
        app.golden
            .write("golden.toml", format!("{text}{policy}{trust}"));
        app.golden.write("statement.json", "{}");
        for kind in [
            "https://cyclonedx.org/bom",
            "https://slsa.dev/provenance/v1",
        ] {
            let args = [
                "attest",
                "app:1.2.3",
                "--type",
                kind,
                "--predicate",
                "statement.json",
            ];
            app.run(&args, 0);
        }
        app.run(&["audit", "app:1.2.3"], 0);
        app.run(&["verify", "app:1.2.3"], 0);
        let others = [
            text.as_str(),
            policy,
            &trust.replace("team.pub", "other.pub"),
        ]
        .concat();
        app.golden.write_key_pair("other");
        app.golden.write("golden.toml", others);
        let run = app.run(&["audit", "app:1.2.3"], 3);
        assert!(
            run.stderr
                .contains("is made with a key that is not trusted"),
            "{}",
            run.stderr
        );
    }
}

/// Every tag of an image shows whether it is signed, although the digest is verified once.
#[test]
fn every_tag_of_an_image_shows_its_signer_or_its_lack() {
    let app = SignedApp::new(Behaviour::default());
    app.run(&["build", "--push"], 0);
    let verify = |key: &str, code: i32| {
        let args = [
            "verify", "app", "--signed", "--key", key, "--format", "json",
        ];
        let run = app.run(&args, code);
        let document: Value = serde_json::from_str(&run.stdout).unwrap();
        document["findings"].as_array().unwrap().clone()
    };
    app.golden.write_key_pair("other");
    let (signed, unsigned) = (verify("team.pub", 0), verify("other.pub", 5));
    assert_eq!((signed.len(), unsigned.len()), (4, 4));
    assert!(
        signed.iter().all(|one| one["signed_by"] == "team.pub"),
        "{signed:?}"
    );
    let lacks = |one: &Value| one["differences"].as_array().unwrap().len() == 1;
    assert!(unsigned.iter().all(lacks), "{unsigned:?}");
}
