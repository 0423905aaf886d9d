//! Suggestions for commands that have other names in other tools. clap suggests commands with a
//! similar spelling; this module adds commands with a similar meaning.

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// Command names of other tools, and the commands to use instead.
const SYNONYMS: &[(&str, &str)] = &[
    ("auth", "docker login"),
    ("clean", "golden prune"),
    ("copy", "golden promote"),
    ("cp", "golden promote"),
    ("create", "golden new"),
    ("deploy", "golden build --push"),
    ("describe", "golden inspect"),
    ("download", "golden build --to"),
    ("dry-run", "golden plan"),
    ("explain", "golden check --explain"),
    ("export", "golden build --to"),
    ("extract", "golden build --to"),
    ("find", "golden ls"),
    ("gc", "golden prune"),
    ("generate", "golden render"),
    ("history", "golden inspect"),
    ("images", "golden ls"),
    ("import", "golden new --from"),
    ("info", "golden inspect"),
    ("lint", "golden check"),
    ("list", "golden ls"),
    ("load", "golden build --load"),
    ("login", "docker login"),
    ("logout", "docker logout"),
    ("mirror", "golden promote"),
    ("preview", "golden plan"),
    ("publish", "golden push"),
    ("pull", "docker pull"),
    ("release", "golden build --push"),
    ("remove", "golden delete"),
    ("retag", "golden promote"),
    ("revert", "golden rollback"),
    ("rm", "golden delete"),
    ("rmi", "golden delete"),
    ("run", "docker run"),
    ("save", "golden build --to"),
    ("scan", "golden audit"),
    ("search", "golden ls"),
    ("show", "golden inspect"),
    ("simulate", "golden plan"),
    ("status", "golden plan"),
    ("sync", "golden promote"),
    ("tag", "golden build"),
    ("template", "golden render"),
    ("tree", "golden graph"),
    ("undo", "golden rollback"),
    ("uninstall", "golden delete"),
    ("untag", "golden delete --untag"),
    ("upgrade", "golden update"),
    ("upload", "golden push"),
    ("validate", "golden check"),
    ("version", "golden --version"),
];

/// Replaces the suggestions for an unknown command if the table has a synonym.
pub(super) fn explain(mut error: Error) -> Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let Some((_, command)) = SYNONYMS
        .iter()
        .find(|(synonym, _)| *synonym == word.to_lowercase())
    else {
        return error;
    };
    error.remove(ContextKind::SuggestedSubcommand);
    let tip = format!("use `{command}`");
    error.insert(
        ContextKind::Suggested,
        ContextValue::StyledStrs(vec![tip.into()]),
    );
    error
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;
    use crate::cli::parser;

    fn message(word: &str) -> String {
        let error = parser().try_get_matches_from(["golden", word]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSubcommand);
        explain(error).to_string()
    }

    #[test]
    fn commands_of_other_tools_are_explained() {
        insta::assert_snapshot!(message("rm"), @r"
        error: unrecognized subcommand 'rm'

          tip: use `golden delete`

        Usage: golden [OPTIONS] <COMMAND>

        For more information, try '--help'.
        ");
        assert!(message("buidl").contains("'build'"), "{}", message("buidl"));
        for (synonym, command) in SYNONYMS {
            assert!(
                message(synonym).contains(&format!("tip: use `{command}`\n")),
                "{synonym}"
            );
        }
    }

    #[test]
    fn every_suggested_command_exists() {
        let parser = parser();
        for (synonym, command) in SYNONYMS {
            let mut words = command.split(' ');
            let Some("golden") = words.next() else {
                continue;
            };
            let word = words.next().unwrap();
            let exists = word.starts_with("--") || parser.find_subcommand(word).is_some();
            assert!(
                exists && parser.find_subcommand(synonym).is_none(),
                "{synonym}: {command}"
            );
        }
    }
}
