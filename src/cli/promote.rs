//! `golden promote`: copy by digest between repositories or registries.

use std::collections::BTreeSet;

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{destinations, names};
use crate::app::destinations::Destinations;
use crate::app::names::WorkspaceNames;
use crate::app::registries;
use crate::image::{self, Copied};
use crate::publish::promote::{self, Error};
use crate::reference::{Digest, Reference, Tag, Target};
use crate::registry::{Registries, Repo};
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
    /// Image to copy: a reference, or the name of a workspace image.
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Destination: a repository, a reference with a tag, or the name of a workspace image.
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
    let destinations = destinations(context).await?;
    let arguments = [args.source.clone(), args.destination.clone()];
    let names = names(context, &destinations, &arguments).await?;
    let source = names.reference(&args.source)?;
    let destination = names.reference(&args.destination)?;
    if destination.digest.is_some() {
        return Err(Failure::usage(
            "the destination must be a repository or a tag; its digest is that of the source",
        ));
    }
    let registries = open(
        context,
        &destinations,
        &names,
        &args.destination,
        &destination,
    )?;
    let from = registries.repo(&source.repository);
    let to = registries.repo(&destination.repository);

    let found = from.manifest(source.target()).await?;
    let raw = found.ok_or_else(|| Error::Missing(source.clone()))?;
    let tags = requested_tags(&args, &source, &destination, &from, &raw.digest).await?;
    let moves = if destination.tag.is_some() {
        promote::decide_tags(&to, &raw.digest, &tags).await?
    } else {
        promote::decide_copied_tags(&from, &to, &raw.digest, &tags).await?
    };
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

/// Opens the registries. A login that is not bound to a registry is for the destination, but only if
/// the command line names its host.
fn open(
    context: &Context,
    destinations: &Destinations,
    names: &WorkspaceNames,
    written: &str,
    destination: &Reference,
) -> Result<Registries, Failure> {
    let settings = context.settings();
    let opened = if names.has(written) {
        registries::open(&settings, destinations, &[])
    } else {
        registries::open_to(&settings, destinations, &destination.repository.host)
    };
    Ok(opened?)
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
