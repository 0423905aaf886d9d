//! `golden delete`: delete images by digest, and verify the deletion.

use std::collections::BTreeMap;

use serde::Serialize;

use super::confirm::confirm;
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{destinations, names};
use crate::app::registries;
use crate::publish::attached::Attached;
use crate::publish::delete::{self, DeleteSubject, Deleted, Error};
use crate::publish::untag::untag;
use crate::reference::{Reference, Repository, Target};
use crate::registry::Repo;
use crate::report::OutputFormat;
use crate::report::text::count;

/// Delete images by digest, and verify the deletion.
///
/// Deleting a digest removes every tag that points to it. If other tags point to the digest, the
/// command refuses (exit 4) unless --all-tags or --untag is given. If the digest is an index, its
/// images are deleted too, except those that another index contains.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images to delete, by tag or digest: references, or names of workspace images.
    #[arg(required = true, value_name = "REF")]
    pub references: Vec<String>,
    /// Delete the digest with every tag that points to it.
    #[arg(long, conflicts_with = "untag")]
    pub all_tags: bool,
    /// Delete all tagged images of these repositories.
    #[arg(long, conflicts_with_all = ["all_tags", "untag"])]
    pub repository: bool,
    /// Remove only this tag; the digest and its other tags stay.
    #[arg(long)]
    pub untag: bool,
    /// Show the deletions without deleting anything.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    pub yes: bool,
}

/// The JSON output.
#[derive(Serialize)]
struct DeleteOutput<'a> {
    dry_run: bool,
    deleted: &'a [Deleted],
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let destinations = destinations(context).await?;
    let names = names(context, &destinations, &args.references).await?;
    let mut repositories: BTreeMap<Repository, Vec<Reference>> = BTreeMap::new();
    for text in &args.references {
        for reference in names.references(text)? {
            check_form(&args, text, &reference)?;
            if args.untag && matches!(reference.target(), Target::Digest(_)) {
                return Err(Failure::usage(Error::NoTag(reference)));
            }
            repositories
                .entry(reference.repository.clone())
                .or_default()
                .push(reference);
        }
    }
    let named = names.with_host(&args.references);
    let registries = registries::open(&context.settings(), &destinations, &named)?;

    let mut work: Vec<(Repo, DeleteSubject)> = Vec::new();
    for (repository, references) in &repositories {
        let repo = registries.repo(repository);
        let everything = if args.repository {
            Some(delete::everything(&repo).await?)
        } else {
            None
        };
        let references = everything.as_ref().unwrap_or(references);
        for subject in delete::examine(&repo, references).await? {
            if !args.untag {
                delete::check(&subject, args.all_tags)?;
            }
            work.push((repo.clone(), subject));
        }
    }
    if args.dry_run {
        let planned: Vec<Deleted> = work
            .iter()
            .flat_map(|(_, subject)| would_delete(subject, args.untag))
            .collect();
        if !matches!(context.format, OutputFormat::Json) {
            list_parts(context, &planned, "would delete");
        }
        show(context, &planned, &args);
        return Ok(Exit::Done);
    }
    if work.is_empty() {
        context.out.message("no tags found; nothing was deleted");
    } else {
        list(context, &work, args.untag);
        confirm(context, args.yes, &question(&work, args.untag)).await?;
    }

    let mut deleted = Vec::new();
    for (repo, subject) in &work {
        if args.untag {
            for tag in &subject.named {
                deleted.push(untag(repo, subject, tag).await?);
            }
        } else {
            deleted.push(delete::delete(repo, subject).await?);
        }
    }
    show(context, &deleted, &args);
    Ok(Exit::Done)
}

/// Fails if the reference is a repository and `--repository` is not given, or the reverse.
fn check_form(args: &Args, text: &str, reference: &Reference) -> Result<(), Failure> {
    let is_repository = reference.tag.is_none() && reference.digest.is_none();
    match (args.repository, is_repository) {
        (false, true) => Err(Failure::usage(format!(
            "`{text}` is a repository; specify a tag or a digest"
        ))
        .hint(format!("`golden ls {text}` lists its tags"))
        .hint(format!(
            "`golden delete {text} --repository` deletes everything in it"
        ))),
        (true, false) => Err(Failure::usage(format!(
            "`{text}` is an image; --repository deletes repositories"
        ))
        .hint(format!(
            "golden delete {} --repository",
            reference.repository
        ))),
        _ => Ok(()),
    }
}

