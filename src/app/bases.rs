//! The external bases of a workspace, for `outdated`, `update` and `graph`.

use std::collections::{BTreeMap, BTreeSet};

use globset::Glob;
use serde::Serialize;

use super::base_lifecycle;
use super::base_signatures::{self, CheckedBase, Programs};
use super::error::Error;
use super::registries;
use super::session::Session;
use crate::observe;
use crate::reference::Reference;
use crate::resolve::image::Base;
use crate::suggest::closest;
use crate::workspace::lock::{Lock, LockedBase, key};

/// The change of a base since golden.lock was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LockedBaseChange {
    /// golden.lock has no entry for it.
    New,
    /// It points to another digest now.
    Moved,
    /// It still points to the locked digest.
    Unchanged,
}

/// The locked and the current state of a base.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedBase {
    /// The base as the spec writes it.
    pub base: String,
    /// The change since golden.lock was written.
    pub change: LockedBaseChange,
    /// The entry in golden.lock.
    pub locked: Option<LockedBase>,
    /// The state in the registry.
    pub current: LockedBase,
    /// The images that are built on it.
    pub images: Vec<String>,
    /// True if the spec pins it to a digest, so that golden.lock has no entry for it.
    pub pinned: bool,
}

impl ComparedBase {
    /// The locked and the current digest in one line, with the creation dates.
    #[must_use]
    pub fn line(&self) -> String {
        let show = |locked: &LockedBase, with_tag: bool| {
            let tag = locked.reference.tag.as_ref().filter(|_| with_tag);
            let tag = tag.map(|tag| format!("{tag} ")).unwrap_or_default();
            match locked.created.as_deref().and_then(|time| time.get(..10)) {
                Some(date) => format!("{tag}{} ({date})", locked.digest.short()),
                None => format!("{tag}{}", locked.digest.short()),
            }
        };
        // The spec contains the tag, unless a version requirement selected it.
        let chosen = !self.pinned && self.current.reference.to_string() != self.base;
        match &self.locked {
            None => format!("not locked → {}", show(&self.current, chosen)),
            Some(locked) if self.change == LockedBaseChange::Unchanged => show(locked, chosen),
            Some(locked) => format!("{} → {}", show(locked, chosen), show(&self.current, chosen)),
        }
    }
}

/// The external bases and the images that are built on them, by the key in golden.lock.
#[must_use]
pub fn external(session: &Session) -> BTreeMap<String, (Base, Vec<String>)> {
    let mut bases: BTreeMap<String, (Base, Vec<String>)> = BTreeMap::new();
    for image in session.resolved() {
        if let Some(key) = key(&image.base) {
            let entry = bases
                .entry(key)
                .or_insert_with(|| (image.base.clone(), Vec::new()));
            entry.1.push(image.display());
        }
    }
    bases
}

/// The tags that specs pin to a digest and the images that are built on them, by the reference as
/// written.
fn pins(session: &Session) -> BTreeMap<String, (Reference, Vec<String>)> {
    let mut pins: BTreeMap<String, (Reference, Vec<String>)> = BTreeMap::new();
    for image in session.resolved() {
        let Base::Reference(reference) = &image.base else {
            continue;
        };
        if reference.tag.is_some() && reference.digest.is_some() {
            let entry = pins
                .entry(reference.to_string())
                .or_insert_with(|| (reference.clone(), Vec::new()));
            entry.1.push(image.display());
        }
    }
    pins
}

/// Compares a pinned digest with the digest that its tag points to. A pin to the manifest of one
/// platform counts like a pin to the index.
fn compare_pin(
    base: String,
    pin: &Reference,
    images: Vec<String>,
    current: LockedBase,
) -> Option<ComparedBase> {
    let digest = pin.digest.clone()?;
    let same = digest == current.digest
        || current
            .platforms
            .values()
            .any(|manifest| *manifest == digest);
    let locked = LockedBase {
        base: base.clone(),
        reference: current.reference.clone(),
        digest,
        created: None,
        signed_by: None,
        platforms: BTreeMap::new(),
    };
    let change = if same {
        LockedBaseChange::Unchanged
    } else {
        LockedBaseChange::Moved
    };
    Some(ComparedBase {
        base,
        change,
        locked: Some(locked),
        current,
        images,
        pinned: true,
    })
}

