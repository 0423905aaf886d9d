//! An OCI layout as a base: golden finds and pins it before the build, and checks everything that
//! it reads against its digest. Both engines give the same result.

use std::path::Path;
use std::process::Stdio;

use golden::oci::media;
use serde_json::Value;

use crate::support::layout::{self, Base};
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::services;
use crate::support::workspace::{Golden, Run};

/// The preparation of a test case.
type Prepare<'a, T> = &'a dyn Fn(&T);

/// An image on a base, with a file whose owner is defined only in the base's layers.
fn image(base: &str, rest: &str) -> String {
    format!(
        "[image]\nname = \"on-layout\"\nversion = \"1.0.0\"\nbase = \"{base}\"\n{rest}\n\
         [[files]]\ncontent = \"x\"\ntarget = \"/etc/x\"\nowner = \"app\"\n"
    )
}

fn passwd() -> Base {
    Base::here().layer(&[
        ("etc", 'd', ""),
        ("etc/passwd", 'f', "app:x:7:8::/:/bin/sh\n"),
    ])
}

/// A workspace whose image is built on a layout next to its directory.
fn workspace(base: &str) -> Golden {
    Golden::new()
        .workspace("")
        .image("image", &image(base, ""))
        .env("SOURCE_DATE_EPOCH", "1700000000")
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

#[test]
fn an_image_can_be_built_on_an_image_of_a_layout() {
    let golden = workspace("oci:../base:team/base:1.0");
    let digest = passwd().write(&golden.path().join("base"), "team/base:1.0");
    golden.run(&["check"]).exit(0);
    let run = golden.run(&["build", "--engine", "embedded"]).exit(0);
    assert!(run.stderr.contains("read layer"), "{}", run.stderr);
    let found = inspect(&golden, "oci:.golden/oci:on-layout:1.0.0");
    let image = &found["images"][0];
    assert_eq!(
        image["labels"]["org.opencontainers.image.base.name"],
        "oci:../base:team/base:1.0"
    );
    assert_eq!(
        image["labels"]["org.opencontainers.image.base.digest"],
        digest.to_string()
    );
    assert_eq!(image["layers"].as_array().unwrap().len(), 2);

    // Every command that reads bases treats this one as local.
    let plan = golden.run(&["plan", "--format", "json"]).exit(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["images"][0]["base"]["digest"], digest.to_string());
    golden.run(&["outdated"]).exit(0);
    golden.run(&["update"]).exit(0);
    golden
        .run(&["build", "--engine", "embedded", "--locked"])
        .exit(0);
    assert!(
        golden
            .run(&["graph"])
            .exit(0)
            .stdout
            .contains("oci:../base:team/base:1.0")
    );

    // A changed base changes the image, even under the same name.
    let before = plan["images"][0]["inputs"].clone();
    passwd()
        .layer(&[("more", 'f', "")])
        .write(&golden.path().join("base"), "team/base:1.0");
    let after: Value =
        serde_json::from_str(&golden.run(&["plan", "--format", "json"]).exit(0).stdout).unwrap();
    assert_ne!(before, after["images"][0]["inputs"]);
}

/// The base's layers are read from the top down, only as far as needed, and only once for all
/// builds.
#[test]
fn only_the_needed_layers_are_read_and_only_once() {
    let golden = workspace("oci:../base");
    let base = Base::here()
        .layer(&[("large", 'f', "never read")])
        .layer(&[
            ("etc", 'd', ""),
            ("etc/passwd", 'f', "app:x:7:8::/:\n"),
            ("etc/x", 'f', "replaced"),
        ])
        .layer(&[("top", 'f', "tells nothing")]);
    base.write(&golden.path().join("base"), "any");
    let reads = |run: &crate::support::workspace::Run| run.stderr.matches("read layer").count();
    assert_eq!(
        reads(&golden.run(&["build", "--engine", "embedded"]).exit(0)),
        2
    );
    assert_eq!(
        reads(
            &golden
                .run(&["build", "--engine", "embedded", "--force"])
                .exit(0)
        ),
        0
    );
    // If only the config changes, no layer of the base is read.
    golden.write(
        "image/image.toml",
        image("oci:../base", "").split("[[files]]").next().unwrap(),
    );
    golden.forget();
    assert_eq!(
        reads(&golden.run(&["build", "--engine", "embedded"]).exit(0)),
        0
    );
}

#[test]
fn the_layers_of_the_layout_are_pushed_with_the_image() {
    let golden = workspace("oci:../base");
    passwd().docker().write(&golden.path().join("base"), "any");
    let registry = format!("{}/layouts-{}", services::registry(), std::process::id());
    let push = [
        "build",
        "--push",
        "--engine",
        "embedded",
        "--registry",
        registry.as_str(),
    ];
    golden.run(&push).exit(0);
    let found = inspect(&golden, &format!("{registry}/on-layout:1.0.0"));
    assert_eq!(found["media_type"], media::DOCKER_MANIFEST);
    assert_eq!(found["images"][0]["layers"].as_array().unwrap().len(), 2);
    golden
        .run(&["verify", "--deep", "--registry", &registry])
        .exit(0);
    let again = golden.run(&push).exit(0);
    assert!(again.stdout.contains("unchanged"), "{}", again.stdout);
}

#[test]
fn an_unusable_layout_is_reported_at_its_position() {
    let one = |golden: &Golden| drop(passwd().write(&golden.path().join("base"), "team/base:1.0"));
    let digest = golden::reference::Digest::of(b"another");
    let table: [(&str, Prepare<'_, Golden>, &str); 9] = [
        ("oci:../base", &|_| (), "`../base` does not exist"),
        (
            "oci:../image",
            &one,
            "`../image` is not an OCI layout: the file oci-layout is missing",
        ),
        ("oci:../../base", &one, "`../../base` leaves the workspace"),
        ("oci:/base", &one, "`/base` leaves the workspace"),
        (
            "oci:",
            &one,
            "the base `oci:` is not an image of a layout: write oci:DIR or oci:DIR:NAME",
        ),
        (
            "oci:../base:other",
            &one,
            "the layout `../base`: it has no image `other`; it has team/base:1.0",
        ),
        (
            &format!("oci:../base@{digest}"),
            &one,
            &format!("it has no image {digest}; it has team/base:1.0"),
        ),
        (
            "oci:../base",
            &|golden| {
                let (directory, base) = (golden.path().join("base"), passwd());
                let (a, b) = (base.blobs(&directory), Base::here().blobs(&directory));
                layout::index(&directory, &[(&a, Some("a:1")), (&b, Some("b:1"))]);
            },
            "it has several images, so the base must name one: a:1, b:1",
        ),
        (
            "oci:../base",
            &|golden| {
                one(golden);
                drop(golden.write("base/index.json", "{"));
            },
            "`../base` is not an OCI layout: its index.json cannot be read: EOF",
        ),
    ];
    for (base, prepare, message) in table {
        let golden = workspace(base);
        prepare(&golden);
        let run = golden.run(&["check"]).exit(2);
        assert!(run.stderr.contains(message), "{base}: {}", run.stderr);
        assert!(run.stderr.contains("image/image.toml:4:"), "{}", run.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_workspace_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    passwd().write(outside.path(), "x");
    let golden = workspace("oci:../base");
    std::os::unix::fs::symlink(outside.path(), golden.path().join("base")).unwrap();
    let run = golden.run(&["check"]).exit(2);
    assert!(
        run.stderr
            .contains("leads out of the workspace through a symbolic link"),
        "{}",
        run.stderr
    );
}

#[test]
fn missing_and_damaged_content_of_a_layout_is_reported_with_its_digest() {
    let broken = |breaks: &dyn Fn(&Path)| {
        let golden = workspace("oci:../base");
        passwd().write(&golden.path().join("base"), "any");
        breaks(&golden.path().join("base"));
        golden
    };
    let plain = layout::tar(&[
        ("etc", 'd', ""),
        ("etc/passwd", 'f', "app:x:7:8::/:/bin/sh\n"),
    ]);
    let packed = layout::gzip(&plain);
    let layer = golden::reference::Digest::of(&packed);
    #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
    let write = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).unwrap();
    let table: [(Prepare<'_, Path>, String); 3] = [
        (
            &|base| std::fs::remove_file(layout::blob_path(base, &layer)).unwrap(),
            format!("its blob {layer} is missing"),
        ),
        (
            &|base| write(&layout::blob_path(base, &layer), &packed[1..]),
            format!("its blob {layer} does not have the size in the manifest"),
        ),
        (
            &|base| {
                // The same length, and valid except for the changed times in it.
                let mut other = packed.clone();
                other[4..8].copy_from_slice(&[1, 2, 3, 4]);
                write(&layout::blob_path(base, &layer), &other);
            },
            format!(
                "layer {layer} of the base cannot be read: its content does not match its digest"
            ),
        ),
    ];
    for (breaks, message) in table {
        let golden = broken(breaks);
        let run = golden.run(&["build", "--engine", "embedded"]).exit(1);
        assert!(run.stderr.contains(&message), "{message}: {}", run.stderr);
        assert!(
            !golden.path().join(".golden/oci").exists(),
            "something was written"
        );
    }
}

#[test]
fn the_policy_applies_to_layouts() {
    let digest = passwd().write(tempfile::tempdir().unwrap().path(), "x");
    let table = [
        (
            "require_digest = true",
            "oci:../base:a:latest",
            Some("write oci:../base:a:latest@sha256:"),
        ),
        (
            "require_digest = true",
            &*format!("oci:../base:a:latest@{digest}"),
            None,
        ),
        (
            "allow = [\"docker.io/**\"]",
            "oci:../base",
            Some("the base `oci:../base` is not allowed"),
        ),
        ("allow = [\"oci:*\"]", "oci:../base", None),
        (
            "deny_tags = [\"latest\"]",
            "oci:../base:a:latest",
            Some("the base has the tag `latest`"),
        ),
        ("deny_tags = [\"latest\"]", "oci:../base", None),
    ];
    for (rule, base, message) in table {
        let golden = workspace(base);
        golden.write("golden.toml", format!("[policy.base]\n{rule}\n"));
        passwd().write(&golden.path().join("base"), "a:latest");
        let run = golden
            .run(&["check"])
            .exit(if message.is_some() { 3 } else { 0 });
        assert!(
            message.is_none_or(|message| run.stderr.contains(message)),
            "{rule}: {}",
            run.stderr
        );
    }
}

#[test]
fn an_index_of_a_layout_gives_its_platforms() {
    let golden = Golden::new().workspace("");
    let base_for = |platform| {
        Base::new(platform).layer(&[("etc", 'd', ""), ("etc/passwd", 'f', "app:x:7:8::/:\n")])
    };
    let (amd64, arm64, arm) = (
        base_for("linux/amd64"),
        base_for("linux/arm64"),
        base_for("linux/arm/v7"),
    );
    let directory = golden.path().join("base");
    let top = layout::index_of(&directory, &[&amd64, &arm64, &arm]);
    layout::index(&directory, &[(&top, Some("multi"))]);
    let all = "platforms = [\"linux/amd64\", \"linux/arm64\", \"linux/arm/v7\"]";
    golden.write("image/image.toml", image("oci:../base", all));
    golden.run(&["build", "--engine", "embedded"]).exit(0);
    let found = inspect(&golden, "oci:.golden/oci:on-layout:1.0.0");
    assert_eq!(found["media_type"], media::OCI_INDEX);
    let platforms: Vec<&str> = found["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["platform"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64", "linux/arm/v7"]);

    golden.write(
        "image/image.toml",
        image(
            "oci:../base",
            "platforms = [\"linux/amd64\", \"linux/s390x\"]",
        ),
    );
    let run = golden.run(&["build", "--engine", "embedded"]).exit(1);
    let message = "the base oci:../base is not for linux/s390x; it is for linux/amd64, linux/arm64, linux/arm/v7";
    assert!(run.stderr.contains(message), "{}", run.stderr);
}

/// An index may say more about a platform than the configs of its images.
#[test]
fn a_variant_that_only_the_index_names_is_kept() {
    let golden = Golden::new().workspace("");
    let directory = golden.path().join("base");
    let base =
        Base::new("linux/arm").layer(&[("etc", 'd', ""), ("etc/passwd", 'f', "app:x:7:8::/:\n")]);
    let top = layout::index_naming(&directory, &[("linux/arm/v6", &base)]);
    layout::index(&directory, &[(&top, Some("multi"))]);
    let copy = format!("{}/variant-{}:1", services::registry(), std::process::id());
    let copied = std::process::Command::new("skopeo")
        .args([
            "copy",
            "--insecure-policy",
            "--all",
            "--dest-tls-verify=false",
        ])
        .args([
            &format!("oci:{}:multi", directory.display()),
            &format!("docker://{copy}"),
        ])
        .output()
        .unwrap();
    assert!(
        copied.status.success(),
        "{}",
        String::from_utf8_lossy(&copied.stderr)
    );
    for base in ["oci:../base", &copy] {
        golden.write(
            "image/image.toml",
            image(base, "platforms = [\"linux/arm/v6\"]"),
        );
        golden
            .run(&["build", "--engine", "embedded", "--force"])
            .exit(0);
        let found = inspect(&golden, "oci:.golden/oci:on-layout:1.0.0");
        assert_eq!(found["images"][0]["platform"], "linux/arm/v6", "{base}");
        golden.write(
            "image/image.toml",
            image(base, "platforms = [\"linux/arm/v7\"]"),
        );
        let run = golden.run(&["build", "--engine", "embedded"]).exit(1);
        assert!(
            run.stderr
                .contains("is not for linux/arm/v7; it is for linux/arm/v6"),
            "{}",
            run.stderr
        );
    }
}

/// Docker's classic builder and Go programs write the config of an image without layers in these
/// forms.
#[test]
fn an_image_can_be_built_on_an_image_without_layers() {
    let golden = Golden::new()
        .workspace("")
        .env("SOURCE_DATE_EPOCH", "1700000000");
    for lists in [
        serde_json::json!({ "type": "layers" }),
        serde_json::json!({ "diff_ids": null }),
    ] {
        let text = image("oci:../base", "").replace("owner = \"app\"", "");
        golden.write("image/image.toml", text);
        Base::here()
            .without_lists(lists.clone())
            .write(&golden.path().join("base"), "any");
        golden.run(&["build", "--engine", "embedded"]).exit(0);
        let found = inspect(&golden, "oci:.golden/oci:on-layout:1.0.0");
        assert_eq!(
            found["images"][0]["layers"].as_array().unwrap().len(),
            1,
            "{lists}"
        );
    }
}

/// containerd uses this media type for a zstd layer in an image of schema 2.
#[test]
fn zstd_layers_of_schema_2_are_passed_on() {
    let plain = layout::tar(&[("etc", 'd', ""), ("etc/passwd", 'f', "app:x:7:8::/:\n")]);
    let packed = zstd::encode_all(plain.as_slice(), 3).unwrap();
    let id = golden::reference::Digest::of(&plain);
    let golden = workspace("oci:../base");
    Base::here()
        .docker()
        .layer_as(media::DOCKER_LAYER_ZSTD, packed, id)
        .write(&golden.path().join("base"), "any");
    let registry = format!(
        "{}/docker-zstd-{}",
        services::registry(),
        std::process::id()
    );
    golden
        .run(&[
            "build",
            "--push",
            "--engine",
            "embedded",
            "--registry",
            &registry,
        ])
        .exit(0);
    let types = |what: &str| -> Vec<String> {
        let found = inspect(&golden, what);
        let layers = found["images"][0]["layers"].as_array().unwrap().iter();
        layers
            .map(|layer| layer["mediaType"].as_str().unwrap().to_owned())
            .collect()
    };
    let published = types(&format!("{registry}/on-layout:1.0.0"));
    assert_eq!(
        published,
        [media::DOCKER_LAYER_ZSTD, media::DOCKER_LAYER_GZIP]
    );
    golden
        .run(&["build", "--engine", "embedded", "--to", "oci:out"])
        .exit(0);
    assert_eq!(
        types("oci:out:on-layout:1.0.0"),
        [media::OCI_LAYER_ZSTD, media::OCI_LAYER_GZIP]
    );
    // Docker reads zstd only from version 23 on, so an archive has the layer uncompressed.
    golden
        .run(&[
            "build",
            "--engine",
            "embedded",
            "--to",
            "docker-archive:out.tar",
        ])
        .exit(0);
    let listed = std::process::Command::new("tar")
        .arg("-tf")
        .arg(golden.path().join("out.tar"))
        .output()
        .unwrap();
    assert!(listed.status.success());
    let run = Golden::new().run(&[
        "inspect",
        &format!("oci:{}", golden.path().join("out").display()),
    ]);
    run.exit(0);
}

#[test]
fn a_damaged_manifest_of_the_output_layout_is_repaired() {
    let golden = workspace("scratch");
    golden.write(
        "image/image.toml",
        image("scratch", "").replace("owner = \"app\"", ""),
    );
    golden
        .run(&["build", "--engine", "embedded", "--to", "oci:out"])
        .exit(0);
    let digest = inspect(&golden, "oci:out:on-layout:1.0.0")["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let blob = layout::blob_path(&golden.path().join("out"), &digest.parse().unwrap());
    let length = usize::try_from(std::fs::metadata(&blob).unwrap().len()).unwrap();
    golden.write(
        blob.strip_prefix(golden.path()).unwrap().to_str().unwrap(),
        vec![0; length],
    );
    golden.run(&["inspect", "oci:out:on-layout:1.0.0"]).exit(1);
    golden
        .run(&[
            "build", "--engine", "embedded", "--to", "oci:out", "--force",
        ])
        .exit(0);
    assert_eq!(
        inspect(&golden, "oci:out:on-layout:1.0.0")["digest"],
        digest
    );
}

#[test]
fn an_index_of_a_registry_gives_its_platforms_and_keeps_its_format() {
    let golden = Golden::new().workspace("");
    let directory = golden.path().join("base");
    let base_for = |platform| {
        Base::new(platform).layer(&[("etc", 'd', ""), ("etc/passwd", 'f', "app:x:7:8::/:\n")])
    };
    let top = layout::index_of(
        &directory,
        &[&base_for("linux/amd64"), &base_for("linux/arm/v7")],
    );
    layout::index(&directory, &[(&top, Some("multi"))]);
    for (format, list) in [("oci", media::OCI_INDEX), ("v2s2", media::DOCKER_LIST)] {
        let base = format!(
            "{}/list-{format}-{}:1",
            services::registry(),
            std::process::id()
        );
        let copy = std::process::Command::new("skopeo")
            .args([
                "copy",
                "--insecure-policy",
                "--all",
                "--dest-tls-verify=false",
                "--format",
                format,
            ])
            .args([
                &format!("oci:{}:multi", directory.display()),
                &format!("docker://{base}"),
            ])
            .output()
            .unwrap();
        assert!(
            copy.status.success(),
            "{}",
            String::from_utf8_lossy(&copy.stderr)
        );
        golden.write(
            "image/image.toml",
            image(&base, "platforms = [\"linux/amd64\", \"linux/arm/v7\"]"),
        );
        let registry = format!(
            "{}/from-{format}-{}",
            services::registry(),
            std::process::id()
        );
        golden
            .run(&["build", "--push", "--registry", &registry])
            .exit(0);
        let found = inspect(&golden, &format!("{registry}/on-layout:1.0.0"));
        assert_eq!(found["media_type"], list);
        assert_eq!(found["images"].as_array().unwrap().len(), 2);
        golden.write(
            "image/image.toml",
            image(&base, "platforms = [\"linux/arm64\"]"),
        );
        let run = golden
            .run(&["build", "--engine", "embedded", "--force"])
            .exit(1);
        assert!(
            run.stderr
                .contains("is not for linux/arm64; it is for linux/amd64, linux/arm/v7"),
            "{}",
            run.stderr
        );
    }
}

/// Several commands that write into one layout at the same time lose no image of each other.
#[test]
fn concurrent_writers_of_a_layout_lose_no_image() {
    let out = tempfile::tempdir().unwrap();
    let directory = format!("oci:{}/layout", out.path().display());
    let workspaces: Vec<Golden> = (0..8)
        .map(|number| {
            let image = format!(
                "[image]\nname = \"app{number}\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n"
            );
            Golden::new().workspace("").image("app", &image)
        })
        .collect();
    let all = ["build", "--to", &directory];
    let running: Vec<_> = workspaces
        .iter()
        .map(|golden| {
            let mut command = golden.command(&all);
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in running {
        Run::of(child.wait_with_output().unwrap()).exit(0);
    }
    for number in 0..8 {
        Golden::new()
            .run(&["inspect", &format!("{directory}:app{number}:1.2.3")])
            .exit(0);
    }
}

/// A file that a killed command left incomplete does not make the directory unusable.
#[test]
fn a_directory_with_an_incomplete_first_file_becomes_a_layout() {
    let image = "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n";
    let golden = Golden::new()
        .workspace("")
        .image("app", image)
        .file("out/.golden-x1y2z3", "{\"imageLay");
    golden.run(&["build", "--to", "oci:out"]).exit(0);
    golden.run(&["inspect", "oci:out:app:1.2.3"]).exit(0);
}

/// The name in `--to oci:DIR:NAME` means the same as in skopeo and in `base = "oci:DIR:NAME"`.
#[test]
fn an_image_in_a_layout_gets_the_name_of_the_destination() {
    let spec = |name: &str, base: &str| {
        format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = {base}\n")
    };
    let golden = Golden::new()
        .workspace("")
        .image("app", &spec("app", "{ image = \"below\" }"))
        .image("below", &spec("below", "\"scratch\""))
        .image("child", &spec("child", "\"oci:../out:team/app:stable\""));
    let build =
        |to: &str, image: &str| golden.run(&["build", "--engine", "embedded", "--to", to, image]);
    build("oci:out:team/app:stable", "app").exit(0);
    build("oci:out:other", "app").exit(0);
    assert!(!golden.path().join("out:other").exists());
    let names = || {
        #[expect(clippy::disallowed_methods, reason = "the test owns these files")]
        let index = std::fs::read(golden.path().join("out/index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        let name = |line: &Value| line["annotations"]["org.opencontainers.image.ref.name"].clone();
        index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(), ["other", "team/app:stable"]);
    golden
        .run(&["build", "--engine", "embedded", "child"])
        .exit(0);
    inspect(&golden, "oci:out:other");

    let run = build("oci:out:both", "*").exit(2);
    insta::assert_snapshot!(run.stderr, @r"
    error: --to with a name takes one image, not 3: below:1.0.0, child:1.0.0, app:1.0.0
      help: select one image, or omit the name: each image then gets its own name
    ");
    for wrong in ["oci:out:", "oci::x", "docker-archive:a.tar:not a name"] {
        let run = build(wrong, "app").exit(2);
        assert!(
            run.stderr
                .contains("expected oci:DIR[:NAME] or docker-archive:FILE[:NAME:TAG]"),
            "{}",
            run.stderr
        );
    }
    build("docker-archive:a.tar:team/app:2", "app").exit(0);
    let list = std::process::Command::new("tar")
        .arg("-xOf")
        .arg(golden.path().join("a.tar"))
        .arg("manifest.json")
        .output();
    let list: Value = serde_json::from_slice(&list.unwrap().stdout).unwrap();
    assert_eq!(
        list[0]["RepoTags"],
        serde_json::json!(["docker.io/team/app:2"])
    );
    assert_eq!(list.as_array().unwrap().len(), 1);
}

/// Platforms that the image does not use have no effect on its inputs.
#[test]
fn an_index_of_a_layout_that_gains_a_platform_changes_nothing() {
    let registry = FakeRegistry::start(Behaviour::default());
    let table = format!(
        "[[registry]]\nname = \"t\"\nhost = \"{}\"\n",
        registry.host()
    );
    let golden = Golden::new()
        .workspace(&table)
        .env("SOURCE_DATE_EPOCH", "0");
    let image = "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"oci:../base\"\nplatforms = [\"linux/amd64\"]\n";
    let golden = golden.image("app", image);
    let directory = golden.path().join("base");
    let of = |platform, text| Base::new(platform).layer(&[("base", 'f', text)]);
    let amd64 = of("linux/amd64", "amd64");
    let plan = |bases: &[&Base]| {
        let top = layout::index_of(&directory, bases);
        layout::index(&directory, &[(&top, None)]);
        golden.run(&["plan"]).stdout
    };
    plan(&[&amd64]);
    golden.run(&["build", "--push"]).exit(0);
    let more = plan(&[&amd64, &of("linux/arm64", "arm64")]);
    assert!(
        more.contains("app:1.0.0  skip: 1.0.0 is published with the same inputs"),
        "{more}"
    );
    let other = plan(&[&of("linux/amd64", "changed")]);
    assert!(other.contains("app:1.0.0  refuse: "), "{other}");
}
