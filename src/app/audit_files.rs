//! Applies the policy to the images that Dockerfiles, Compose files and Kubernetes manifests name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, stream};

use super::base_lifecycle::{LifecycleProblem, LifecycleReader, severity};
use super::error::Error;
use super::registries;
use super::scope::CommandScope;
use super::settings::Settings;
use super::signatures::TrustedKeys;
use crate::config_files::policy::RuleLevel;
use crate::consumers::{ConsumerFormat, ImageUse, Replacement, images, replaced};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceMap};
use crate::glob::Glob;
use crate::image::children;
use crate::observe::Absent;
use crate::policy::{UsedBase, UsedBasePolicy};
use crate::reference::{Digest, Reference, Tag};
use crate::registry::Registries;
use crate::resolve::image::Base;
use crate::tags::{has_patch, newest_patch};
use crate::trust::PublicKey;
use crate::verify;
use crate::workspace::{Workspace, fs};

/// The number of images that are read concurrently.
const CONCURRENCY: usize = 12;
/// The largest file that is read, in bytes.
const MOST_BYTES: u64 = 4 << 20;
/// The number of newer patches that are tried until the policy accepts one.
const MOST_PATCHES: usize = 20;
/// The directories that are never searched.
const SKIPPED: [&str; 3] = [".git", ".golden", "node_modules"];
/// The rule about newer patches and digests.
const OUTDATED: &str = "base.outdated";
/// The rule about signatures.
const SIGNED_BY: &str = "base.signed_by";
/// The rule about digests.
const REQUIRE_DIGEST: &str = "base.require_digest";

/// The files to check, as globs relative to the current directory.
#[derive(Debug, Default)]
pub struct FileGlobs {
    /// The Dockerfiles.
    pub dockerfile: Vec<String>,
    /// The Compose files.
    pub compose: Vec<String>,
    /// The Kubernetes manifests.
    pub kubernetes: Vec<String>,
}

/// The result of checking files.
#[derive(Debug, Default)]
pub struct AuditedFiles {
    /// The findings that remain.
    pub found: Diagnostics,
    /// The texts of the files.
    pub sources: SourceMap,
    /// The number of files.
    pub files: usize,
    /// The number of images that they name.
    pub images: usize,
    /// The files that were corrected.
    pub fixed: Vec<PathBuf>,
    /// The files and images that cannot be read, one sentence each.
    pub problems: Vec<String>,
    /// The images whose names depend on an unknown build argument, one sentence each.
    pub unchecked: Vec<String>,
}

/// A file with the images that it names.
struct ConsumerFile {
    /// The path for messages.
    shown: PathBuf,
    path: PathBuf,
    text: String,
    uses: Vec<ImageUse>,
}

/// Checks the images that files name. With `fix`, corrects outdated tags and digests in place. Fails
/// if no file matches a glob. If a corrected file cannot be written, no file changes.
pub async fn audit_files(
    globs: &FileGlobs,
    fix: bool,
    workspace: &Workspace,
    scope: &CommandScope,
) -> Result<AuditedFiles, Error> {
    let CommandScope {
        settings,
        destinations,
        ..
    } = scope;
    let mut audited = AuditedFiles::default();
    let mut files = Vec::new();
    for (format, path) in find(globs, &settings.cwd, &mut audited.problems)? {
        match read(format, &path, &settings.cwd) {
            Ok(file) => files.push(file),
            Err(problem) => audited.problems.push(problem),
        }
    }
    let named: BTreeSet<&Reference> = files
        .iter()
        .flat_map(|file| &file.uses)
        .filter_map(|one| one.image.as_ref().ok())
        .collect();
    let registries = registries::open(settings, destinations, &[])?;
    let reader = BaseReader {
        registries: &registries,
        lifecycle: LifecycleReader::of(Some(workspace), &registries, settings.now)?,
        workspace,
        trusted: TrustedKeys::of(&workspace.root, &workspace.spec)?,
    };
    let states = stream::iter(named).map(|reference| async {
        let state = reader.read(reference).await;
        (reference.clone(), state)
    });
    let states: BTreeMap<Reference, Result<BaseState, String>> =
        states.buffered(CONCURRENCY).collect().await;
    for (reference, state) in &states {
        if let Err(problem) = state {
            audited
                .problems
                .push(format!("{reference} cannot be checked: {problem}"));
        }
    }
    audited.files = files.len();
    let policy = UsedBasePolicy::new(&workspace.spec.policy);
    let mut corrected = Vec::new();
    for file in &files {
        let text = check(file, &states, fix, &policy, settings, &mut audited);
        corrected.extend(text.map(|text| (file, text)));
    }
    let texts = corrected.iter().map(|(file, text)| (&*file.path, &**text));
    fs::replace_together(texts)?;
    let fixed = corrected.iter().map(|(file, _)| file.shown.clone());
    audited.fixed = fixed.collect();
    audited.found = audited.found.sorted();
    Ok(audited)
}

