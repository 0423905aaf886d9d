//! The entries of `index.json`, by repository: which manifests exist, and which tags point to them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::oci::layout::REF_NAME;
use crate::oci::media;
use crate::reference::{Digest, RepositoryPath, Tag, Target};

/// The annotation of `index.json` that lists repositories whose last manifest was deleted: clients may still list
/// their tags.
const EMPTY: &str = "dev.golden.serve.empty";

/// A manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ManifestEntry {
    /// Its media type.
    pub(super) media_type: String,
    /// Its digest.
    pub(super) digest: Digest,
    /// Its length in bytes.
    pub(super) size: u64,
    /// The members of its line in `index.json`, as text: the whole file is written for each change.
    members: String,
    /// The members of its annotations, without its name.
    annotations: String,
}

impl ManifestEntry {
    /// The entry of a manifest.
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

    /// Reads a line. `None` if it is not an entry that can be served.
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

    /// Writes the line. A name has no character that JSON escapes.
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

/// The members of an object, without its braces.
fn members(object: &Map<String, Value>) -> String {
    let text = serde_json::to_string(object)
        .unwrap_or_else(|error| unreachable!("a map of JSON values is JSON: {error}"));
    text[1..text.len() - 1].to_owned()
}

/// The manifests of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RepositoryContents {
    /// By tag.
    pub(super) tags: BTreeMap<Tag, ManifestEntry>,
    /// Those that no tag points to.
    untagged: BTreeMap<Digest, ManifestEntry>,
}

impl RepositoryContents {
    /// The manifest that a tag or a digest names.
    pub(super) fn find(&self, target: &Target) -> Option<&ManifestEntry> {
        match target {
            Target::Tag(tag) => self.tags.get(tag),
            Target::Digest(digest) => self.entries().find(|entry| entry.digest == *digest),
        }
    }

    /// Every entry; a digest with several tags comes several times.
    pub(super) fn entries(&self) -> impl Iterator<Item = &ManifestEntry> {
        self.untagged.values().chain(self.tags.values())
    }

    fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.untagged.is_empty()
    }

    /// Keeps a manifest that has just lost a tag, if that was its last one.
    fn keep(&mut self, lost: ManifestEntry) {
        if !self.tags.values().any(|entry| entry.digest == lost.digest) {
            self.untagged.insert(lost.digest.clone(), lost);
        }
    }
}

/// The whole of `index.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StoreIndex {
    /// Shared with the copy that a change is made to: only the repository that changes is copied.
    repositories: BTreeMap<RepositoryPath, Arc<RepositoryContents>>,
    /// Repositories that had manifests.
    empty: BTreeSet<RepositoryPath>,
    /// Lines that name no repository. They are kept as they are.
    others: Vec<Value>,
    /// The other annotations of the file.
    annotations: Map<String, Value>,
}

impl StoreIndex {
    /// Reads `index.json`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let lines = document["manifests"]
            .as_array()
            .ok_or("it lists no manifests")?;
        let mut index = Self::default();
        for line in lines {
            if index.enter(line).is_none() {
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

    fn enter(&mut self, line: &Value) -> Option<()> {
        let name = line["annotations"][REF_NAME].as_str()?;
        let entry = ManifestEntry::parse(line)?;
        if let Some((repository, digest)) = name.split_once('@') {
            let (repository, _): (RepositoryPath, Digest) =
                (repository.parse().ok()?, digest.parse().ok()?);
            self.contents(&repository).keep(entry);
        } else {
            let (repository, tag) = name.rsplit_once(':')?;
            let (repository, tag): (RepositoryPath, Tag) =
                (repository.parse().ok()?, tag.parse().ok()?);
            self.contents(&repository).tags.insert(tag, entry);
        }
        Some(())
    }

    /// Writes `index.json`, in one order for the same entries.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut lines = Lines(format!(
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
        let Lines(mut text) = lines;
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

    /// The manifests of a repository; `None` if it never had any.
    pub(super) fn repository(&self, path: &RepositoryPath) -> Option<&RepositoryContents> {
        self.repositories.get(path).map(Arc::as_ref)
    }

    /// Whether the repository exists, with or without manifests.
    pub(super) fn knows(&self, path: &RepositoryPath) -> bool {
        self.repositories.contains_key(path) || self.empty.contains(path)
    }

    /// The names of all repositories, sorted.
    pub(super) fn names(&self) -> BTreeSet<&RepositoryPath> {
        self.repositories.keys().chain(&self.empty).collect()
    }

    /// Every entry of every repository, and the digests of the lines that name none.
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

    /// Adds a manifest under these tags, or under its digest alone. A manifest that loses its last tag stays.
    pub(super) fn put(&mut self, path: &RepositoryPath, entry: &ManifestEntry, tags: &[Tag]) {
        let contents = self.contents(path);
        for tag in tags {
            if let Some(lost) = contents.tags.insert(tag.clone(), entry.clone()) {
                contents.keep(lost);
            }
        }
        contents.untagged.remove(&entry.digest);
        contents.keep(entry.clone());
    }

    /// Removes a tag, or every entry of a digest. Returns whether there was one.
    pub(super) fn remove(&mut self, path: &RepositoryPath, target: &Target) -> bool {
        let Some(contents) = self.repositories.get_mut(path).map(Arc::make_mut) else {
            return false;
        };
        let removed = match target {
            Target::Tag(tag) => match contents.tags.remove(tag) {
                Some(lost) => {
                    contents.keep(lost);
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

/// The list of manifests while it is written.
struct Lines(String);

impl Lines {
    /// Where the next line goes.
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
    fn a_manifest_that_loses_its_last_tag_stays() {
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
    fn what_is_written_is_read_again() {
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
    fn lines_of_other_programs_are_kept() {
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
