//! `golden rollback`: put the moving tags back on an older version.

use std::collections::BTreeSet;

use semver::Version;
use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::registries;
use super::session::{Session, SessionOptions};
use crate::publish::receipt::{Receipt, TagReceipt};
use crate::publish::rollback::{Returned, RolledBack, decide, roll_back};
use crate::reference::{Digest, Repository};
use crate::report::Format;
use crate::report::table::Table;
use crate::resolve::ResolvedImage;
use crate::workspace::state::State;

/// Put the moving tags back on an older version.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image, by name.
    pub image: String,
    /// The version to go back to; a revision as `1.2.3_r1`.
    #[arg(long, value_name = "VERSION")]
    pub to: String,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Document {
    images: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    image: String,
    #[serde(flatten)]
    done: RolledBack,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let version = target(&args.to)?;
    let options =
        SessionOptions { images: vec![args.image.clone()], set: args.set, ..SessionOptions::default() };
    let session = Session::open(context, &options).await?;
    let pattern =
        globset::Glob::new(&args.image).map_err(|error| Failure::usage(error.to_string()))?.compile_matcher();
    let registries = registries::of_session(context, &session)?;
    let state = State::of(&session.workspace.root);
    let mut images: Vec<&ResolvedImage> =
        session.images.iter().filter(|image| pattern.is_match(image.name.as_str())).collect();
    // Several versions of one image share their moving tags.
    let mut seen = BTreeSet::new();
    images.retain(|image| seen.insert((&image.name, &image.variant)));
    if session.destinations.is_empty() {
        return Err(Failure::usage("no registry is named")
            .hint("add a [[registry]] to golden.toml, or give --registry"));
    }
    // Everything is read and decided before the first tag moves.
    let mut work = Vec::new();
    let mut without = Vec::new();
    for destination in &session.destinations {
        for image in &images {
            let repository = destination.repository(&image.name).map_err(Failure::usage)?;
            let registry = registries.of(&repository)?;
            let tags = registry.tags(&repository.path).await?;
            let decided =
                decide(&tags, &version, image.variant.as_ref(), &image.tags).map_err(Failure::usage)?;
            let Some(rollback) = decided else {
                without.push(named(&repository, image));
                continue;
            };
            let receipt = Receipt::read(&state, &destination.name, &image.name, &rollback.to.tag)
                .map_err(|error| Failure::new(Exit::Failed, error))?;
            work.push((registry, repository, destination, *image, rollback, receipt));
        }
    }
    if work.is_empty() {
        let message = anyhow::anyhow!("{} has no version {version} in any registry", args.image);
        return Err(Failure::new(Exit::Failed, message).hint("`golden ls` lists what is published"));
    }
    for without in without {
        context
            .events
            .warn(None, format!("{without} has no version {version}; its tags stay where they are"));
    }
    let listed = images.iter().any(|image| !image.tags.withdrawn.is_empty());
    let mut rows = Vec::with_capacity(work.len());
    for (registry, repository, destination, image, rollback, receipt) in work {
        let done = roll_back(&registry, &repository, &rollback).await?;
        if let Some(receipt) = receipt.filter(|receipt| receipt.digest == done.digest) {
            let receipt = updated(receipt, &done);
            receipt
                .write(&state, &destination.name, &image.name, &rollback.to.tag)
                .map_err(|error| Failure::new(Exit::Failed, error))?;
        }
        rows.push(Row { image: image.name.to_string(), done });
    }
    match context.format {
        Format::Json => context.out.json(&Document { images: rows }),
        _ => show(&rows, listed, context),
    }
    Ok(Exit::Done)
}

/// A repository, and of it a variant.
fn named(repository: &Repository, image: &ResolvedImage) -> String {
    let variant = image.variant.as_ref().map(|variant| format!(" ({variant})"));
    format!("{repository}{}", variant.unwrap_or_default())
}

/// A stable version, or a revision of one.
fn target(text: &str) -> Result<Version, Failure> {
    let plain = text.strip_prefix('v').unwrap_or(text).replacen('_', "+", 1);
    let version = match Version::parse(&plain) {
        Ok(version) => version,
        Err(_) => crate::tags::version_argument(text).map_err(Failure::usage)?,
    };
    if version.pre.is_empty() {
        Ok(version)
    } else {
        Err(Failure::usage(format!("{version} is a pre-release, and no moving tag may be on one")))
    }
}

fn updated(receipt: Receipt, done: &RolledBack) -> Receipt {
    let moved = done.tags.iter().map(|Returned { tag, previous }| {
        let action = if previous.as_ref() == Some(&done.digest) { "same" } else { "move" };
        let (action, digest) = (action.to_owned(), Some(done.digest.clone()));
        TagReceipt { tag: tag.clone(), action, previous: previous.clone(), digest }
    });
    let kept: Vec<TagReceipt> = receipt
        .tags
        .iter()
        .filter(|old| done.tags.iter().all(|returned| returned.tag != old.tag))
        .cloned()
        .collect();
    Receipt { tags: kept.into_iter().chain(moved).collect(), ..receipt }
}

/// `listed` says that the spec withdraws something already: then the line may also be to make it shorter.
fn show(rows: &[Row], listed: bool, context: &Context) {
    let mut withdrawn: Vec<&Version> = Vec::new();
    for Row { done, .. } in rows {
        let mut table = Table::default();
        for Returned { tag, previous } in &done.tags {
            let was = previous.as_ref().map_or_else(|| "nothing".to_owned(), Digest::short);
            let what = if previous.as_ref() == Some(&done.digest) { "same" } else { "moved" };
            table.row([
                what.to_owned(),
                format!("{}:{tag}", done.repository),
                format!("{was} → {} ({})", done.digest.short(), done.version),
            ]);
        }
        context.out.message(table.to_string().trim_end());
        withdrawn.extend(&done.withdrawn);
    }
    withdrawn.sort_by(|a, b| crate::tags::precedence(a, b));
    withdrawn.dedup();
    if withdrawn.is_empty() && !listed {
        return;
    }
    context.out.message("Put this under [tags] of the image, or the next run moves the tags forward again:");
    let quoted: Vec<String> = withdrawn.iter().map(|version| format!("\"{version}\"")).collect();
    context.out.data(&format!("withdrawn = [{}]\n", quoted.join(", ")));
}
