//! `golden promote`: copy by digest between repositories or registries.

use std::collections::BTreeSet;

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::destinations;
use crate::app::registries;
use crate::image::{self, Copied};
use crate::publish::promote::{self, Error};
use crate::reference::{Digest, Reference, Tag, Target};
use crate::registry::Repo;
use crate::report::OutputFormat;
use crate::report::text::{bytes, count};
use crate::tags::Move;

/// Copy images by digest between repositories or registries.
///
/// Within a registry, blobs are mounted; between registries, they are streamed. The bytes of the
/// manifest and therefore the digest do not change. If the destination has the version with other
/// content, the command refuses (exit 4).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image to copy.
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Destination: a repository, or a reference with a tag.
    #[arg(value_name = "DST")]
    pub destination: String,
    /// Also copy the other tags of the same digest; moving tags move by the usual rules.
    #[arg(long)]
    pub tags: bool,
    /// Also copy the artifacts that refer to the image (signatures, SBOMs).
    #[arg(long)]
    pub referrers: bool,
    /// Show what would be copied and which tags would move, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// The JSON output.
#[derive(Serialize)]
struct PromoteOutput<'a> {
    dry_run: bool,
    source: &'a Reference,
    destination: String,
    digest: &'a Digest,
    tags: &'a [Move],
    blobs: &'a Copied,
    referrers: &'a [Digest],
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let source: Reference = args.source.parse().map_err(Failure::usage)?;
    let destination: Reference = args.destination.parse().map_err(Failure::usage)?;
    if destination.digest.is_some() {
        return Err(Failure::usage(
            "the destination must be a repository or a tag; its digest is that of the source",
        ));
    }
    let destinations = destinations(context).await?;
    let registries = registries::open_to(
        &context.settings(),
        &destinations,
        &destination.repository.host,
    )?;
    let from = registries.repo(&source.repository);
    let to = registries.repo(&destination.repository);

    let found = from.manifest(source.target()).await?;
    let raw = found.ok_or_else(|| Error::Missing(source.clone()))?;
    let tags = requested_tags(&args, &source, &destination, &from, &raw.digest).await?;
    let moves = promote::decide_tags(&to, &raw.digest, &tags).await?;
    let attached = if args.referrers {
        promote::attached(&from, &raw).await?
    } else {
        Vec::new()
    };
    let (copied, referrers) = if args.dry_run {
        let digests: BTreeSet<Digest> = attached
            .iter()
            .map(|attached| attached.digest().clone())
            .collect();
        let copied = image::would_copy(&from, &to, &raw).await?;
        (copied, digests.into_iter().collect())
    } else {
        let copied = image::copy(&from, &to, &raw, &context.events).await?;
        promote::put(&to, &raw, &moves).await?;
        let referrers = promote::copy_attached(&from, &to, attached, &context.events).await?;
        (copied, referrers)
    };
    let output = PromoteOutput {
        dry_run: args.dry_run,
        source: &source,
        destination: to.name().to_string(),
        digest: &raw.digest,
        tags: &moves,
        blobs: &copied,
        referrers: &referrers,
    };
    show(context, &output);
    Ok(Exit::Done)
}

/// The tags to create in the destination.
async fn requested_tags(
    args: &Args,
    source: &Reference,
    destination: &Reference,
    from: &Repo,
    digest: &Digest,
) -> Result<Vec<Tag>, Failure> {
    let mut tags: Vec<Tag> = destination.tag.iter().cloned().collect();
    if let (true, Target::Tag(tag)) = (tags.is_empty(), source.target()) {
        tags.push(tag);
    }
    if args.tags {
        for tag in promote::tags_of(from, digest).await? {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
    Ok(tags)
}

fn show(context: &Context, output: &PromoteOutput<'_>) {
    if context.format == OutputFormat::Json {
        context.out.json(output);
        return;
    }
    let PromoteOutput {
        dry_run,
        destination,
        digest,
        tags,
        blobs,
        referrers,
        ..
    } = output;
    let (would_copy, mount, copied) = if *dry_run {
        ("would copy ", "to mount", "to copy")
    } else {
        ("", "mounted", "copied")
    };
    let put = tags.iter().filter(|decision| decision.is_push());
    let put = put
        .map(|decision| decision.tag.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let tags_text = if put.is_empty() {
        String::new()
    } else {
        format!(" ({put})")
    };
    context
        .out
        .data(&format!("{would_copy}{destination}@{digest}{tags_text}\n"));
    let Copied {
        present,
        mounted,
        sent,
        bytes: total,
    } = blobs;
    context.out.message(&format!(
        "{} already present, {mounted} {mount}, {sent} {copied} ({})",
        count(*present, "blob"),
        bytes(*total)
    ));
    if !referrers.is_empty() {
        context.out.message(&format!(
            "{} {copied} with it",
            count(referrers.len(), "referrer")
        ));
    }
    for kept in tags.iter().filter(|decision| !decision.is_push()) {
        context
            .out
            .message(&format!("kept {}: {}", kept.tag, kept.because));
    }
}
