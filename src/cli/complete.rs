//! Completes a command line for the script that `golden completions` prints: golden prints the
//! candidates. It reads only golden.toml and the image files.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Arg;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{EnvCompleter, Shells};

use super::{codes, surroundings};
use crate::policy::RULES;
use crate::workspace::outline::Outline;

/// The names of values that can be the name of a workspace image.
const IMAGES: &[&str] = &[
    "A",
    "B",
    "BASE",
    "DOCKERFILE|REF|BAKE",
    "DST",
    "HOST[/REPO]|IMAGE",
    "IMAGE",
    "IMAGES",
    "IMAGE… VERSION",
    "REF",
    "REF|HOST/REPO",
    "SRC",
];

/// Prints the candidates for a command line if [`COMPLETE`](surroundings::COMPLETE) names a shell: `args` are the program,
/// `--`, and the words. Returns `None` if golden has to run a command. Errors are not shown, because
/// they would appear in the command line.
pub(super) fn command_line(args: &[OsString]) -> Option<ExitCode> {
    let name = surroundings::completing_shell()?;
    let shells = Shells::builtins();
    let shell = shells.completer(&name)?;
    let start = args.iter().position(|word| word == "--")? + 1;
    if let Some((cwd, out)) = surroundings::silent()
        && let Some(candidates) = candidates(shell, unquoted_words(&name, &args[start..]), &cwd)
    {
        out.data(&candidates);
    }
    Some(ExitCode::SUCCESS)
}

/// The candidates in the form that the script of the shell reads.
fn candidates(shell: &dyn EnvCompleter, words: Vec<OsString>, cwd: &Path) -> Option<String> {
    let location = Location {
        start: cwd.to_owned(),
        named: named_workspace(&words),
    };
    let mut golden = with_candidates(super::parser(), &Arc::new(location));
    let mut text = Vec::new();
    let written = shell.write_complete(&mut golden, words, Some(cwd), &mut text);
    written.ok()?;
    String::from_utf8(text).ok()
}

/// The words as a command receives them. bash and zsh pass them as the user typed them, with quotes
/// and backslashes; fish does so only with the word at the cursor, which is the last one. The other
/// shells evaluate the words first.
fn unquoted_words(shell: &str, words: &[OsString]) -> Vec<OsString> {
    let first = match shell {
        "bash" | "zsh" => 0,
        "fish" => words.len().saturating_sub(1),
        _ => words.len(),
    };
    let unquoted = |(position, word): (usize, &OsString)| match word.to_str() {
        Some(text) if position >= first => unquoted(text).into(),
        _ => word.clone(),
    };
    words.iter().enumerate().map(unquoted).collect()
}

/// A word without its quotes and backslashes. The last quote may be open.
fn unquoted(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    let mut quote = None;
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == '\\' => text.extend(rest.next()),
            Some('"') if c == '\\' => {
                // Between double quotes, a backslash is itself except before these.
                let next = rest.clone().next().filter(|next| "\"\\$`".contains(*next));
                text.push(next.unwrap_or(c));
                if next.is_some() {
                    rest.next();
                }
            }
            _ => text.push(c),
        }
    }
    text
}

/// The location of the workspace.
#[derive(Debug)]
struct Location {
    start: PathBuf,
    named: Option<PathBuf>,
}

impl Location {
    fn outline(&self) -> Option<Outline> {
        Outline::find(&self.start, self.named.as_deref())
    }
}

/// The directory of `-w`, in any of its forms.
fn named_workspace(words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(word) = word.to_str() else { continue };
        if word == "-w" || word == "--workspace" {
            return words.next().map(PathBuf::from);
        }
        let joined = word.strip_prefix("--workspace=");
        let joined = joined.or_else(|| word.strip_prefix("-w").filter(|rest| !rest.is_empty()));
        if let Some(directory) = joined {
            return Some(PathBuf::from(directory));
        }
    }
    None
}

/// Adds the candidates of the workspace to the arguments of all commands.
fn with_candidates(command: clap::Command, location: &Arc<Location>) -> clap::Command {
    command
        .mut_args(|argument| with_values(argument, location))
        .mut_subcommands(|command| with_candidates(command, location))
}

fn with_values(argument: Arg, location: &Arc<Location>) -> Arg {
    let location = Arc::clone(location);
    if argument.get_id() == "registry" {
        return argument.add(completer(move || {
            location.outline().map(|outline| outline.registries())
        }));
    }
    if argument.get_id() == "explain" {
        return argument.add(ArgValueCandidates::new(rules));
    }
    let mut names = argument.get_value_names().into_iter().flatten();
    if names.any(|name| IMAGES.contains(&name.as_str())) {
        return argument.add(completer(move || {
            location.outline().map(|outline| outline.images())
        }));
    }
    argument
}

/// Completes with the names that start with the current word.
fn completer(
    names: impl Fn() -> Option<BTreeSet<String>> + Send + Sync + 'static,
) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let Some(current) = current.to_str() else {
            return Vec::new();
        };
        let names = names().unwrap_or_default().into_iter();
        let names = names.filter(|name| name.starts_with(current));
        names.map(CompletionCandidate::new).collect::<Vec<_>>()
    })
}

/// The codes that `check --explain` explains.
fn rules() -> Vec<CompletionCandidate> {
    let rules = RULES.iter().map(|rule| (rule.id, rule.summary));
    let codes = codes::CODES.iter().map(|code| (code.id, code.summary));
    let all: BTreeSet<(&str, &str)> = rules.chain(codes).collect();
    all.into_iter()
        .map(|(id, summary)| CompletionCandidate::new(id).help(Some(summary.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_option_has_four_forms() {
        for (line, expected) in [
            ("golden -w a build", Some("a")),
            ("golden build -wa", Some("a")),
            ("golden --workspace a build", Some("a")),
            ("golden build --workspace=a", Some("a")),
            ("golden build a", None),
            ("golden -w", None),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(
                named_workspace(&words),
                expected.map(PathBuf::from),
                "{line}"
            );
        }
    }

    #[test]
    fn a_word_has_no_quotes() {
        for (word, expected) in [
            ("app", "app"),
            (r"my\ dir", "my dir"),
            ("\"my dir\"", "my dir"),
            ("\"my d", "my d"),
            ("'my d", "my d"),
            (r#""a\"b\n""#, r#"a"b\n"#),
            (r"'a\b'", r"a\b"),
            ("my' 'dir", "my dir"),
            (r"end\", "end"),
            ("", ""),
        ] {
            assert_eq!(unquoted(word), expected, "{word}");
        }
        let words: Vec<OsString> = [r"a\b", r"c\ d"].map(OsString::from).into();
        for shell in ["bash", "zsh"] {
            assert_eq!(unquoted_words(shell, &words), ["ab", "c d"], "{shell}");
        }
        assert_eq!(unquoted_words("fish", &words), [r"a\b", "c d"]);
        for shell in ["powershell", "elvish"] {
            assert_eq!(unquoted_words(shell, &words), words, "{shell}");
        }
    }

    #[test]
    fn every_value_that_can_be_an_image_exists() {
        fn names(command: &clap::Command, all: &mut BTreeSet<String>) {
            for argument in command.get_arguments() {
                let names = argument.get_value_names().into_iter().flatten();
                all.extend(names.map(ToString::to_string));
            }
            for command in command.get_subcommands() {
                names(command, all);
            }
        }
        let mut all = BTreeSet::new();
        names(&crate::cli::parser(), &mut all);
        for name in IMAGES {
            assert!(all.contains(*name), "{name}");
        }
    }
}
