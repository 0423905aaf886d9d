//! The words of the sources: plain sentences, no reference to documents outside the repository, and
//! nothing `pub` without a use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use regex::Regex;

use crate::sources::{code, root};

/// The text of every file with one of these extensions in these directories, by its path.
fn texts(directories: &[&str], extensions: &[&str]) -> BTreeMap<PathBuf, String> {
    let mut texts = BTreeMap::new();
    for directory in directories {
        for entry in walkdir::WalkDir::new(root().join(directory)) {
            let path = entry.unwrap().into_path();
            let known = path
                .extension()
                .is_some_and(|extension| extensions.contains(&extension.to_str().unwrap()));
            if known {
                let text = std::fs::read_to_string(&path).unwrap();
                texts.insert(path.strip_prefix(root()).unwrap().to_owned(), text);
            }
        }
    }
    texts
}

/// The lines that match, as `file:line: text`.
fn lines_with(texts: &BTreeMap<PathBuf, String>, pattern: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    let mut lines = Vec::new();
    for (path, text) in texts {
        // This file quotes what it forbids.
        if path.ends_with("words.rs") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if pattern.is_match(line) {
                let line = line.trim();
                lines.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    lines
}

#[test]
fn a_comment_names_its_thing() {
    let sources = texts(&["src", "tests"], &["rs"]);
    let riddles = lines_with(&sources, r"^\s*//[/!] (What|Who|Whoever|Whether)\b");
    assert!(riddles.is_empty(), "{}", riddles.join("\n"));
}

#[test]
fn comments_use_the_usual_words() {
    let sources = texts(&["src", "tests"], &["rs"]);
    let unusual = lines_with(
        &sources,
        r"//.*\b(whoever|anew|by now|folders?|not to be had|leave away|peaceful|once more)\b",
    );
    assert!(unusual.is_empty(), "{}", unusual.join("\n"));
}

#[test]
fn no_text_refers_to_a_document_outside_the_repository() {
    let mut files = texts(
        &["src", "tests", "templates", "images"],
        &["rs", "md", "toml", "j2"],
    );
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    files.insert(PathBuf::from("README.md"), readme);
    let dangling = lines_with(
        &files,
        r"\b\d{1,2}-(spec|tags|cli|engines|architecture|facts|rules|houses|style|trust|lifecycle|gates)\b",
    );
    assert!(dangling.is_empty(), "{}", dangling.join("\n"));
}

/// The compiler cannot find them, because the integration tests see every `pub` item.
#[test]
fn every_public_item_is_used_by_the_program() {
    let sources = texts(&["src"], &["rs"]);
    let of_the_program = sources.iter().filter(|(path, _)| {
        !path.ends_with("tests.rs") && !path.to_str().unwrap().contains("_tests.rs")
    });
    let code: Vec<String> = of_the_program.map(|(_, text)| code(text)).collect();
    let word = Regex::new(r"\w+").unwrap();
    let item = Regex::new(
        r"pub(?:\([a-z ]+\))? (?:const |async )*(?:fn|struct|enum|trait|const|type|static) (\w+)",
    )
    .unwrap();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut items = BTreeSet::new();
    for text in &code {
        for found in word.find_iter(text) {
            *count.entry(found.as_str()).or_default() += 1;
        }
        items.extend(
            item.captures_iter(text)
                .map(|found| found.extract::<1>().1[0]),
        );
    }
    let unused: Vec<&str> = items.into_iter().filter(|name| count[name] == 1).collect();
    assert!(unused.is_empty(), "used by no code: {unused:?}");
}

/// Two types with one name are mistaken for each other, so each has a name of its own. Every command
/// has its `Args`, and a module its `Error`.
#[test]
fn no_two_types_have_the_same_name() {
    let definition =
        Regex::new(r"(?m)^\s*(?:pub(?:\([a-z]+\))? )?(?:struct|enum|trait|union) ([A-Z]\w*)")
            .unwrap();
    let mut files = BTreeMap::<String, Vec<String>>::new();
    for (path, text) in texts(&["src"], &["rs"]) {
        for name in definition.captures_iter(&text) {
            let files = files.entry(name[1].to_owned()).or_default();
            files.push(path.display().to_string());
        }
    }
    let twice = files
        .iter()
        .filter(|(name, files)| files.len() > 1 && !["Args", "Error"].contains(&name.as_str()))
        .map(|(name, files)| format!("{name}: {}", files.join(", ")))
        .collect::<Vec<_>>();
    assert!(twice.is_empty(), "{}", twice.join("\n"));
}
