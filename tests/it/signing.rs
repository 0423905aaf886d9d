//! Signatures of golden are accepted and refused by cosign and skopeo, golden accepts and refuses
//! those of cosign, and no signature is lost when many processes sign one image.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::proxy::fault_proxy;
use crate::support::publisher::fresh_name;
use crate::support::services;
use crate::support::workspace::Golden;

const PASSWORD: &str = "correct horse battery";

/// A workspace with a signing key and an index of two images, which is published.
fn published() -> (Golden, String) {
    let name = fresh_name("signed");
    let host = services::registry();
    let golden = Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"t\"\nhost = \"{host}\"\nnamespace = \"{name}\"\n[signing]\nkey = \"team.key\"\n"
        ))
        .env("SOURCE_DATE_EPOCH", "0")
        .env("GOLDEN_SIGNING_PASSWORD", PASSWORD)
        .image(
            "app",
            "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n\
             platforms = [\"linux/amd64\", \"linux/arm64\"]\n[[files]]\ncontent = \"x\"\ntarget = \"/x\"\n",
        );
    for key in ["team", "other"] {
        golden.run(&["key", "new", "--out", key]).exit(0);
    }
    golden.run(&["build", "--push"]).exit(0);
    (golden, format!("{host}/{name}/app"))
}

/// Runs a program of the modern root in the directory of the workspace.
fn modern(golden: &Golden, args: &[&str]) -> Output {
    let directory = golden.path().display();
    let words: Vec<String> = args.iter().map(|word| format!("'{word}'")).collect();
    let line = format!(
        "cd {directory} && COSIGN_PASSWORD='{PASSWORD}' {}",
        words.join(" ")
    );
    Command::new(services::modern_run())
        .args(["sh", "-c", &line])
        .output()
        .unwrap()
}

#[track_caller]
fn expect(output: &Output, success: bool) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(output.status.success(), success, "{text}");
    text
}

/// The flags for an operation of the installed cosign that uses no transparency log. cosign 3
/// refuses `--tlog-upload=false` with the configuration of the public log, its default.
fn without_log(golden: &Golden, operation: &str) -> &'static [&'static str] {
    let help = modern(golden, &["cosign", operation, "--help"]);
    if expect(&help, true).contains("--use-signing-config") {
        &["--use-signing-config=false", "--tlog-upload=false"]
    } else {
        &["--tlog-upload=false"]
    }
}

/// The flags that select each format of signatures that the installed cosign can write: cosign 3
/// writes bundles, and simple signatures on request. cosign 2 writes simple signatures only.
fn formats(golden: &Golden) -> &'static [&'static [&'static str]] {
    if without_log(golden, "sign").len() > 1 {
        &[&[], &["--new-bundle-format=false"]]
    } else {
        &[&[]]
    }
}

/// The digests of an index and of its images.
fn digests(golden: &Golden, reference: &str) -> Vec<String> {
    let run = golden
        .run(&["inspect", reference, "--format", "json"])
        .exit(0);
    let shown: Value = serde_json::from_str(&run.stdout).unwrap();
    let images = shown["images"].as_array().unwrap().iter();
    let digests = images.map(|image| &image["digest"]);
    [&shown["digest"]]
        .into_iter()
        .chain(digests)
        .map(|digest| digest.as_str().unwrap().to_owned())
        .collect()
}

/// Verifies a statement of a type with cosign and a public key.
fn verify_attestation(golden: &Golden, reference: &str, kind: &str, key: &str) -> Output {
    let trusted_root =
        json!({ "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1" });
    golden.write("root.json", trusted_root.to_string());
    let verify = [
        "cosign",
        "verify-attestation",
        "--new-bundle-format",
        "--trusted-root",
        "root.json",
        "--type",
        kind,
        "--key",
        key,
        "--insecure-ignore-tlog=true",
        "--allow-http-registry",
        reference,
    ];
    modern(golden, &verify)
}

#[test]
fn cosign_accepts_only_the_key_that_signed() {
    let (golden, repository) = published();
    for digest in digests(&golden, "app:1.2.3") {
        let reference = format!("{repository}@{digest}");
        for (key, success) in [("team.pub", true), ("other.pub", false)] {
            let verify = [
                "cosign",
                "verify",
                "--key",
                key,
                "--insecure-ignore-tlog=true",
            ];
            let verify = [verify.as_slice(), &["--allow-http-registry", &reference]].concat();
            // By default, cosign 2 reads simple signatures, and cosign 3 reads bundles.
            expect(&modern(&golden, &verify), success);
            let simple = [verify.as_slice(), &["--new-bundle-format=false"]].concat();
            expect(&modern(&golden, &simple), success);
            let kind = "https://sigstore.dev/cosign/sign/v1";
            expect(&verify_attestation(&golden, &reference, kind, key), success);
        }
    }
}

