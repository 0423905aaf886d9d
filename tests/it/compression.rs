//! Layers with zstd and manifests in OCI format, where the workspace requests them.

use std::process::Command;

use golden::oci::media;
use serde_json::Value;

use crate::support::layout::Base;
use crate::support::services;
use crate::support::workspace::Golden;

const ZSTD: &str = "[workspace]\ncompression = \"zstd\"\n";
const OCI: &str = "[workspace]\nformat = \"oci\"\n";
const BOTH: &str = "[workspace]\ncompression = \"zstd\"\nformat = \"oci\"\n";

fn workspace(settings: &str, base: &str) -> Golden {
    Golden::new()
        .workspace(settings)
        .image(
            "image",
            &format!(
                "[image]\nname = \"packed\"\nversion = \"1.0.0\"\nbase = \"{base}\"\nfamily = \"static\"\n\
                 [[files]]\nsource = \"big\"\ntarget = \"/srv/big\"\nowner = \"app\"\n"
            ),
        )
        .file("image/big", "twelve bytes".repeat(10_000))
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("DOCKER_HOST", services::docker_host())
}

/// Two zstd layers: the upper one removes a file with a whiteout and adds another.
fn base() -> Base {
    Base::here()
        .zstd_layer(&[
            ("etc", 'd', ""),
            ("etc/passwd", 'f', "app:x:1:1::/:\n"),
            ("etc/group", 'f', "app:x:1:\n"),
        ])
        .zstd_layer(&[("etc/.wh.passwd", 'f', "")])
        .zstd_layer(&[("etc/passwd", 'f', "app:x:7:8::/:\n")])
}

fn inspect(golden: &Golden, what: &str) -> Value {
    serde_json::from_str(
        &golden
            .run(&["inspect", what, "--format", "json"])
            .exit(0)
            .stdout,
    )
    .unwrap()
}

/// The media types of the manifest and of the layers.
fn types(found: &Value) -> (&str, Vec<&str>) {
    let layers = found["images"][0]["layers"].as_array().unwrap();
    let types = layers
        .iter()
        .map(|layer| layer["mediaType"].as_str().unwrap());
    (found["media_type"].as_str().unwrap(), types.collect())
}

fn skopeo(args: &[&str]) -> String {
    let output = Command::new("skopeo").args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn zstd_layers_are_reproducible_and_readable() {
    let digest = || {
        let golden = workspace(ZSTD, "oci:../base");
        base().write(&golden.path().join("base"), "any");
        golden.run(&["build", "--engine", "embedded"]).exit(0);
        let found = inspect(&golden, "oci:.golden/oci:packed:1.0.0");
        assert_eq!(
            types(&found),
            (media::OCI_MANIFEST, vec![media::OCI_LAYER_ZSTD; 4])
        );
        let layout = golden.path().join(".golden/oci");
        let (from, to) = (
            format!("oci:{}:packed:1.0.0", layout.display()),
            golden.path().join("copy"),
        );
        skopeo(&[
            "copy",
            "--insecure-policy",
            &from,
            &format!("dir:{}", to.display()),
        ]);
        let packed = std::fs::File::open(
            layout.join("blobs/sha256").join(
                found["images"][0]["layers"][3]["digest"]
                    .as_str()
                    .unwrap()
                    .split_once(':')
                    .unwrap()
                    .1,
            ),
        );
        let mut archive = tar::Archive::new(zstd::Decoder::new(packed.unwrap()).unwrap());
        let owners: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                (
                    entry.path().unwrap().display().to_string(),
                    header.uid().unwrap(),
                    header.gid().unwrap(),
                )
            })
            .collect();
        assert_eq!(owners.last().unwrap(), &("srv/big".to_owned(), 7, 8));
        found["digest"].as_str().unwrap().to_owned()
    };
    assert_eq!(digest(), digest());
}

#[test]
fn format_and_compression_do_not_change_the_inputs() {
    let inputs = |settings| {
        let golden = workspace(settings, "oci:../base");
        base().write(&golden.path().join("base"), "any");
        golden.run(&["build", "--engine", "embedded"]).exit(0);
        let found = inspect(&golden, "oci:.golden/oci:packed:1.0.0");
        (
            found["images"][0]["labels"]["dev.golden.inputs"].clone(),
            found["digest"].clone(),
        )
    };
    let (gzip, zstd) = (inputs(""), inputs(ZSTD));
    assert_eq!(gzip.0, zstd.0);
    assert_ne!(gzip.1, zstd.1);
}

#[test]
fn schema_2_refuses_zstd_unless_the_format_is_oci() {
    let owner = |golden: &Golden| {
        let text = format!(
            "[image]\nname = \"packed\"\nversion = \"1.0.0\"\nbase = \"{}\"\nfamily = \"static\"\n\
             [[files]]\nsource = \"big\"\ntarget = \"/srv/big\"\nowner = \"nobody\"\n[config]\ncmd = [\"wc\", \"-c\", \"/srv/big\"]\n",
            services::base_busybox()
        );
        golden.write("image/image.toml", text);
    };
    let golden = workspace(ZSTD, "scratch");
    owner(&golden);
    let run = golden.run(&["build", "--engine", "embedded"]).exit(1);
    let message = "the base has Docker's schema 2 format, which does not support zstd layers";
    assert!(
        run.stderr.contains(message) && run.stderr.contains("set format = \"oci\""),
        "{}",
        run.stderr
    );

    for (settings, layer) in [(OCI, media::OCI_LAYER_GZIP), (BOTH, media::OCI_LAYER_ZSTD)] {
        let golden = workspace(settings, "scratch");
        owner(&golden);
        let registry = format!(
            "{}/packed-{}-{}",
            services::registry(),
            settings.len(),
            std::process::id()
        );
        golden
            .run(&["build", "--push", "--registry", &registry])
            .exit(0);
        let name = format!("{registry}/packed:1.0.0");
        let found = inspect(&golden, &name);
        assert_eq!(
            types(&found),
            (media::OCI_MANIFEST, vec![media::OCI_LAYER_GZIP, layer])
        );
        golden
            .run(&["verify", "--deep", "--registry", &registry])
            .exit(0);
        assert!(
            skopeo(&[
                "inspect",
                "--raw",
                "--tls-verify=false",
                &format!("docker://{name}")
            ])
            .contains(layer)
        );
        // This engine does not support zstd: loaded layers are not compressed with it.
        golden
            .run(&["build", "--engine", "embedded", "--load", "--force"])
            .exit(0);
        let output = crate::support::assembling::docker(&["run", "--rm", "localhost/packed:1.0.0"]);
        assert_eq!(output, "120000 /srv/big");
    }
}

#[test]
fn unknown_values_of_format_and_compression_are_refused() {
    for (settings, message) in [
        (
            "[workspace]\ncompression = \"lzma\"\n",
            "\"lzma\" is not one of \"gzip\", \"zstd\"",
        ),
        (
            "[workspace]\nformat = \"docker\"\n",
            "\"docker\" is not one of \"base\", \"oci\"",
        ),
    ] {
        let run = workspace(settings, "scratch").run(&["check"]).exit(2);
        assert!(run.stderr.contains("golden.toml:2:"), "{}", run.stderr);
        assert!(run.stderr.contains(message), "{}", run.stderr);
    }
}
