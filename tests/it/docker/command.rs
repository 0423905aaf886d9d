//! The Docker engine as the user sees it: the binary, run against real engines.

use std::os::unix::fs::PermissionsExt as _;

use super::recipe::unique;
use crate::support::services;
use crate::support::workspace::{Golden, Run};

/// A workspace with one image on the registry's busybox, with one step.
fn with_step(name: &str, run: &str) -> Golden {
    Golden::new().workspace("").image(
        "app",
        &format!(
            "[image]\nname = \"{name}\"\nversion = \"1.2.3\"\ndescription = \"x\"\nbase = \"{}\"\nfamily = \"static\"\n\n[[run]]\n{run}\n",
            services::base_busybox()
        ),
    )
}

pub(super) fn executable(golden: &Golden, path: &str, text: &str) -> std::path::PathBuf {
    let path = golden.write(path, text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_missing_engine_is_exit_1_with_advice_to_start_one() {
    let golden =
        with_step(&unique(), "script = \"true\"").env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let run = golden.run(&["build"]).exit(1);
    for words in [
        "no Docker Engine answers at unix:///nowhere/docker.sock",
        "help: start Docker, or set DOCKER_HOST; this image needs an engine because of step 1 (true)\n",
    ] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
}

#[test]
fn a_socket_without_permission_has_its_own_message() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    };
    open(directory.path(), 0o755).unwrap();
    open(&socket, 0o600).unwrap();
    let golden = with_step(&unique(), "script = \"true\"")
        .env("DOCKER_HOST", &format!("unix://{}", socket.display()));
    open(golden.path(), 0o777).unwrap();
    let command = golden.command(&["build", "--engine", "docker"]);
    // A copy that any user may execute, wherever the checkout is.
    let binary = golden.path().join("golden");
    std::fs::copy(command.get_program(), &binary).unwrap();
    let mut anybody = std::process::Command::new("setpriv");
    anybody
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&binary)
        .args(command.get_args());
    anybody
        .current_dir(golden.path())
        .env("DOCKER_HOST", format!("unix://{}", socket.display()));
    anybody.env("HOME", golden.path()).env("CI", "true");
    let run = Run::of(anybody.output().unwrap()).exit(1);
    assert!(
        run.stderr
            .contains("no permission to use the Docker Engine"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("usermod -aG docker"), "{}", run.stderr);
}