#[test]
fn cosign_accepts_an_attestation() {
    let (golden, repository) = published();
    golden.write("scan.json", "{ \"result\": [] }");
    let kind = "https://cosign.sigstore.dev/attestation/vuln/v1";
    golden
        .run(&[
            "attest",
            "app:1.2.3",
            "--type",
            kind,
            "--predicate",
            "scan.json",
        ])
        .exit(0);
    let reference = format!("{repository}:1.2.3");
    for (key, kind, success) in [
        ("team.pub", kind, true),
        ("other.pub", kind, false),
        ("team.pub", "https://spdx.dev/Document", false),
    ] {
        expect(&verify_attestation(&golden, &reference, kind, key), success);
    }
}

#[test]
fn skopeo_accepts_the_signature_in_its_repository_only() {
    let (golden, repository) = published();
    let host = services::registry();
    let promoted = format!("{repository}-copy");
    let (from, to) = (format!("{repository}:1.2.3"), format!("{promoted}:1.2.3"));
    let copy = |reference: &str, key: &str| {
        let key = golden.path().join(key).display().to_string();
        let policy = json!({
            "default": [{ "type": "reject" }],
            "transports": { "docker": { host: [{
                "type": "sigstoreSigned",
                "keyPath": key,
                "signedIdentity": { "type": "matchRepository" },
            }] } },
        });
        golden.write("policy.json", policy.to_string());
        golden.write(
            "registries.d/default.yaml",
            "default-docker:\n  use-sigstore-attachments: true\n",
        );
        let name = fresh_name("copy");
        modern(
            &golden,
            &[
                "skopeo",
                "--policy",
                "policy.json",
                "--registries.d",
                "registries.d",
                "--override-arch",
                "amd64",
                "copy",
                "--src-tls-verify=false",
                &format!("docker://{reference}"),
                &format!("dir:{name}"),
            ],
        )
    };
    expect(&copy(&from, "team.pub"), true);
    expect(&copy(&from, "other.pub"), false);
    // Without the key of the workspace, the copied signature still names the source.
    let text = std::fs::read_to_string(golden.path().join("golden.toml")).unwrap();
    golden.write("golden.toml", text.replace("key = \"team.key\"\n", ""));
    golden.run(&["promote", &from, &to]).exit(0);
    expect(&copy(&to, "team.pub"), false);
    golden.write("golden.toml", &text);
    golden.run(&["promote", &from, &to]).exit(0);
    expect(&copy(&to, "team.pub"), true);
}

#[test]
fn golden_verifies_the_signatures_and_keys_of_cosign() {
    let (golden, repository) = published();
    let text = std::fs::read_to_string(golden.path().join("golden.toml")).unwrap();
    golden.write("golden.toml", text.replace("key = \"team.key\"\n", ""));
    let reference = format!("{repository}:1.2.3");
    let digest = &digests(&golden, "app:1.2.3")[0];
    let by_digest = format!("{repository}@{digest}");
    let verify = |key: &str| golden.run(&["verify", &reference, "--signed", "--key", key]);
    for (number, format) in formats(&golden).iter().enumerate() {
        let prefix = format!("theirs{number}");
        let generate = [
            "cosign",
            "generate-key-pair",
            "--output-key-prefix",
            &prefix,
        ];
        expect(&modern(&golden, &generate), true);
        let (key, public) = (format!("{prefix}.key"), format!("{prefix}.pub"));
        let run = verify(&public).exit(5);
        assert!(
            run.stderr
                .contains("is made with a key that is not trusted"),
            "{}",
            run.stderr
        );
        let sign = [
            "cosign",
            "sign",
            "--key",
            &key,
            "-y",
            "--allow-http-registry",
        ];
        let sign = [&sign, without_log(&golden, "sign"), *format, &[&by_digest]].concat();
        expect(&modern(&golden, &sign), true);
        verify(&public).exit(0);
        verify("team.pub").exit(0);
    }
    // A key of cosign signs, and an attestation is no signature.
    golden
        .run(&["sign", &by_digest, "--key", "theirs0.key"])
        .exit(0);
    golden.write("predicate.json", "{}");
    let image = &digests(&golden, "app:1.2.3")[1];
    let attested = format!("{repository}@{image}");
    let attest = [
        "cosign",
        "attest",
        "--key",
        "other.key",
        "-y",
        "--allow-http-registry",
        "--new-bundle-format",
        "--predicate",
        "predicate.json",
        "--type",
        "https://example.com/x",
    ];
    let attest = [&attest, without_log(&golden, "attest"), &[&attested]].concat();
    expect(&modern(&golden, &attest), true);
    golden
        .run(&["verify", &attested, "--signed", "--key", "other.pub"])
        .exit(5);
}

