//! `golden rollback`: move the moving tags back to an earlier version, and withdraw the later ones
//! in the spec.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use semver::Version;
use serde::Serialize;

use super::confirm::confirm;
use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session;
use crate::app::Session;
use crate::app::registries;
use crate::config_files::edit::Edit;
use crate::observe;
use crate::publish::receipt::{Receipt, TagReceipt};
use crate::publish::rollback::{
    Examined, Returned, Rollback, RolledBack, decide, examine, roll_back,
};
use crate::reference::{Digest, Repository};
use crate::registry::Repo;
use crate::report::OutputFormat;
use crate::report::table::TextTable;
use crate::report::text::count;
use crate::resolve::{Destination, ResolvedImage};
use crate::workspace::fs;
use crate::workspace::state::StateDirectory;

/// Move the moving tags back to an earlier version, and withdraw the later ones.
///
/// The command adds the later versions to `withdrawn` in `[tags]` of image.toml, so that the next
/// run does not move the tags forward again. It shows the edit as a diff. If stdin is not a
/// terminal, --yes is required.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image to roll back, by name or glob.
    pub image: String,
    /// Version to go back to; a revision is written as `1.2.3_r1`.
    #[arg(long, value_name = "VERSION")]
    pub to: String,
    /// Move the tags without editing image.toml.
    #[arg(long)]
    pub no_edit: bool,
    /// Show the edit and the moves without changing anything.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    pub yes: bool,
    /// Override a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RollbackDocument {
    dry_run: bool,
    images: Vec<RollbackRow>,
    edits: Vec<FileEdit>,
}

#[derive(Debug, Serialize)]
struct RollbackRow {
    image: String,
    #[serde(flatten)]
    done: RolledBack,
}

/// The edit of one image.toml.
#[derive(Debug, Serialize)]
struct FileEdit {
    file: PathBuf,
    withdrawn: Vec<Version>,
    diff: String,
    #[serde(skip)]
    text: String,
}

/// The rollback of one image in one registry.
struct Work<'a> {
    repo: Repo,
    destination: &'a Destination,
    image: &'a ResolvedImage,
    rollback: Rollback,
    examined: Examined,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let version = target(&args.to)?;
    let selection = SelectionArgs::of(vec![args.image.clone()], args.set);
    let session = session::open(context, selection).await?;
    session.require_registry()?;
    let images = selected(&session, &args.image)?;
    let work = plan(context, &session, &images, &version).await?;
    if work.is_empty() {
        let message = anyhow::anyhow!("{} has no version {version} in any registry", args.image);
        return Err(Failure::new(Exit::Failed, message).hint("`golden ls` lists what is published"));
    }
    let edits = if args.no_edit {
        Vec::new()
    } else {
        edits(&session, &work)?
    };
    let rows = work.iter().map(|work| RollbackRow {
        image: work.image.name.to_string(),
        done: work.examined.outcome(work.repo.name(), &work.rollback),
    });
    let document = RollbackDocument {
        dry_run: args.dry_run,
        images: rows.collect(),
        edits,
    };
    // Text output is shown before the confirmation; JSON is printed after the work.
    if context.format != OutputFormat::Json {
        show(&document, context);
    }
    if args.no_edit {
        warn_of_next_run(context, &work);
    }
    if args.dry_run {
        print_json(&document, context);
        return Ok(Exit::Done);
    }
    confirm(
        context,
        args.yes,
        &question(&args.image, &version, &work, &document.edits),
    )
    .await?;
    for edit in &document.edits {
        fs::write_atomic(
            &session.workspace.root.join(&edit.file),
            edit.text.as_bytes(),
        )?;
    }
    let state = &session.state;
    for (work, row) in work.iter().zip(&document.images) {
        roll_back(&work.repo, &work.examined).await?;
        update_receipt(state, work, &row.done)
            .map_err(|error| Failure::new(Exit::Failed, error))?;
    }
    print_json(&document, context);
    Ok(Exit::Done)
}

