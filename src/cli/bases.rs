//! The external bases of a workspace, for `outdated`, `update` and `graph`.

use std::collections::{BTreeMap, BTreeSet};

use globset::Glob;
use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::registries;
use super::session::{self, Session, SessionOptions};
use crate::observe;
use crate::reference::Reference;
use crate::resolve::image::Base;
use crate::suggest::closest;
use crate::workspace::lock::{LockedBase, key};

/// What happened to a base since golden.lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// golden.lock does not have it.
    New,
    /// It names another digest now.
    Moved,
    /// As it is locked.
    Unchanged,
}

/// A base as it is locked and as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    /// What the spec asks for.
    pub base: String,
    /// What happened.
    pub change: Change,
    /// As it is locked.
    pub locked: Option<LockedBase>,
    /// As the registry has it.
    pub current: LockedBase,
    /// The images that are built on it.
    pub images: Vec<String>,
    /// Whether the spec pins it to a digest, which golden.lock has no part in.
    pub pinned: bool,
}

impl Compared {
    /// Old and new in one line, with the dates of creation.
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
        // What is asked for names the tag, unless a requirement chose it.
        let chosen = !self.pinned && self.current.reference.to_string() != self.base;
        match &self.locked {
            None => format!("not locked → {}", show(&self.current, chosen)),
            Some(locked) if self.change == Change::Unchanged => show(locked, chosen),
            Some(locked) => format!("{} → {}", show(locked, chosen), show(&self.current, chosen)),
        }
    }
}

/// The session of a command that is about bases. What breaks the policy does not matter to it: that a base is not
/// locked may be just why.
pub async fn open(context: &Context, set: Vec<String>) -> Result<Session, Failure> {
    let options = SessionOptions {
        set,
        ..SessionOptions::default()
    };
    let checked = session::check(context, &options).await?;
    if let Some(session) = checked.session {
        return Ok(session);
    }
    session::show(context, &checked.found, &checked.sources)?;
    Err(Failure::shown(Exit::Usage))
}

/// The external bases, by their key in golden.lock, with the images built on them.
#[must_use]
pub fn external(session: &Session) -> BTreeMap<String, (Base, Vec<String>)> {
    let mut bases: BTreeMap<String, (Base, Vec<String>)> = BTreeMap::new();
    for image in &session.images {
        if let Some(key) = key(&image.base) {
            let entry = bases
                .entry(key)
                .or_insert_with(|| (image.base.clone(), Vec::new()));
            entry.1.push(image.display());
        }
    }
    bases
}

/// The tags that specs pin to a digest, by the reference as it is written, with the images built on them.
fn pins(session: &Session) -> BTreeMap<String, (Reference, Vec<String>)> {
    let mut pins: BTreeMap<String, (Reference, Vec<String>)> = BTreeMap::new();
    for image in &session.images {
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

/// A pin compared with what its tag points to. The digest of a platform's manifest is as good as that of the index.
fn compare_pin(
    base: String,
    pin: &Reference,
    images: Vec<String>,
    current: LockedBase,
) -> Option<Compared> {
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
        platforms: BTreeMap::new(),
    };
    let change = if same {
        Change::Unchanged
    } else {
        Change::Moved
    };
    Some(Compared {
        base,
        change,
        locked: Some(locked),
        current,
        images,
        pinned: true,
    })
}

/// A base that the registry does not have any more, or cannot be asked for.
#[derive(Debug, Serialize)]
pub struct Lost {
    /// What the spec asks for.
    pub base: String,
    /// The images that are built on it.
    pub images: Vec<String>,
    /// Why.
    pub error: String,
    /// What to do next.
    #[serde(skip)]
    pub hints: Vec<String>,
}

/// Shows what is lost, and what to do next.
pub fn show_lost(context: &Context, lost: Vec<Lost>) {
    for lost in lost {
        let failure = Failure::new(Exit::Failed, anyhow::anyhow!(lost.error));
        let failure = lost.hints.into_iter().fold(failure, Failure::hint);
        failure
            .hint(format!("built on it: {}", lost.images.join(", ")))
            .show(context);
    }
}

/// Asks the registries about the bases that `patterns` name (all without), and compares with golden.lock. One that is
/// not to be had does not hide the others.
pub async fn compare(
    context: &Context,
    session: &Session,
    patterns: &[String],
) -> Result<(Vec<Compared>, Vec<Lost>), Failure> {
    let (external, pins) = (external(session), pins(session));
    let keys = named(
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
    let asked: BTreeMap<String, Base> = keys
        .iter()
        .filter_map(|key| match (external.get(key), pins.get(key)) {
            (Some((base, _)), _) => Some(base.clone()),
            (None, Some((pin, _))) => Some(unpinned(pin)),
            (None, None) => None,
        })
        .filter_map(|base| Some((key(&base)?, base)))
        .collect();
    let embedded = session.embedded(registries::of_session(context, session)?);
    let asked: Vec<Base> = asked.into_values().collect();
    let mut found: BTreeMap<String, _> = observe::upstream(&asked, &embedded)
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
                compared.extend(compare_pin(written, &pin, images, current.clone()))
            }
            Some(Err(error)) => {
                lost.push(Lost {
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
                lost.push(Lost {
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
            None => Change::New,
            Some(locked)
                if locked.digest == current.digest && locked.reference == current.reference =>
            {
                Change::Unchanged
            }
            Some(_) => Change::Moved,
        };
        compared.push(Compared {
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

/// The keys that one of `patterns` names: as written, as a reference in any form, as a repository, or as a glob.
fn named<'a>(
    patterns: &[String],
    keys: impl Iterator<Item = &'a str>,
) -> Result<Vec<&'a str>, Failure> {
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
            Glob::new(pattern).map_err(|_| Failure::usage(format!("`{pattern}` is not a glob")))?;
        let glob = glob.compile_matcher();
        let fits = |key: &&&str| {
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
        let found: Vec<&str> = keys.iter().filter(fits).copied().collect();
        if found.is_empty() {
            let failure = Failure::usage(format!(
                "no image of this workspace is built on `{pattern}`"
            ));
            return Err(
                match closest(
                    canonical.as_deref().unwrap_or(pattern),
                    keys.iter().copied(),
                ) {
                    Some(near) => failure.hint(format!("did you mean `{near}`?")),
                    None if keys.is_empty() => failure.hint("no image has a base in a registry"),
                    None => failure.hint(format!("there is {}", keys.join(", "))),
                },
            );
        }
        hits.extend(found);
    }
    hits.sort_unstable();
    hits.dedup();
    Ok(hits)
}