/// Records the current state of compared bases in golden.lock. Returns the bases with the other
/// entries that moved, because they have the same reference. `used` has the images of each entry.
#[must_use]
pub fn record(
    lock: &mut Lock,
    mut compared: Vec<ComparedBase>,
    used: &BTreeMap<String, (Base, Vec<String>)>,
) -> Vec<ComparedBase> {
    let mut moved = Vec::new();
    for base in compared.iter().filter(|base| !base.pinned) {
        let new = match &base.locked {
            // A new date with the same digest does not change the file.
            Some(locked) if base.change == LockedBaseChange::Unchanged => locked,
            _ => &base.current,
        };
        moved.extend(lock.replace(new.clone()));
    }
    for locked in moved {
        let is_known = compared.iter().any(|one| one.base == locked.base);
        let Some(current) = lock.bases.get(&locked.base).filter(|_| !is_known) else {
            continue;
        };
        let images = used.get(&locked.base).map(|(_, images)| images.clone());
        compared.push(ComparedBase {
            base: locked.base.clone(),
            change: LockedBaseChange::Moved,
            current: current.clone(),
            locked: Some(locked),
            images: images.unwrap_or_default(),
            pinned: false,
        });
    }
    compared.sort_by(|a, b| a.base.cmp(&b.base));
    compared
}

/// Verifies the signatures of the bases that an update would record, and adds the names of the
/// signers. Fails if the policy requires a signature that one of them lacks.
pub async fn require_signed(session: &Session, compared: &mut [ComparedBase]) -> Result<(), Error> {
    let changed = compared
        .iter()
        .filter(|base| base.change != LockedBaseChange::Unchanged);
    let bases = changed.map(|base| {
        let LockedBase {
            reference, digest, ..
        } = &base.current;
        CheckedBase {
            name: reference.to_string(),
            place: Some((reference.repository.clone(), digest.clone())),
        }
    });
    let registries = registries::of_session(session)?;
    let programs = Programs::Run;
    let signers = base_signatures::require(session, &registries, bases.clone(), programs).await?;
    base_lifecycle::require(session, &registries, bases).await?;
    for base in compared {
        let name = base.current.reference.to_string();
        base.current.signed_by = signers.get(&name).cloned();
    }
    Ok(())
}

/// Checks the lifecycle of the bases that the images are built on now: those in golden.lock, or the
/// current ones. Fails if the policy refuses one of them.
pub async fn require_in_use(session: &Session, compared: &[ComparedBase]) -> Result<(), Error> {
    let bases = compared.iter().map(|base| {
        let LockedBase {
            reference, digest, ..
        } = base.locked.as_ref().unwrap_or(&base.current);
        CheckedBase {
            name: reference.to_string(),
            place: Some((reference.repository.clone(), digest.clone())),
        }
    });
    let registries = registries::of_session(session)?;
    base_lifecycle::require(session, &registries, bases).await
}

/// A base that is unavailable: the registry no longer has it, or did not answer.
#[derive(Debug, Serialize)]
pub struct UnavailableBase {
    /// The base as the spec writes it.
    pub base: String,
    /// The images that are built on it.
    pub images: Vec<String>,
    /// The error of the registry.
    pub error: String,
    /// The next steps for the user.
    #[serde(skip)]
    pub hints: Vec<String>,
}