/// The files that match the globs, each once. Adds the directories that cannot be read to `problems`.
/// Fails if a glob matches no file.
fn find(
    globs: &FileGlobs,
    cwd: &Path,
    problems: &mut Vec<String>,
) -> Result<BTreeSet<(ConsumerFormat, PathBuf)>, Error> {
    let lists = [
        (ConsumerFormat::Dockerfile, &globs.dockerfile),
        (ConsumerFormat::Compose, &globs.compose),
        (ConsumerFormat::Kubernetes, &globs.kubernetes),
    ];
    let mut files = BTreeSet::new();
    for (format, texts) in lists {
        for text in texts {
            let mut unreadable = Vec::new();
            let found = matching(text, cwd, &mut unreadable)?;
            if found.is_empty() && unreadable.is_empty() {
                let message = format!("no file matches `{text}`");
                return Err(Error::invalid(message).hint(
                    "globs start from the current directory; `**` matches several directories",
                ));
            }
            unreadable.retain(|problem| !problems.contains(problem));
            problems.extend(unreadable);
            files.extend(found.into_iter().map(|path| (format, path)));
        }
    }
    Ok(files)
}

fn matching(text: &str, cwd: &Path, problems: &mut Vec<String>) -> Result<Vec<PathBuf>, Error> {
    let text = text.strip_prefix("./").unwrap_or(text);
    let glob = Glob::new(text).map_err(Error::invalid)?;
    let is_literal = |part: &&std::path::Component<'_>| {
        !part
            .as_os_str()
            .to_string_lossy()
            .contains(['*', '?', '[', '{'])
    };
    let start: PathBuf = Path::new(text)
        .components()
        .take_while(|part| is_literal(&part))
        .collect();
    let is_searched = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !entry.file_type().is_dir() || !SKIPPED.contains(&name.as_ref())
    };
    let entries = walkdir::WalkDir::new(cwd.join(start)).sort_by_file_name();
    let entries = entries.into_iter().filter_entry(is_searched);
    let mut files = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => files.push(entry.into_path()),
            // A path that does not exist matches no file.
            Err(error) if error.depth() == 0 && is_absent(&error) => {}
            Err(error) => problems.extend(unreadable(&error, cwd)),
        }
    }
    files.retain(|path| {
        glob.is_match(path) || path.strip_prefix(cwd).is_ok_and(|path| glob.is_match(path))
    });
    Ok(files)
}

fn is_absent(error: &walkdir::Error) -> bool {
    let kind = error.io_error().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::NotFound)
}

/// Describes a directory that cannot be read.
fn unreadable(error: &walkdir::Error, cwd: &Path) -> Option<String> {
    let path = error.path()?;
    let shown = path.strip_prefix(cwd).unwrap_or(path).display();
    Some(format!("{shown} cannot be read: {}", error.io_error()?))
}

fn read(format: ConsumerFormat, path: &Path, cwd: &Path) -> Result<ConsumerFile, String> {
    let shown = path.strip_prefix(cwd).unwrap_or(path).to_owned();
    let bytes = fs::read_up_to(path, MOST_BYTES).map_err(|error| error.to_string())?;
    let not_read = |problem: String| {
        format!(
            "{} is not a {format} that golden can read: {problem}",
            shown.display()
        )
    };
    let text = String::from_utf8(bytes).map_err(|_| not_read("it is not UTF-8".to_owned()))?;
    Ok(ConsumerFile {
        uses: images(format, &text).map_err(not_read)?,
        path: path.to_owned(),
        shown,
        text,
    })
}

/// The state of a base in its registry.
struct BaseState {
    /// The digest that a file should name: the one in golden.lock, or the digest of the tag in the
    /// registry. `None` if the reference has a digest and no tag.
    expected: Option<Digest>,
    /// The digests of the images in the index. A file may also name one of them.
    platforms: Vec<Digest>,
    /// A newer patch with its digest.
    newer: Option<(Tag, Digest)>,
    /// The reason why no trusted key signed it, as the end of a sentence such as "the base … is not
    /// signed".
    unsigned: Option<String>,
    /// The problems that the publisher announced.
    lifecycle: Vec<LifecycleProblem>,
}

struct BaseReader<'a> {
    registries: &'a Registries,
    lifecycle: LifecycleReader<'a>,
    workspace: &'a Workspace,
    trusted: TrustedKeys,
}

