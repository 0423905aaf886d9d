//! Revokes published images, and the images that are built on them.

mod descendants;
mod inherited;

use std::path::PathBuf;

use semver::Version;
use serde::Serialize;

use self::descendants::{DescendantPlan, RequestedImage};
use super::error::Error;
use super::located::manifest_of;
use super::scope::CommandScope;
use super::session::Session;
use super::signatures::TrustedKeys;
use crate::config_files::edit::Edit;
use crate::oci::RawManifest;
use crate::oci::lifecycle::{Announcement, LifecycleStatus};
use crate::publish;
use crate::reference::{Digest, Reference, Tag};
use crate::registry::Registries;
use crate::resolve::ResolvedImage;
use crate::signing::Signer;
use crate::tags::{suffixed, version};
use crate::workspace::fs;

/// The request to revoke or restore images.
#[derive(Debug)]
pub struct RevokeRequest {
    /// The images: references with a tag or a digest, or names of workspace images with a tag.
    pub references: Vec<String>,
    /// The status, with its reason and the replacement.
    pub announcement: Announcement,
    /// True if the images that are built on them are revoked too.
    pub descendants: bool,
    /// A file that lists the repositories to search for descendants.
    pub repositories: Option<PathBuf>,
    /// True if the specs of workspace images stay unchanged.
    pub no_edit: bool,
}

/// An image to revoke or to restore.
#[derive(Debug, Serialize)]
pub struct RevokedImage {
    /// The published version.
    pub reference: Reference,
    /// The digest of the index or of the image.
    pub digest: Digest,
    /// The tags of a descendant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The content of the announcement.
    #[serde(flatten)]
    pub announcement: Announcement,
    /// The number of manifests that got a new announcement.
    pub added: usize,
    #[serde(skip)]
    raw: RawManifest,
}

/// The edit of an image.toml.
#[derive(Debug, Serialize)]
pub struct RevocationEdit {
    /// The file, relative to the workspace.
    pub file: PathBuf,
    /// The edit as a unified diff.
    pub diff: String,
    #[serde(skip)]
    edit: Edit,
    /// The versions that the edit adds.
    #[serde(skip)]
    versions: Vec<Version>,
}

/// The handles and settings of the command.
#[derive(Debug, Clone, Copy)]
pub struct RevokeScope<'a> {
    /// The settings, and the workspace if there is one.
    pub command: &'a CommandScope,
    /// The workspace images, if one of them is named.
    pub session: Option<&'a Session>,
    /// The key to sign with.
    pub signer: Option<&'a Signer>,
}

/// The planned announcements and edits.
#[derive(Debug)]
pub struct PlannedRevocation {
    /// The images, each before its descendants.
    pub images: Vec<RevokedImage>,
    /// The edits of specs, one for each file.
    pub edits: Vec<RevocationEdit>,
    /// The status that the images get; a descendant of a restored image may remain revoked.
    pub status: LifecycleStatus,
    is_incomplete: bool,
    registries: Registries,
    trusted: TrustedKeys,
}

impl PlannedRevocation {
    /// Plans all announcements and edits. Fails if an image does not exist, or if a reference has
    /// neither a tag nor a digest.
    pub async fn plan(request: &RevokeRequest, scope: RevokeScope<'_>) -> Result<Self, Error> {
        let CommandScope {
            names, workspace, ..
        } = scope.command;
        let registries = scope.command.registries(&request.references)?;
        let trusted = match workspace {
            Some(workspace) => TrustedKeys::of(&workspace.root, &workspace.spec)?,
            None => TrustedKeys::default(),
        };
        let mut planned = Self {
            images: Vec::new(),
            edits: Vec::new(),
            status: request.announcement.status,
            is_incomplete: false,
            registries,
            trusted,
        };
        let mut named = Vec::new();
        for written in &request.references {
            for reference in names.references(written)? {
                named.push(planned.find(written, reference).await?);
            }
            if let Some(session) = scope.session.filter(|_| names.has(written)) {
                planned.edit(request, written, session)?;
            }
        }
        let plan = DescendantPlan {
            request,
            named: &named,
            scope,
        };
        for image in &named {
            planned.images.push(RevokedImage {
                reference: image.reference.clone(),
                digest: image.raw.digest.clone(),
                tags: Vec::new(),
                announcement: request.announcement.clone(),
                added: 0,
                raw: image.raw.clone(),
            });
            if request.descendants {
                planned.add_descendants(plan, image).await?;
            }
        }
        Ok(planned)
    }

    /// Finds an image that the user names.
    async fn find(&self, written: &str, reference: Reference) -> Result<RequestedImage, Error> {
        if reference.tag.is_none() && reference.digest.is_none() {
            let message = format!("`{written}` has neither a tag nor a digest");
            return Err(Error::invalid(message).hint(format!(
                "name one version: {written}:VERSION, or {written}@sha256:…"
            )));
        }
        let raw = manifest_of(&self.registries.repo(&reference.repository), &reference).await?;
        Ok(RequestedImage { reference, raw })
    }

