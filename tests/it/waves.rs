//! The waves of `golden matrix`, run as in CI: separate processes and workspaces that share only
//! the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::fleet_end_to_end::{assert_tags, contents, fleet, namespace, service, workspace};
use crate::support::workspace::{Golden, Run};

/// The number of machines that the simulated CI has.
const MACHINES: usize = 4;

/// Runs the jobs of a wave, each a shell line on its own machine, which has only the workspace.
fn run_wave(lines: &[String], machine: impl Fn() -> Golden) {
    let directory = Path::new(env!("CARGO_BIN_EXE_golden")).parent().unwrap();
    let path = format!(
        "{}:{}",
        directory.display(),
        std::env::var_os("PATH").unwrap().to_str().unwrap()
    );
    for together in lines.chunks(MACHINES) {
        let running: Vec<_> = together
            .iter()
            .map(|line| {
                let machine = machine();
                assert!(!machine.path().join(".golden").exists());
                let as_golden = machine.command(&[]);
                let mut shell = Command::new("sh");
                shell
                    .args(["-ec", line])
                    .current_dir(machine.path())
                    .env_clear();
                shell.envs(
                    as_golden
                        .get_envs()
                        .filter_map(|(key, value)| Some((key, value?))),
                );
                shell
                    .env("PATH", &path)
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped());
                (line, shell.spawn().unwrap(), machine)
            })
            .collect();
        for (line, child, _machine) in running {
            let output = child.wait_with_output().unwrap();
            assert!(
                output.status.success(),
                "{line}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

/// The waves as GitHub Actions reads them: lines of `$GITHUB_OUTPUT`, `fromJSON` of each wave, one
/// entry per job.
fn github(output: &str) -> Vec<Vec<String>> {
    let outputs: BTreeMap<&str, &str> = output
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .collect();
    let waves: usize = outputs["waves"].parse().unwrap();
    assert_eq!(outputs.len(), waves + 1);
    let wave = |number: usize| -> Vec<String> {
        let matrix: Value =
            serde_json::from_str(outputs[format!("wave_{number}").as_str()]).unwrap();
        let jobs = matrix["include"].as_array().unwrap();
        jobs.iter()
            .map(|job| job["image"].as_str().unwrap().to_owned())
            .collect()
    };
    (1..=waves).map(wave).collect()
}

/// Parses YAML with an independent parser.
fn yaml(text: &str) -> Value {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.argv[1])))";
    let read = Run::of(
        Command::new("python3")
            .args(["-c", script, text])
            .output()
            .unwrap(),
    )
    .exit(0);
    serde_json::from_str(&read.stdout).unwrap()
}

fn words(value: &Value) -> Vec<String> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap().to_owned())
        .collect()
}

/// The jobs of a GitLab pipeline by stage. The jobs that a job needs are in an earlier stage.
fn gitlab(output: &str) -> Vec<Vec<String>> {
    let pipeline = yaml(output);
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut waves = Vec::new();
    for stage in words(&pipeline["stages"]) {
        let jobs = pipeline.as_object().unwrap().iter();
        let jobs: Vec<_> = jobs
            .filter(|(_, job)| job["stage"].as_str() == Some(&stage))
            .collect();
        assert!(!jobs.is_empty(), "{stage} has no job");
        for (name, job) in &jobs {
            let needs = words(&job["needs"]);
            assert!(
                needs.iter().all(|need| done.contains(need)),
                "{name} comes before {needs:?}"
            );
        }
        done.extend(jobs.iter().map(|(name, _)| (*name).clone()));
        waves.push(
            jobs.iter()
                .map(|(_, job)| words(&job["script"]).join("\n"))
                .collect(),
        );
    }
    assert_eq!(
        pipeline.as_object().unwrap().len(),
        done.len() + 1,
        "a job without a stage"
    );
    waves
}