impl BaseReader<'_> {
    /// Reads the state of a base. Fails with a reason.
    async fn read(&self, reference: &Reference) -> Result<BaseState, String> {
        let repo = self.registries.repo(&reference.repository);
        let is_pinned = reference.digest.is_some();
        let by_tag = Reference {
            digest: None,
            ..reference.clone()
        };
        let top = if is_pinned && reference.tag.is_none() {
            None
        } else {
            let found = repo.manifest(by_tag.target()).await;
            match found.map_err(|error| error.to_string())? {
                Some(raw) => Some(raw),
                // The registry may still have the digest after its tag was deleted.
                None if is_pinned => None,
                None => return Err(Absent::find(&repo, &by_tag).await.reason()),
            }
        };
        let locked = self.workspace.lock.bases.get(&by_tag.to_string());
        let mut expected = match (locked, &top) {
            (Some(locked), _) => Some(locked.digest.clone()),
            (None, top) => top.as_ref().map(|raw| raw.digest.clone()),
        };
        let mut platforms: Vec<Digest> = top
            .iter()
            .flat_map(children)
            .map(|one| one.digest)
            .collect();
        platforms.extend(
            locked
                .into_iter()
                .flat_map(|one| one.platforms.values().cloned()),
        );
        // If the policy refuses the digest of the tag, the file keeps its own digest.
        if let (Some(own), Some(new)) = (&reference.digest, &expected)
            && own != new
            && !platforms.contains(own)
            && !self.is_accepted(reference, new).await?
        {
            expected = Some(own.clone());
        }
        let newer = self.newer(reference).await?;
        let signed = reference.digest.as_ref().or(expected.as_ref());
        let unsigned = match signed {
            Some(digest) => self.unsigned(reference, digest).await?,
            None => None,
        };
        let lifecycle = match signed {
            Some(digest) => self.lifecycle.problems(&reference.repository, digest).await,
            None => Vec::new(),
        };
        Ok(BaseState {
            expected,
            platforms,
            newer,
            unsigned,
            lifecycle,
        })
    }

    /// The newest patch that the policy accepts, with its digest. `None` if no accepted one is newer.
    async fn newer(&self, reference: &Reference) -> Result<Option<(Tag, Digest)>, String> {
        let Some(own) = reference.tag.as_ref().filter(|tag| has_patch(tag)) else {
            return Ok(None);
        };
        let repo = self.registries.repo(&reference.repository);
        let mut tags = repo.tags().await.map_err(|error| error.to_string())?;
        for _ in 0..MOST_PATCHES {
            let Some(tag) = newest_patch(own, &tags).cloned() else {
                break;
            };
            let found = repo.head(&tag).await.map_err(|error| error.to_string())?;
            if let Some(found) = found
                && self.is_accepted(reference, &found.digest).await?
            {
                return Ok(Some((tag, found.digest)));
            }
            tags.retain(|other| *other != tag);
        }
        Ok(None)
    }

    /// True if a correction may name an image: the image is signed as the policy requires, and no
    /// announcement about it is an error.
    async fn is_accepted(&self, reference: &Reference, digest: &Digest) -> Result<bool, String> {
        let level = self.workspace.spec.policy.severity.get(SIGNED_BY);
        let is_required = level.is_none_or(|level| *level == RuleLevel::Error);
        if is_required && self.unsigned(reference, digest).await?.is_some() {
            return Ok(false);
        }
        let problems = self.lifecycle.problems(&reference.repository, digest).await;
        let is_error = |problem: &LifecycleProblem| problem.level == RuleLevel::Error;
        Ok(!problems.iter().any(is_error))
    }

    /// The reason why no key that the policy names signed an image, as the end of a sentence about
    /// the image. Programs of `[[trust]]` are not run, so an image that they may verify is
    /// accepted.
    async fn unsigned(
        &self,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<Option<String>, String> {
        let signers = &self.workspace.spec.policy.base.signed_by;
        let repository = &reference.repository;
        let mut keys = self.trusted.for_repository(repository);
        keys.retain(|key| signers.contains(&key.name));
        let mut programs = self.trusted.programs(repository);
        let has_program = programs.any(|one| signers.contains(&one.name));
        if signers.is_empty() || (has_program && keys.is_empty()) {
            return Ok(None);
        }
        if keys.is_empty() {
            let names = signers.join(", ");
            return Ok(Some(format!(
                "cannot be verified: no [[trust]] table of {names} has a glob for {repository}"
            )));
        }
        let keys: Vec<PublicKey> = keys.into_iter().map(|key| key.key).collect();
        let repo = self.registries.repo(repository);
        let verdict = verify::signature(&repo, digest, &keys).await;
        let verdict = verdict.map_err(|error| error.to_string())?;
        let refused = verdict.err().filter(|_| !has_program);
        Ok(refused.map(|reason| format!("at {digest} {reason}")))
    }
}

