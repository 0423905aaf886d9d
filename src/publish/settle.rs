//! Settling: no registry has compare-and-swap, so every tag is read back, and the tag list once more (7-rules 26).

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream, try_join};

use super::Error;
use crate::oci::RawManifest;
use crate::reference::{Digest, Reference, Repository, Tag, Target};
use crate::registry::Registry;
use crate::tags::{self, Action, Existing, FanOut, Standing, TagRules};

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
    /// Whether it had to be put on a higher version that came in meanwhile.
    pub put_back: bool,
}

/// Reads every tag of `out` (GET and hash) and the list of tags, and puts right what is not: a tag that a
/// higher version claims goes to that one, any other to `raw`. Ends when one whole round had nothing to do. With
/// several publishers, each does so after its last write, and so the last one to finish leaves everything right. A
/// version that somebody else put on other content is theirs: moving tags that are on `raw` go to it, and that is told.
pub async fn settle(
    registry: &Registry,
    repository: &Repository,
    out: &FanOut,
    rules: &TagRules,
    raw: &RawManifest,
) -> Result<Vec<Settled>, Error> {
    let mut wrong = None;
    let mut put_back = BTreeSet::new();
    for _ in 0..ROUNDS {
        // Whoever writes after either of these was read settles after that write.
        let (named, list) = try_join!(read(registry, repository, out), list(registry, repository))?;
        let existing = Existing::new(&list, out.variant.as_ref(), &rules.withdrawn);
        if let Some(theirs) = named.get(out.full()).filter(|found| **found != raw.digest) {
            return Err(yield_to(registry, repository, out, raw, theirs, &named).await?);
        }
        let mut settled = Vec::new();
        wrong = None;
        for decided in tags::decide(out, &existing, rules, Standing::Same) {
            let expected = match &decided.action {
                Action::Create | Action::Move => raw.clone(),
                Action::Keep { tag, .. } => match holder(registry, repository, tag).await? {
                    Some(higher) => higher,
                    None => continue,
                },
                Action::Refuse => continue,
            };
            let found = named.get(&decided.tag).cloned();
            let higher = matches!(decided.action, Action::Keep { .. });
            if found.as_ref() == Some(&expected.digest) {
                let put_back = put_back.contains(&decided.tag);
                settled.push(Settled { tag: decided.tag, digest: expected.digest, put_back });
                continue;
            }
            // A tag that was never ours and that nobody made stays so.
            if higher && found.as_ref() != Some(&raw.digest) {
                continue;
            }
            if higher {
                put_back.insert(decided.tag.clone());
            }
            registry.put_manifest(&repository.path, &Target::from(&decided.tag), &expected).await?;
            wrong = Some((decided.tag, expected.digest, found));
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
