//! The entries of `index.json`, by repository: the manifests and the tags that point to them. The
//! module is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::oci::layout::REF_NAME;
use crate::oci::media;
use crate::reference::{Digest, RepositoryPath, Tag, Target};

/// The annotation of `index.json` that lists repositories without manifests. Clients can still list
/// the tags of a repository whose last manifest was deleted.
const EMPTY: &str = "dev.golden.serve.empty";

/// A manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ManifestEntry {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    /// The size of the manifest in bytes.
    pub(super) size: u64,
    /// The JSON members of the entry in `index.json`, as text, since each change writes the whole
    /// file.
    members: String,
    /// The JSON members of the annotations, without the name.
    annotations: String,
}

impl ManifestEntry {
    pub(super) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        let line = Map::from_iter([
            ("mediaType".to_owned(), json!(media_type)),
            ("digest".to_owned(), json!(digest)),
            ("size".to_owned(), json!(size)),
        ]);
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            members: members(&line),
            annotations: String::new(),
        }
    }

    /// Parses an entry of `index.json`. Returns `None` if it lacks a required member.
    fn parse(line: &Value) -> Option<Self> {
        let mut line = line.as_object()?.clone();
        let annotations = line.remove("annotations").and_then(|mut annotations| {
            annotations.as_object_mut()?.remove(REF_NAME);
            annotations.as_object().map(members)
        });
        Some(Self {
            media_type: line.get("mediaType")?.as_str()?.to_owned(),
            digest: line.get("digest")?.as_str()?.parse().ok()?,
            size: line.get("size")?.as_u64()?,
            members: members(&line),
            annotations: annotations.unwrap_or_default(),
        })
    }

    /// Writes the entry. A name contains no character that JSON must escape.
    fn write(&self, text: &mut String, name: std::fmt::Arguments<'_>) {
        let Self {
            members,
            annotations,
            ..
        } = self;
        let comma = if annotations.is_empty() { "" } else { "," };
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "{{{members},\"annotations\":{{\"{REF_NAME}\":\"{name}\"{comma}{annotations}}}}}"
        );
    }
}

/// The members of a JSON object as text, without the braces.
fn members(object: &Map<String, Value>) -> String {
    let text = serde_json::to_string(object)
        .unwrap_or_else(|error| unreachable!("a JSON object can be serialised: {error}"));
    text[1..text.len() - 1].to_owned()
}

/// The manifests of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RepositoryContents {
    pub(super) tags: BTreeMap<Tag, ManifestEntry>,
    /// The manifests that no tag points to.
    untagged: BTreeMap<Digest, ManifestEntry>,
}

impl RepositoryContents {
    /// The manifest with a tag or a digest.
    pub(super) fn find(&self, target: &Target) -> Option<&ManifestEntry> {
        match target {
            Target::Tag(tag) => self.tags.get(tag),
            Target::Digest(digest) => self.entries().find(|entry| entry.digest == *digest),
        }
    }

    /// All entries; a digest with several tags occurs several times.
    pub(super) fn entries(&self) -> impl Iterator<Item = &ManifestEntry> {
        self.untagged.values().chain(self.tags.values())
    }

    fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.untagged.is_empty()
    }

    /// Stores a manifest as untagged if no tag points to it.
    fn keep_untagged(&mut self, lost: ManifestEntry) {
        if !self.tags.values().any(|entry| entry.digest == lost.digest) {
            self.untagged.insert(lost.digest.clone(), lost);
        }
    }
}

/// The content of `index.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StoreIndex {
    /// Shared between copies of the index, so that a change copies only one repository.
    repositories: BTreeMap<RepositoryPath, Arc<RepositoryContents>>,
    /// Repositories whose last manifest was deleted.
    empty: BTreeSet<RepositoryPath>,
    /// Entries without a repository, which are kept unchanged.
    others: Vec<Value>,
    /// The other annotations of `index.json`.
    annotations: Map<String, Value>,
}

