//! Applies the policy of the workspace to published images.

use futures_util::{StreamExt as _, stream};

use super::destinations::{Destinations, registries as known_registries};
use super::error::Error;
use super::names::WorkspaceNames;
use super::pipeline::Failed;
use super::published::Requirements;
use super::registries;
use super::settings::Settings;
use crate::assemble::{BaseImage, Layer, LayerSource};
use crate::config_files::policy::Policy;
use crate::diagnostic::Diagnostics;
use crate::engine::Embedded;
use crate::event::Events;
use crate::image::{DescribedImage, describe};
use crate::observe::Absent;
use crate::oci::Descriptor;
use crate::policy::{Built, check_built, named_user};
use crate::reference::{Digest, Reference, Repository};
use crate::registry::Registries;
use crate::resolve::Destination;
use crate::workspace::Workspace;
use crate::workspace::state::StateDirectory;

/// Maximum number of images that are read concurrently.
const CONCURRENCY: usize = 8;

/// Applies the policy to references and workspace images. An image that cannot be read does not
/// stop the others.
pub async fn audit(
    arguments: &[String],
    names: &WorkspaceNames,
    workspace: &Workspace,
    settings: &Settings,
    destinations: &Destinations,
) -> Result<Vec<Result<Diagnostics, Error>>, Error> {
    let mut references: Vec<Reference> = Vec::new();
    for argument in arguments {
        references.extend(names.references(argument)?);
    }
    let registries = registries::open(settings, destinations, &names.with_host(arguments))?;
    let cache = StateDirectory::of(&workspace.root).path("cache");
    let audit = Audit {
        embedded: Embedded::new(registries.clone(), cache),
        registries,
        policy: &workspace.spec.policy,
        events: &settings.events,
        known: known_registries(&workspace.root, &workspace.spec),
        now: settings.now,
        requirements: Requirements::of(workspace)?,
    };
    let checks = stream::iter(&references).map(|reference| audit.check(reference));
    Ok(checks.buffered(CONCURRENCY).collect().await)
}

/// The policy, and the handles that read images.
struct Audit<'a> {
    registries: Registries,
    embedded: Embedded,
    policy: &'a Policy,
    events: &'a Events,
    /// The registries of the workspace.
    known: Vec<Destination>,
    /// The current time, in seconds since 1970.
    now: i64,
    /// The artifacts that published images must have.
    requirements: Option<Requirements>,
}

impl Audit<'_> {
    /// Checks every image that a reference points to: one image, or the images of an index.
    async fn check(&self, reference: &Reference) -> Result<Diagnostics, Error> {
        let repo = self.registries.repo(&reference.repository);
        let described = describe(&repo, reference.target()).await?;
        let Some(described) = described else {
            return Err(Box::new(Absent::find(&repo, reference).await).into());
        };
        if described.images.is_empty() {
            let message = format!("{reference} is not an image: it has no image config to check");
            return Err(Error::failed(message));
        }
        let known_as = self.known_as(&reference.repository);
        let mut found = Diagnostics::new();
        let digests: Vec<&Digest> = described.images.iter().map(|image| &image.digest).collect();
        let lacking = match &self.requirements {
            Some(required) => {
                let top = &described.raw.digest;
                required.lacking(&repo, top, &digests).await?
            }
            None => vec![Vec::new(); digests.len()],
        };
        for (image, lacking) in described.images.iter().zip(&lacking) {
            let name = if described.images.len() > 1 {
                format!("{reference} ({})", image.platform)
            } else {
                reference.to_string()
            };
            let user_id = self.user_id(reference, image).await?;
            let built = Built {
                name: &name,
                known_as: &known_as,
                now: self.now,
                lacking,
                config: &image.config,
                user_id,
                image: None,
            };
            found.extend(check_built(self.policy, &built));
        }
        Ok(found)
    }

    /// The names of a published image: its repository with and without the host, and without the
    /// namespace of a registry of the workspace.
    fn known_as(&self, repository: &Repository) -> Vec<String> {
        let short = self.known.iter().filter_map(|one| one.image_in(repository));
        [repository.to_string(), repository.path.to_string()]
            .into_iter()
            .chain(short.map(str::to_owned))
            .collect()
    }

    /// The user ID of an image, if the policy needs it and only /etc/passwd of the image contains
    /// it.
    async fn user_id(
        &self,
        reference: &Reference,
        image: &DescribedImage,
    ) -> Result<Option<u32>, Error> {
        let is_needed = self.policy.config.deny_root;
        let Some(user) = named_user(image.config.user()).filter(|_| is_needed) else {
            return Ok(None);
        };
        let layer = |descriptor: &Descriptor| Layer {
            descriptor: descriptor.clone(),
            source: LayerSource::Registry(reference.repository.clone()),
        };
        let layers = image.manifest.layers.iter().map(layer).collect();
        let base = BaseImage {
            config: image.config.clone(),
            layers,
            docker: false,
        };
        let name = reference.to_string();
        let found = Box::pin(self.embedded.user_id(&base, user, &name, self.events)).await;
        Ok(found.map_err(|error| Failed::Engine(error.into()))?)
    }
}
