//! Moves the moving tags of images back to an earlier version, and withdraws the later ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use semver::Version;
use serde::Serialize;

use super::error::Error;
use super::notify::{MovedTags, notify};
use super::registries;
use super::session::Session;
use crate::config_files::edit::Edit;
use crate::config_files::notify_table::NotifyEvent;
use crate::event::Events;
use crate::glob::Glob;
use crate::observe;
use crate::publish::receipt::{Receipt, TagReceipt};
use crate::publish::rollback::{
    Rollback, RollbackState, RollbackTag, RolledBack, decide, examine, roll_back,
};
use crate::reference::{Repository, RepositoryPath};
use crate::registry::Repo;
use crate::resolve::{Destination, ResolvedImage};
use crate::tags::{TagList, TagRules, Withdrawn};
use crate::workspace::fs;
use crate::workspace::state::StateDirectory;

/// The rollback of one image in one repository, as it is reported.
#[derive(Debug, Serialize)]
pub struct RollbackRow {
    /// The name of the image.
    pub image: String,
    /// The tags that move.
    #[serde(flatten)]
    pub done: RolledBack,
}

/// The edit of one image.toml.
#[derive(Debug, Serialize)]
pub struct FileEdit {
    /// The file, relative to the workspace.
    pub file: PathBuf,
    /// The versions that the file withdraws after the edit.
    pub withdrawn: Vec<Version>,
    /// The edit as a unified diff.
    pub diff: String,
    #[serde(skip)]
    text: String,
}

/// The rollback of one image in one registry.
#[derive(Debug)]
struct ImageRollback {
    repo: Repo,
    destination: Destination,
    image: ResolvedImage,
    rollback: Rollback,
    examined: RollbackState,
}

/// The planned rollback of all images in all registries.
#[derive(Debug)]
pub struct PlannedRollback {
    work: Vec<ImageRollback>,
    /// The images, each in one repository.
    pub images: Vec<RollbackRow>,
    /// The edits of the spec files.
    pub edits: Vec<FileEdit>,
}

impl PlannedRollback {
    /// Plans all moves and edits. Fails if no registry has the version, or if the spec revokes it.
    pub async fn plan(
        session: &Session,
        pattern: &str,
        version: &Version,
        no_edit: bool,
    ) -> Result<Self, Error> {
        session.require_registry()?;
        let images = selected(session, pattern)?;
        let (work, lacking) = plan(session, &images, version).await?;
        if work.is_empty() {
            return Err(nowhere(pattern, version, &lacking));
        }
        for one in &lacking {
            let warning = format!(
                "{} has no version {version}; its tags do not move",
                one.name
            );
            session.settings.events.warn(None, warning);
        }
        let edits = if no_edit {
            Vec::new()
        } else {
            edits(session, &work)?
        };
        let images = work.iter().map(|work| RollbackRow {
            image: work.image.name.to_string(),
            done: work.examined.outcome(work.repo.name(), &work.rollback),
        });
        Ok(Self {
            images: images.collect(),
            edits,
            work,
        })
    }

