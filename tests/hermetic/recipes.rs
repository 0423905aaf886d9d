//! The recipes for CI systems: those in YAML parse, and the commands of the one for Jenkins publish a
//! workspace wave by wave. `tests/it/waves.rs` runs the others.

use std::path::Path;
use std::process::Command;

use regex::Regex;
use serde_json::Value;
use yaml_rust2::YamlLoader;

use crate::sources::root;
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::{Golden, Run};

const CHAPTER: &str = include_str!("../../src/help/ci.md");

/// The code blocks of the chapter whose info string starts with a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let mut blocks = Vec::new();
    let mut rest = CHAPTER;
    while let Some((_, fenced)) = rest.split_once("\n```") {
        let (block, after) = fenced.split_once("\n```\n").unwrap();
        let (info, text) = block.split_once('\n').unwrap();
        if info.split(' ').next() == Some(language) {
            blocks.push(text);
        }
        // The line break before the next block may be the one after this block.
        rest = &fenced[fenced.len() - after.len() - 1..];
    }
    blocks
}

#[test]
fn each_recipe_in_yaml_parses() {
    let mut recipes: Vec<(String, String)> = blocks("yaml")
        .into_iter()
        .map(|text| ("ci.md".to_owned(), text.to_owned()))
        .collect();
    assert_eq!(recipes.len(), 4, "{recipes:?}");
    for directory in ["images/ci", "images/action"] {
        for entry in std::fs::read_dir(root().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            let text = std::fs::read_to_string(&path).unwrap();
            if path.extension().is_some_and(|it| it == "yml") {
                recipes.push((name, text));
            } else {
                assert!(serde_json::from_str::<Value>(&text).is_ok(), "{name}");
            }
        }
    }
    assert_eq!(recipes.len(), 9);
    for (name, text) in recipes {
        let documents = YamlLoader::load_from_str(&text);
        let documents = documents.unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        assert!(!documents.is_empty(), "{name}");
    }
}

/// Runs a script as the step `sh` of Jenkins does.
fn jenkins_sh(golden: &Golden, script: &str, variables: &[(&str, &str)]) -> Run {
    let programs = Path::new(env!("CARGO_BIN_EXE_golden")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let as_golden = golden.command(&[]);
    let set = as_golden.get_envs();
    let mut shell = Command::new("sh");
    shell
        .args(["-xec", script])
        .current_dir(golden.path())
        .env_clear()
        .envs(set.filter_map(|(key, value)| Some((key, value?))))
        .envs(variables.iter().copied())
        .env("PATH", format!("{}:{path}", programs.display()));
    Run::of(shell.output().unwrap())
}

#[test]
fn the_recipe_for_jenkins_publishes_a_workspace_wave_by_wave() {
    let recipe = blocks("groovy").remove(0);
    let part = |pattern: &str| -> String {
        let pattern = Regex::new(pattern).unwrap();
        let found: Vec<_> = pattern.captures_iter(recipe).collect();
        assert_eq!(found.len(), 1, "{pattern}");
        found[0][1].to_owned()
    };
    let plan = part(r"readJSON\(text: sh\(script: '([^']+)', returnStdout: true\)\)\.waves\n");
    let build = part(r"\{ sh '([^']+)' \}");
    let variable = part(r#"withEnv\(\["([A-Z]+)=\$\{image\}"\]\)"#);
    assert_eq!(part(r"def image = job\.(\w+)\n"), "image");
    let user = part(r"usernameVariable: '(\w+)'");
    let password = part(r"passwordVariable: '(\w+)'");
    for (open, close) in [('{', '}'), ('(', ')'), ('[', ']')] {
        let count = |one| recipe.chars().filter(|c| *c == one).count();
        assert_eq!(count(open), count(close), "{open}{close}");
    }

    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let image = |name: &str, base: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = {base}\nplatforms = [\"linux/amd64\"]\n"
        )
    };
    let golden = Golden::new()
        .workspace("")
        .image("a", &image("team/base", "\"scratch\""))
        .image("b", &image("team/app.x", "{ image = \"team/base\" }"))
        .image("c", &image("other", "\"scratch\""))
        .env("GOLDEN_REGISTRY", &host)
        .env("GOLDEN_REGISTRY_HOST", &host);
    let printed = jenkins_sh(&golden, &plan, &[]).exit(0).stdout;
    let matrix: Value = serde_json::from_str(&printed).unwrap();
    let mut waves = Vec::new();
    for wave in matrix["waves"].as_array().unwrap() {
        let jobs = wave.as_array().unwrap().iter();
        let images: Vec<&str> = jobs.map(|job| job["image"].as_str().unwrap()).collect();
        for image in &images {
            let login = [
                (user.as_str(), "ann"),
                (password.as_str(), "hunter2"),
                (variable.as_str(), image),
            ];
            let run = jenkins_sh(&golden, &build, &login).exit(0);
            assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
            assert_eq!(registry.tags(image).len(), 4, "{image}");
        }
        waves.push(images);
    }
    assert_eq!(waves, [vec!["team/base", "other"], vec!["team/app.x"]]);
    // A name is one word of the command, and a mistake fails the job.
    let hostile = [(variable.as_str(), "$(touch hacked); *")];
    assert_ne!(jenkins_sh(&golden, &build, &hostile).code, 0);
    assert!(!golden.path().join("hacked").exists());
    golden.write("golden.toml", "nope = 1\n");
    jenkins_sh(&golden, &plan, &[]).exit(2);
}
