//! The action for GitHub and the component for GitLab: their scripts run as the CI runs them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use regex::Regex;
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::sources::root;
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::{Golden, Run};

const IMAGE: &str = "[image]\nname = \"NAME\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n";

const TESTED: &str =
    "[[files]]\ncontent = \"hello\"\ntarget = \"/etc/motd\"\n[[test]]\nfile = \"/etc/motd\"\n";

/// Text that a shell would run, or read as an option or a glob, if a script used it as code.
const HOSTILE: &str = "$(touch hacked) `touch hacked` '; touch hacked; \"; touch hacked; --push *";

/// The values of inputs, by their names.
type Inputs = BTreeMap<String, String>;

fn documents(file: &str) -> Vec<Yaml> {
    let text = std::fs::read_to_string(root().join("images/action").join(file)).unwrap();
    YamlLoader::load_from_str(&text).unwrap()
}

fn text(value: &Yaml) -> String {
    match value {
        Yaml::String(text) => text.clone(),
        Yaml::Boolean(value) => value.to_string(),
        other => panic!("{other:?} is not a text"),
    }
}

/// The entries of a mapping; none if the value is missing.
fn entries(value: &Yaml) -> impl Iterator<Item = (String, &Yaml)> {
    let entries = value.as_hash().into_iter().flatten();
    entries.map(|(key, value)| (text(key), value))
}

/// The defaults of the inputs, and the given values. Fails if an input is unknown or has no value.
fn inputs(declared: &Yaml, given: &[(&str, &str)]) -> Inputs {
    let mut values = Inputs::new();
    for (name, input) in entries(declared) {
        assert!(input["description"].as_str().is_some(), "{name}");
        let value = given.iter().find(|(key, _)| *key == name);
        let value = value.map_or_else(|| text(&input["default"]), |(_, value)| (*value).to_owned());
        values.insert(name, value);
    }
    assert!(given.iter().all(|(name, _)| values.contains_key(*name)));
    values
}

/// The names of the inputs in a text.
fn named(text: &str) -> BTreeSet<String> {
    let input = Regex::new(r"inputs\.([a-z_]+)").unwrap();
    let names = input.captures_iter(text);
    names.map(|found| found[1].to_owned()).collect()
}

/// Replaces the expressions of inputs, each with its `before` and `after`.
fn resolved(text: &str, before: &str, after: &str, inputs: &Inputs) -> String {
    let resolved = inputs.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{before} inputs.{name} {after}"), value)
    });
    assert!(named(&resolved).is_empty(), "{text}");
    resolved
}

/// A workspace in the directory `fleet`, which is not the root of the checkout.
fn fleet(policy: &str) -> Golden {
    let golden = Golden::new()
        // A shell would replace the glob `a*` with the name of this file.
        .file("a-file", "")
        .env("SOURCE_DATE_EPOCH", "0")
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", "outputs")
        .env("GITHUB_STEP_SUMMARY", "summary")
        .file("fleet/golden.toml", policy);
    for name in ["app", "tool"] {
        let image = IMAGE.replace("NAME", name) + TESTED;
        golden.write(&format!("fleet/{name}/image.toml"), image);
    }
    golden
}

