//! README lists every command and every chapter of the guide.

use golden::help::TOPICS;

use crate::support::workspace::Golden;

const README: &str = include_str!("../../README.md");

#[test]
fn readme_lists_the_commands_in_their_groups() {
    let help = Golden::new().run(&["--help"]).exit(0).stdout;
    let groups = help.split("Options:").next().unwrap().split("\n\n").skip(2);
    let rows: Vec<String> = groups
        .filter_map(|group| {
            let (name, commands) = group.trim().split_once(":\n")?;
            let commands: Vec<String> = commands
                .lines()
                .filter_map(|line| Some(format!("`{}`", line.split_whitespace().next()?)))
                .collect();
            Some(format!("| {name} | {} |", commands.join(", ")))
        })
        .collect();
    assert!(rows.len() > 4, "{rows:?}");
    let missing: Vec<&String> = rows.iter().filter(|row| !README.contains(*row)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn readme_links_every_chapter_of_the_guide() {
    let link = |name: &str| format!("(src/help/{name}.md)");
    let missing: Vec<&str> = TOPICS
        .iter()
        .map(|topic| topic.name)
        .filter(|name| !README.contains(&link(name)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
