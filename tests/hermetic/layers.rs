//! The module order of src/lib.rs: a module uses only modules above it in the list, and levels 0 to
//! 2 do no I/O.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::sources::{code, root};

/// The modules in the order of the table in src/lib.rs, each with its level.
fn modules() -> Vec<(String, u8)> {
    let mut modules = Vec::new();
    for line in text(&source().join("lib.rs")).lines() {
        let Some((level, names)) = line
            .strip_prefix("//! | ")
            .and_then(|row| row.split_once(" | "))
        else {
            continue;
        };
        if let Ok(level) = level[..1].parse() {
            let names = names.split('`').skip(1).step_by(2);
            modules.extend(names.map(|name| (name.to_owned(), level)));
        }
    }
    modules
}

fn source() -> PathBuf {
    root().join("src")
}

#[expect(clippy::disallowed_methods, reason = "a test reads the sources")]
fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Every source file of a module, by its path below src.
fn files(module: &str) -> BTreeMap<String, String> {
    let under = walkdir::WalkDir::new(source().join(module))
        .into_iter()
        .filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = under.map(|entry| entry.path().to_owned()).collect();
    paths.push(source().join(format!("{module}.rs")));
    paths
        .into_iter()
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "rs") && path.is_file()
        })
        .map(|path| {
            (
                path.strip_prefix(source()).unwrap().display().to_string(),
                text(&path),
            )
        })
        .collect()
}

/// The modules that code names as `crate::module` or within `use crate::{a, b::c}`.
fn named_modules(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        let rest = &code[at + found.len()..];
        let word = |text: &str| -> String {
            text.chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect()
        };
        match rest.strip_prefix('{') {
            None => names.push(word(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (index, character) in group.char_indices() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && !c.is_whitespace() => {
                            names.push(word(&group[index..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

#[test]
fn a_module_uses_only_modules_above_it() {
    let modules = modules();
    let mut wrong = Vec::new();
    for (index, (module, _)) in modules.iter().enumerate() {
        for (file, text) in files(module) {
            for name in named_modules(&code(&text)) {
                let place = modules.iter().position(|(other, _)| *other == name);
                if place.is_some_and(|place| place > index) {
                    wrong.push(format!(
                        "src/{file} uses crate::{name}, which is below {module}"
                    ));
                }
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn levels_0_to_2_do_no_io() {
    const IMPURE: [&str; 9] = [
        "std::fs",
        "std::env",
        "SystemTime",
        "Instant::now",
        "println!",
        "std::process",
        "TcpStream",
        ".await",
        "tokio::fs",
    ];
    let mut wrong = Vec::new();
    for (module, _) in modules().into_iter().filter(|(_, level)| *level <= 2) {
        for (file, text) in files(&module) {
            if file.ends_with("tests.rs") {
                continue;
            }
            let code = code(&text);
            for word in IMPURE.iter().filter(|word| code.contains(**word)) {
                wrong.push(format!("src/{file} has {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_report_prints_and_only_cli_reads_the_environment() {
    let mut wrong = Vec::new();
    for (module, _) in modules() {
        for (file, text) in files(&module) {
            let code = code(&text);
            let mut deny = |words: &[&str]| {
                for word in words.iter().filter(|word| code.contains(**word)) {
                    wrong.push(format!("src/{file} has {word}"));
                }
            };
            if module != "report" {
                deny(&[
                    "io::stdout",
                    "io::stderr()",
                    "println!",
                    "eprintln!",
                    "indicatif",
                ]);
            }
            if module != "cli" {
                deny(&["env::var", "env::current_dir", "env::args", "process::exit"]);
            }
        }
    }
    wrong.retain(|line| !line.starts_with("src/cli/surroundings.rs"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_is_on_the_list() {
    let modules: Vec<String> = modules().into_iter().map(|(name, _)| name).collect();
    for entry in walkdir::WalkDir::new(source()).min_depth(1).max_depth(1) {
        let path = entry.unwrap().into_path();
        if path.is_file() && path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(
            modules.contains(&name) || ["lib", "main"].contains(&name.as_str()),
            "{name} is not in src/lib.rs"
        );
    }
}