impl BaseState {
    /// The reason why a reference is outdated, with the next step; `None` if it is not.
    fn outdated(&self, reference: &Reference) -> Option<(String, String)> {
        let named = Reference {
            digest: None,
            ..reference.clone()
        };
        if let Some((tag, digest)) = &self.newer {
            let new = reference.repository.tag(tag);
            let pin = reference.digest.as_ref().map(|_| format!("@{digest}"));
            let message = format!("the base `{named}` is outdated: {tag} is the newest patch");
            return Some((message, format!("write {new}{}", pin.unwrap_or_default())));
        }
        let (digest, expected) = (reference.digest.as_ref()?, self.expected.as_ref()?);
        if digest == expected || self.platforms.contains(digest) {
            return None;
        }
        let message = format!(
            "the base `{named}` is outdated: its digest is {} now",
            expected.short()
        );
        Some((message, format!("write {named}@{expected}")))
    }

    /// The tag and digest that a file should name.
    fn current(&self, reference: &Reference, with_digest: bool) -> (Option<Tag>, Option<Digest>) {
        let (tag, digest) = match &self.newer {
            Some((tag, digest)) => (Some(tag.clone()), Some(digest.clone())),
            None => (reference.tag.clone(), self.expected.clone()),
        };
        let needs_digest = with_digest || reference.digest.is_some();
        (tag, digest.filter(|_| needs_digest))
    }
}

/// Checks the images of a file. Returns the corrected text if corrections are requested and there
/// are any.
fn check(
    file: &ConsumerFile,
    states: &BTreeMap<Reference, Result<BaseState, String>>,
    fix: bool,
    policy: &UsedBasePolicy<'_>,
    settings: &Settings,
    audited: &mut AuditedFiles,
) -> Option<String> {
    audited.sources.insert(&file.shown, file.text.as_str());
    let mut replacements = Vec::new();
    for one in &file.uses {
        audited.images += 1;
        let reference = match &one.image {
            Ok(reference) => reference,
            Err(reason) => {
                let line = audited.sources.position(&file.shown, one.position.start);
                let line = line.map_or(0, |position| position.line);
                let file = file.shown.display();
                let text = format!("{file}:{line}: the image cannot be checked: {reason}");
                settings.events.warn(None, text.as_str());
                audited.unchecked.push(text);
                continue;
            }
        };
        let state = states.get(reference).and_then(|state| state.as_ref().ok());
        let mut found = findings(reference, state, &file.shown, policy, settings.now);
        if let Some(state) = state.filter(|_| fix) {
            let is_fixable = |one: &Diagnostic| [OUTDATED, REQUIRE_DIGEST].contains(&&*one.rule);
            let requires_digest = found.iter().any(|one| one.rule == REQUIRE_DIGEST);
            let (tag, digest) = state.current(reference, requires_digest);
            let is_fixed = found.iter().any(is_fixable)
                && (tag != reference.tag || digest != reference.digest);
            if let Some(old) = one.editable.clone().filter(|_| is_fixed) {
                replacements.push(Replacement { old, tag, digest });
                found.retain(|one| !is_fixable(one));
            }
        }
        for finding in found {
            let finding = finding.at(&file.shown, one.position.clone(), "");
            audited.found.push(finding);
        }
    }
    (!replacements.is_empty()).then(|| replaced(&file.text, replacements))
}

fn findings(
    reference: &Reference,
    state: Option<&BaseState>,
    file: &Path,
    policy: &UsedBasePolicy<'_>,
    now: i64,
) -> Vec<Diagnostic> {
    let base = Base::Reference(reference.clone());
    let known_as = [file.display().to_string(), reference.repository.to_string()];
    let used = UsedBase {
        base: &base,
        known_as: &known_as,
        now,
    };
    let mut found: Vec<Diagnostic> = policy.check(&used).into_iter().collect();
    let Some(state) = state else {
        return found;
    };
    if let Some((message, help)) = state.outdated(reference) {
        found.extend(policy.finding(&used, OUTDATED, message, Some(help)));
    }
    if let Some(problem) = &state.unsigned {
        let message = format!("the base `{reference}` {problem}");
        found.extend(policy.finding(&used, SIGNED_BY, message, None));
    }
    for problem in &state.lifecycle {
        let message = format!("the base `{reference}` {}", problem.text);
        let help = problem.help.clone();
        let finding = policy.finding(&used, problem.rule, message, help);
        found.extend(finding.map(|mut finding| {
            finding.severity = severity(problem.level);
            finding
        }));
    }
    found
}