/// Reads the bases that match `patterns` (all if empty) from the registries and compares them with
/// golden.lock. An unavailable base does not stop the others. Fails if a pattern matches no base.
pub async fn compare(
    session: &Session,
    patterns: &[String],
) -> Result<(Vec<ComparedBase>, Vec<UnavailableBase>), Error> {
    let (external, pins) = (external(session), pins(session));
    let keys = matching_keys(
        patterns,
        external.keys().chain(pins.keys()).map(String::as_str),
    )?;
    let keys: BTreeSet<String> = keys.into_iter().map(str::to_owned).collect();
    let unpinned = |pin: &Reference| {
        Base::Reference(Reference {
            digest: None,
            ..pin.clone()
        })
    };
    let requested: BTreeMap<String, Base> = keys
        .iter()
        .filter_map(|key| match (external.get(key), pins.get(key)) {
            (Some((base, _)), _) => Some(base.clone()),
            (None, Some((pin, _))) => Some(unpinned(pin)),
            (None, None) => None,
        })
        .filter_map(|base| Some((key(&base)?, base)))
        .collect();
    let embedded = session.embedded(registries::of_session(session)?);
    let requested: Vec<Base> = requested.into_values().collect();
    let mut found: BTreeMap<String, _> = observe::upstream(&requested, &embedded)
        .await
        .into_iter()
        .collect();
    let (mut compared, mut lost) = (Vec::new(), Vec::new());
    for (written, (pin, images)) in pins
        .into_iter()
        .filter(|(written, _)| keys.contains(written))
    {
        match key(&unpinned(&pin)).and_then(|key| found.get(&key)) {
            Some(Ok(current)) => {
                compared.extend(compare_pin(written, &pin, images, current.clone()));
            }
            Some(Err(error)) => {
                lost.push(UnavailableBase {
                    base: written,
                    images,
                    error: error.to_string(),
                    hints: error.hints(),
                });
            }
            None => {}
        }
    }
    found.retain(|key, _| keys.contains(key));
    for (base, found) in found {
        let images = external
            .get(&base)
            .map(|(_, images)| images.clone())
            .unwrap_or_default();
        let current = match found {
            Ok(current) => current,
            Err(error) => {
                lost.push(UnavailableBase {
                    base,
                    images,
                    error: error.to_string(),
                    hints: error.hints(),
                });
                continue;
            }
        };
        let locked = session.workspace.lock.bases.get(&base).cloned();
        let change = match &locked {
            None => LockedBaseChange::New,
            Some(locked)
                if locked.digest == current.digest && locked.reference == current.reference =>
            {
                LockedBaseChange::Unchanged
            }
            Some(_) => LockedBaseChange::Moved,
        };
        compared.push(ComparedBase {
            base,
            change,
            locked,
            current,
            images,
            pinned: false,
        });
    }
    compared.sort_by(|a, b| a.base.cmp(&b.base));
    Ok((compared, lost))
}

/// The keys that match one of `patterns`: the key itself, a reference in any form, a repository, or
/// a glob.
fn matching_keys<'a>(
    patterns: &[String],
    keys: impl Iterator<Item = &'a str>,
) -> Result<Vec<&'a str>, Error> {
    let keys: Vec<&str> = keys.collect();
    if patterns.is_empty() {
        return Ok(keys);
    }
    let mut hits: Vec<&str> = Vec::new();
    for pattern in patterns {
        let canonical = pattern
            .parse::<Reference>()
            .map(|reference| reference.to_string())
            .ok();
        let glob =
            Glob::new(pattern).map_err(|_| Error::invalid(format!("`{pattern}` is not a glob")))?;
        let glob = glob.compile_matcher();
        let matches = |key: &&&str| {
            let unpinned = key.split_once('@').map_or(**key, |(unpinned, _)| unpinned);
            let repository = unpinned.split_once(' ').map_or_else(
                || {
                    unpinned
                        .rsplit_once(':')
                        .map_or(unpinned, |(repository, _)| repository)
                },
                |(repository, _)| repository,
            );
            let canonical = canonical.as_deref();
            **key == pattern
                || canonical == Some(**key)
                || canonical == Some(unpinned)
                || canonical == Some(repository)
                || glob.is_match(**key)
        };
        let found: Vec<&str> = keys.iter().filter(matches).copied().collect();
        if found.is_empty() {
            let error = Error::invalid(format!(
                "no image of this workspace is built on `{pattern}`"
            ));
            return Err(
                match closest(
                    canonical.as_deref().unwrap_or(pattern),
                    keys.iter().copied(),
                ) {
                    Some(similar) => error.hint(format!("did you mean `{similar}`?")),
                    None if keys.is_empty() => error
                        .hint("no image has a base in a registry; `golden graph` shows the bases"),
                    None => error.hint(format!("the bases are {}", keys.join(", "))),
                },
            );
        }
        hits.extend(found);
    }
    hits.sort_unstable();
    hits.dedup();
    Ok(hits)
}
