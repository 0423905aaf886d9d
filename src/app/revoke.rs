//! Revokes published images, and the images that are built on them.

use std::path::PathBuf;

use serde::Serialize;

use super::destinations::Destinations;
use super::error::Error;
use super::impact::{ImpactQuery, ImpactScope, impact};
use super::located::manifest_of;
use super::names::WorkspaceNames;
use super::registries;
use super::session::Session;
use super::settings::Settings;
use super::signatures::TrustedKeys;
use crate::config_files::edit::Edit;
use crate::oci::RawManifest;
use crate::oci::lifecycle::{Announcement, LifecycleStatus};
use crate::publish;
use crate::reference::{Digest, Reference, Tag};
use crate::registry::Registries;
use crate::signing::Signer;
use crate::tags::version;
use crate::workspace::{Workspace, fs};

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
    /// The reference.
    pub reference: Reference,
    /// The digest of the index or of the image.
    pub digest: Digest,
    /// The tags of a descendant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The announcement.
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
    text: String,
}

/// The planned announcements and edits.
#[derive(Debug)]
pub struct PlannedRevocation {
    /// The images, each before its descendants.
    pub images: Vec<RevokedImage>,
    /// The edits of specs.
    pub edits: Vec<RevocationEdit>,
    /// True if a repository could not be searched for descendants.
    pub is_incomplete: bool,
    registries: Registries,
}

impl PlannedRevocation {
    /// Plans all announcements and edits. `session` has the workspace images that are named, if there
    /// are any. Fails if an image does not exist, or if a reference has neither a tag nor a digest.
    pub async fn plan(
        request: &RevokeRequest,
        session: Option<&Session>,
        names: &WorkspaceNames,
        settings: &Settings,
        destinations: &Destinations,
    ) -> Result<Self, Error> {
        let hosts = names.with_host(&request.references);
        let registries = registries::open(settings, destinations, &hosts)?;
        let mut planned = Self {
            images: Vec::new(),
            edits: Vec::new(),
            is_incomplete: false,
            registries,
        };
        for written in &request.references {
            for reference in names.references(written)? {
                planned
                    .add(request, written, reference, names, settings, destinations)
                    .await?;
            }
            if let Some(session) = session.filter(|_| names.has(written) && !request.no_edit) {
                planned.edit(request, written, session)?;
            }
        }
        Ok(planned)
    }

    async fn add(
        &mut self,
        request: &RevokeRequest,
        written: &str,
        reference: Reference,
        names: &WorkspaceNames,
        settings: &Settings,
        destinations: &Destinations,
    ) -> Result<(), Error> {
        if reference.tag.is_none() && reference.digest.is_none() {
            let message = format!("`{written}` has neither a tag nor a digest");
            return Err(Error::invalid(message).hint(format!(
                "name one version: {written}:VERSION, or {written}@sha256:…"
            )));
        }
        let raw = manifest_of(&self.registries.repo(&reference.repository), &reference).await?;
        let digest = raw.digest.clone();
        self.images.push(RevokedImage {
            reference: reference.clone(),
            digest: digest.clone(),
            tags: Vec::new(),
            announcement: request.announcement.clone(),
            added: 0,
            raw,
        });
        if !request.descendants {
            return Ok(());
        }
        let query = ImpactQuery {
            base: Some(reference.at(digest).to_string()),
            package: None,
            repositories: request.repositories.clone(),
        };
        let scope = ImpactScope {
            names,
            settings,
            destinations,
            workspace: None,
        };
        let found = impact(&query, scope).await?;
        self.is_incomplete |= found.is_incomplete();
        for problem in &found.problems {
            let text = format!("{} cannot be read: {}", problem.reference, problem.problem);
            settings.events.warn(None, text);
        }
        for image in found.images {
            let repo = self.registries.repo(&image.repository);
            let Some(raw) = repo.manifest(&image.digest).await? else {
                continue;
            };
            self.images.push(RevokedImage {
                reference: image.reference,
                digest: image.digest,
                tags: image.tags,
                announcement: Announcement {
                    // The replacement is a version of the base, and not of this image.
                    replacement: None,
                    inherited_from: Some(reference.to_string()),
                    ..request.announcement.clone()
                },
                added: 0,
                raw,
            });
        }
        Ok(())
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
        let Some(tag) = &reference.tag else {
            return Ok(());
        };
        let (name, _) = written.split_once(':').unwrap_or((written, ""));
        let image = session.resolved().find(|image| {
            let suffix = image.variant.as_ref().map(|variant| format!("-{variant}"));
            image.name.as_str() == name
                && suffix.is_none_or(|suffix| tag.as_str().ends_with(&suffix))
        });
        let Some(image) = image else { return Ok(()) };
        let suffix = image.variant.as_ref().map(|variant| format!("-{variant}"));
        let text = tag.as_str().strip_suffix(&suffix.unwrap_or_default());
        let Some(version) = text.and_then(|text| version(text).ok()) else {
            return Ok(());
        };
        let file = image.source.clone();
        let is_revoked = image.lifecycle.revocation(&version).is_some();
        match request.announcement.status {
            LifecycleStatus::Active if is_revoked => {
                let message = format!("{} revokes {version}", file.display());
                return Err(Error::invalid(message).hint(
                    "remove the version from [[lifecycle.revoked]], then run `golden lifecycle apply`",
                ));
            }
            LifecycleStatus::Revoked if !is_revoked => {}
            _ => return Ok(()),
        }
        let path = session.workspace.root.join(&file);
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        let edit = Edit::revoke(&text, &version, &request.announcement);
        let edit = edit.map_err(|error| Error::invalid(format!("{}: {error}", file.display())))?;
        self.edits.push(RevocationEdit {
            diff: edit.diff(&file.display().to_string()),
            text: edit.after,
            file,
        });
        Ok(())
    }

    /// Warns about images whose announcements nobody would believe, because they are not signed.
    pub fn warn_of_trust(
        &self,
        workspace: Option<&Workspace>,
        signer: Option<&Signer>,
        settings: &Settings,
    ) -> Result<(), Error> {
        let Some(workspace) = workspace.filter(|_| signer.is_none()) else {
            return Ok(());
        };
        let trusted = TrustedKeys::of(&workspace.root, &workspace.spec)?;
        for image in &self.images {
            if !trusted
                .for_repository(&image.reference.repository)
                .is_empty()
            {
                let text = format!(
                    "{}: [[trust]] names a key for it, so only a signed announcement counts; use --key, or set \
                     key under [signing]",
                    image.reference
                );
                settings.events.warn(None, text);
            }
        }
        Ok(())
    }

    /// Writes the edits and the announcements. Fails if a registry fails.
    pub async fn execute(
        &mut self,
        workspace: Option<&Workspace>,
        signer: Option<&Signer>,
        now: i64,
    ) -> Result<(), Error> {
        if let Some(workspace) = workspace {
            for edit in &self.edits {
                fs::write_atomic(&workspace.root.join(&edit.file), edit.text.as_bytes())?;
            }
        }
        for image in &mut self.images {
            let repo = self.registries.repo(&image.reference.repository);
            let announcement = &image.announcement;
            image.added = publish::announce(&repo, &image.raw, announcement, signer, now).await?;
        }
        Ok(())
    }
}
