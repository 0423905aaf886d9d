//! Tests of files.

use std::collections::BTreeMap;

use memchr::memmem;

use super::paths::{FoundPath, LastLink, find};
use super::verdict::Mismatch;
use super::{ImageFacts, LARGEST_CONTENT};
use crate::config_files::byte_size::ByteSize;
use crate::config_files::values::OwnerSpec;
use crate::inventory::{ImageFiles, LayerFileKind};
use crate::reference::Digest;
use crate::resolve::image_test::{FileExpectation, FileProperties};

/// The files with the names of users and groups.
const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// The content of a regular file: its digest and its size.
fn content(found: Option<FoundPath<'_>>) -> Option<(Digest, u64)> {
    match found? {
        FoundPath::Entry(file) => match &file.kind {
            LayerFileKind::File { size, digest } => Some((digest.clone()?, *size)),
            _ => None,
        },
        FoundPath::ImpliedDirectory => None,
    }
}

/// The content of a file at a path, if a layer has it.
pub(super) fn content_at(files: &ImageFiles, path: &str) -> Option<(Digest, u64)> {
    content(find(files, path, LastLink::Follow))
}

/// The contents that the assertions need.
pub(super) fn needed(
    files: &ImageFiles,
    path: &str,
    expected: &FileExpectation,
) -> BTreeMap<Digest, u64> {
    let FileExpectation::Present(properties) = expected else {
        return BTreeMap::new();
    };
    let own = properties.need_content().then_some(path);
    let is_named = |owner: &OwnerSpec| {
        let number = |name: &str| name.parse::<u64>().is_ok();
        !number(&owner.user) || owner.group.as_deref().is_some_and(|group| !number(group))
    };
    let has_names = properties.owner.as_ref().is_some_and(is_named);
    let names = has_names.then_some([PASSWD, GROUP]).into_iter().flatten();
    let paths = own.into_iter().chain(names);
    paths.filter_map(|path| content_at(files, path)).collect()
}

/// The assertions about a path that do not hold.
pub(super) fn mismatches(
    path: &str,
    expected: &FileExpectation,
    facts: &ImageFacts<'_>,
) -> Vec<Mismatch> {
    let own = find(facts.files, path, LastLink::Keep);
    let (properties, own) = match (expected, own) {
        (FileExpectation::Absent, None) => return Vec::new(),
        (FileExpectation::Absent, Some(found)) => {
            return vec![Mismatch::new("exists", "does not exist", described(found))];
        }
        (FileExpectation::Present(_), None) => {
            return vec![Mismatch::new("exists", "exists", "does not exist")];
        }
        (FileExpectation::Present(properties), Some(own)) => (properties, own),
    };
    let mut wrong = Vec::new();
    if let Some(kind) = properties.kind
        && own.kind() != kind.as_str()
    {
        wrong.push(Mismatch::new("type", kind.as_str(), described(own)));
    }
    if let Some(target) = &properties.link {
        match link_target(own) {
            Some(found) if found == target => {}
            Some(found) => wrong.push(Mismatch::new("link", target, found)),
            None => wrong.push(Mismatch::new("link", target, described(own))),
        }
    }
    let followed = if properties.are_of_the_link() {
        Some(own)
    } else {
        find(facts.files, path, LastLink::Follow)
    };
    match followed {
        Some(found) => attributes(found, properties, facts, &mut wrong),
        None if has_attributes(properties) => {
            let found = format!("{}, which does not exist", described(own));
            wrong.push(Mismatch::new("exists", "exists", found));
        }
        None => {}
    }
    let target = find(facts.files, path, LastLink::Follow);
    contents(target, properties, facts, &mut wrong);
    wrong
}

const fn has_attributes(properties: &FileProperties) -> bool {
    properties.mode.is_some() || properties.owner.is_some()
}