/// Lists the planned deletions, before the confirmation.
fn list(context: &Context, work: &[(Repo, DeleteSubject)], untag: bool) {
    for (_, subject) in work {
        for one in would_delete(subject, untag) {
            let word = if untag { "to remove" } else { "to delete" };
            context.out.message(&format!("{word}: {}", line(&one)));
            list_parts(context, &[one], "to delete");
        }
    }
}

/// Prints the images of an index and the attached artifacts that are deleted too, one per line.
fn list_parts(context: &Context, deleted: &[Deleted], word: &str) {
    for one in deleted {
        let Deleted {
            repository,
            children,
            attached,
            ..
        } = one;
        let children = children
            .iter()
            .map(|child| format!("{repository}@{child} (image of the index)"));
        let attached = attached
            .iter()
            .map(|attached| line_of(repository, attached));
        for part in children.chain(attached) {
            context.out.message(&format!("{word}: {part}"));
        }
    }
}

fn would_delete(subject: &DeleteSubject, untag: bool) -> Vec<Deleted> {
    if untag {
        subject
            .named
            .iter()
            .map(|tag| subject.untagged(tag))
            .collect()
    } else {
        vec![subject.deleted()]
    }
}

fn question(work: &[(Repo, DeleteSubject)], untag: bool) -> String {
    let tags: usize = work
        .iter()
        .map(|(_, subject)| {
            if untag {
                subject.named.len()
            } else {
                subject.tags.len()
            }
        })
        .sum();
    if untag {
        return format!("remove {}", count(tags, "tag"));
    }
    format!(
        "delete {} with {}",
        count(work.len(), "digest"),
        count(tags, "tag")
    )
}

/// Describes an attached artifact in one line.
pub(super) fn line_of(repository: &Repository, attached: &Attached) -> String {
    let Attached {
        kind,
        digest,
        tags,
        stays,
        ..
    } = attached;
    let tags = tags
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    match (stays, tags.is_empty()) {
        (true, _) => format!("{repository}:{tags} ({kind}); {digest} stays"),
        (false, true) => format!("{repository}@{digest} ({kind})"),
        (false, false) => format!("{repository}@{digest} ({kind}: {tags})"),
    }
}

/// Describes a deletion in one line.
fn line(one: &Deleted) -> String {
    let Deleted {
        repository,
        digest,
        tags,
        children,
        attached,
        untagged,
    } = one;
    let tags = tags
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let images = (!children.is_empty())
        .then(|| format!(" with {} of the index", count(children.len(), "image")));
    let more = (!attached.is_empty())
        .then(|| format!(" and {}", count(attached.len(), "attached artifact")));
    let with = images.unwrap_or_default() + &more.unwrap_or_default();
    match (untagged, tags.is_empty()) {
        (true, _) => format!("{repository}:{tags}; {digest} stays"),
        (false, true) => format!("{repository}@{digest}{with}"),
        (false, false) => format!("{repository}@{digest} ({tags}){with}"),
    }
}

fn show(context: &Context, deleted: &[Deleted], args: &Args) {
    if context.format == OutputFormat::Json {
        context.out.json(&DeleteOutput {
            dry_run: args.dry_run,
            deleted,
        });
        return;
    }
    for one in deleted {
        let did = match (args.dry_run, one.untagged) {
            (true, true) => "would remove",
            (true, false) => "would delete",
            (false, true) => "removed",
            (false, false) => "deleted",
        };
        context.out.data(&format!("{did} {}\n", line(one)));
    }
    if !args.untag && !args.dry_run && !deleted.is_empty() {
        context.out.message("the registry frees the space at its next garbage collection (stop the registry during the collection, or restart it afterwards)");
    }
}