#[test]
fn a_base_for_another_platform_is_refused_by_both_builders() {
    for buildkit in ["1", "0"] {
        let text = format!(
            "[image]\nname = \"{}\"\nversion = \"1.0.0\"\nbase = \"{}\"\nplatforms = [\"linux/arm64\"]\n",
            unique(),
            services::base_busybox()
        );
        let golden = Golden::new()
            .workspace("")
            .image("app", &text)
            .env("DOCKER_HOST", services::docker_host())
            .env("DOCKER_BUILDKIT", buildkit);
        let run = golden.run(&["build", "--engine", "docker"]).exit(1);
        assert!(
            run.stderr
                .contains("is not for linux/arm64; it is for linux/amd64"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_base_of_another_architecture_is_refused_when_the_image_names_no_platform() {
    let (registry, name) = (services::registry(), unique());
    let foreign = Golden::new()
        .workspace(&format!("[[registry]]\nname = \"r\"\nhost = \"{registry}\"\n"))
        .image(
            "base",
            &format!(
                "[image]\nname = \"foreign/{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/arm64\"]\n\
                 [[files]]\ncontent = \"x\"\ntarget = \"/x\"\n"
            ),
        );
    foreign
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(0);
    for (engine, buildkit) in [("docker", "1"), ("docker", "0"), ("embedded", "1")] {
        let golden = Golden::new()
            .workspace("")
            .image(
                "app",
                &format!(
                    "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"{registry}/foreign/{name}:1\"\n"
                ),
            )
            .env("DOCKER_HOST", services::docker_host())
            .env("DOCKER_BUILDKIT", buildkit);
        let run = golden.run(&["build", "--engine", engine]).exit(1);
        assert!(
            run.stderr
                .contains("is not for linux/amd64; it is for linux/arm64"),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr
                .contains("set platforms = [\"linux/arm64\"] under [image]"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn ssh_reaches_an_engine_as_dockers_own_client_does() {
    let golden = with_step(&unique(), "script = \"echo built over ssh\"");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>{}/called\nexec docker -H {} system dial-stdio\n",
        golden.path().display(),
        services::docker_host()
    );
    executable(&golden, "bin/ssh", &script);
    let path = format!(
        "{}/bin:{}",
        golden.path().display(),
        std::env::var_os("PATH").unwrap().to_str().unwrap()
    );
    let golden = golden
        .env("DOCKER_HOST", "ssh://me@build.example.com:2222")
        .env("PATH", &path);
    let run = golden.run(&["build", "--no-cache"]).exit(0);
    assert!(run.stderr.contains("built over ssh"), "{}", run.stderr);
    let mut called = String::new();
    std::io::Read::read_to_string(
        &mut std::fs::File::open(golden.path().join("called")).unwrap(),
        &mut called,
    )
    .unwrap();
    let wanted =
        "-o ConnectTimeout=30 -T -l me -p 2222 -- build.example.com docker system dial-stdio";
    assert_eq!(called.lines().next(), Some(wanted));

    executable(
        &golden,
        "bin/ssh",
        "#!/bin/sh\necho 'me@build.example.com: Permission denied (publickey).' >&2\nexit 255\n",
    );
    let run = golden.run(&["build"]).exit(1);
    assert!(
        run.stderr.contains("Permission denied (publickey)"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("docker version"), "{}", run.stderr);
}

/// A parent and a child for two platforms, and an engine for each.
fn on_two_engines(parent: &str, child: &str) -> Golden {
    let registry = services::registry();
    let image = |name: &str, version: &str, base: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"x\"\nbase = {base}\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\n[[files]]\ncontent = \"{name}\"\ntarget = \"/{name}\"\n"
        )
    };
    Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"local\"\nhost = \"{registry}\"\n\n[[engine]]\nname = \"here\"\nhost = \"{}\"\nplatforms = [\"linux/amd64\"]\n\n[[engine]]\nname = \"there\"\nhost = \"{}\"\nplatforms = [\"linux/arm64\"]\n",
            services::docker_host(),
            services::docker_second()
        ))
        .image("parent", &image(parent, "1.2.3", "\"scratch\""))
        .image("child", &image(child, "2.0.0", &format!("{{ image = \"{parent}\" }}")))
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
}

/// Asserts that both images are in the registry with all their tags, each as an index of both
/// platforms.
fn assert_indexes(parent: &str, child: &str) {
    let registry = services::registry();
    for (name, tags) in [
        (parent, ["1", "1.2", "1.2.3", "latest"]),
        (child, ["2", "2.0", "2.0.0", "latest"]),
    ] {
        let list: serde_json::Value = curl_json(&format!("http://{registry}/v2/{name}/tags/list"));
        let mut found: Vec<&str> = list["tags"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|tag| tag.as_str())
            .collect();
        found.sort_unstable();
        assert_eq!(found, tags);
        let index = curl_json(&format!("http://{registry}/v2/{name}/manifests/latest"));
        let platforms: Vec<&str> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|m| m["platform"]["architecture"].as_str())
            .collect();
        assert_eq!(platforms, ["amd64", "arm64"]);
    }
}

#[test]
fn engines_of_the_workspace_build_one_index_for_parent_and_child() {
    let (parent, child) = (unique(), unique());
    let golden = on_two_engines(&parent, &child);
    golden
        .run(&["build", "--engine", "docker", "--push"])
        .exit(0);
    assert_indexes(&parent, &child);
    let again = golden
        .run(&["build", "--engine", "docker", "--push"])
        .exit(0);
    assert!(again.stdout.contains("unchanged"), "{}", again.stdout);
    golden.run(&["verify"]).exit(0);
}

#[test]
fn an_image_built_by_several_engines_is_pushed_later() {
    let (parent, child) = (unique(), unique());
    let golden = on_two_engines(&parent, &child);
    golden.run(&["build", "--engine", "docker"]).exit(0);
    let record = golden
        .path()
        .join(format!(".golden/builds/{child}/2.0.0.json"));
    let record: serde_json::Value =
        serde_json::from_reader(std::fs::File::open(record).unwrap()).unwrap();
    let names: Vec<&str> = record["parts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|part| part["engine"].as_str())
        .collect();
    assert_eq!(names.len(), 2);
    assert!(
        names.contains(&"here") && names.contains(&"there"),
        "{names:?}"
    );

    let pushed = golden.run(&["push"]).exit(0);
    assert!(
        !pushed.stderr.contains("on the engine"),
        "it was built again: {}",
        pushed.stderr
    );
    assert_indexes(&parent, &child);
    golden.run(&["verify"]).exit(0);
}

#[test]
fn an_image_that_an_engine_lost_cannot_be_pushed() {
    let (parent, child) = (unique(), unique());
    let golden = on_two_engines(&parent, &child);
    golden
        .run(&["build", "--engine", "docker", &parent])
        .exit(0);
    let removed = std::process::Command::new("docker")
        .args(["-H", services::docker_second(), "rmi", "--force"])
        .args(
            ["1.2.3", "1.2", "1", "latest"]
                .map(|tag| format!("{}/{parent}:{tag}", services::registry())),
        )
        .output()
        .unwrap();
    assert!(
        removed.status.success(),
        "{}",
        String::from_utf8_lossy(&removed.stderr)
    );
    let run = golden.run(&["push", &parent]).exit(1);
    assert!(
        run.stderr.contains("no up-to-date local build"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains(&format!("golden build {parent}")),
        "{}",
        run.stderr
    );
}

fn curl_json(url: &str) -> serde_json::Value {
    let accept = "Accept: application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";
    let output = std::process::Command::new("curl")
        .args(["-sf", "-H", accept, url])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `golden test` changes no tag of the engine, except those on which it builds other images.
#[test]
fn tests_tag_only_the_bases_of_tested_images() {
    let (parent, child) = (unique(), unique());
    let image = |name: &str, base: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"1.2.3\"\nbase = {base}\n\
            [[files]]\ncontent = \"{name}\"\ntarget = \"/{name}\"\n[[test]]\nport = 80\n"
        )
    };
    let golden = Golden::new()
        .workspace("")
        .image("parent", &image(&parent, "\"scratch\""))
        .image(
            "child",
            &image(&child, &format!("{{ image = \"{parent}\" }}")),
        )
        .env("DOCKER_HOST", services::docker_host());
    let is_tagged = |name: &str| {
        let mut docker = std::process::Command::new("docker");
        docker.args(["-H", services::docker_host(), "image", "inspect"]);
        let output = docker
            .arg(format!("localhost/{name}:1.2.3"))
            .output()
            .unwrap();
        output.status.success()
    };
    for (images, parent_tagged, child_tagged) in [
        (&[parent.as_str()][..], false, false),
        (&[&parent, &child], true, false),
    ] {
        let arguments = [&["test", "--engine", "docker"], images].concat();
        let run = golden.run(&arguments).exit(1);
        assert!(run.stdout.contains("failed  port 80/tcp"), "{}", run.stdout);
        assert_eq!(is_tagged(&parent), parent_tagged, "{images:?}");
        assert_eq!(is_tagged(&child), child_tagged, "{images:?}");
    }
}

/// Nothing runs in the image, so one engine builds it for every platform.
#[test]
fn docker_builds_platforms_on_which_nothing_runs() {
    let golden = Golden::new()
        .workspace("")
        .image("app", "[image]\nname = \"app\"\nversion = \"1.0.0\"\ndescription = \"x\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n[[files]]\ncontent = \"x\"\ntarget = \"/x\"\n")
        .env("DOCKER_HOST", services::docker_host());
    let run = golden.run(&["build", "--engine", "docker"]).exit(0);
    assert!(run.stdout.contains("built"), "{}", run.stdout);
}
