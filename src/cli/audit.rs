//! `golden audit`: apply the policy to published images, from any tool or publisher.

use futures_util::{StreamExt as _, stream};

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session;
use super::session::{destinations, names};
use crate::app::registries;
use crate::assemble::{BaseImage, Layer, LayerSource};
use crate::config_files::policy::Policy;
use crate::diagnostic::{Diagnostics, SourceMap};
use crate::engine::Embedded;
use crate::image::{DescribedImage, describe};
use crate::observe::Absent;
use crate::oci::Descriptor;
use crate::policy::{Built, check_built, named_user};
use crate::reference::Reference;
use crate::registry::Registries;
use crate::report::text::count;
use crate::report::{self, OutputFormat};
use crate::workspace::state::StateDirectory;

/// Maximum number of images that are read concurrently.
const CONCURRENCY: usize = 8;

/// Apply the policy of the workspace to published images, from any tool or publisher.
///
/// The rules about labels, user, ports and environment are applied.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// References, such as registry.example.com/team/app:1.2.3, or names of workspace images.
    #[arg(required = true, value_name = "REF")]
    pub references: Vec<String>,
}

/// Runs the command. An image that cannot be read is reported; the other images are still checked.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let Some(workspace) = session::workspace(context).await? else {
        return Err(
            Failure::usage("no golden.toml was found, so there is no policy to apply")
                .hint("run it in a workspace, or specify one: golden -w DIR audit REF…"),
        );
    };
    let destinations = destinations(context).await?;
    let names = names(context, &destinations, &args.references).await?;
    let mut references: Vec<Reference> = Vec::new();
    for text in &args.references {
        references.extend(names.references(text)?);
    }
    let named = names.with_host(&args.references);
    let registries = registries::open(&context.settings(), &destinations, &named)?;
    let policy = &workspace.spec.policy;
    let cache = StateDirectory::of(&workspace.root).path("cache");
    let audit = Audit {
        embedded: Embedded::new(registries.clone(), cache),
        registries,
        policy,
        context,
    };
    let results: Vec<Result<Diagnostics, Failure>> = stream::iter(&references)
        .map(|reference| audit.check(reference))
        .buffered(CONCURRENCY)
        .collect()
        .await;
    let mut found = Diagnostics::new();
    let mut failures = Vec::new();
    for result in results {
        match result {
            Ok(diagnostics) => found.extend(diagnostics),
            Err(failure) => failures.push(failure),
        }
    }
    report::diagnostics(&context.out, context.format, &found, &SourceMap::default());
    if let Some(last) = failures.pop() {
        for failure in failures {
            failure.show(context);
        }
        return Err(last);
    }
    if found.is_empty() && context.format == OutputFormat::Text {
        context.out.message(&format!(
            "{} checked; no policy violations",
            count(references.len(), "image")
        ));
    }
    Ok(session::exit_of(&found).unwrap_or(Exit::Done))
}

/// The policy, and the handles that read images.
struct Audit<'a> {
    registries: Registries,
    embedded: Embedded,
    policy: &'a Policy,
    context: &'a Context,
}

impl Audit<'_> {
    /// Checks every image that a reference points to: one image, or the images of an index.
    async fn check(&self, reference: &Reference) -> Result<Diagnostics, Failure> {
        let repo = self.registries.repo(&reference.repository);
        let described = describe(&repo, reference.target()).await?;
        let Some(described) = described else {
            return Err(Failure::absent(Absent::find(&repo, reference).await));
        };
        if described.images.is_empty() {
            let message = format!("{reference} is not an image: it has no image config to check");
            return Err(Failure::new(Exit::Failed, anyhow::anyhow!(message)));
        }
        let mut found = Diagnostics::new();
        for image in &described.images {
            let name = if described.images.len() > 1 {
                format!("{reference} ({})", image.platform)
            } else {
                reference.to_string()
            };
            let user_id = self.user_id(reference, image).await?;
            let built = Built {
                name: &name,
                config: &image.config,
                user_id,
                image: None,
            };
            found.extend(check_built(self.policy, &built));
        }
        Ok(found)
    }

    /// The user ID of an image, if the policy needs it and only /etc/passwd of the image contains
    /// it.
    async fn user_id(
        &self,
        reference: &Reference,
        image: &DescribedImage,
    ) -> Result<Option<u32>, Failure> {
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
        let found = Box::pin(
            self.embedded
                .user_id(&base, user, &name, &self.context.events),
        )
        .await;
        Ok(found.map_err(crate::engine::Error::from)?)
    }
}
