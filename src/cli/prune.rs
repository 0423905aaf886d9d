//! `golden prune`: delete old versions from the registry by retention rules.

use std::collections::BTreeSet;

use serde::Serialize;

use super::confirm::confirm;
use super::context::Context;
use super::delete::line_of;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session;
use super::session::destinations;
use crate::app::destinations::Destinations;
use crate::app::registries;
use crate::publish::delete::Deleted;
use crate::publish::prune::{self, AgeLimit, PruneRules, Pruning};
use crate::reference::{Reference, Repository};
use crate::report::OutputFormat;
use crate::report::text::count;
use crate::tags::Variant;

/// Delete old versions from the registry by retention rules.
///
/// A digest that a moving tag points to is never deleted, nor a digest that a kept version shares.
/// For --keep, a pre-release counts as old if at least N stable versions are higher.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images of the workspace, or repositories [default: all images].
    pub subjects: Vec<String>,
    /// Keep at least this many of the highest stable versions.
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// Delete only versions that are older than AGE: 30d, 12h, 8w.
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// Show the deletions without deleting anything.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    pub yes: bool,
    /// Override a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// The JSON output.
#[derive(Serialize)]
struct PruneOutput<'a> {
    dry_run: bool,
    repositories: &'a [Pruning],
    deleted: &'a [Deleted],
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    if args.keep.is_none() && args.older_than.is_none() {
        return Err(Failure::usage(
            "specify what to prune: --keep N, --older-than AGE, or both",
        ));
    }
    let age = args.older_than.as_deref().map(age).transpose()?;
    let rules = PruneRules {
        keep: args.keep.unwrap_or(0),
        older_than: age.map(|age| AgeLimit {
            age,
            now: context.now,
        }),
    };
    let (repositories, destinations) = repositories(&args, context).await?;
    let registries = registries::open(&context.settings(), &destinations, &args.subjects)?;

    let mut prunings = Vec::new();
    for (repository, variants) in &repositories {
        prunings.push(prune::examine(&registries.repo(repository), variants, rules).await?);
    }
    let number: usize = prunings.iter().map(|pruning| pruning.going().len()).sum();
    let mut deleted = Vec::new();
    if !args.dry_run && number > 0 {
        for pruning in &prunings {
            list(context, pruning, "to delete");
        }
        confirm(
            context,
            args.yes,
            &format!(
                "delete {}: {}",
                count(number, "digest"),
                tags_to_delete(&prunings)
            ),
        )
        .await?;
        for pruning in &prunings {
            deleted.extend(prune::prune(&registries.repo(&pruning.repository), pruning).await?);
        }
    }
    show(
        context,
        &PruneOutput {
            dry_run: args.dry_run,
            repositories: &prunings,
            deleted: &deleted,
        },
    );
    Ok(Exit::Done)
}

/// A repository and its variants in the workspace.
type KnownRepository = (Repository, BTreeSet<Variant>);

/// Splits the arguments into repositories, which have a host, and images of the workspace.
async fn repositories(
    args: &Args,
    context: &Context,
) -> Result<(Vec<KnownRepository>, Destinations), Failure> {
    let is_repository = |text: &str| {
        text.split_once('/')
            .is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost")
    };
    let (named, images): (Vec<_>, Vec<_>) = args
        .subjects
        .iter()
        .cloned()
        .partition(|text| is_repository(text));
    let mut repositories: Vec<KnownRepository> = Vec::new();
    for text in &named {
        match text.parse::<Reference>().map_err(Failure::usage)? {
            Reference {
                repository,
                tag: None,
                digest: None,
            } => {
                repositories.push((repository, BTreeSet::new()));
            }
            _ => {
                return Err(Failure::usage(format!(
                    "`{text}` is an image, not a repository"
                )));
            }
        }
    }
    if images.is_empty() && !named.is_empty() {
        return Ok((repositories, destinations(context).await?));
    }
    let selection = SelectionArgs::of(images.clone(), args.set.clone());
    let session = session::open(context, selection).await?;
    session.require_registry()?;
    let patterns: Vec<_> = images
        .iter()
        .filter_map(|text| globset::Glob::new(text).ok())
        .collect();
    // A session also contains the base images of the selected images; these are not pruned.
    let selected = |name: &str| {
        patterns.is_empty()
            || patterns
                .iter()
                .any(|glob| glob.compile_matcher().is_match(name))
    };
    for image in session
        .resolved()
        .filter(|image| selected(image.name.as_str()))
    {
        for destination in &session.destinations {
            let repository = destination
                .repository(&image.name)
                .map_err(Failure::usage)?;
            let at = repositories
                .iter()
                .position(|(known, _)| *known == repository);
            let at = at.unwrap_or_else(|| {
                repositories.push((repository, BTreeSet::new()));
                repositories.len() - 1
            });
            repositories[at].1.extend(image.variant.clone());
        }
    }
    Ok((
        repositories,
        Destinations {
            chosen: session.destinations,
            registries: session.registries,
        },
    ))
}

/// Parses an age such as `90m`, `12h`, `30d` or `8w`, and returns seconds.
fn age(text: &str) -> Result<i64, Failure> {
    let refuse = || {
        Failure::usage(format!("`{text}` is not an age"))
            .hint("write a number and a unit (m, h, d or w), for example 30d")
    };
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        Some('w') => 7 * 86_400,
        _ => return Err(refuse()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| refuse())?;
    Ok(i64::from(number) * unit)
}

fn tags_to_delete(prunings: &[Pruning]) -> String {
    let tags_of = |pruning: &Pruning| {
        let tags = pruning.going().into_values().flatten();
        tags.map(|tag| format!("{}:{tag}", pruning.repository))
            .collect::<Vec<_>>()
    };
    prunings
        .iter()
        .flat_map(tags_of)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Lists the attached artifacts that are deleted with their versions.
fn list(context: &Context, pruning: &Pruning, word: &str) {
    for attached in &pruning.attached {
        context.out.message(&format!(
            "{word}: {}",
            line_of(&pruning.repository, attached)
        ));
    }
}

fn show(context: &Context, output: &PruneOutput<'_>) {
    if context.format == OutputFormat::Json {
        context.out.json(output);
        return;
    }
    for pruning in output.repositories {
        if pruning.versions.is_empty() {
            context
                .out
                .message(&format!("{} has no versions", pruning.repository));
        }
        for verdict in &pruning.versions {
            let name = format!("{}:{}", pruning.repository, verdict.tag);
            match (verdict.prune, output.dry_run) {
                (true, true) => context
                    .out
                    .data(&format!("would delete {name}: {}\n", verdict.because)),
                (true, false) => context
                    .out
                    .data(&format!("deleted {name}: {}\n", verdict.because)),
                (false, _) => context
                    .out
                    .message(&format!("kept {name}: {}", verdict.because)),
            }
        }
        if output.dry_run {
            list(context, pruning, "would delete");
        }
    }
    if !output.deleted.is_empty() {
        context.out.message("the registry frees the space at its next garbage collection (stop the registry during the collection, or restart it afterwards)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit() {
        for (text, seconds) in [
            ("90m", 5400),
            ("12h", 43_200),
            ("30d", 2_592_000),
            ("8w", 4_838_400),
        ] {
            assert_eq!(age(text).ok(), Some(seconds));
        }
        for bad in ["", "30", "d", "-1d", "1.5d", "30y", "3ä"] {
            assert!(age(bad).is_err(), "{bad} was accepted");
        }
    }
}
