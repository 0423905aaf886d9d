//! Puts tags and reads them back until they point to the new manifest. Registries that answer reads
//! from replicas show an old tag for a while, and another publisher can move a tag at any time.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::oci::RawManifest;
use crate::reference::{Digest, Repository, Tag};
use crate::registry::{self, Polling, Repo};

/// The number of tags that are read concurrently.
const CONCURRENT: usize = 8;
/// The maximum number of times that a tag is put.
const MOST_WRITES: u32 = 2;

/// A tag that does not point to the manifest that was put, even after the deadline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{repository}:{tag} {} after {reads} over {seconds} s to move it to {expected}{cause}", state(found.as_ref(), *cause), reads = attempts(*reads))]
pub struct Unsettled {
    /// The repository of the tag.
    pub repository: Repository,
    /// The tag that was put.
    pub tag: Tag,
    /// The digest that the tag should point to.
    pub expected: Digest,
    /// The digest that it points to; `None` if it does not exist.
    pub found: Option<Digest>,
    /// The number of times that it was read.
    pub reads: u32,
    /// The time that the registry was given, in seconds.
    pub seconds: u64,
    /// The probable reason.
    pub cause: Cause,
}

/// The reason why a tag does not point to the manifest that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The tag still points to its previous digest, or does not exist.
    Late,
    /// The tag points to a digest that is neither from this run nor from before.
    Foreign,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "",
            Self::Foreign => ": another publisher moved it",
        })
    }
}

/// The state of a tag, as the end of a sentence about the tag.
fn state(found: Option<&Digest>, cause: Cause) -> String {
    match (found, cause) {
        (None, _) => "does not exist".to_owned(),
        (Some(found), Cause::Late) => format!("still points to {found}"),
        (Some(found), Cause::Foreign) => format!("points to {found}"),
    }
}

fn attempts(reads: u32) -> String {
    match reads {
        1 => "1 attempt".to_owned(),
        reads => format!("{reads} attempts"),
    }
}

impl Unsettled {
    /// The hint for the user.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.cause {
            Cause::Late => {
                "the registry may answer from a replica that is late: run the same command again later, or wait longer with GOLDEN_REGISTRY_SETTLE=SECONDS"
            }
            Cause::Foreign => "run the same command again after the other publisher has finished",
        }
    }
}

/// The digests that the tags pointed to at first, and the digests that this run put.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes {
    previous: BTreeMap<Tag, Digest>,
    written: BTreeMap<Tag, Vec<(Digest, u32)>>,
}

impl Writes {
    /// `put` are the tags that were just put on `digest`; `previous` are the digests that the tags
    /// pointed to before.
    pub(super) fn new(previous: BTreeMap<Tag, Digest>, put: &[Tag], digest: &Digest) -> Self {
        let mut writes = Self {
            previous,
            written: BTreeMap::new(),
        };
        for tag in put {
            writes.record(tag, digest);
        }
        writes
    }

    /// Records that a tag was put.
    pub(super) fn record(&mut self, tag: &Tag, digest: &Digest) {
        let of_tag = self.written.entry(tag.clone()).or_default();
        match of_tag.iter_mut().find(|(written, _)| written == digest) {
            Some((_, times)) => *times += 1,
            None => of_tag.push((digest.clone(), 1)),
        }
    }

    /// True if `found` is neither the expected digest, nor the previous one, nor one that this run
    /// put.
    pub(super) fn is_foreign(&self, tag: &Tag, found: &Digest, expected: &Digest) -> bool {
        let written = self.written.get(tag);
        found != expected
            && self.previous.get(tag) != Some(found)
            && !written.is_some_and(|of_tag| of_tag.iter().any(|(digest, _)| digest == found))
    }

    /// True if a tag that points to `found` instead of `expected` should be put now. A write may be
    /// late, so it is repeated only after half of the time, or when another publisher has moved the
    /// tag.
    pub(super) fn calls_for(
        &self,
        tag: &Tag,
        expected: &Digest,
        found: Option<&Digest>,
        is_half_over: bool,
    ) -> bool {
        let of_tag = self.written.get(tag).into_iter().flatten();
        let times = of_tag
            .filter(|(digest, _)| digest == expected)
            .map(|(_, times)| *times)
            .sum();
        match times {
            0 => true,
            MOST_WRITES.. => false,
            _ => is_half_over || found.is_some_and(|found| self.is_foreign(tag, found, expected)),
        }
    }

    /// The error for a tag that points to `found` instead of `expected`.
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
            reads: polling.reads(),
            seconds: polling.limit().as_secs(),
            cause: if is_foreign {
                Cause::Foreign
            } else {
                Cause::Late
            },
        }
    }
}

