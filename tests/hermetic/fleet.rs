//! Fleets, without a registry: cycles, collisions, changed images, and the graph.

use crate::support::workspace::Golden;

fn image(name: &str, base: &str) -> String {
    format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = {base}\n")
}

fn three() -> Golden {
    Golden::new()
        .workspace("")
        .image("a", &image("a", "\"scratch\""))
        .image("b", &image("b", "{ image = \"a\" }"))
        .image("c", &image("c", "{ image = \"b\", version = \"1\" }"))
        .image("d", &image("d", "\"scratch\""))
}

fn jobs(golden: &Golden, args: &[&str]) -> Vec<Vec<String>> {
    let run = golden
        .run(&[&["matrix", "--format", "json"], args].concat())
        .exit(0);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let name = |job: &serde_json::Value| job["image"].as_str().unwrap().to_owned();
    let wave = |wave: &serde_json::Value| wave.as_array().unwrap().iter().map(name).collect();
    json["waves"].as_array().unwrap().iter().map(wave).collect()
}

#[test]
fn a_cycle_is_reported_with_its_path() {
    let run = Golden::new()
        .workspace("")
        .image("a", &image("a", "{ image = \"c\" }"))
        .image("b", &image("b", "{ image = \"a\" }"))
        .image("c", &image("c", "{ image = \"b\" }"))
        .image("d", &image("d", "{ image = \"c\" }"))
        .run(&["check"])
        .exit(2);
    insta::assert_snapshot!(run.stderr);
}

#[test]
fn collisions_show_both_specs() {
    let run = Golden::new()
        .workspace("")
        .image("a", &image("same", "\"scratch\""))
        .image("b", &image("same", "\"scratch\""))
        .run(&["check"])
        .exit(2);
    insta::assert_snapshot!(run.stderr);
    // Rows of a matrix collide too, if they differ only in values without effect on the tags, or in
    // an extra tag.
    let rows = "[matrix]\nn = [\"1\", \"2\"]\n";
    let extra = image("tool", "\"scratch\"").replace("1.0.0", "1.{{ matrix.n }}.0")
        + "[tags]\nextra = [\"edge\"]\n";
    let run = Golden::new()
        .workspace("")
        .image("a", &(image("app", "\"scratch\"") + rows))
        .image("b", &(extra + rows))
        .run(&["check"])
        .exit(2);
    for words in ["`app:1.0.0`", "`tool:edge`", "with n = 1", "with n = 2"] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    // Several versions of one image share the moving tags: the highest version gets them.
    Golden::new()
        .workspace("")
        .image("a", &image("same", "\"scratch\""))
        .image("b", &image("same", "\"scratch\"").replace("1.0.0", "1.1.0"))
        .run(&["check"])
        .exit(0);
}

#[test]
fn changed_selects_changed_images_and_with_dependants_their_children() {
    let golden = three();
    golden.git(&["init", "-q"]);
    golden.git(&["add", "-A"]);
    golden.git(&["commit", "-qm", "one"]);
    assert_eq!(
        jobs(&golden, &["--changed", "HEAD"]),
        Vec::<Vec<String>>::new()
    );
    golden.write("b/new-file", "x");
    assert_eq!(jobs(&golden, &["--changed", "HEAD"]), [["b"], ["c"]]);
    golden.git(&["add", "-A"]);
    golden.git(&["commit", "-qm", "two"]);
    assert_eq!(
        jobs(&golden, &["--changed", "HEAD"]),
        Vec::<Vec<String>>::new()
    );
    assert_eq!(jobs(&golden, &["--changed", "HEAD~1"]), [["b"], ["c"]]);
    golden.write("golden.toml", "[vars]\nx = \"1\"\n");
    assert_eq!(
        jobs(&golden, &["--changed", "HEAD"]),
        [vec!["a", "d"], vec!["b"], vec!["c"]]
    );
    golden.run(&["matrix", "--changed", "nonsense"]).exit(2);
    // A branch without an earlier commit, in the form that CI passes.
    assert_eq!(
        jobs(&golden, &["--changed", &"0".repeat(40)]),
        [vec!["a", "d"], vec!["b"], vec!["c"]]
    );
    golden.run(&["matrix", "--changed", "--output=x"]).exit(2);
}

