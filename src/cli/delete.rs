//! `golden delete`: delete images by digest, and verify the deletion.

use serde::Serialize;

use super::confirm::confirm;
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::scope;
use crate::app::delete::{DeleteRequest, PlannedDeletion};
use crate::publish::delete::Deleted;
use crate::report::deletion::LostTag;
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
    let scope = scope(context, &request.references).await?;
    let deletion = PlannedDeletion::plan(&request, &scope).await?;
    let planned = deletion.planned();
    let lost = deletion::lost(&planned, &deletion.kept);
    if args.dry_run {
        if context.format != OutputFormat::Json {
            deletion::deleted_parts(&context.out, &planned, "would delete");
        }
        return Ok(show(context, &planned, &[], true));
    }
    if planned.is_empty() {
        context.out.message("no tags found; nothing was deleted");
    } else {
        deletion::planned(&context.out, &planned);
        confirm(context, args.yes, &question(&planned, &lost, args.untag)).await?;
    }
    Ok(show(context, &deletion.execute().await?, &lost, false))
}

fn question(planned: &[Deleted], lost: &[LostTag], untag: bool) -> String {
    let tags = count(planned.iter().map(|one| one.tags.len()).sum(), "tag");
    if untag {
        return format!("remove {tags}");
    }
    let moving = if lost.is_empty() {
        String::new()
    } else {
        let names = deletion::names(lost.iter().map(|one| &one.tag));
        format!(", including the moving tags {names}")
    };
    format!(
        "delete {} with {tags}{moving}",
        count(planned.len(), "digest")
    )
}

fn show(context: &Context, deleted: &[Deleted], lost: &[LostTag], dry_run: bool) -> Exit {
    match context.format {
        OutputFormat::Json => context.out.json(&DeleteOutput { dry_run, deleted }),
        _ => deletion::deletions(&context.out, deleted, lost, dry_run),
    }
    Exit::Done
}
