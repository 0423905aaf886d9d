//! `golden audit`: apply the policy to published images, whoever built them.

use futures_util::{StreamExt as _, stream};

use super::context::Context;
use super::destinations::destinations;
use super::error::Failure;
use super::exit::Exit;
use super::{registries, session};
use crate::assemble::{BaseImage, Layer, LayerSource};
use crate::diagnostic::{Diagnostics, SourceMap};
use crate::engine::Embedded;
use crate::oci::Descriptor;
use crate::policy::{Built, check_built, named_user};
use crate::reference::Reference;
use crate::registry::{DescribedImage, Registries};
use crate::report::text::count;
use crate::report::{self, OutputFormat};
use crate::spec::policy::Policy;
use crate::workspace::state::StateDirectory;

/// How many images are read at once.
const AT_ONCE: usize = 8;

/// Apply the policy of the workspace to published images, whoever built them: labels, user, ports and environment.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// References, such as registry.example.com/team/app:1.2.3.
    #[arg(required = true, value_name = "REF")]
    pub references: Vec<String>,
}

/// Runs the command. What cannot be read is told, and does not keep the others from being judged.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let references: Vec<Reference> = args
        .references
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, crate::reference::Error>>()?;
    let Some(workspace) = session::workspace(context).await? else {
        return Err(
            Failure::usage("no golden.toml was found, so there is no policy to apply")
                .hint("run it in a workspace, or name one: golden -w DIR audit REF…"),
        );
    };
    let destinations = destinations(context).await?;
    let registries = registries::open(context, &destinations, &args.references)?;
    let policy = &workspace.spec.policy;
    let cache = StateDirectory::of(&workspace.root).path("cache");
    let audit = Audit {
        embedded: Embedded::new(registries.clone(), cache),
        registries,
        policy,
        context,
    };
    let judged: Vec<Result<Diagnostics, Failure>> = stream::iter(&references)
        .map(|reference| audit.judge(reference))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut found = Diagnostics::new();
    let mut failures = Vec::new();
    for result in judged {
        match result {
            Ok(of_one) => found.extend(of_one),
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
            "{} checked; the policy is kept",
            count(references.len(), "image")
        ));
    }
    Ok(session::exit_of(&found).unwrap_or(Exit::Done))
}

/// What references are judged by.
struct Audit<'a> {
    registries: Registries,
    embedded: Embedded,
    policy: &'a Policy,
    context: &'a Context,
}

impl Audit<'_> {
    /// Judges every image that a reference names: one, or one a platform.
    async fn judge(&self, reference: &Reference) -> Result<Diagnostics, Failure> {
        let registry = self.registries.at(&reference.repository.host);
        let described = registry
            .describe(&reference.repository.path, &reference.target())
            .await?;
        let described = described.ok_or_else(|| {
            Failure::new(Exit::Failed, anyhow::anyhow!("{reference} is not there"))
        })?;
        if described.images.is_empty() {
            let message =
                format!("{reference} is no image: it has no image config that could be judged");
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

    /// The number of an image's user, if the policy depends on it and only the image's /etc/passwd tells it.
    async fn user_id(
        &self,
        reference: &Reference,
        image: &DescribedImage,
    ) -> Result<Option<u32>, Failure> {
        let asked = self.policy.config.deny_root;
        let Some(user) = named_user(image.config.user()).filter(|_| asked) else {
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