#[test]
fn waves_publish_a_fleet_and_share_only_the_registry() {
    let namespace = namespace();
    let planner = workspace(&namespace);
    let waves = github(
        &planner
            .run(&["matrix", "--format", "github"])
            .exit(0)
            .stdout,
    );
    assert_eq!(waves.len(), 3, "{waves:?}");
    let json: Value =
        serde_json::from_str(&planner.run(&["matrix", "--format", "json"]).exit(0).stdout).unwrap();
    let in_json = |wave: &Value| -> Vec<String> {
        wave.as_array()
            .unwrap()
            .iter()
            .map(|job| job["image"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        json["waves"]
            .as_array()
            .unwrap()
            .iter()
            .map(in_json)
            .collect::<Vec<_>>(),
        waves
    );

    let mut built = Vec::new();
    for images in waves {
        let lines: Vec<String> = images
            .iter()
            .map(|image| format!("golden build --push {image}"))
            .collect();
        run_wave(&lines, || workspace(&namespace));
        built.extend(images);
        let published = contents(&namespace)
            .values()
            .filter(|tags| !tags.is_empty())
            .count();
        assert_eq!(
            published,
            built.len(),
            "a wave published an image of another wave"
        );
    }
    let mut expected = fleet();
    expected.sort();
    built.sort();
    assert_eq!(built, expected);
    let first = ["1", "1.0", "1.0.0", "latest"];
    for (image, tags) in contents(&namespace) {
        assert_tags(&image, &tags, &first, &first);
    }

    // If nothing changed, neither a single process nor CI builds anything.
    let published = contents(&namespace);
    planner.run(&["build", "--push"]).exit(0);
    assert_eq!(contents(&namespace), published);
    planner.git(&["init", "-q"]);
    planner.git(&["add", "-A"]);
    planner.git(&["commit", "-qm", "published"]);
    assert_eq!(
        planner.run(&["matrix", "--changed", "HEAD"]).exit(0).stdout,
        "waves=0\n"
    );
    let nothing = planner
        .run(&["matrix", "--format", "gitlab", "--changed", "HEAD"])
        .exit(0);
    assert!(
        nothing.stdout.contains("nothing-to-build"),
        "{}",
        nothing.stdout
    );

    // After an edit, only changed images become jobs, and only those are published.
    planner.write("service/image.toml", service("1.1.0"));
    let pipeline = planner
        .run(&["matrix", "--format", "gitlab", "--changed", "HEAD"])
        .exit(0)
        .stdout;
    let waves = gitlab(&pipeline);
    assert_eq!(
        waves.iter().map(Vec::len).collect::<Vec<_>>(),
        [24],
        "{pipeline}"
    );
    for lines in &waves {
        run_wave(lines, || {
            workspace(&namespace).image("service", &service("1.1.0"))
        });
    }
    for (image, tags) in contents(&namespace) {
        if image.starts_with("service/") {
            assert_eq!(tags["latest"], tags["1.1.0"], "{image}");
            assert_eq!(tags["1.0.0"], published[&image]["1.0.0"], "{image}");
        } else {
            assert_eq!(tags, published[&image], "{image}");
        }
    }
}

#[test]
fn a_pipeline_is_valid_yaml_whatever_the_images_are_named() {
    let image = |name: &str, base: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"1.0.0+x\"\ndescription = \"x\"\nbase = {base}\n"
        )
    };
    let golden = Golden::new()
        .workspace("")
        .image("a", &image("cache", "\"scratch\""))
        .image("b", &image("default", "{ image = \"cache\" }"))
        .image(
            "c",
            &(image("true", "{ image = \"default\" }")
                + "variant = \"{{ matrix.v }}\"\n[matrix]\nv = [\"slim\", \"fat\"]\n"),
        );
    let waves = gitlab(&golden.run(&["matrix", "--format", "gitlab"]).exit(0).stdout);
    assert_eq!(
        waves,
        [
            vec!["golden build --push cache"],
            vec!["golden build --push default"],
            vec![
                "golden build --push true:1.0.0+x-slim",
                "golden build --push true:1.0.0+x-fat"
            ],
        ]
    );
    for line in waves.concat() {
        let pattern = line.rsplit(' ').next().unwrap();
        golden.run(&["check", pattern]).exit(0);
    }
}