#[test]
fn twenty_processes_that_sign_one_image_lose_no_signature() {
    let (golden, repository) = published();
    let reference = format!("{repository}:1.2.3");
    let before = signatures(&golden, &reference);
    let children: Vec<_> = (0..20)
        .map(|n| {
            let pair = rcgen::KeyPair::generate().unwrap();
            let key = golden.write(&format!("{n}.key"), pair.serialize_pem());
            golden.write(&format!("{n}.pub"), pair.public_key_pem());
            sign(&golden, &reference, &key)
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        expect(&output, true);
    }
    let (bundles, layers) = signatures(&golden, &reference);
    assert_eq!((bundles, layers), (before.0 + 20, before.1 + 20));
    for n in 0..20 {
        let key = format!("{n}.pub");
        golden
            .run(&["verify", &reference, "--signed", "--key", &key])
            .exit(0);
    }
}

fn sign(golden: &Golden, reference: &str, key: &Path) -> std::process::Child {
    golden
        .command(&["sign", reference, "--key", key.to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

/// The numbers of bundles and of simple signatures of an index.
fn signatures(golden: &Golden, reference: &str) -> (usize, usize) {
    let run = golden
        .run(&["referrers", reference, "--format", "json"])
        .exit(0);
    let tree: Value = serde_json::from_str(&run.stdout).unwrap();
    let nodes = tree["referrers"].as_array().unwrap();
    let bundles = nodes
        .iter()
        .filter(|node| node.get("tag").is_none())
        .count();
    let (digest, (host, path)) = (
        tree["digest"].as_str().unwrap().replace(':', "-"),
        reference.split_once('/').unwrap(),
    );
    let path = path.split(':').next().unwrap();
    let body =
        crate::support::curl::curl("GET", host, &format!("{path}/manifests/{digest}.sig")).body;
    let manifest: Value = serde_json::from_str(&body).unwrap();
    (bundles, manifest["layers"].as_array().unwrap().len())
}

/// The engine can push only to a tag, so golden exports its image and uploads it by digest.
#[test]
fn no_tag_ever_points_to_an_unsigned_image_of_an_engine() {
    let proxy = fault_proxy(services::registry(), None);
    let host = proxy.host();
    for commands in [
        &[&["build", "--engine", "docker", "--push"][..]][..],
        &[&["build", "--engine", "docker"], &["push"]],
    ] {
        let name = fresh_name("ordered");
        let table =
            format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\nnamespace = \"{name}\"\n");
        let golden = Golden::new()
            .env("DOCKER_HOST", services::docker_host())
            .workspace(&format!(
                "{table}[signing]\nkey = \"team.key\"\n[sbom]\n[provenance]\n"
            ))
            .image(
                "app",
                "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n\
                 [[files]]\ncontent = \"x\"\ntarget = \"/x\"\n",
            );
        golden.write_key_pair("team");
        proxy.heal();
        for command in commands {
            golden.run(command).exit(0);
        }
        let requests = proxy.requests();
        let is_put = |line: &&String| line.starts_with("PUT ") && line.contains("/manifests/");
        let puts: Vec<&String> = requests.iter().filter(is_put).collect();
        let is_attached = |line: &&String| line.contains("/manifests/sha256-");
        let first_tag = puts
            .iter()
            .position(|line| !line.contains("/manifests/sha256"))
            .unwrap();
        assert!(puts[first_tag].contains("/manifests/1.2.3"), "{puts:?}");
        assert!(puts[..first_tag].iter().any(is_attached), "{puts:?}");
        assert!(!puts[first_tag..].iter().any(is_attached), "{puts:?}");
        golden.run(&["verify", "--signed"]).exit(0);
        let digest = digests(&golden, "app:1.2.3");
        proxy.heal();
        for command in commands {
            golden.run(command).exit(0);
        }
        let requests = proxy.requests();
        let writes = |line: &&String| !line.starts_with("GET ") && !line.starts_with("HEAD ");
        assert_eq!(requests.iter().filter(writes).count(), 0, "{requests:?}");
        assert_eq!(digests(&golden, "app:1.2.3"), digest);
    }
}

#[test]
fn cosign_accepts_a_verification_summary() {
    let (golden, repository) = published();
    let text = std::fs::read_to_string(golden.path().join("golden.toml")).unwrap();
    golden.write(
        "golden.toml",
        format!("{text}[policy.env]\ndeny_secrets = true\n"),
    );
    golden.run(&["audit", "app:1.2.3", "--attest"]).exit(0);
    let reference = format!("{repository}:1.2.3");
    let kind = "https://slsa.dev/verification_summary/v1";
    for (key, success) in [("team.pub", true), ("other.pub", false)] {
        expect(&verify_attestation(&golden, &reference, kind, key), success);
    }
}