impl StoreIndex {
    /// Parses `index.json`. Fails if it is not JSON or has no `manifests`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let lines = document["manifests"]
            .as_array()
            .ok_or("it has no list `manifests`")?;
        let mut index = Self::default();
        for line in lines {
            if index.insert_line(line).is_none() {
                index.others.push(line.clone());
            }
        }
        if let Some(annotations) = document["annotations"].as_object() {
            index.annotations.clone_from(annotations);
            let empty = index.annotations.remove(EMPTY);
            let names = empty.as_ref().and_then(Value::as_str).unwrap_or_default();
            index.empty = names
                .split(' ')
                .filter_map(|name| name.parse().ok())
                .collect();
        }
        Ok(index)
    }

    fn insert_line(&mut self, line: &Value) -> Option<()> {
        let name = line["annotations"][REF_NAME].as_str()?;
        let entry = ManifestEntry::parse(line)?;
        if let Some((repository, digest)) = name.split_once('@') {
            let (repository, _): (RepositoryPath, Digest) =
                (repository.parse().ok()?, digest.parse().ok()?);
            self.contents(&repository).keep_untagged(entry);
        } else {
            let (repository, tag) = name.rsplit_once(':')?;
            let (repository, tag): (RepositoryPath, Tag) =
                (repository.parse().ok()?, tag.parse().ok()?);
            self.contents(&repository).tags.insert(tag, entry);
        }
        Some(())
    }

    /// Writes `index.json`; the same entries always give the same bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut lines = JsonList(format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{}\",\"manifests\":[",
            media::OCI_INDEX
        ));
        for line in &self.others {
            lines.next().push_str(&line.to_string());
        }
        for (repository, contents) in &self.repositories {
            for (tag, entry) in &contents.tags {
                entry.write(lines.next(), format_args!("{repository}:{tag}"));
            }
            for (digest, entry) in &contents.untagged {
                entry.write(lines.next(), format_args!("{repository}@{digest}"));
            }
        }
        let JsonList(mut text) = lines;
        text.push(']');
        let mut annotations = self.annotations.clone();
        if !self.empty.is_empty() {
            let names: Vec<&str> = self.empty.iter().map(RepositoryPath::as_str).collect();
            annotations.insert(EMPTY.to_owned(), json!(names.join(" ")));
        }
        if !annotations.is_empty() {
            // Writing into a String cannot fail.
            let _ = write!(text, ",\"annotations\":{}", Value::Object(annotations));
        }
        text.push('}');
        text.into_bytes()
    }

    /// The manifests of a repository; `None` if it has none.
    pub(super) fn repository(&self, path: &RepositoryPath) -> Option<&RepositoryContents> {
        self.repositories.get(path).map(Arc::as_ref)
    }

    /// True if the repository exists, with or without manifests.
    pub(super) fn knows(&self, path: &RepositoryPath) -> bool {
        self.repositories.contains_key(path) || self.empty.contains(path)
    }

    /// The names of all repositories, sorted.
    pub(super) fn names(&self) -> BTreeSet<&RepositoryPath> {
        self.repositories.keys().chain(&self.empty).collect()
    }

    /// The digests of all entries, including those without a repository.
    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        let others = self
            .others
            .iter()
            .filter_map(|line| line["digest"].as_str()?.parse().ok());
        self.repositories
            .values()
            .flat_map(|contents| contents.entries())
            .map(|entry| entry.digest.clone())
            .chain(others)
    }

    /// All repositories with their manifests.
    pub(super) fn repositories(
        &self,
    ) -> impl Iterator<Item = (&RepositoryPath, &RepositoryContents)> {
        self.repositories
            .iter()
            .map(|(path, contents)| (path, contents.as_ref()))
    }

    /// Adds a manifest with these tags, or with its digest only. A manifest that loses its last tag
    /// stays as untagged.
    pub(super) fn put(&mut self, path: &RepositoryPath, entry: &ManifestEntry, tags: &[Tag]) {
        let contents = self.contents(path);
        for tag in tags {
            if let Some(lost) = contents.tags.insert(tag.clone(), entry.clone()) {
                contents.keep_untagged(lost);
            }
        }
        contents.untagged.remove(&entry.digest);
        contents.keep_untagged(entry.clone());
    }

    /// Removes a tag, or all entries of a digest. Returns true if something was removed.
    pub(super) fn remove(&mut self, path: &RepositoryPath, target: &Target) -> bool {
        let Some(contents) = self.repositories.get_mut(path).map(Arc::make_mut) else {
            return false;
        };
        let removed = match target {
            Target::Tag(tag) => match contents.tags.remove(tag) {
                Some(lost) => {
                    contents.keep_untagged(lost);
                    true
                }
                None => false,
            },
            Target::Digest(digest) => {
                let before = contents.tags.len();
                contents.tags.retain(|_, entry| entry.digest != *digest);
                contents.untagged.remove(digest).is_some() || contents.tags.len() < before
            }
        };
        if contents.is_empty() {
            self.repositories.remove(path);
            self.empty.insert(path.clone());
        }
        removed
    }

    fn contents(&mut self, path: &RepositoryPath) -> &mut RepositoryContents {
        self.empty.remove(path);
        Arc::make_mut(self.repositories.entry(path.clone()).or_default())
    }
}