/// A CI recipe of the repository.
#[expect(clippy::disallowed_methods, reason = "a file of the repository")]
fn recipe(name: &str) -> String {
    let path = format!("{}/images/ci/{name}.yml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_recipes_for_ci_use_the_output_of_matrix() {
    let pages: Vec<Value> = ["github", "gitlab", "gitlab-jobs"]
        .map(|name| yaml(&recipe(name)))
        .to_vec();
    let [github_page, gitlab_page, child] = pages.as_slice() else {
        panic!("{} workflows", pages.len())
    };
    let image = |name: &str, base: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\ndescription = \"x\"\nbase = {base}\n"
        )
    };
    let golden = Golden::new()
        .workspace("")
        .image("a", &image("a", "\"scratch\""))
        .image("b", &image("b", "{ image = \"a\" }"))
        .image("c", &image("c", "{ image = \"b\" }"));
    let printed = golden.run(&["matrix", "--format", "github"]).exit(0).stdout;
    let names: BTreeSet<&str> = printed
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();

    let jobs = github_page["jobs"].as_object().unwrap();
    let outputs = jobs["plan"]["outputs"].as_object().unwrap();
    assert_eq!(
        outputs.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        names
    );
    for (name, value) in outputs {
        assert_eq!(*value, format!("${{{{ steps.matrix.outputs.{name} }}}}"));
    }
    for wave in 1..names.len() {
        let job = &jobs[&format!("wave-{wave}")];
        assert_eq!(
            job["strategy"]["matrix"],
            format!("${{{{ fromJSON(needs.plan.outputs.wave_{wave}) }}}}")
        );
        assert_eq!(
            job["if"],
            format!("fromJSON(needs.plan.outputs.waves) >= {wave}")
        );
        let last = job["steps"].as_array().unwrap().last().unwrap();
        assert_eq!(
            last["run"],
            "golden build --push --locked ${{ matrix.image }}"
        );
    }
    assert_eq!(jobs.len(), names.len(), "a job outside the waves");

    let file = gitlab_page["build"]["trigger"]["include"][0]["artifact"]
        .as_str()
        .unwrap();
    assert_eq!(words(&gitlab_page["plan"]["artifacts"]["paths"]), [file]);
    let script = words(&gitlab_page["plan"]["script"]);
    assert!(
        script.last().unwrap().ends_with(&format!(" > {file}")),
        "{script:?}"
    );
    assert!(child["variables"]["GOLDEN_REGISTRY_USER"].is_string());
}

/// The code block of the chapter about CI with this info string.
#[expect(clippy::disallowed_methods, reason = "a file of the repository")]
fn of_the_chapter(info: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/help/ci.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, rest) = page.split_once(&format!("```{info}\n")).unwrap();
    rest.split_once("```\n").unwrap().0.to_owned()
}

/// Three images in a row, and one alone, whose names have characters that keys may not have.
fn chain() -> Golden {
    let image = |name: &str, base: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\ndescription = \"x\"\nbase = {base}\n"
        )
    };
    Golden::new()
        .workspace("")
        .image("a", &image("team/base", "\"scratch\""))
        .image("b", &image("team/app.x", "{ image = \"team/base\" }"))
        .image("c", &image("team/app_x", "{ image = \"team/base\" }"))
        .image("d", &image("other", "\"scratch\""))
}