/// Runs a script in the root of the checkout, with golden in PATH.
fn run(golden: &Golden, shell: &[&str], script: &str, variables: &[(String, String)]) -> Run {
    let programs = Path::new(env!("CARGO_BIN_EXE_golden")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let as_golden = golden.command(&[]);
    let set = as_golden
        .get_envs()
        .filter_map(|(key, value)| Some((key, value?)));
    let mut command = Command::new(shell[0]);
    command
        .args(&shell[1..])
        .arg(script)
        .current_dir(golden.path())
        .env_clear()
        .envs(set)
        .envs(variables.iter().map(|(key, value)| (key, value)))
        .env("PATH", format!("{}:{path}", programs.display()));
    Run::of(command.output().unwrap())
}

fn read(golden: &Golden, file: &str) -> String {
    std::fs::read_to_string(golden.path().join(file)).unwrap_or_default()
}

/// The variables of a step of the action.
fn variables(step: &Yaml, inputs: &Inputs) -> Vec<(String, String)> {
    let variables = entries(&step["env"]);
    let value = |value: &Yaml| resolved(&text(value), "${{", "}}", inputs);
    variables.map(|(key, text)| (key, value(text))).collect()
}

/// Runs the steps of the action until one fails, as a runner does; returns the run of each.
fn act(golden: &Golden, given: &[(&str, &str)]) -> Vec<Run> {
    let action = &documents("action.yml")[0];
    let inputs = inputs(&action["inputs"], given);
    let mut runs = Vec::new();
    for step in action["runs"]["steps"].as_vec().unwrap() {
        assert_eq!(step["shell"].as_str(), Some("bash"));
        let shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"];
        let script = text(&step["run"]);
        runs.push(run(golden, &shell, &script, &variables(step, &inputs)));
        if runs.last().unwrap().code != 0 {
            break;
        }
    }
    runs
}

/// Runs a job of the component.
fn job(golden: &Golden, name: &str, given: &[(&str, &str)]) -> Run {
    let documents = documents("gitlab.yml");
    let [header, jobs] = documents.as_slice() else {
        panic!("{} documents", documents.len());
    };
    let given: Vec<_> = [("image", "golden:1")]
        .iter()
        .chain(given)
        .copied()
        .collect();
    let inputs = inputs(&header["spec"]["inputs"], &given);
    let job = &jobs[name];
    let common = &jobs[text(&job["extends"]).as_str()];
    let variables: Vec<_> = entries(&common["variables"])
        .map(|(key, value)| (key, resolved(&text(value), "$[[", "]]", &inputs)))
        .collect();
    let lines: Vec<String> = job["script"].as_vec().unwrap().iter().map(text).collect();
    run(golden, &["sh", "-ec"], &lines.join("\n"), &variables)
}

#[test]
fn each_input_of_the_recipes_is_used_and_none_is_inside_a_script() {
    let action = documents("action.yml").remove(0);
    let component = documents("gitlab.yml");
    let names =
        |declared: &Yaml| -> BTreeSet<String> { entries(declared).map(|(name, _)| name).collect() };
    let read =
        |file: &str| std::fs::read_to_string(root().join("images/action").join(file)).unwrap();
    assert_eq!(named(&read("action.yml")), names(&action["inputs"]));
    assert_eq!(
        named(&read("gitlab.yml")),
        names(&component[0]["spec"]["inputs"])
    );
    let mut scripts: Vec<String> = Vec::new();
    for step in action["runs"]["steps"].as_vec().unwrap() {
        scripts.push(text(&step["run"]));
        // A variable that a script does not use is a mistake in its name.
        for (variable, _) in entries(&step["env"]) {
            assert!(scripts.last().unwrap().contains(&variable), "{variable}");
        }
    }
    for (_, job) in entries(&component[1]) {
        let lines = job["script"].as_vec().into_iter().flatten();
        scripts.extend(lines.map(text));
    }
    for (variable, _) in entries(&component[1][".golden"]["variables"]) {
        let is_used = scripts.iter().any(|script| script.contains(&variable));
        assert!(is_used || variable == "GIT_DEPTH", "{variable}");
    }
    assert_eq!(scripts.len(), 5);
    for script in scripts {
        assert!(
            !script.contains("{{") && !script.contains("$[["),
            "{script}"
        );
    }
}

#[test]
fn the_action_checks_builds_and_publishes_the_selected_images() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let golden = fleet("");
    let program = golden.path().join("the program");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_golden"), program).unwrap();
    let given = [("workspace", "fleet"), ("golden", "./the program")];
    let codes: Vec<i32> = act(&golden, &given).iter().map(|run| run.code).collect();
    assert_eq!(codes, [0, 0]);
    assert_eq!(read(&golden, "outputs"), "published=false\nimages=[]\n");
    assert!(registry.tags("app").is_empty());

    let push = [
        ("workspace", "fleet"),
        ("images", "a*\n  other/**"),
        ("push", "true"),
        ("registry", host.as_str()),
    ];
    golden.write(
        "fleet/other/one/image.toml",
        IMAGE.replace("NAME", "other/one"),
    );
    let runs = act(&golden, &push);
    assert_eq!(runs[1].code, 0, "{}", runs[1].stderr);
    assert_eq!(registry.tags("app").len(), 4);
    assert_eq!(registry.tags("other/one").len(), 4);
    assert!(registry.tags("tool").is_empty());
    assert!(read(&golden, "summary").contains("app:1.0.0 | published"));

    // Each output of the action is an output of the step that has its id.
    let action = &documents("action.yml")[0];
    let outputs = read(&golden, "outputs");
    for (name, output) in entries(&action["outputs"]) {
        assert_eq!(
            text(&output["value"]),
            format!("${{{{ steps.build.outputs.{name} }}}}")
        );
        assert!(outputs.contains(&format!("\n{name}=")), "{outputs}");
    }
    let steps = action["runs"]["steps"].as_vec().unwrap();
    assert_eq!(steps[1]["id"].as_str(), Some("build"));
    assert!(outputs.contains("\npublished=true\nimages=[{\"image\":\"app\""));
}

