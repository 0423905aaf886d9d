//! `golden delete`: delete by digest, and verify that it is gone.

use std::collections::BTreeMap;

use serde::Serialize;

use super::confirm::confirm;
use super::context::Context;
use super::destinations::destinations;
use super::error::Failure;
use super::exit::Exit;
use super::registries;
use crate::publish::delete::{self, Deleted, Error, Subject};
use crate::publish::untag::untag;
use crate::reference::{Reference, Repository, Target};
use crate::registry::Registry;
use crate::report::Format;
use crate::report::text::count;

/// Delete by digest, and verify that it is gone.
///
/// Deleting a digest removes every tag that names it, so a digest that other tags share is refused (exit 4) unless
/// --all-tags or --untag says what is meant. An index goes with the images that no other index needs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images.
    #[arg(required = true, value_name = "REF")]
    pub references: Vec<String>,
    /// Delete the digest with every tag that names it.
    #[arg(long, conflicts_with = "untag")]
    pub all_tags: bool,
    /// Remove only this tag; the digest and its other tags stay.
    #[arg(long)]
    pub untag: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

/// The JSON output.
#[derive(Serialize)]
struct Output {
    deleted: Vec<Deleted>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut repositories: BTreeMap<Repository, Vec<Reference>> = BTreeMap::new();
    for text in &args.references {
        let reference: Reference = text.parse().map_err(Failure::usage)?;
        if args.untag && matches!(reference.target(), Target::Digest(_)) {
            return Err(Failure::usage(Error::NoTag(reference)));
        }
        repositories.entry(reference.repository.clone()).or_default().push(reference);
    }
    let destinations = destinations(context).await?;
    let registries = registries::open(context, &destinations, &args.references)?;

    let mut work: Vec<(Registry, Subject)> = Vec::new();
    for (repository, references) in &repositories {
        let registry = registries.of(repository)?;
        for subject in delete::examine(&registry, references).await? {
            if !args.untag {
                delete::check(&subject, args.all_tags)?;
            }
            work.push((registry.clone(), subject));
        }
    }
    confirm(context, args.yes, &question(&work, args.untag)).await?;

    let mut deleted = Vec::new();
    for (registry, subject) in &work {
        if args.untag {
            for tag in &subject.named {
                deleted.push(untag(registry, subject, tag).await?);
            }
        } else {
            deleted.push(delete::delete(registry, subject).await?);
        }
    }
    show(context, deleted, args.untag);
    Ok(Exit::Done)
}

fn question(work: &[(Registry, Subject)], untag: bool) -> String {
    let tags =
        |subject: &Subject| subject.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let one = |(_, subject): &(Registry, Subject)| {
        let repository = &subject.reference.repository;
        if untag {
            let named: Vec<_> = subject.named.iter().map(|tag| format!("{repository}:{tag}")).collect();
            return format!("remove {}", named.join(", "));
        }
        let digest = subject.raw.digest.short();
        match subject.tags.as_slice() {
            [] => format!("delete {repository}@{digest} (no tags)"),
            _ => format!("delete {repository}@{digest} with {}", tags(subject)),
        }
    };
    work.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn show(context: &Context, deleted: Vec<Deleted>, untag: bool) {
    if context.format == Format::Json {
        context.out.json(&Output { deleted });
        return;
    }
    for one in &deleted {
        let Deleted { repository, digest, tags, children, untagged } = one;
        let tags = tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let line = match (untagged, tags.is_empty(), children.len()) {
            (true, ..) => format!("removed {repository}:{tags}; {digest} stays"),
            (false, true, 0) => format!("deleted {repository}@{digest}"),
            (false, false, 0) => format!("deleted {repository}@{digest} ({tags})"),
            (false, _, n) => {
                format!("deleted {repository}@{digest} ({tags}) and {} of it", count(n, "image"))
            }
        };
        context.out.data(&format!("{line}\n"));
    }
    if !untag {
        context.out.message("the space is freed when the registry next collects garbage (restart it afterwards, or stop it meanwhile)");
    }
}