/// Runs a script of a recipe, with golden and the programs of the workspace in PATH.
fn run_recipe(golden: &Golden, shell: &str, script: &str) -> Run {
    let programs = Path::new(env!("CARGO_BIN_EXE_golden")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let here = golden.path().display();
    let output = golden
        .command(&[])
        .get_envs()
        .filter_map(|(key, value)| Some((key, value?)))
        .fold(&mut Command::new(shell), |command, (key, value)| {
            command.env(key, value)
        })
        .args(["-c", script])
        .current_dir(golden.path())
        .env("PATH", format!("{here}:{}:{path}", programs.display()))
        .output()
        .unwrap();
    Run::of(output)
}

#[test]
fn the_recipe_for_buildkite_starts_each_image_after_its_base() {
    let recipe = yaml(&of_the_chapter("yaml buildkite"));
    let golden = chain().file("buildkite-agent", "#!/bin/sh\ncat \"$3\"\n");
    let agent = golden.path().join("buildkite-agent");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(agent, executable).unwrap();
    // The agent of Buildkite runs a command with `bash -e -c`.
    let script = format!(
        "set -e\n{}",
        recipe["steps"][0]["command"].as_str().unwrap()
    );
    let uploaded = run_recipe(&golden, "bash", &script).exit(0).stdout;
    let pipeline: Value = serde_json::from_str(&uploaded).unwrap();
    let steps = pipeline["steps"].as_array().unwrap();
    let mut keys = BTreeMap::new();
    for step in steps {
        let key = step["key"].as_str().unwrap();
        assert!(
            key.chars()
                .all(|one| one.is_ascii_alphanumeric() || "-_:".contains(one)),
            "{key}"
        );
        let image = step["label"].as_str().unwrap();
        assert_eq!(keys.insert(key, image), None, "{key}");
        let command = step["command"].as_str().unwrap();
        assert_eq!(command, format!("golden build --push --locked {image}"));
    }
    let bases: BTreeMap<&str, Vec<&str>> = steps
        .iter()
        .map(|step| {
            let needs = step["depends_on"].as_array().unwrap().iter();
            let names = needs.map(|key| keys[key.as_str().unwrap()]);
            (step["label"].as_str().unwrap(), names.collect())
        })
        .collect();
    let expected = [
        ("other", vec![]),
        ("team/app.x", vec!["team/base"]),
        ("team/app_x", vec!["team/base"]),
        ("team/base", vec![]),
    ];
    assert_eq!(bases, BTreeMap::from(expected));
}

#[test]
fn the_recipe_for_azure_has_a_matrix_for_each_wave() {
    let recipe = yaml(&of_the_chapter("yaml azure"));
    let jobs = recipe["jobs"].as_array().unwrap();
    let plan = &jobs[0]["steps"][1];
    let golden = chain();
    let script = plan["bash"].as_str().unwrap();
    let printed = run_recipe(&golden, "bash", script).exit(0).stdout;
    let mut matrices = BTreeMap::new();
    for line in printed.lines() {
        let command = line
            .strip_prefix("##vso[task.setvariable variable=")
            .unwrap();
        let (name, matrix) = command.split_once(";isOutput=true]").unwrap();
        matrices.insert(name, serde_json::from_str::<Value>(matrix).unwrap());
    }
    assert_eq!(matrices.len(), jobs.len() - 1);
    let images = |wave: &str| -> BTreeSet<String> {
        let legs = matrices[wave].as_object().unwrap();
        for name in legs.keys() {
            let is_allowed = |one: char| one.is_ascii_alphanumeric() || one == '_';
            assert!(
                name.starts_with("image_") && name.chars().all(is_allowed),
                "{name}"
            );
        }
        let images = legs.values().map(|leg| leg["image"].as_str().unwrap());
        images.map(str::to_owned).collect()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(images("wave_1"), set(&["other", "team/base"]));
    assert_eq!(images("wave_2"), set(&["team/app.x", "team/app_x"]));

    // The jobs read these outputs, and wait for the wave before.
    for (number, job) in jobs.iter().enumerate().skip(1) {
        let output = format!(
            "dependencies.plan.outputs['{}.wave_{number}']",
            plan["name"].as_str().unwrap()
        );
        assert_eq!(job["job"], format!("wave_{number}"));
        assert_eq!(job["strategy"]["matrix"], format!("$[ {output} ]"));
        assert_eq!(
            job["condition"],
            format!("and(succeeded(), ne({output}, '{{}}'))")
        );
        if number > 1 {
            let earlier = format!("wave_{}", number - 1);
            assert_eq!(words(&job["dependsOn"]), ["plan", earlier.as_str()]);
        }
    }

    // A wave that has no images is skipped; one that has no job is an error.
    let alone = Golden::new().workspace("").image(
        "a",
        "[image]\nname = \"a\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n",
    );
    let printed = run_recipe(&alone, "bash", script).exit(0).stdout;
    assert!(
        printed.ends_with("variable=wave_2;isOutput=true]{}\n"),
        "{printed}"
    );
    let third = "[image]\nname = \"z\"\nversion = \"1.0.0\"\nbase = { image = \"team/app_x\" }\n";
    let run = run_recipe(&chain().image("z", third), "bash", script).exit(1);
    assert_eq!(run.stderr, "add jobs: there are 3 waves\n");
    // A workspace with a mistake fails the step.
    let broken = Golden::new().workspace("nope = 1\n");
    run_recipe(&broken, "bash", script).exit(2);
}