/// Compares mode and owner.
fn attributes(
    found: FoundPath<'_>,
    properties: &FileProperties,
    facts: &ImageFacts<'_>,
    wrong: &mut Vec<Mismatch>,
) {
    if let Some(mode) = properties.mode
        && mode != found.mode()
    {
        let text = |mode| format!("{mode:04o}");
        wrong.push(Mismatch::new("mode", text(mode), text(found.mode())));
    }
    let Some(owner) = &properties.owner else {
        return;
    };
    let (uid, gid) = found.owner();
    let user = id_of(&owner.user, PASSWD, facts);
    let group = owner.group.as_ref().map(|group| id_of(group, GROUP, facts));
    let is_same = user == Some(uid) && group.is_none_or(|group| group == Some(gid));
    if is_same {
        return;
    }
    let written = match &owner.group {
        Some(group) => format!("{}:{group}", owner.user),
        None => owner.user.clone(),
    };
    let unknown = match (user, group) {
        (None, _) => format!(" (the image has no user `{}`)", owner.user),
        (_, Some(None)) => " (the image does not have the group)".to_owned(),
        _ => String::new(),
    };
    wrong.push(Mismatch::new(
        "owner",
        written,
        format!("{uid}:{gid}{unknown}"),
    ));
}

/// The number of a user or a group; `None` if the image does not have the name.
fn id_of(name: &str, file: &str, facts: &ImageFacts<'_>) -> Option<u64> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let (digest, _) = content_at(facts.files, file)?;
    let text = String::from_utf8_lossy(facts.contents.get(&digest)?);
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_name = fields.next() == Some(name);
        fields.nth(1)?.parse().ok().filter(|_| is_name)
    })
}

/// Compares the content.
fn contents(
    found: Option<FoundPath<'_>>,
    properties: &FileProperties,
    facts: &ImageFacts<'_>,
    wrong: &mut Vec<Mismatch>,
) {
    let digest = content(found);
    if let Some(expected) = &properties.sha256 {
        match &digest {
            Some((digest, _)) if digest.hex() == expected => {}
            Some((digest, _)) => wrong.push(Mismatch::new("sha256", expected, digest.hex())),
            None => wrong.push(Mismatch::new("sha256", expected, no_content(found))),
        }
    }
    if !properties.need_content() {
        return;
    }
    let bytes = digest
        .as_ref()
        .and_then(|(digest, _)| facts.contents.get(digest));
    let shown = || match (bytes, &digest) {
        (Some(bytes), _) => excerpt(bytes),
        (None, Some((_, size))) => {
            let (size, limit) = (ByteSize(*size).exact(), ByteSize(LARGEST_CONTENT).exact());
            format!("a file of {size}; golden reads files of at most {limit}")
        }
        (None, None) => no_content(found),
    };
    if let Some(text) = &properties.contains {
        let holds = bytes.is_some_and(|bytes| has(bytes, text.as_bytes()));
        if !holds {
            wrong.push(Mismatch::new("contains", text, shown()));
        }
    }
    if let Some(pattern) = &properties.matches {
        let holds = bytes.is_some_and(|bytes| pattern.is_match(bytes));
        if !holds {
            wrong.push(Mismatch::new("matches", pattern.to_string(), shown()));
        }
    }
}

/// True if the bytes contain a text.
pub(super) fn has(bytes: &[u8], text: &[u8]) -> bool {
    memmem::find(bytes, text).is_some()
}

/// The start of a content, on one line.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]);
    let rest = match bytes.len().checked_sub(LONGEST) {
        None | Some(0) => String::new(),
        Some(rest) => format!("… and {rest} more bytes"),
    };
    format!("{text:?}{rest}")
}

fn no_content(found: Option<FoundPath<'_>>) -> String {
    match found {
        Some(found) => format!("{}, which has no content", described(found)),
        None => "a link to a path that does not exist".to_owned(),
    }
}

fn link_target(found: FoundPath<'_>) -> Option<&str> {
    match found {
        FoundPath::Entry(file) => match &file.kind {
            LayerFileKind::Symlink { target } => Some(target),
            _ => None,
        },
        FoundPath::ImpliedDirectory => None,
    }
}

/// The type of a path; for a link also its target.
fn described(found: FoundPath<'_>) -> String {
    match link_target(found) {
        Some(target) => format!("link to {target}"),
        None => found.kind().to_owned(),
    }
}