    /// True if no tag moves and no file is edited. [`execute`](Self::execute) then only completes
    /// the receipts.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.moving_tags() == 0 && self.edits.is_empty()
    }

    /// The number of tags that move.
    #[must_use]
    pub fn moving_tags(&self) -> usize {
        self.work
            .iter()
            .map(|work| work.examined.moving().count())
            .sum()
    }

    /// Warns that the next publish undoes the rollback, if image.toml is not edited.
    pub fn warn_of_next_run(&self, events: &Events) {
        warn_of_next_run(events, &self.work);
    }

    /// Edits the files and moves the tags. The notifications of a repository are sent even if a
    /// later one fails.
    pub async fn execute(&self, session: &Session) -> Result<(), Error> {
        let edits = self.edits.iter();
        fs::write_together(
            &session.workspace.root,
            edits.map(|edit| (&*edit.file, &*edit.text)),
        )?;
        let mut moved = Vec::new();
        let result = self.move_tags(session, &mut moved).await;
        let Session {
            settings,
            workspace,
            ..
        } = session;
        notify(settings, workspace, NotifyEvent::Rollback, &moved).await;
        result
    }

    /// Moves the tags, and adds the images whose tags moved to `moved`.
    async fn move_tags(&self, session: &Session, moved: &mut Vec<MovedTags>) -> Result<(), Error> {
        for (work, row) in self.work.iter().zip(&self.images) {
            roll_back(&work.repo, &work.examined).await?;
            if work.examined.moving().next().is_some() {
                moved.push(MovedTags {
                    names: vec![row.image.clone()],
                    repository: row.done.repository.clone(),
                    digest: row.done.digest.clone(),
                    data: serde_json::to_value(row).unwrap_or_default(),
                });
            }
            update_receipt(&session.state, work, &row.done)?;
        }
        Ok(())
    }
}

/// The images that match `pattern`. Several versions of one image share their moving tags, so each
/// image is returned once. Fails if the pattern is not a glob.
fn selected<'s>(session: &'s Session, pattern: &str) -> Result<Vec<&'s ResolvedImage>, Error> {
    let matcher = Glob::new(pattern).map_err(Error::invalid)?;
    let mut seen = BTreeSet::new();
    let named = session
        .resolved()
        .filter(|image| matcher.is_match(image.name.as_str()));
    Ok(named
        .filter(|image| seen.insert((&image.name, &image.variant, &image.source)))
        .collect())
}

/// The error about a version that no repository has.
fn nowhere(pattern: &str, version: &Version, lacking: &[LackingRepository]) -> Error {
    const SHOWN: usize = 3;
    let mut error = Error::failed(format!("{pattern} has no version {version}"));
    for one in lacking.iter().take(SHOWN) {
        error = error.hint(one.versions());
    }
    match lacking.len().saturating_sub(SHOWN) {
        0 => {}
        1 => error = error.hint("1 more repository does not have it either"),
        more => error = error.hint(format!("{more} more repositories do not have it either")),
    }
    match lacking.first() {
        Some(one) => error.hint(format!("`golden ls {}` lists the tags", one.image)),
        None => error,
    }
}

/// A repository that does not have the version.
struct LackingRepository {
    /// The name of the image, which needs no quotes in a shell.
    image: RepositoryPath,
    name: String,
    versions: Vec<Version>,
}

impl LackingRepository {
    /// The highest versions that it has, as a sentence.
    fn versions(&self) -> String {
        const SHOWN: usize = 8;
        let shown: Vec<String> = self
            .versions
            .iter()
            .rev()
            .take(SHOWN)
            .map(Version::to_string)
            .collect();
        match (shown.is_empty(), self.versions.len().saturating_sub(SHOWN)) {
            (true, _) => format!("{} has no version", self.name),
            (false, 0) => format!("{} has {}", self.name, shown.join(", ")),
            (false, more) => format!("{} has {} and {more} more", self.name, shown.join(", ")),
        }
    }
}

/// Reads the registries and plans all moves before the first tag moves. Also returns the
/// repositories without the version.
async fn plan(
    session: &Session,
    images: &[&ResolvedImage],
    version: &Version,
) -> Result<(Vec<ImageRollback>, Vec<LackingRepository>), Error> {
    let registries = registries::of_session(session)?;
    let (mut work, mut lacking) = (Vec::new(), Vec::new());
    for destination in &session.destinations {
        for image in images {
            let repository = destination.repository(&image.name)?;
            let repo = registries.repo(&repository);
            let out = crate::tags::fan_out(version, image.variant.as_ref(), &image.tags)?;
            let probes = out.tags.iter().map(|planned| &planned.tag);
            let tags = observe::complete_tags(&repo, probes).await?;
            let rules = TagRules {
                withdrawn: image.own_withdrawn.clone(),
                ..image.tags.clone()
            };
            let decided = decide(&tags, version, image.variant.as_ref(), &rules)?;
            let Some(rollback) = decided else {
                let list = TagList::new(&tags, image.variant.as_ref(), &[]);
                let versions = list.versions().iter();
                lacking.push(LackingRepository {
                    image: image.name.clone(),
                    name: described(&repository, image),
                    versions: versions.map(|tagged| tagged.version.clone()).collect(),
                });
                continue;
            };
            refuse_revoked(session, image, &rollback.to.version)?;
            let examined = examine(&repo, &rollback).await?;
            work.push(ImageRollback {
                repo,
                destination: destination.clone(),
                image: (*image).clone(),
                rollback,
                examined,
            });
        }
    }
    Ok((work, lacking))
}

