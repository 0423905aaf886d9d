//! The groups of the commands in the help, and the options that each command accepts.

use std::fmt::Write as _;

use super::{Failure, GlobalArgs};

/// The groups and their commands, in the order of a typical workflow.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "Author",
        &["init", "new", "check", "fmt", "bump", "render", "graph"],
    ),
    (
        "Build",
        &["plan", "build", "push", "test", "tags", "matrix"],
    ),
    ("Bases", &["outdated", "update"]),
    (
        "Registry",
        &[
            "ls",
            "inspect",
            "referrers",
            "diff",
            "verify",
            "audit",
            "impact",
            "report",
            "promote",
            "channels",
            "rollback",
            "revoke",
            "lifecycle",
            "delete",
            "prune",
        ],
    ),
    (
        "Trust",
        &["key", "sign", "attest", "attach", "sbom", "reproduce"],
    ),
    (
        "Tool",
        &["serve", "schema", "completions", "man", "doctor", "help"],
    ),
];

/// The commands that use no registry. They refuse the registry options.
const WITHOUT_REGISTRY: &[&str] = &[
    "init",
    "check",
    "fmt",
    "render",
    "tags",
    "matrix",
    "key",
    "serve",
    "schema",
    "completions",
    "man",
    "help",
];

/// The registry options: clap's ID and the name.
const REGISTRY_OPTIONS: [(&str, &str); 3] = [
    ("registry", "registry"),
    ("all_registries", "all-registries"),
    ("insecure_registry", "insecure-registry"),
];

fn uses_registry(command: &str) -> bool {
    !WITHOUT_REGISTRY.contains(&command)
}

/// Makes the help list the commands in groups.
pub(super) fn grouped(golden: clap::Command) -> clap::Command {
    let mut commands = String::new();
    for (group, names) in GROUPS {
        let _ = writeln!(commands, "{group}:");
        for name in *names {
            let about = golden
                .find_subcommand(name)
                .and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(commands, "  {name:<13}{about}");
        }
        commands.push('\n');
    }
    // The list above replaces clap's own, which has no groups.
    let golden = golden
        .override_usage("golden [OPTIONS] <COMMAND>")
        .mut_subcommands(|command| command.hide(true));
    golden.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{commands}{{all-args}}\n\n\
         `golden help COMMAND` shows the help of a command; `golden help` also lists the topics of the guide.\n"
    ))
}

/// Hides the registry options of a command that uses no registry.
pub(super) fn without_unused(mut command: clap::Command) -> clap::Command {
    if uses_registry(command.get_name()) {
        return command;
    }
    for (id, name) in REGISTRY_OPTIONS {
        let argument = clap::Arg::new(id).long(name).hide(true);
        let argument = match id {
            "all_registries" => argument.action(clap::ArgAction::SetTrue),
            _ => argument.action(clap::ArgAction::Append),
        };
        command = command.arg(argument);
    }
    command
}

/// Fails if a registry option is given to a command that uses no registry.
pub(super) fn check(command: &str, globals: &GlobalArgs) -> Result<(), Failure> {
    let given = [
        ("--registry", !globals.registry.is_empty()),
        ("--all-registries", globals.all_registries),
        ("--insecure-registry", !globals.insecure_registry.is_empty()),
    ];
    match given
        .iter()
        .find(|(_, is_given)| *is_given && !uses_registry(command))
    {
        Some((option, _)) => Err(Failure::usage(format!(
            "`golden {command}` uses no registry: remove {option}"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parser;
    use super::*;

    #[test]
    fn the_help_lists_each_command_once() {
        let mut golden = grouped(parser());
        for help in [golden.render_help(), golden.render_long_help()] {
            let help = help.to_string();
            for name in GROUPS.iter().flat_map(|(_, names)| *names) {
                let line = format!("\n  {name:<13}");
                assert_eq!(help.matches(&line).count(), 1, "{name}: {help}");
            }
        }
    }

    #[test]
    fn every_command_is_in_one_group() {
        let golden = parser();
        let mut commands: Vec<&str> = golden
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        let mut grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().copied())
            .collect();
        commands.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, commands);
        assert!(WITHOUT_REGISTRY.iter().all(|name| commands.contains(name)));
    }
}