/// The images that match `pattern`. Several versions of one image share their moving tags, so each
/// image is returned once. Fails if the pattern is not a glob.
fn selected<'s>(session: &'s Session, pattern: &str) -> Result<Vec<&'s ResolvedImage>, Failure> {
    let matcher = globset::Glob::new(pattern)
        .map_err(|error| Failure::usage(error.to_string()))?
        .compile_matcher();
    let mut seen = BTreeSet::new();
    let named = session
        .resolved()
        .filter(|image| matcher.is_match(image.name.as_str()));
    Ok(named
        .filter(|image| seen.insert((&image.name, &image.variant, &image.source)))
        .collect())
}

/// Reads the registries and plans all moves before the first tag moves.
async fn plan<'s>(
    context: &Context,
    session: &'s Session,
    images: &[&'s ResolvedImage],
    version: &Version,
) -> Result<Vec<Work<'s>>, Failure> {
    let registries = registries::of_session(session)?;
    let mut work = Vec::new();
    for destination in &session.destinations {
        for image in images {
            let repository = destination
                .repository(&image.name)
                .map_err(Failure::usage)?;
            let repo = registries.repo(&repository);
            let out = crate::tags::fan_out(version, image.variant.as_ref(), &image.tags)
                .map_err(Failure::usage)?;
            let probes = out.tags.iter().map(|planned| &planned.tag);
            let tags = observe::complete_tags(&repo, probes).await?;
            let decided = decide(&tags, version, image.variant.as_ref(), &image.tags)
                .map_err(Failure::usage)?;
            let Some(rollback) = decided else {
                let name = described(&repository, image);
                let warning = format!("{name} has no version {version}; its tags do not move");
                context.events.warn(None, warning);
                continue;
            };
            let examined = examine(&repo, &rollback).await?;
            work.push(Work {
                repo,
                destination,
                image,
                rollback,
                examined,
            });
        }
    }
    Ok(work)
}

