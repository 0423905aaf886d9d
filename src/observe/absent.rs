//! The part of a reference that a registry does not have, with the names that it does have.

use std::fmt;

use crate::reference::{Reference, RepositoryPath, Tag};
use crate::registry::{Registry, Repo};
use crate::suggest::closest;

/// The maximum number of tags in a message.
const SHOWN_TAGS: usize = 8;

/// A reference that its registry does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    reference: Reference,
    missing: MissingPart,
}

/// The missing part of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
enum MissingPart {
    /// The repository. `similar` are repositories that exist, if the registry lists them; `answer` is
    /// the registry's answer to the request for its tags.
    Repository {
        similar: Vec<String>,
        answer: Option<String>,
    },
    /// The tag or the digest. `tags` exist.
    Image { tags: Vec<Tag> },
    /// The registry does not list the tags of the repository. If it answers 404, `answer` shows it.
    Unknown { answer: Option<String> },
}

impl Absent {
    /// Finds out which part of a reference is missing.
    pub async fn find(repo: &Repo, reference: &Reference) -> Self {
        let missing = match repo.list_tags().await {
            Ok(tags) => MissingPart::Image { tags },
            Err(error) if error.says_unknown() => {
                let similar = similar_repositories(repo.registry(), reference).await;
                let answer = error.answer();
                MissingPart::Repository { similar, answer }
            }
            Err(error) => MissingPart::Unknown {
                answer: error.answer().filter(|_| error.status == Some(404)),
            },
        };
        Self {
            reference: reference.clone(),
            missing,
        }
    }

    /// A reference whose repository does not exist.
    pub async fn repository(registry: &Registry, reference: &Reference) -> Self {
        let similar = similar_repositories(registry, reference).await;
        Self {
            reference: reference.clone(),
            missing: MissingPart::Repository {
                similar,
                answer: None,
            },
        }
    }

    /// The missing part, for a message that shows the reference already.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.missing {
            MissingPart::Repository {
                answer: Some(answer),
                ..
            }
            | MissingPart::Unknown {
                answer: Some(answer),
            } => format!("the registry answered {answer}"),
            MissingPart::Repository { .. } => "the registry has no such repository".to_owned(),
            MissingPart::Unknown { .. } => "the registry has no such image".to_owned(),
            MissingPart::Image { .. } => self.to_string(),
        }
    }

    /// Hints for the user, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let repository = &self.reference.repository;
        match &self.missing {
            MissingPart::Repository { similar, .. } if !similar.is_empty() => {
                vec![format!("did you mean {}?", similar.join(" or "))]
            }
            MissingPart::Repository { .. } => vec![format!(
                "`golden ls {}` lists the repositories",
                repository.host
            )],
            MissingPart::Image { tags } => {
                let wanted = self.reference.tag.as_ref().map(Tag::as_str);
                let near = wanted.and_then(|tag| closest(tag, tags.iter().map(Tag::as_str)));
                match near {
                    Some(near) => vec![format!("did you mean {repository}:{near}?")],
                    None if tags.len() > SHOWN_TAGS => {
                        vec![format!("`golden ls {repository}` lists its tags")]
                    }
                    None => Vec::new(),
                }
            }
            MissingPart::Unknown { .. } => Vec::new(),
        }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reference {
            repository,
            tag,
            digest,
        } = &self.reference;
        let tags = match &self.missing {
            MissingPart::Repository { .. } => {
                return write!(f, "repository {repository} not found");
            }
            MissingPart::Unknown { .. } => return write!(f, "{} not found", self.reference),
            MissingPart::Image { tags } => tags,
        };
        write!(f, "{} on {} has no ", repository.path, repository.host)?;
        match (digest, tag) {
            (Some(digest), _) => write!(f, "image {digest}")?,
            (None, Some(tag)) => write!(f, "tag `{tag}`")?,
            (None, None) => f.write_str("tag `latest`")?,
        }
        if tags.is_empty() {
            return f.write_str("; it has no tags");
        }
        let shown: Vec<&str> = tags.iter().take(SHOWN_TAGS).map(Tag::as_str).collect();
        write!(f, "; it has: {}", shown.join(", "))?;
        match tags.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl std::error::Error for Absent {}

/// Up to three repositories with a similar name, each with the host.
async fn similar_repositories(registry: &Registry, reference: &Reference) -> Vec<String> {
    // Many registries do not list their repositories.
    let catalog = registry.catalog().await.unwrap_or_default();
    let catalog: Vec<&str> = catalog.iter().map(RepositoryPath::as_str).collect();
    let repository = &reference.repository;
    similar(repository.path.as_str(), &catalog)
        .into_iter()
        .map(|path| format!("{}/{path}", repository.host))
        .collect()
}

/// Up to three names similar to `path`: the one with the most similar spelling, and those that end
/// in the same or a similar word.
fn similar<'a>(path: &str, catalog: &[&'a str]) -> Vec<&'a str> {
    let last = |path: &'a str| path.rsplit('/').next().unwrap_or(path);
    let word = path.rsplit('/').next().unwrap_or(path);
    let mut similar: Vec<&str> = closest(path, catalog.iter().copied()).into_iter().collect();
    let same = catalog
        .iter()
        .copied()
        .filter(|other| last(other) == word || closest(word, [last(other)]).is_some());
    for other in same {
        if !similar.contains(&other) {
            similar.push(other);
        }
    }
    similar.truncate(3);
    similar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggested_repositories_have_a_similar_spelling_or_last_word() {
        let catalog = ["base/debian", "team/app", "team/api", "other/app"];
        let similar = |path: &str| similar(path, &catalog);
        assert_eq!(similar("team/apq"), ["team/app", "team/api", "other/app"]);
        assert_eq!(similar("app"), ["team/app", "team/api", "other/app"]);
        assert_eq!(similar("base/debina"), ["base/debian"]);
        assert!(similar("nothing/like/it").is_empty());
    }

    #[test]
    fn the_missing_part_is_reported_with_the_tags_that_exist() {
        let absent = |reference: &str, tags: &[&str]| Absent {
            reference: reference.parse().unwrap(),
            missing: MissingPart::Image {
                tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
            },
        };
        let digest = crate::reference::Digest::of(b"x");
        for (found, message) in [
            (
                absent("localhost:5000/base/debian", &["12", "12.8"]),
                "base/debian on localhost:5000 has no tag `latest`; it has: 12, 12.8".to_owned(),
            ),
            (
                absent("localhost:5000/a:2", &[]),
                "a on localhost:5000 has no tag `2`; it has no tags".to_owned(),
            ),
            (
                absent(
                    "localhost:5000/a:x",
                    &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"],
                ),
                "a on localhost:5000 has no tag `x`; it has: 1, 2, 3, 4, 5, 6, 7, 8 and 2 more"
                    .to_owned(),
            ),
            (
                absent(&format!("localhost:5000/a:1@{digest}"), &["1"]),
                format!("a on localhost:5000 has no image {digest}; it has: 1"),
            ),
        ] {
            assert_eq!(found.to_string(), message);
        }
        let near = absent("localhost:5000/a:1.2.4", &["1.2.3"]);
        assert_eq!(near.hints(), ["did you mean localhost:5000/a:1.2.3?"]);
    }
}
