//! `[[engine]] host = "buildkit://…"`: images of a BuildKit daemon, the real binary.

use super::recipe::unique;
use crate::support::buildkit::Daemon;
use crate::support::services;
use crate::support::workspace::Golden;

/// A workspace whose engines are `engines`, and a registry.
fn workspace(engines: &str) -> Golden {
    Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"local\"\nhost = \"{}\"\n{engines}",
            services::registry()
        ))
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
}

fn engine(name: &str, host: &str, platform: &str) -> String {
    format!("[[engine]]\nname = \"{name}\"\nhost = \"{host}\"\nplatforms = [\"{platform}\"]\n")
}

fn image(name: &str, base: &str, platforms: &str, rest: &str) -> String {
    format!(
        "[image]\nname = \"{name}\"\nversion = \"1.2.3\"\ndescription = \"x\"\nbase = {base}\nplatforms = [{platforms}]\n{rest}"
    )
}

fn skopeo(arguments: &[&str], reference: &str) -> serde_json::Value {
    let output = std::process::Command::new("skopeo")
        .args(arguments)
        .arg("--tls-verify=false")
        .arg(format!("docker://{}/{reference}", services::registry()))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn steps_get_their_secret_and_a_child_is_built_on_the_published_parent() {
    let daemon = Daemon::in_front_of(services::docker_host());
    let (parent, child) = (unique(), unique());
    let golden = workspace(&format!("[[engine]]\nname = \"kit\"\nhost = \"{}\"\n", daemon.address))
        .image(
            "parent",
            &image(
                &parent,
                &format!("\"{}\"", services::base_busybox()),
                "\"linux/amd64\"",
                "[labels]\nodd = \"a\\nb\"\n[env]\nPRICE = '$5'\n[config]\nuser = \"7\"\n[[files]]\nsource = \"data\"\ntarget = \"/data/\"\nmode = \"0640\"\nowner = \"5:6\"\n[[run]]\nscript = \"stat -c '%a %u:%g' /data/data >/seen; wc -c </run/secrets/token >>/seen; id -u >>/seen; echo spoken\"\nsecrets = [\"token\"]\n",
            ),
        )
        .file("parent/data", "x".repeat(700_000))
        .image(
            "child",
            &image(
                &child,
                &format!("{{ image = \"{parent}\" }}"),
                "\"linux/amd64\"",
                "[[run]]\nscript = \"cat /seen\"\n",
            ),
        )
        .env("TOKEN", "s3cr3t-of-this-test")
        .env("GOLDEN_TRUST", "kit");

    let alone = golden
        .run(&[
            "build",
            &child,
            "--engine",
            "docker",
            "--secret",
            "id=token,env=TOKEN",
        ])
        .exit(1);
    assert!(
        alone
            .stderr
            .contains("is not published: `golden build --push`"),
        "{}",
        alone.stderr
    );

    let run = golden
        .run(&[
            "build",
            "--push",
            "-vv",
            "--no-cache",
            "--secret",
            "id=token,env=TOKEN",
        ])
        .exit(0);
    for words in [" spoken", " 640 5:6", " 19", " 0"] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    assert!(
        !run.stderr.contains("s3cr3t-of-this-test"),
        "{}",
        run.stderr
    );
    let config = skopeo(&["inspect", "--config"], &format!("{child}:1.2.3"));
    assert_eq!(config["config"]["User"], "7");
    let config = skopeo(&["inspect", "--config"], &format!("{parent}:latest"));
    assert_eq!(config["config"]["Labels"]["odd"], "a\nb");
    assert!(
        config["config"]["Env"]
            .as_array()
            .unwrap()
            .contains(&"PRICE=$5".into())
    );

    // The base's layer is the blob of the registry.
    let (_, base) = services::base_busybox().split_once('/').unwrap();
    let base = skopeo(&["inspect", "--raw"], base);
    let built = skopeo(&["inspect", "--raw"], &format!("{parent}:1.2.3"));
    assert_eq!(built["layers"][0]["digest"], base["layers"][0]["digest"]);

    let again = golden
        .run(&["build", "--push", "--secret", "id=token,env=TOKEN"])
        .exit(0);
    assert_eq!(
        again.stdout.matches("  unchanged").count(),
        2,
        "{}",
        again.stdout
    );
    golden.run(&["verify"]).exit(0);
}

#[test]
fn a_buildkit_image_is_kept_locally_for_a_later_push() {
    let daemon = Daemon::in_front_of(services::docker_second());
    let name = unique();
    let engines = engine("here", services::docker_host(), "linux/amd64")
        + &engine("there", &daemon.address, "linux/arm64");
    let files = "[[files]]\ncontent = \"x\"\ntarget = \"/x\"\n";
    let both = "\"linux/amd64\", \"linux/arm64\"";
    let spec = |version: &str| image(&name, "\"scratch\"", both, files).replace("1.2.3", version);
    let golden = workspace(&engines).image("app", &spec("1.2.3"));
    golden.run(&["build", "--engine", "docker"]).exit(0);
    golden.write("app/image.toml", spec("1.2.4"));
    golden.run(&["build", "--engine", "docker"]).exit(0);

    // golden keeps the image itself, so it needs no engine for the push.
    drop(daemon);
    golden.write("app/image.toml", spec("1.2.3"));
    let pushed = golden.run(&["push"]).exit(0);
    assert!(
        !pushed.stderr.contains("on the engine"),
        "it was built again: {}",
        pushed.stderr
    );
    for architecture in ["amd64", "arm64"] {
        let read = skopeo(
            &["--override-arch", architecture, "inspect"],
            &format!("{name}:1.2"),
        );
        assert_eq!(read["Architecture"], architecture);
    }
    golden.run(&["verify"]).exit(0);

    golden.write("app/image.toml", spec("1.2.4"));
    std::fs::remove_dir_all(golden.path().join(".golden/cache")).unwrap();
    let run = golden.run(&["push"]).exit(1);
    assert!(
        run.stderr.contains("no up-to-date local build"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_failing_step_is_shown_with_its_last_lines() {
    let daemon = Daemon::in_front_of(services::docker_host());
    let base = format!("\"{}\"", services::base_busybox());
    let script = "[[run]]\nscript = \"echo the reason; exit 7\"\n";
    let golden = workspace(&format!("[[engine]]\nhost = \"{}\"\n", daemon.address))
        .image("app", &image(&unique(), &base, "\"linux/amd64\"", script));
    let run = golden.run(&["build", "--no-cache"]).exit(1);
    assert!(
        run.stderr.contains(": step 1 (app/image.toml:")
            && run
                .stderr
                .contains(") failed with exit code 7. Last output:\n"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("  the reason"), "{}", run.stderr);
}
