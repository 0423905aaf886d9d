//! Settling: no registry has compare-and-swap, so every tag is read back, and the tag list once more (7-rules 26).

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream, try_join};

use super::Error;
use crate::oci::RawManifest;
use crate::reference::{Digest, Reference, Repository, Tag, Target};
use crate::registry::Registry;
use crate::tags::{self, Action, Existing, FanOut, Role, Standing, TagRules};

/// How often tags are put again before another publisher is given up on.
const ROUNDS: usize = 8;
/// How many tags are read at once.
const CONCURRENT: usize = 8;

/// Where a tag is in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The tag.
    pub tag: Tag,
    /// What it names.
    pub digest: Digest,
    /// Why it had to be put on the version that holds it.
    pub corrected: Option<Correction>,
}

/// Why a tag was put on another version than the one that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// A higher version was published concurrently.
    Overtaken,
    /// The tag pointed to an image to which the rules do not allow it to point.
    Stray,
}

/// Reads every tag of `out` (GET and hash) and the list of tags, and corrects what is wrong: a tag that belongs to another
/// version is put on that one, any other tag on `raw`. Without `raw`, the version is withdrawn. Ends when one whole round
/// had nothing to do. With several publishers, each does so after its last write, and so the last one to finish leaves
/// everything right. If another publisher put other content under the version's own tag, moving tags that are on `raw` go
/// to that content, and it is an error.
pub async fn settle(
    registry: &Registry,
    repository: &Repository,
    out: &FanOut,
    rules: &TagRules,
    raw: Option<&RawManifest>,
) -> Result<Vec<Settled>, Error> {
    let mut wrong = None;
    let mut corrected: BTreeMap<Tag, Correction> = BTreeMap::new();
    let mut strays = BTreeSet::new();
    for _ in 0..ROUNDS {
        // Whoever writes after either of these was read settles after that write.
        let (named, list) = try_join!(read(registry, repository, out), list(registry, repository))?;
        let existing = Existing::new(&list, out.variant.as_ref(), &rules.withdrawn);
        if let (Some(raw), Some(theirs)) = (raw, named.get(out.full()))
            && *theirs != raw.digest
        {
            return Err(yield_to(registry, repository, out, raw, theirs, &named).await?);
        }
        let own = raw.map(|raw| &raw.digest).or(named.get(out.full()));
        let mut settled = Vec::new();
        wrong = None;
        for decided in tags::decide(out, &existing, rules, Standing::Same) {
            let found = named.get(&decided.tag);
            let expected = match &decided.action {
                Action::Create | Action::Move => raw.cloned(),
                // A tag that nobody created stays so, and an extra tag belongs to a version only if it points to it.
                Action::Keep { .. } if found.is_none() || decided.role == Role::Extra && found != own => None,
                Action::Keep { tag, .. } => holder(registry, repository, tag).await?,
                Action::Refuse => None,
            };
            let Some(expected) = expected else { continue };
            if found == Some(&expected.digest) {
                let corrected = corrected.get(&decided.tag).copied();
                settled.push(Settled { tag: decided.tag, digest: expected.digest, corrected });
                continue;
            }
            if let Action::Keep { .. } = decided.action {
                let correction = if found == own { Correction::Overtaken } else { Correction::Stray };
                corrected.insert(decided.tag.clone(), correction);
                // The list may be older than the tag. A tag that still strays in the next round does stray.
                if correction == Correction::Stray && strays.insert((decided.tag.clone(), found.cloned())) {
                    wrong = Some((decided.tag, expected.digest, found.cloned()));
                    continue;
                }
            }
            registry.put_manifest(&repository.path, &Target::from(&decided.tag), &expected).await?;
            wrong = Some((decided.tag, expected.digest, found.cloned()));
        }
        if wrong.is_none() {
            return Ok(settled);
        }
    }
    match wrong {
        Some((tag, expected, found)) => {
            Err(Error::Unsettled { repository: repository.clone(), tag, expected, found })
        }
        None => Ok(Vec::new()),
    }
}

/// Puts the moving tags that are on `raw` on what the version's own tag names.
async fn yield_to(
    registry: &Registry,
    repository: &Repository,
    out: &FanOut,
    raw: &RawManifest,
    theirs: &Digest,
    named: &BTreeMap<Tag, Digest>,
) -> Result<Error, Error> {
    let full = out.full();
    if let Some(found) = registry.get_manifest(&repository.path, &Target::from(theirs)).await? {
        for planned in out.tags.iter().filter(|planned| named.get(&planned.tag) == Some(&raw.digest)) {
            registry.put_manifest(&repository.path, &Target::from(&planned.tag), &found).await?;
        }
    }
    Ok(Error::Overtaken { repository: repository.clone(), tag: full.clone(), found: theirs.clone() })
}

async fn read(
    registry: &Registry,
    repository: &Repository,
    out: &FanOut,
) -> Result<BTreeMap<Tag, Digest>, Error> {
    let ask = |tag: Tag| async move {
        let found = registry.get_manifest(&repository.path, &Target::from(&tag)).await?;
        Ok::<_, Error>(found.map(|raw| (tag, raw.digest)))
    };
    let tags: Vec<Tag> = out.tags.iter().map(|planned| planned.tag.clone()).collect();
    let found: Vec<_> = stream::iter(tags).map(ask).buffered(CONCURRENT).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn list(registry: &Registry, repository: &Repository) -> Result<Vec<Tag>, Error> {
    Ok(registry.tags(&repository.path).await?)
}

async fn holder(
    registry: &Registry,
    repository: &Repository,
    tag: &Tag,
) -> Result<Option<RawManifest>, Error> {
    let found = registry.get_manifest(&repository.path, &Target::from(tag)).await?;
    if found.is_none() {
        let reference = Reference { repository: repository.clone(), tag: Some(tag.clone()), digest: None };
        tracing::debug!(%reference, "listed, but not there");
    }
    Ok(found)
}
