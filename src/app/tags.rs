//! Decides about the tags of a version, without a workspace.

use std::path::{Path, PathBuf};

use semver::Version;

use super::error::Error;
use crate::reference::{Reference, Tag};
use crate::tags::{self, Move, PublishedContent, TagList, TagRules, Variant};

/// The request to decide about the tags of a version.
#[derive(Debug)]
pub struct TagsRequest {
    /// The version; it may start with `v`.
    pub version: String,
    /// The suffix of the tags; no suffix if empty.
    pub variant: String,
    /// The file with the existing tags, or `-` for standard input.
    pub existing: Option<PathBuf>,
    /// True if the version may exist already.
    pub republish: bool,
    /// The rules for the tags.
    pub rules: TagRules,
}

/// The tags of a version.
#[derive(Debug)]
pub struct DecidedTags {
    /// The version that the tags belong to.
    pub version: Version,
    /// The decision about each tag.
    pub moves: Vec<Move>,
    /// The next version that is free.
    pub next: Version,
}

/// Decides about the tags of a version. Fails if the version, the variant or an extra tag is
/// invalid, or if the existing tags cannot be read.
pub async fn decide(request: TagsRequest, cwd: &Path) -> Result<DecidedTags, Error> {
    let version = tags::version_argument(&request.version).map_err(|error| {
        let text = request.version.as_str();
        let invalid = Error::invalid(error);
        let digits = text.strip_prefix('v').unwrap_or(text);
        let is_name = text.starts_with(|c: char| c.is_ascii_lowercase())
            && !digits.starts_with(|c: char| c.is_ascii_digit());
        if is_name && text.parse::<Reference>().is_ok() {
            invalid.hint(format!("`golden ls {text}` lists the tags of an image"))
        } else {
            invalid
        }
    })?;
    let variant: Option<Variant> = match request.variant.as_str() {
        "" => None,
        text => Some(text.parse().map_err(Error::invalid)?),
    };
    let existing = existing_tags(request.existing.as_deref(), cwd).await?;
    let existing = TagList::new(&existing, variant.as_ref(), &[]);
    let variants = existing.variants();
    for extra in &request.rules.extra {
        let names = variants.iter().map(Variant::as_str);
        tags::check_extra(extra, variant.as_ref(), names).map_err(Error::invalid)?;
    }
    let out = tags::fan_out(&version, variant.as_ref(), &request.rules)?;
    let content = if request.republish {
        PublishedContent::Same
    } else {
        PublishedContent::Different
    };
    Ok(DecidedTags {
        moves: tags::decide(&out, &existing, &request.rules, content),
        next: tags::next_free(&version, [&existing], &[]),
        version: out.version,
    })
}

/// Reads the tags of `--existing`. Lines that are not valid tags are ignored. Fails if the file
/// cannot be read or is not UTF-8.
async fn existing_tags(path: Option<&Path>, cwd: &Path) -> Result<Vec<Tag>, Error> {
    use std::io::Read as _;
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).map(drop)
    } else {
        tokio::fs::read(cwd.join(path))
            .await
            .map(|read| bytes = read)
    };
    let name = if path == Path::new("-") {
        "standard input".into()
    } else {
        path.to_string_lossy()
    };
    let failed = |reason: &dyn std::fmt::Display| {
        Error::invalid(format!(
            "cannot read the tags of --existing from {name}: {reason}"
        ))
    };
    read.map_err(|error| failed(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8"))?;
    Ok(text
        .trim_start_matches('\u{feff}')
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect())
}