/// Fails if the spec revokes the version: no moving tag points to a revoked version.
fn refuse_revoked(
    session: &Session,
    image: &ResolvedImage,
    version: &Version,
) -> Result<(), Error> {
    let revocation = image.lifecycle.revocation(version);
    let Some(revocation) = revocation.filter(|one| one.counts(session.settings.now)) else {
        return Ok(());
    };
    let reason = revocation.reason.unwrap_or_default();
    let file = image.source.display();
    let message = format!("{file} revokes {} {version}: {reason}", image.name);
    Err(Error::invalid(message)
        .hint("choose another version, or remove it from [[lifecycle.revoked]]"))
}

/// The edit of each image.toml. It withdraws every version that must be withdrawn for one of its
/// images in any registry.
fn edits(session: &Session, work: &[ImageRollback]) -> Result<Vec<FileEdit>, Error> {
    let mut withdrawn: BTreeMap<&PathBuf, Vec<Version>> = BTreeMap::new();
    let mut before: BTreeMap<&PathBuf, Vec<&Version>> = BTreeMap::new();
    for work in work {
        withdrawn
            .entry(&work.image.source)
            .or_default()
            .extend(work.rollback.withdrawn.iter().cloned());
        let written = work.image.own_withdrawn.iter();
        let written = written.filter_map(Withdrawn::version);
        before.insert(&work.image.source, written.collect());
    }
    let mut edits = Vec::new();
    for (file, mut versions) in withdrawn {
        versions.sort_by(crate::tags::precedence);
        versions.dedup();
        let is_same = before.get(file).is_some_and(|before| {
            before.len() == versions.len()
                && before.iter().all(|version| versions.contains(*version))
        });
        if is_same {
            continue;
        }
        let path = session.workspace.root.join(file);
        let text = String::from_utf8(fs::read(&path)?).map_err(Error::invalid)?;
        let edit = Edit::withdraw(&text, &versions).map_err(Error::invalid)?;
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

/// Warns that the next publish undoes the rollback, because image.toml is not edited.
fn warn_of_next_run(events: &Events, work: &[ImageRollback]) {
    let mut later: Vec<&Version> = work
        .iter()
        .flat_map(|work| {
            let before = &work.image.own_withdrawn;
            work.rollback
                .withdrawn
                .iter()
                .filter(move |version| !before.iter().any(|one| one.version() == Some(version)))
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
    events.warn(None, warning);
}

fn update_receipt(
    state: &StateDirectory,
    work: &ImageRollback,
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
pub fn target(text: &str) -> Result<Version, Error> {
    let plain = text.strip_prefix('v').unwrap_or(text).replacen('_', "+", 1);
    let version = match Version::parse(&plain) {
        Ok(version) => version,
        Err(_) => crate::tags::version_argument(text).map_err(Error::invalid)?,
    };
    if version.pre.is_empty() {
        Ok(version)
    } else {
        Err(Error::invalid(format!(
            "{version} is a pre-release; a moving tag never points to a pre-release"
        )))
    }
}

fn updated(receipt: Receipt, done: &RolledBack) -> Receipt {
    let moved = done.tags.iter().map(|RollbackTag { tag, previous }| {
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
