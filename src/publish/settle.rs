//! Verifies tags after the last write. Registries have no compare-and-swap, so every tag and the
//! tag list are read again.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::try_join;

use super::Error;
use super::hold::{TagRead, Unsettled, Writes, read_tags};
use crate::oci::RawManifest;
use crate::reference::{Digest, Tag};
use crate::registry::{Polling, Repo};
use crate::tags::{self, Action, FanOut, PublishedContent, TagList, TagRole, TagRules};

/// The final state of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The name of the tag.
    pub tag: Tag,
    /// The digest that it points to.
    pub digest: Digest,
    /// The reason why golden moved it to another version; `None` if it did not.
    pub corrected: Option<Correction>,
}

/// The reason why a tag was moved to a version other than the published one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// A higher version was published concurrently.
    Overtaken,
    /// The tag pointed to an image that the tag rules do not allow.
    Stray,
}

/// The result of reading all tags once.
enum Round {
    /// Every tag points to the expected digest.
    Right(Vec<Settled>),
    /// This tag does not point to the expected digest yet.
    Wrong(Unsettled),
    /// The list of tags lacks this tag although the registry serves it.
    Unlisted(Tag),
}

/// Reads every tag of `out` and the tag list, and corrects wrong tags: a tag that belongs to
/// another version is moved to that version, any other tag to `raw`. If `raw` is `None`, the
/// version is withdrawn. `previous` are the digests that the tags pointed to before; `put` are the
/// tags that were just put.
///
/// A registry that answers reads from replicas shows old tags for a while. A tag that still points
/// to its previous digest is therefore read again until the deadline. Each tag is put at most
/// twice.
///
/// If several publishers run at the same time, each one settles after its last write, so the last
/// one leaves every tag correct. Fails if another publisher put other content under the version's
/// own tag; the moving tags that point to `raw` are then moved to that content. Also fails if a tag
/// is still wrong at the deadline.
pub async fn settle(
    repo: &Repo,
    out: &FanOut,
    rules: &TagRules,
    raw: Option<&RawManifest>,
    previous: &BTreeMap<Tag, Digest>,
    put: &[Tag],
) -> Result<Vec<Settled>, Error> {
    let writes = match raw {
        Some(raw) => Writes::new(previous.clone(), put, &raw.digest),
        None => Writes::default(),
    };
    let mut settling = Settling {
        repo,
        out,
        rules,
        raw,
        writes,
        corrected: BTreeMap::new(),
        strays: BTreeSet::new(),
        polling: repo.registry().polling(),
    };
    let mut method = TagRead::Verified;
    loop {
        let round = settling.round(method).await?;
        method = match (round, method) {
            (Round::Right(settled), TagRead::Verified) => return Ok(settled),
            (Round::Right(_), TagRead::Claimed) => TagRead::Verified,
            (wrong, _) if !settling.polling.again().await => return Err(settling.give_up(wrong)),
            _ => TagRead::Claimed,
        };
    }
}

/// The tags of one image in one repository while they are verified.
struct Settling<'a> {
    repo: &'a Repo,
    out: &'a FanOut,
    rules: &'a TagRules,
    raw: Option<&'a RawManifest>,
    writes: Writes,
    corrected: BTreeMap<Tag, Correction>,
    /// Tags that pointed to a disallowed image, with the digest.
    strays: BTreeSet<(Tag, Option<Digest>)>,
    polling: Polling,
}

