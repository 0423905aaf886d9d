//! Tags that were put are read again until they point to what was put. Registries that answer reads from replicas show
//! an old tag for a while, and no registry keeps another publisher from moving a tag at the same time.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::oci::RawManifest;
use crate::reference::{Digest, Repository, RepositoryPath, Tag, Target};
use crate::registry::{self, Polling, Registry};

/// The number of tags that are read at once.
const CONCURRENT: usize = 8;
/// A tag is put this often at most.
const MOST_WRITES: u32 = 2;

/// A tag that does not point to what was put there, although the registry was given time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{repository}:{tag} points to {} instead of {expected}, {seconds} s after it was put: {cause}", found.as_ref().map_or("nothing", Digest::as_str))]
pub struct Unsettled {
    /// The repository.
    pub repository: Repository,
    /// The tag.
    pub tag: Tag,
    /// What it should point to.
    pub expected: Digest,
    /// What it points to.
    pub found: Option<Digest>,
    /// How long the registry was given.
    pub seconds: u64,
    /// The reason, as far as it can be seen.
    pub cause: Cause,
}

/// The reason why a tag does not point to what was put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It points to what it did before, or to nothing.
    Late,
    /// It points to something that this run neither put nor found there.
    Foreign,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "the registry still shows the tag as it was before",
            Self::Foreign => "another publisher has put it there",
        })
    }
}

impl Unsettled {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.cause {
            Cause::Late => {
                "the registry may answer from a replica that is late: run the same command again later, or give it more time with GOLDEN_REGISTRY_SETTLE=SECONDS"
            }
            Cause::Foreign => "run the same command again when the other publisher has finished",
        }
    }
}

/// What the tags pointed to at first, and what this run has put.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes {
    previous: BTreeMap<Tag, Digest>,
    written: BTreeMap<Tag, Vec<(Digest, u32)>>,
}

impl Writes {
    /// `put` are the tags that were just put on `digest`; `previous` is what tags pointed to before.
    pub(super) fn new(previous: BTreeMap<Tag, Digest>, put: &[Tag], digest: &Digest) -> Self {
        let mut writes = Self {
            previous,
            written: BTreeMap::new(),
        };
        for tag in put {
            writes.note(tag, digest);
        }
        writes
    }

    /// Notes that a tag was put.
    pub(super) fn note(&mut self, tag: &Tag, digest: &Digest) {
        let of_tag = self.written.entry(tag.clone()).or_default();
        match of_tag.iter_mut().find(|(written, _)| written == digest) {
            Some((_, times)) => *times += 1,
            None => of_tag.push((digest.clone(), 1)),
        }
    }

    /// Whether `found` is neither what was expected, nor what was there before, nor what this run has put there.
    pub(super) fn is_foreign(&self, tag: &Tag, found: &Digest, expected: &Digest) -> bool {
        let written = self.written.get(tag);
        found != expected
            && self.previous.get(tag) != Some(found)
            && !written.is_some_and(|of_tag| of_tag.iter().any(|(digest, _)| digest == found))
    }

    /// Whether a tag that is on `found` instead of `expected` is to be put now. What is on its way is waited for: half
    /// of the time, unless another publisher has moved the tag.
    pub(super) fn calls_for(
        &self,
        tag: &Tag,
        expected: &Digest,
        found: Option<&Digest>,
        polling: &Polling,
    ) -> bool {
        let of_tag = self.written.get(tag).into_iter().flatten();
        let times = of_tag
            .filter(|(digest, _)| digest == expected)
            .map(|(_, times)| *times)
            .sum();
        match times {
            0 => true,
            MOST_WRITES.. => false,
            _ => {
                polling.is_half_over()
                    || found.is_some_and(|found| self.is_foreign(tag, found, expected))
            }
        }
    }

    /// The error for a tag that is on `found` instead of `expected`.
    pub(super) fn unsettled(
        &self,
        repository: &Repository,
        tag: &Tag,
        expected: &Digest,
        found: Option<&Digest>,
        polling: &Polling,
    ) -> Unsettled {
        let is_foreign = found.is_some_and(|found| self.is_foreign(tag, found, expected));
        Unsettled {
            repository: repository.clone(),
            tag: tag.clone(),
            expected: expected.clone(),
            found: found.cloned(),
            seconds: polling.limit().as_secs(),
            cause: if is_foreign {
                Cause::Foreign
            } else {
                Cause::Late
            },
        }
    }
}

/// Puts `raw` under `tags`, in their order, and waits until each of them points to it. None when all do; else the tag that does not.
/// A tag that another publisher moves at the same time stays where that publisher put it.
pub(super) async fn put_and_hold(
    registry: &Registry,
    repository: &Repository,
    tags: &[Tag],
    raw: &RawManifest,
    previous: &BTreeMap<Tag, Digest>,
) -> Result<Option<Unsettled>, registry::Error> {
    let path = &repository.path;
    let Some((first, rest)) = tags.split_first() else {
        return Ok(None);
    };
    registry
        .put_manifest(path, &Target::from(first), raw)
        .await?;
    registry.put_tags(path, rest, raw).await?;
    let mut writes = Writes::new(previous.clone(), tags, &raw.digest);
    let mut polling = registry.polling();
    let mut look = Look::Prove;
    loop {
        let found = look_at(registry, path, tags, look).await?;
        let late: Vec<&Tag> = tags
            .iter()
            .filter(|tag| found.get(*tag) != Some(&raw.digest))
            .collect();
        let Some(first) = late.first() else {
            match look {
                Look::Prove => return Ok(None),
                Look::Poll => {
                    look = Look::Prove;
                    continue;
                }
            }
        };
        let wrong = writes.unsettled(repository, first, &raw.digest, found.get(*first), &polling);
        for tag in late {
            let found = found.get(tag);
            let is_foreign = found.is_some_and(|found| writes.is_foreign(tag, found, &raw.digest));
            if !is_foreign && writes.calls_for(tag, &raw.digest, found, &polling) {
                registry.put_manifest(path, &Target::from(tag), raw).await?;
                writes.note(tag, &raw.digest);
            }
        }
        if !polling.again().await {
            return Ok(Some(wrong));
        }
        look = Look::Poll;
    }
}

/// How tags are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// By GET and the hash of the body: proof.
    Prove,
    /// By HEAD.
    Poll,
}

/// What tags point to; the ones that do not exist are left out.
pub(super) async fn look_at(
    registry: &Registry,
    path: &RepositoryPath,
    tags: impl IntoIterator<Item = &Tag>,
    look: Look,
) -> Result<BTreeMap<Tag, Digest>, registry::Error> {
    let tags: Vec<Tag> = tags.into_iter().cloned().collect();
    let ask = |tag: Tag| async move {
        let target = Target::from(&tag);
        let found = match look {
            Look::Prove => registry
                .get_manifest(path, &target)
                .await?
                .map(|raw| raw.digest),
            Look::Poll => registry
                .head_manifest(path, &target)
                .await?
                .map(|head| head.digest),
        };
        Ok::<_, registry::Error>(found.map(|digest| (tag, digest)))
    };
    let found: Vec<_> = stream::iter(tags)
        .map(ask)
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}