/// Puts `raw` under `tags`, in their order, and waits until each of them points to it. Returns the
/// first tag that does not, or `None` if all do. A tag that another publisher moved at the same
/// time is not moved again.
pub(super) async fn put_and_hold(
    repo: &Repo,
    tags: &[Tag],
    raw: &RawManifest,
    previous: &BTreeMap<Tag, Digest>,
) -> Result<Option<Unsettled>, registry::Error> {
    let Some((first, rest)) = tags.split_first() else {
        return Ok(None);
    };
    repo.put(first, raw).await?;
    repo.put_tags(rest, raw).await?;
    let mut writes = Writes::new(previous.clone(), tags, &raw.digest);
    let mut polling = repo.registry().polling();
    let mut method = TagRead::Verified;
    loop {
        let found = read_tags(repo, tags, method).await?;
        let outdated: Vec<&Tag> = tags
            .iter()
            .filter(|tag| found.get(*tag) != Some(&raw.digest))
            .collect();
        let Some(first) = outdated.first() else {
            match method {
                TagRead::Verified => return Ok(None),
                TagRead::Claimed => {
                    method = TagRead::Verified;
                    continue;
                }
            }
        };
        let wrong = writes.unsettled(repo.name(), first, &raw.digest, found.get(*first), &polling);
        for tag in outdated {
            let found = found.get(tag);
            let is_foreign = found.is_some_and(|found| writes.is_foreign(tag, found, &raw.digest));
            let is_half_over = polling.is_half_over();
            if !is_foreign && writes.calls_for(tag, &raw.digest, found, is_half_over) {
                repo.put(tag, raw).await?;
                writes.record(tag, &raw.digest);
            }
        }
        if !polling.again().await {
            return Ok(Some(wrong));
        }
        method = TagRead::Claimed;
    }
}

/// The way to read the digest of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagRead {
    /// With GET: golden computes the digest of the content.
    Verified,
    /// With HEAD, which is faster: golden believes the digest in the header.
    Claimed,
}

/// The digests that tags point to; tags that do not exist are omitted.
pub(super) async fn read_tags(
    repo: &Repo,
    tags: impl IntoIterator<Item = &Tag>,
    method: TagRead,
) -> Result<BTreeMap<Tag, Digest>, registry::Error> {
    let tags: Vec<Tag> = tags.into_iter().cloned().collect();
    let read = |tag: Tag| async move {
        let found = match method {
            TagRead::Verified => repo.manifest(&tag).await?.map(|raw| raw.digest),
            TagRead::Claimed => repo.head(&tag).await?.map(|head| head.digest),
        };
        Ok::<_, registry::Error>(found.map(|digest| (tag, digest)))
    };
    let found: Vec<_> = stream::iter(tags)
        .map(read)
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_foreign_if_this_run_neither_found_nor_put_it() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let [tag, other]: [Tag; 2] = ["1.2", "1"].map(|tag| tag.parse().unwrap());
        let previous = BTreeMap::from([(tag.clone(), digest("previous"))]);
        let mut writes = Writes::new(previous, std::slice::from_ref(&tag), &digest("first"));
        let is_foreign = |writes: &Writes, tag: &Tag, found: &str| {
            writes.is_foreign(tag, &digest(found), &digest("expected"))
        };
        for (found, expected) in [
            ("expected", false),
            ("previous", false),
            ("first", false),
            ("another", true),
        ] {
            assert_eq!(is_foreign(&writes, &tag, found), expected, "{found}");
        }
        assert!(is_foreign(&writes, &other, "previous"));
        assert!(is_foreign(&writes, &other, "first"));
        writes.record(&tag, &digest("second"));
        writes.record(&tag, &digest("second"));
        let written = [(digest("first"), 1), (digest("second"), 2)];
        assert_eq!(writes.written[&tag], written);
        assert!(!is_foreign(&writes, &tag, "first"));
        assert!(!is_foreign(&writes, &tag, "second"));
        assert!(is_foreign(&writes, &tag, "another"));
    }

    #[test]
    fn a_tag_is_put_again_once_when_another_publisher_moved_it_or_half_of_the_time_is_over() {
        let [expected, previous, foreign] =
            ["expected", "previous", "foreign"].map(|text| Digest::of(text.as_bytes()));
        let tag: Tag = "1.2".parse().unwrap();
        for (times, found, is_half_over, calls) in [
            (0, None, false, true),
            (0, Some(&previous), false, true),
            (1, None, false, false),
            (1, None, true, true),
            (1, Some(&previous), false, false),
            (1, Some(&previous), true, true),
            (1, Some(&foreign), false, true),
            (2, Some(&previous), true, false),
            (2, Some(&foreign), true, false),
        ] {
            let before = BTreeMap::from([(tag.clone(), previous.clone())]);
            let put = vec![tag.clone(); times];
            let writes = Writes::new(before, &put, &expected);
            assert_eq!(
                writes.calls_for(&tag, &expected, found, is_half_over),
                calls,
                "{times} {found:?} {is_half_over}"
            );
        }
    }

    #[test]
    fn the_error_has_the_state_of_the_tag() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let (old, new) = (digest("old"), digest("new"));
        for (found, cause, reads, expected) in [
            (
                None,
                Cause::Late,
                1,
                format!("does not exist after 1 attempt over 30 s to move it to {new}"),
            ),
            (
                Some(&old),
                Cause::Late,
                3,
                format!("still points to {old} after 3 attempts over 30 s to move it to {new}"),
            ),
            (
                Some(&old),
                Cause::Foreign,
                2,
                format!(
                    "points to {old} after 2 attempts over 30 s to move it to {new}: \
                     another publisher moved it"
                ),
            ),
        ] {
            let unsettled = Unsettled {
                repository: "h.example/app".parse().unwrap(),
                tag: "1.2".parse().unwrap(),
                expected: new.clone(),
                found: found.cloned(),
                reads,
                seconds: 30,
                cause,
            };
            assert_eq!(
                unsettled.to_string(),
                format!("h.example/app:1.2 {expected}")
            );
        }
    }
}