/// A JSON list that is being written.
struct JsonList(String);

impl JsonList {
    /// Adds a comma if needed, and returns the text for the next item.
    fn next(&mut self) -> &mut String {
        if !self.0.ends_with('[') {
            self.0.push(',');
        }
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepositoryPath {
        text.parse().unwrap()
    }

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    fn entry(content: &str) -> ManifestEntry {
        ManifestEntry::new(
            media::OCI_MANIFEST,
            Digest::of(content.as_bytes()),
            content.len() as u64,
        )
    }

    fn tags(index: &StoreIndex, name: &str) -> Vec<String> {
        let contents = index.repository(&path(name));
        contents
            .map(|contents| contents.tags.keys().map(ToString::to_string).collect())
            .unwrap_or_default()
    }

    #[test]
    fn a_manifest_without_tags_stays() {
        let (one, two) = (entry("one"), entry("two"));
        let mut index = StoreIndex::default();
        index.put(&path("app"), &one, &[tag("1"), tag("latest")]);
        index.put(&path("app"), &two, &[tag("latest")]);
        assert_eq!(tags(&index, "app"), ["1", "latest"]);
        index.put(&path("app"), &two, &[tag("1")]);
        let found = index
            .repository(&path("app"))
            .unwrap()
            .find(&Target::Digest(one.digest.clone()));
        assert_eq!(found, Some(&one));
        assert!(index.remove(&path("app"), &Target::Tag(tag("1"))));
        assert!(!index.remove(&path("app"), &Target::Tag(tag("1"))));
        assert_eq!(tags(&index, "app"), ["latest"]);
    }

    #[test]
    fn deleting_a_digest_removes_all_of_its_tags() {
        let (one, two) = (entry("one"), entry("two"));
        let mut index = StoreIndex::default();
        index.put(&path("app"), &one, &[tag("1"), tag("1.0")]);
        index.put(&path("app"), &two, &[tag("2")]);
        assert!(index.remove(&path("app"), &Target::Digest(one.digest.clone())));
        assert_eq!(tags(&index, "app"), ["2"]);
        assert!(index.remove(&path("app"), &Target::Digest(two.digest)));
        assert!(index.knows(&path("app")) && index.repository(&path("app")).is_none());
        assert!(!index.knows(&path("other")));
        let names: Vec<String> = index.names().into_iter().map(ToString::to_string).collect();
        assert_eq!(names, ["app"]);
    }

    #[test]
    fn an_index_is_read_back_unchanged() {
        let mut index = StoreIndex::default();
        index.put(&path("team/app"), &entry("one"), &[tag("1")]);
        index.put(&path("team/app"), &entry("two"), &[]);
        index.put(&path("gone"), &entry("three"), &[]);
        index.remove(&path("gone"), &Target::Digest(entry("three").digest));
        let bytes = index.to_bytes();
        let read = StoreIndex::parse(&bytes).unwrap();
        assert_eq!(read.to_bytes(), bytes);
        assert!(read.knows(&path("gone")));
        assert_eq!(tags(&read, "team/app"), ["1"]);
        let two = Target::Digest(entry("two").digest);
        assert!(
            read.repository(&path("team/app"))
                .unwrap()
                .find(&two)
                .is_some()
        );
    }

    #[test]
    fn entries_of_other_programs_are_kept() {
        let line = json!({ "mediaType": media::OCI_MANIFEST, "digest": Digest::of(b"x"), "size": 1, "annotations": { REF_NAME: "latest" } });
        let named = json!({ "mediaType": media::OCI_MANIFEST, "digest": Digest::of(b"y"), "size": 1, "platform": { "os": "linux", "architecture": "amd64" }, "annotations": { REF_NAME: "app:1", "other": "kept" } });
        let text = json!({ "schemaVersion": 2, "manifests": [line, named] }).to_string();
        let index = StoreIndex::parse(text.as_bytes()).unwrap();
        assert_eq!(tags(&index, "app"), ["1"]);
        let written: Value = serde_json::from_slice(&index.to_bytes()).unwrap();
        assert_eq!(written["manifests"], json!([line, named]));
        assert_eq!(index.digests().count(), 2);
    }
}