fn commit(golden: &Golden) {
    golden.git(&["add", "-A"]);
    golden.git(&["commit", "-qm", "more"]);
}

/// The images that changed since the last commit, and their dependants.
fn changed(golden: &Golden, workspace: &str) -> Vec<String> {
    let run = golden
        .run(&[
            "-w",
            workspace,
            "render",
            "--changed",
            "HEAD",
            "--format",
            "json",
        ])
        .exit(0);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let name = |image: &serde_json::Value| image["image"].as_str().unwrap().replace(":1.0.0", "");
    json["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(name)
        .collect()
}

#[test]
fn an_image_changes_with_each_of_its_inputs() {
    let golden = Golden::new()
        .file(
            "fleet/golden.toml",
            "[workspace]\ntemplates = [\"../templates\"]\n",
        )
        .file(
            "fleet/files/image.toml",
            image("files", "\"scratch\"")
                + "[[files]]\nsource = \"../shared/*.conf\"\ntarget = \"/etc/\"\n",
        )
        .file(
            "fleet/certs/image.toml",
            image("certs", "\"scratch\"") + "[certs]\ntrust = [\"../ca/*.crt\"]\n",
        )
        .file("fleet/plain/image.toml", image("plain", "\"scratch\""))
        .file(
            "fleet/locked/image.toml",
            image("locked", "\"registry.example.com/a:1\""),
        )
        .file(
            "fleet/other/image.toml",
            image("other", "\"registry.example.com/b:1\""),
        )
        .file("fleet/shared/one.conf", "1")
        .file("fleet/shared/two.conf", "2")
        .file("templates/README", "none yet")
        .file("unrelated", "x");
    let certificate = rcgen::generate_simple_self_signed(vec!["ca".to_owned()])
        .unwrap()
        .cert
        .pem();
    golden.write("fleet/ca/one.crt", &certificate);
    golden.git(&["init", "-q"]);
    commit(&golden);
    let names = || changed(&golden, "fleet");
    assert_eq!(names(), [""; 0]);

    // Files and certificates outside the image's directory: changed, deleted and renamed.
    golden.write("fleet/shared/three.conf", "3");
    assert_eq!(names(), ["files"]);
    commit(&golden);
    golden.git(&["mv", "fleet/shared/three.conf", "fleet/shared/four.conf"]);
    assert_eq!(names(), ["files"]);
    commit(&golden);
    std::fs::remove_file(golden.path().join("fleet/shared/four.conf")).unwrap();
    assert_eq!(names(), ["files"]);
    commit(&golden);
    golden.write("fleet/ca/two.crt", &certificate);
    assert_eq!(names(), ["certs"]);
    commit(&golden);

    // A file reached through a link changes with the link's target.
    golden.write("fleet/apart/x", "1");
    std::os::unix::fs::symlink("../apart/x", golden.path().join("fleet/plain/linked")).unwrap();
    commit(&golden);
    golden.write("fleet/apart/x", "2");
    assert_eq!(names(), ["plain"]);
    commit(&golden);

    // An image that moved to another directory, and one that was deleted.
    golden.git(&["mv", "fleet/plain", "fleet/simple"]);
    assert_eq!(names(), ["plain"]);
    commit(&golden);

    // A changed lock entry changes only the images on that base.
    let entry = |base: &str, digest: char| {
        let digest = digest.to_string().repeat(64);
        format!(
            "[[base]]\nbase = \"registry.example.com/{base}\"\nreference = \"registry.example.com/{base}\"\ndigest = \"sha256:{digest}\"\n"
        )
    };
    golden.write(
        "fleet/golden.lock",
        format!("version = 1\n{}{}", entry("a:1", '0'), entry("b:1", '0')),
    );
    assert_eq!(names(), ["locked", "other"]);
    commit(&golden);
    golden.write(
        "fleet/golden.lock",
        format!("version = 1\n{}{}", entry("a:1", '1'), entry("b:1", '0')),
    );
    assert_eq!(names(), ["locked"]);
    commit(&golden);

    // A template changes all images, wherever it is in the repository; files next to it do not
    // count.
    golden.write("unrelated", "y");
    assert_eq!(names(), [""; 0]);
    golden.write("templates/debian.Dockerfile.j2", "{{ base }}\n");
    assert_eq!(names(), ["certs", "files", "locked", "other", "plain"]);
}

#[test]
fn every_command_with_images_supports_changed() {
    let golden = three();
    golden.git(&["init", "-q"]);
    commit(&golden);
    golden.write("b/new-file", "x");
    assert_eq!(changed(&golden, "."), ["a", "b"], "with its parents");
    for command in ["check", "render", "plan", "graph", "matrix"] {
        let run = golden
            .run(&[command, "--changed", "HEAD", "--with-dependants"])
            .exit(0);
        let all = run.stdout.clone() + &run.stderr;
        if command == "check" {
            assert!(all.contains("3 images are valid"), "{all}");
        } else {
            assert!(
                all.contains('c') && !all.contains("d:1.0.0"),
                "{command}: {all}"
            );
        }
    }
    assert_eq!(
        jobs(&golden, &["a", "--with-dependants"]),
        [["a"], ["b"], ["c"]]
    );
    golden
        .run(&["build", "--changed", "HEAD", "--engine", "embedded"])
        .exit(0);
    let built = |name: &str| golden.path().join(".golden/builds").join(name).exists();
    assert_eq!(
        [built("a"), built("b"), built("c"), built("d")],
        [true, true, false, false]
    );
}

#[test]
fn a_failure_stops_only_its_dependants() {
    let step = "[[files]]\ncontent = \"\"\ntarget = \"/bin/sh\"\n[[run]]\nscript = \"true\"\n";
    let golden = Golden::new()
        .workspace("")
        .image("a", &(image("a", "\"scratch\"") + step))
        .image("b", &image("b", "{ image = \"a\" }"))
        .image("c", &image("c", "{ image = \"b\" }"))
        .image("d", &image("d", "\"scratch\""))
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let run = golden.run(&["build"]).exit(1);
    let rows: Vec<Vec<&str>> = run
        .stdout
        .lines()
        .skip(1)
        .map(|line| line.split("  ").filter(|cell| !cell.is_empty()).collect())
        .collect();
    let outcome = |name: &str| {
        let row = rows.iter().find(|row| row[0].starts_with(name)).unwrap();
        (
            row[1].trim().to_owned(),
            row.last().unwrap().trim().to_owned(),
        )
    };
    assert_eq!(outcome("a:").0, "failed");
    let skipped = |why: &str| ("skipped".to_owned(), why.to_owned());
    assert_eq!(outcome("b:"), skipped("its base a:1.0.0 failed"));
    assert_eq!(
        outcome("c:"),
        skipped("its base b:1.0.0 was skipped, because a:1.0.0 failed")
    );
    assert_eq!(outcome("d:").0, "built");
}

#[test]
fn a_plan_of_several_images_ends_with_their_number() {
    let golden = three();
    let plan = |args: &[&str]| golden.run(&[&["plan"], args].concat()).exit(0).stdout;
    let all = plan(&[]);
    assert!(all.ends_with("\n4 images: 4 to build\n"), "{all}");
    assert!(!plan(&["a"]).contains("1 image"));
}

#[test]
fn the_graph_shows_bases_and_images() {
    let golden = three();
    golden.write(
        "e/image.toml",
        image("e", "\"registry.example.com/debian:12\""),
    );
    insta::assert_snapshot!(golden.run(&["graph"]).exit(0).stdout);
    assert!(
        golden
            .run(&["graph", "--format", "dot"])
            .exit(0)
            .stdout
            .starts_with("digraph")
    );
    assert!(
        golden
            .run(&["graph", "--format", "svg"])
            .exit(0)
            .stdout
            .starts_with("<svg")
    );
    let tree = golden.run(&["graph", "--format", "tree"]).exit(0).stdout;
    insta::assert_snapshot!("the_graph_as_a_tree", tree);
    assert_eq!(jobs(&golden, &["c"]), [["a"], ["b"], ["c"]]);
}

#[test]
fn a_broken_lock_is_an_error() {
    let golden = three();
    for lock in [
        "nonsense",
        "version = 2",
        "version = 1\n[[base]]\nbase = 1\n",
    ] {
        golden.write("golden.lock", lock);
        let run = golden.run(&["check"]).exit(2);
        assert!(run.stderr.contains("golden.lock"), "{}", run.stderr);
    }
}

#[test]
fn a_plan_names_the_engine_that_the_workspace_requests() {
    let golden = Golden::new()
        .workspace("[workspace]\nengine = \"docker\"\n")
        .image("a", &image("a", "\"scratch\""))
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let engine = |args: &[&str]| {
        let run = golden
            .run(&[&["plan", "--format", "json"], args].concat())
            .exit(0);
        let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        json["images"][0]["engine"].as_str().unwrap().to_owned()
    };
    assert_eq!(engine(&[]), "docker");
    assert_eq!(engine(&["--engine", "embedded"]), "embedded");
}

#[test]
fn duplicate_invalid_and_unreachable_engines_are_errors() {
    let golden = |engines: &str| {
        Golden::new().workspace(engines).image(
            "a",
            &(image("a", "\"scratch\"") + "platforms = [\"linux/amd64\", \"linux/arm64\"]\n"),
        )
    };
    let table = |host: &str| format!("[[engine]]\nname = \"one\"\n{host}");
    for (engines, (place, words)) in [
        (
            table("host = \"unix:///nowhere/docker.sock\"\n").repeat(2),
            (
                "golden.toml:5:8",
                "error[spec.value]: two engines are called `one`",
            ),
        ),
        (
            "[[engine]]\nhost = \"unix:///docker.sock\"\n".repeat(2),
            (
                "golden.toml:4:8",
                "error[spec.value]: two engines are called `unix:///docker.sock`",
            ),
        ),
        (
            table(""),
            (
                "golden.toml:1:1",
                "error[spec.missing]: `host` is missing in [[engine]]",
            ),
        ),
        (
            table("host = \"npipe:////./pipe/docker\"\n"),
            (
                "golden.toml:3:8",
                "error[spec.value]: `npipe:////./pipe/docker` is not an address of a Docker Engine: expected unix://, tcp:// or ssh://",
            ),
        ),
        (
            table("host = \"buildkit://me@host\"\n"),
            (
                "golden.toml:3:8",
                "error[spec.value]: `buildkit://***@host` is not an address of a BuildKit daemon: expected buildkit://HOST[:PORT]",
            ),
        ),
    ] {
        for command in ["check", "build"] {
            let run = golden(&engines).run(&[command]).exit(2);
            let all = run.stdout + &run.stderr;
            assert!(
                all.contains(words) && all.contains(place),
                "{command}: {all}"
            );
        }
    }
    let run = golden(&table("host = \"buildkit://127.0.0.1:1\"\n"))
        .run(&["build", "--engine", "docker"])
        .exit(1);
    let words = "no BuildKit daemon answers at buildkit://127.0.0.1:1";
    assert!(run.stderr.contains(words), "{}", run.stderr);
}

#[test]
fn two_images_do_not_share_a_repository_through_the_namespaces_of_registries() {
    let registry = |name: &str, namespace: &str| {
        format!(
            "[[registry]]\nname = \"{name}\"\nhost = \"localhost:1\"\nnamespace = \"{namespace}\"\n"
        )
    };
    let image = |name: &str| {
        format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n")
    };
    let golden = Golden::new()
        .workspace(&(registry("a", "t/x") + "default = true\n" + &registry("b", "t")))
        .image("one", &image("app"))
        .image("two", &image("x/app"));
    let run = golden.run(&["plan", "--all-registries"]).exit(2);
    assert!(
        run.stderr
            .contains("the images `app` and `x/app` have the same repository, localhost:1/t/x/app"),
        "{}",
        run.stderr
    );
    golden.run(&["check"]).exit(0);
}