/// The edit of each image.toml. It withdraws every version that must be withdrawn for one of its
/// images in any registry.
fn edits(session: &Session, work: &[Work<'_>]) -> Result<Vec<FileEdit>, Failure> {
    let mut withdrawn: BTreeMap<&PathBuf, Vec<Version>> = BTreeMap::new();
    let mut before: BTreeMap<&PathBuf, &[Version]> = BTreeMap::new();
    for work in work {
        withdrawn
            .entry(&work.image.source)
            .or_default()
            .extend(work.rollback.withdrawn.iter().cloned());
        before.insert(&work.image.source, &work.image.tags.withdrawn);
    }
    let mut edits = Vec::new();
    for (file, mut versions) in withdrawn {
        versions.sort_by(crate::tags::precedence);
        versions.dedup();
        let is_same = before.get(file).is_some_and(|before| {
            before.len() == versions.len()
                && before.iter().all(|version| versions.contains(version))
        });
        if is_same {
            continue;
        }
        let path = session.workspace.root.join(file);
        let text = String::from_utf8(fs::read(&path)?).map_err(Failure::usage)?;
        let edit = Edit::withdraw(&text, &versions).map_err(Failure::usage)?;
        if !edit.is_empty() {
            let diff = edit.diff(&file.display().to_string());
            edits.push(FileEdit {
                file: file.clone(),
                withdrawn: versions,
                diff,
                text: edit.after,
            });
        }
    }
    Ok(edits)
}

/// The question of the confirmation.
fn question(image: &str, version: &Version, work: &[Work<'_>], edits: &[FileEdit]) -> String {
    let tags: usize = work.iter().map(|work| work.examined.moving().count()).sum();
    let files: Vec<String> = edits
        .iter()
        .map(|edit| edit.file.display().to_string())
        .collect();
    let edit = if files.is_empty() {
        String::new()
    } else {
        format!(" and edit {}", files.join(", "))
    };
    format!(
        "roll {image} back to {version}: move {}{edit}",
        count(tags, "tag")
    )
}

/// Warns that the next publish undoes the rollback, because image.toml is not edited.
fn warn_of_next_run(context: &Context, work: &[Work<'_>]) {
    let mut later: Vec<&Version> = work
        .iter()
        .flat_map(|work| {
            let before = &work.image.tags.withdrawn;
            work.rollback
                .withdrawn
                .iter()
                .filter(move |version| !before.contains(version))
        })
        .collect();
    later.sort_by(|a, b| crate::tags::precedence(a, b));
    later.dedup();
    if later.is_empty() {
        return;
    }
    let quoted: Vec<String> = later
        .iter()
        .map(|version| format!("\"{version}\""))
        .collect();
    let warning = format!(
        "the next publish moves the tags forward again, unless [tags] of image.toml has withdrawn = [{}]",
        quoted.join(", ")
    );
    context.events.warn(None, warning);
}

fn update_receipt(
    state: &StateDirectory,
    work: &Work<'_>,
    done: &RolledBack,
) -> Result<(), crate::workspace::state::Error> {
    let (registry, name, tag) = (
        &work.destination.name,
        &work.image.name,
        &work.rollback.to.tag,
    );
    match Receipt::read(state, registry, name, tag)?.filter(|receipt| receipt.digest == done.digest)
    {
        Some(receipt) => updated(receipt, done).write(state, registry, name, tag),
        None => Ok(()),
    }
}

/// The repository and the variant of an image, for messages.
fn described(repository: &Repository, image: &ResolvedImage) -> String {
    let variant = image
        .variant
        .as_ref()
        .map(|variant| format!(" ({variant})"));
    format!("{repository}{}", variant.unwrap_or_default())
}

/// Parses a stable version or a revision. Fails for a pre-release.
fn target(text: &str) -> Result<Version, Failure> {
    let plain = text.strip_prefix('v').unwrap_or(text).replacen('_', "+", 1);
    let version = match Version::parse(&plain) {
        Ok(version) => version,
        Err(_) => crate::tags::version_argument(text).map_err(Failure::usage)?,
    };
    if version.pre.is_empty() {
        Ok(version)
    } else {
        Err(Failure::usage(format!(
            "{version} is a pre-release; a moving tag never points to a pre-release"
        )))
    }
}

fn updated(receipt: Receipt, done: &RolledBack) -> Receipt {
    let moved = done.tags.iter().map(|Returned { tag, previous }| {
        let action = if previous.as_ref() == Some(&done.digest) {
            "same"
        } else {
            "move"
        };
        let (action, digest) = (action.to_owned(), Some(done.digest.clone()));
        TagReceipt {
            tag: tag.clone(),
            action,
            previous: previous.clone(),
            digest,
        }
    });
    let kept: Vec<TagReceipt> = receipt
        .tags
        .iter()
        .filter(|old| done.tags.iter().all(|returned| returned.tag != old.tag))
        .cloned()
        .collect();
    Receipt {
        tags: kept.into_iter().chain(moved).collect(),
        ..receipt
    }
}

fn print_json(document: &RollbackDocument, context: &Context) {
    if context.format == OutputFormat::Json {
        context.out.json(document);
    }
}

fn show(document: &RollbackDocument, context: &Context) {
    let mut table = TextTable::default();
    for RollbackRow { done, .. } in &document.images {
        for Returned { tag, previous } in &done.tags {
            let was = previous
                .as_ref()
                .map_or_else(|| "nothing".to_owned(), Digest::short);
            let what = match previous {
                Some(previous) if *previous == done.digest => "same",
                Some(_) => "move",
                None => "create",
            };
            table.row([
                what.to_owned(),
                format!("{}:{tag}", done.repository),
                format!("{was} → {} ({})", done.digest.short(), done.version),
            ]);
        }
    }
    for edit in &document.edits {
        context.out.data(&edit.diff);
    }
    context.out.data(&table.to_string());
}