#[test]
fn a_violation_of_the_policy_fails_the_step_of_the_action() {
    let golden = fleet("[policy]\nrequired_labels = [\"owner\"]\n");
    let runs = act(&golden, &[("workspace", "fleet")]);
    assert_eq!(runs.len(), 1, "the images are built in spite of the policy");
    assert_eq!(runs[0].code, 3);
    let annotation = "::error file=fleet/app/image.toml,line=";
    assert!(runs[0].stdout.contains(annotation), "{}", runs[0].stdout);
    let sarif = [
        ("workspace", "fleet"),
        ("format", "sarif"),
        ("report", "golden.sarif"),
    ];
    let runs = act(&golden, &sarif);
    assert_eq!((runs[0].code, runs[0].stdout.as_str()), (3, ""));
    let report: Value = serde_json::from_str(&read(&golden, "golden.sarif")).unwrap();
    assert_eq!(report["version"], "2.1.0");
}

#[test]
fn an_option_of_the_action_is_true_or_false() {
    let golden = fleet("");
    for option in ["push", "locked"] {
        let runs = act(&golden, &[("workspace", "fleet"), (option, "yes")]);
        assert_eq!(runs[1].code, 2);
        let message = format!("::error::the input {option} must be true or false\n");
        assert_eq!(runs[1].stdout, message);
    }
    // golden.lock lacks the base, so that it would have to change.
    let base = IMAGE.replace("scratch", "127.0.0.1:1/base:1");
    golden.write("fleet/app/image.toml", base.replace("NAME", "app"));
    let runs = act(&golden, &[("workspace", "fleet"), ("images", "app")]);
    assert!(runs[1].stderr.contains("--locked"), "{}", runs[1].stderr);
    let free = [
        ("workspace", "fleet"),
        ("images", "app"),
        ("locked", "false"),
    ];
    let runs = act(&golden, &free);
    assert!(!runs[1].stderr.contains("--locked"), "{}", runs[1].stderr);
}

#[test]
fn no_input_of_the_action_is_run_as_code() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    for input in [
        "golden",
        "workspace",
        "images",
        "registry",
        "format",
        "push",
    ] {
        let golden = fleet("");
        let mut given = vec![("workspace", "fleet"), ("registry", host.as_str())];
        given.retain(|(name, _)| *name != input);
        given.push((input, HOSTILE));
        let runs = act(&golden, &given);
        assert_ne!(runs.last().unwrap().code, 0, "{input}");
        assert!(!golden.path().join("hacked").exists(), "{input}");
    }
    let option = [
        ("workspace", "fleet"),
        ("registry", host.as_str()),
        ("images", "--quiet app"),
    ];
    assert_eq!(act(&fleet(""), &option)[0].code, 2);
    assert!(registry.tags("app").is_empty());
}

