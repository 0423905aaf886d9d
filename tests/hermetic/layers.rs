//! The module order of src/lib.rs: a module uses only modules above it in the list, and levels 0 to
//! 2 do no I/O. Files do not use each other in circles.

use std::collections::{BTreeMap, BTreeSet};
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

/// The work of a command is in `app`, and its output in `report`.
#[test]
fn a_command_in_cli_has_at_most_100_lines() {
    let mut long = Vec::new();
    for (file, text) in files("cli") {
        let is_command = text.contains("\npub struct Args")
            && (text.contains("\npub fn run(") || text.contains("\npub async fn run("));
        let lines = text.lines().count();
        if is_command && lines > 100 {
            long.push(format!("src/{file} has {lines} lines"));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
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
            modules.contains(&name) || ["build", "lib", "main"].contains(&name.as_str()),
            "{name} is not in src/lib.rs"
        );
    }
}

/// A module path, such as `["app", "session"]`.
type ModulePath = Vec<String>;

/// Every source file by its module path, without the root of the crate.
fn file_modules() -> BTreeMap<ModulePath, String> {
    let mut found = BTreeMap::new();
    for (module, _) in modules() {
        for (file, text) in files(&module) {
            let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
            found.insert(path.split('/').map(str::to_owned).collect(), code(&text));
        }
    }
    found
}

/// Expands a `use` tree such as `a::{b, c::d}` into paths.
fn expand(prefix: &[String], tree: &str, paths: &mut Vec<ModulePath>) {
    let mut depth = 0;
    let items = tree.split(|character| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    });
    for item in items.map(str::trim).filter(|item| !item.is_empty()) {
        let (names, group) = match item.split_once('{') {
            Some((names, group)) => (names, group.strip_suffix('}')),
            None => (item, None),
        };
        let names = names.split("::").map(|name| name.split(" as ").next());
        let names = names
            .flatten()
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let path: ModulePath = prefix
            .iter()
            .cloned()
            .chain(names.map(str::to_owned))
            .collect();
        match group {
            Some(group) => expand(&path, group, paths),
            None => paths.push(path),
        }
    }
}

/// The paths that code names, in `use` declarations and elsewhere.
fn named_paths(code: &str) -> Vec<ModulePath> {
    let mut paths = Vec::new();
    for (at, found) in code.match_indices("use ") {
        let is_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if let Some((tree, _)) = code[at + found.len()..]
            .split_once(';')
            .filter(|_| !is_word)
        {
            expand(&[], tree, &mut paths);
        }
    }
    for word in code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':') {
        if word.contains("::") {
            expand(&[], word, &mut paths);
        }
    }
    paths
}

/// The file that a path leads to; `None` for a path that does not start in this crate.
fn file_of(
    module: &ModulePath,
    path: &ModulePath,
    files: &BTreeMap<ModulePath, String>,
) -> Option<ModulePath> {
    let mut at = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.clone(),
        _ => return None,
    };
    for name in path {
        match name.as_str() {
            "crate" | "self" => {}
            "super" => drop(at.pop()),
            _ => {
                at.push(name.clone());
                if !files.contains_key(&at) {
                    at.pop();
                    break;
                }
            }
        }
    }
    files.contains_key(&at).then_some(at)
}

/// Files use each other in one direction. A file and the files below it, which it declares, are
/// exempt.
#[test]
fn files_do_not_use_each_other_in_circles() {
    let files = file_modules();
    let uses = |module: &ModulePath| -> BTreeSet<ModulePath> {
        let paths = named_paths(&files[module]);
        let used = paths
            .iter()
            .filter_map(|path| file_of(module, path, &files));
        used.filter(|used| !used.starts_with(module) && !module.starts_with(used))
            .collect()
    };
    let graph: BTreeMap<&ModulePath, _> = files.keys().map(|file| (file, uses(file))).collect();
    let mut wrong = Vec::new();
    for (file, used) in &graph {
        for next in used {
            let mut reached = BTreeSet::from([next]);
            let mut open = vec![next];
            while let Some(at) = open.pop() {
                open.extend(graph[at].iter().filter(|next| reached.insert(next)));
            }
            if reached.contains(file) {
                wrong.push(format!(
                    "{} uses {}, which uses it",
                    file.join("::"),
                    next.join("::")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