    /// Adds the revoked version to the spec of its image. Fails if the spec revokes a version that is
    /// to be restored.
    fn edit(
        &mut self,
        request: &RevokeRequest,
        written: &str,
        session: &Session,
    ) -> Result<(), Error> {
        let reference: Reference = written.parse()?;
        let named = version_of(session, written, reference.tag.as_ref());
        let is_revocation = request.announcement.status == LifecycleStatus::Revoked;
        let Some((image, version)) = named else {
            if is_revocation {
                warn_of_restoration(session, written, "name its version");
            }
            return Ok(());
        };
        let file = &image.source;
        let is_revoked = image.lifecycle.revocation(&version).is_some();
        match (is_revocation, is_revoked, request.no_edit) {
            (false, true, false) => {
                let message = format!("{} revokes {version}", file.display());
                Err(Error::invalid(message).hint(
                    "remove the version from [[lifecycle.revoked]], then run `golden lifecycle apply`",
                ))
            }
            (true, false, false) => self.revoke(file, &version, request, session),
            (true, false, true) => {
                warn_of_restoration(session, written, "omit --no-edit");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Adds a version to the edit of a file.
    fn revoke(
        &mut self,
        file: &PathBuf,
        version: &Version,
        request: &RevokeRequest,
        session: &Session,
    ) -> Result<(), Error> {
        let earlier = self.edits.iter().position(|edit| edit.file == *file);
        let earlier = earlier.map(|position| self.edits.remove(position));
        let (before, text, mut versions) = match earlier {
            Some(earlier) if earlier.versions.contains(version) => {
                self.edits.push(earlier);
                return Ok(());
            }
            Some(RevocationEdit { edit, versions, .. }) => (edit.before, edit.after, versions),
            None => {
                let bytes = fs::read(&session.workspace.root.join(file))?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (text.clone(), text, Vec::new())
            }
        };
        let edit = Edit::revoke(&text, version, &request.announcement);
        let edit = edit.map_err(|error| Error::invalid(format!("{}: {error}", file.display())))?;
        let edit = Edit { before, ..edit };
        versions.push(version.clone());
        self.edits.push(RevocationEdit {
            file: file.clone(),
            diff: edit.diff(&file.display().to_string()),
            edit,
            versions,
        });
        Ok(())
    }

    /// Warns about images for which `[[trust]]` has a key: their unsigned announcements do not count.
    pub fn warn_of_trust(&self, scope: RevokeScope<'_>) {
        if scope.signer.is_some() {
            return;
        }
        for image in &self.images {
            if !self
                .trusted
                .public_keys(&image.reference.repository)
                .is_empty()
            {
                let text = format!(
                    "{}: [[trust]] names a key for it, so only a signed announcement counts; use --key, or set \
                     key under [signing]",
                    image.reference
                );
                scope.command.settings.events.warn(None, text);
            }
        }
    }

    /// Writes the edits and the announcements. Fails if a registry fails.
    pub async fn execute(&mut self, scope: RevokeScope<'_>) -> Result<(), Error> {
        if let Some(workspace) = &scope.command.workspace {
            let edits = self.edits.iter();
            fs::write_together(
                &workspace.root,
                edits.map(|RevocationEdit { file, edit, .. }| (&**file, &*edit.after)),
            )?;
        }
        let (signer, now) = (scope.signer, scope.command.settings.now);
        for image in &mut self.images {
            let repository = &image.reference.repository;
            let (repo, trusted) = (
                self.registries.repo(repository),
                self.trusted.public_keys(repository),
            );
            let announcement = &image.announcement;
            image.added =
                publish::announce(&repo, &image.raw, announcement, signer, &trusted, now).await?;
        }
        Ok(())
    }

    /// Fails if a repository could not be searched for descendants.
    pub fn require_complete(&self) -> Result<(), Error> {
        if self.is_incomplete {
            let message = "descendants may be missing, because some repositories cannot be read";
            return Err(Error::failed(message));
        }
        Ok(())
    }
}

/// The workspace image and the version that a tag names. `None` if the tag is not that of a version.
/// A version may end as the suffix of a variant does, so the longest suffix decides.
fn version_of<'s>(
    session: &'s Session,
    written: &str,
    tag: Option<&Tag>,
) -> Option<(&'s ResolvedImage, Version)> {
    let tag = tag?.as_str();
    let (name, _) = written.split_once(':')?;
    let named = session.resolved().filter(|one| one.name.as_str() == name);
    let (image, text) = named
        .filter_map(|image| {
            let suffix = suffixed("", image.variant.as_ref());
            Some((image, tag.strip_suffix(&suffix)?))
        })
        .min_by_key(|(_, text)| text.len())?;
    Some((image, version(text).ok()?))
}

/// Warns that the next `golden lifecycle apply` undoes a revocation that is not in the spec.
fn warn_of_restoration(session: &Session, written: &str, help: &str) {
    let text = format!(
        "{written}: image.toml does not revoke it, so the next `golden lifecycle apply` announces that it \
         may be used again; {help}"
    );
    session.settings.events.warn(None, text);
}