#[test]
fn the_component_reports_findings_and_tests_and_publishes() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let golden = fleet("");
    let given = [("workspace", "fleet"), ("registry", host.as_str())];
    job(&golden, "golden check", &given).exit(0);
    job(&golden, "golden test", &given).exit(0);
    job(&golden, "golden build", &given).exit(0);
    assert!(registry.tags("app").is_empty());
    let given = [given[0], given[1], ("push", "true"), ("images", "a*")];
    job(&golden, "golden build", &given).exit(0);
    assert_eq!(registry.tags("app").len(), 4);
    assert!(registry.tags("tool").is_empty());

    // Each report is a file that the script wrote.
    let jobs = &documents("gitlab.yml")[1];
    let artifact = |name: &str| &jobs[name]["artifacts"];
    let findings = text(&artifact("golden check")["reports"]["codequality"]);
    assert_eq!(read(&golden, &findings), "[]\n");
    let tests = read(&golden, &text(&artifact("golden test")["reports"]["junit"]));
    assert!(
        tests.contains("<testsuites") && tests.contains("/etc/motd"),
        "{tests}"
    );
    let built = read(&golden, &text(&artifact("golden build")["paths"][0]));
    let built: Value = serde_json::from_str(&built).unwrap();
    assert_eq!(built["schema"], 1);
    for name in ["golden check", "golden test", "golden build"] {
        assert_eq!(artifact(name)["when"].as_str(), Some("always"));
    }
}

#[test]
fn a_violation_of_the_policy_fails_the_job_of_the_component() {
    let golden = fleet("[policy]\nrequired_labels = [\"owner\"]\n");
    job(&golden, "golden check", &[("workspace", "fleet")]).exit(3);
    let findings: Value = serde_json::from_str(&read(&golden, "golden-check.json")).unwrap();
    assert_eq!(findings[0]["location"]["path"], "fleet/app/image.toml");
    // A failed test fails the job, and its report has the failure.
    let golden = fleet("");
    let wrong = IMAGE.replace("NAME", "app") + "[[test]]\nfile = \"/etc/motd\"\n";
    golden.write("fleet/app/image.toml", wrong);
    job(&golden, "golden test", &[("workspace", "fleet")]).exit(1);
    assert!(read(&golden, "golden-test.xml").contains("<failure"));
}

#[test]
fn the_jobs_of_the_component_that_build_require_the_lock_file() {
    let golden = fleet("");
    // golden.lock lacks the base, so that it would have to change.
    let base = IMAGE.replace("scratch", "127.0.0.1:1/base:1");
    let image = base.replace("NAME", "app") + TESTED;
    golden.write("fleet/app/image.toml", image);
    for name in ["golden test", "golden build"] {
        let given = [("workspace", "fleet"), ("images", "app")];
        let run = job(&golden, name, &given);
        assert!(run.stderr.contains("--locked"), "{name}: {}", run.stderr);
        let free = [given[0], given[1], ("locked", "false")];
        let run = job(&golden, name, &free);
        assert_ne!(run.code, 0, "{name}");
        assert!(!run.stderr.contains("--locked"), "{name}: {}", run.stderr);
    }
}

#[test]
fn no_input_of_the_component_is_run_as_code() {
    let registry = FakeRegistry::start(Behaviour::default());
    for input in ["golden", "workspace", "images", "registry"] {
        for name in ["golden check", "golden test", "golden build"] {
            if input == "registry" && name != "golden build" {
                continue;
            }
            let golden = fleet("").env("GOLDEN_REGISTRY", &registry.host());
            let mut given = vec![("workspace", "fleet")];
            given.retain(|(name, _)| *name != input);
            given.push((input, HOSTILE));
            let run = job(&golden, name, &given);
            assert_ne!(run.code, 0, "{input}: {name}");
            assert!(!golden.path().join("hacked").exists(), "{input}: {name}");
        }
    }
    let golden = fleet("").env("GOLDEN_REGISTRY", &registry.host());
    let option = [("workspace", "fleet"), ("images", "--quiet app")];
    job(&golden, "golden build", &option).exit(2);
    assert!(registry.tags("app").is_empty());
}
