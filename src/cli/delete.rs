//! `golden delete`: delete images by digest, and verify the deletion.

use serde::Serialize;

use super::confirm::confirm;
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{destinations, names};
use crate::app::delete::{DeleteRequest, PlannedDeletion};
use crate::publish::delete::Deleted;
use crate::report::text::count;
use crate::report::{OutputFormat, deletion};

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
    let request = DeleteRequest {
        references: args.references,
        all_tags: args.all_tags,
        repository: args.repository,
        untag: args.untag,
    };
    let destinations = destinations(context).await?;
    let names = names(context, &destinations, &request.references).await?;
    let settings = context.settings();
    let deletion = PlannedDeletion::plan(&request, &names, &settings, &destinations).await?;
    let planned = deletion.planned();
    if args.dry_run {
        if context.format != OutputFormat::Json {
            deletion::deleted_parts(&context.out, &planned, "would delete");
        }
        show(context, &planned, true);
        return Ok(Exit::Done);
    }
    if planned.is_empty() {
        context.out.message("no tags found; nothing was deleted");
    } else {
        for one in &planned {
            let word = if one.untagged {
                "to remove"
            } else {
                "to delete"
            };
            let line = deletion::deletion(one);
            context.out.message(&format!("{word}: {line}"));
            deletion::deleted_parts(&context.out, std::slice::from_ref(one), "to delete");
        }
        confirm(context, args.yes, &question(&planned, args.untag)).await?;
    }
    show(context, &deletion.execute().await?, false);
    Ok(Exit::Done)
}

fn question(planned: &[Deleted], untag: bool) -> String {
    let tags = count(planned.iter().map(|one| one.tags.len()).sum(), "tag");
    if untag {
        return format!("remove {tags}");
    }
    format!("delete {} with {tags}", count(planned.len(), "digest"))
}

fn show(context: &Context, deleted: &[Deleted], dry_run: bool) {
    if context.format == OutputFormat::Json {
        context.out.json(&DeleteOutput { dry_run, deleted });
        return;
    }
    for one in deleted {
        let did = match (dry_run, one.untagged) {
            (true, true) => "would remove",
            (true, false) => "would delete",
            (false, true) => "removed",
            (false, false) => "deleted",
        };
        context
            .out
            .data(&format!("{did} {}\n", deletion::deletion(one)));
    }
    if !dry_run && deleted.iter().any(|one| !one.untagged) {
        deletion::garbage_collection(&context.out);
    }
}