impl Settling<'_> {
    /// Reads all tags once, and writes the corrections.
    async fn round(&mut self, method: TagRead) -> Result<Round, Error> {
        // A publisher that writes after these reads runs its own settle pass, so its change is not
        // missed.
        let tags = self.out.tags.iter().map(|planned| &planned.tag);
        let (named, list) = try_join!(read_tags(self.repo, tags, method), self.repo.tags())?;
        let existing = TagList::new(&list, self.out.variant.as_ref(), &self.rules.withdrawn);
        self.yield_to_other_content(&named).await?;
        let unlisted = named.keys().find(|tag| !existing.has(tag)).cloned();
        let own = self
            .raw
            .map(|raw| &raw.digest)
            .or(named.get(self.out.full()))
            .cloned();
        let mut settled = Vec::new();
        let mut wrong = None;
        for decided in tags::decide(self.out, &existing, self.rules, PublishedContent::Same) {
            let found = named.get(&decided.tag);
            let expected = match &decided.action {
                Action::Create | Action::Move => self.raw.cloned(),
                // A tag that does not exist is not created, and an extra tag belongs to a version
                // only if it points to it.
                Action::Keep { .. }
                    if found.is_none()
                        || decided.role == TagRole::Extra && found != own.as_ref() =>
                {
                    None
                }
                Action::Keep { tag, .. } => holder(self.repo, tag).await?,
                Action::Refuse => None,
            };
            let Some(expected) = expected else { continue };
            if found == Some(&expected.digest) {
                let corrected = self.corrected.get(&decided.tag).copied();
                settled.push(Settled {
                    tag: decided.tag,
                    digest: expected.digest,
                    corrected,
                });
                continue;
            }
            if let Action::Keep { .. } = decided.action {
                let is_own = found == own.as_ref();
                let correction = if is_own {
                    Correction::Overtaken
                } else {
                    Correction::Stray
                };
                // The list may be older than the tag. The tag is corrected only if it is still
                // wrong in the next round.
                if correction == Correction::Stray
                    && self.strays.insert((decided.tag.clone(), found.cloned()))
                {
                    wrong = Some(self.unsettled(&decided.tag, &expected.digest, found));
                    continue;
                }
                self.corrected.insert(decided.tag.clone(), correction);
            }
            wrong = Some(self.correct(&decided.tag, &expected, found).await?);
        }
        Ok(match (wrong, unlisted) {
            (Some(wrong), _) => Round::Wrong(wrong),
            (None, Some(tag)) => Round::Unlisted(tag),
            (None, None) => Round::Right(settled),
        })
    }

    /// Fails if another publisher has put other content under the version's own tag.
    async fn yield_to_other_content(&self, named: &BTreeMap<Tag, Digest>) -> Result<(), Error> {
        let (Some(raw), Some(found)) = (self.raw, named.get(self.out.full())) else {
            return Ok(());
        };
        if self.writes.is_foreign(self.out.full(), found, &raw.digest) {
            return Err(yield_to(self.repo, self.out, raw, found, named).await?);
        }
        Ok(())
    }

    fn unsettled(&self, tag: &Tag, expected: &Digest, found: Option<&Digest>) -> Unsettled {
        self.writes
            .unsettled(self.repo.name(), tag, expected, found, &self.polling)
    }

    /// Puts a wrong tag, unless the registry may only be late.
    async fn correct(
        &mut self,
        tag: &Tag,
        expected: &RawManifest,
        found: Option<&Digest>,
    ) -> Result<Unsettled, Error> {
        let wrong = self.unsettled(tag, &expected.digest, found);
        let is_half_over = self.polling.is_half_over();
        if self
            .writes
            .calls_for(tag, &expected.digest, found, is_half_over)
        {
            self.repo.put(tag, expected).await?;
            self.writes.record(tag, &expected.digest);
        }
        Ok(wrong)
    }

    /// The error for a tag that is still wrong at the deadline.
    fn give_up(&self, round: Round) -> Error {
        match round {
            Round::Wrong(wrong) => Error::Unsettled(wrong),
            Round::Unlisted(tag) => self.repo.incomplete(&tag).into(),
            Round::Right(_) => Error::Vanished(self.repo.name().tag(self.out.full())),
        }
    }
}

/// Moves the moving tags that point to `raw` to the digest that the version's own tag points to.
async fn yield_to(
    repo: &Repo,
    out: &FanOut,
    raw: &RawManifest,
    theirs: &Digest,
    named: &BTreeMap<Tag, Digest>,
) -> Result<Error, Error> {
    let full = out.full();
    if let Some(found) = repo.manifest(theirs).await? {
        for planned in out
            .tags
            .iter()
            .filter(|planned| named.get(&planned.tag) == Some(&raw.digest))
        {
            repo.put(&planned.tag, &found).await?;
        }
    }
    Ok(Error::Overtaken {
        repository: repo.name().clone(),
        tag: full.clone(),
        found: theirs.clone(),
    })
}

async fn holder(repo: &Repo, tag: &Tag) -> Result<Option<RawManifest>, Error> {
    let found = repo.manifest(tag).await?;
    if found.is_none() {
        let reference = repo.name().tag(tag);
        tracing::debug!(%reference, "the tag is listed, but its manifest does not exist");
    }
    Ok(found)
}
