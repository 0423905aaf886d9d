//! `golden audit`: apply the policy to published images, whoever built them.

use futures_util::{StreamExt as _, stream};

use super::context::Context;
use super::destinations::destinations;
use super::error::Failure;
use super::exit::Exit;
use super::{registries, session};
use crate::diagnostic::{Diagnostics, SourceMap};
use crate::policy::{Built, check_built};
use crate::reference::Reference;
use crate::registry::Registries;
use crate::report::text::count;
use crate::report::{self, Format};
use crate::spec::policy::Policy;

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
    let references: Vec<Reference> =
        args.references.iter().map(|text| text.parse()).collect::<Result<_, crate::reference::Error>>()?;
    let Some(workspace) = session::workspace(context).await? else {
        return Err(Failure::usage("no golden.toml was found, so there is no policy to apply")
            .hint("run it in a workspace, or name one: golden -w DIR audit REF…"));
    };
    let destinations = destinations(context).await?;
    let registries = registries::open(context, &destinations, &args.references)?;
    let policy = &workspace.spec.policy;
    let judged: Vec<Result<Diagnostics, Failure>> = stream::iter(&references)
        .map(|reference| judge(reference, &registries, policy))
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
    if found.is_empty() && context.format == Format::Text {
        context.out.message(&format!("{} checked; the policy is kept", count(references.len(), "image")));
    }
    Ok(session::exit_of(&found).unwrap_or(Exit::Done))
}

/// Judges every image that a reference names: one, or one a platform.
async fn judge(
    reference: &Reference,
    registries: &Registries,
    policy: &Policy,
) -> Result<Diagnostics, Failure> {
    let registry = registries.at(&reference.repository.host);
    let described = registry.describe(&reference.repository.path, &reference.target()).await?;
    let described =
        described.ok_or_else(|| Failure::new(Exit::Failed, anyhow::anyhow!("{reference} is not there")))?;
    if described.images.is_empty() {
        let message = format!("{reference} is no image: it has no image config that could be judged");
        return Err(Failure::new(Exit::Failed, anyhow::anyhow!(message)));
    }
    let mut found = Diagnostics::new();
    for image in &described.images {
        let name = if described.images.len() > 1 {
            format!("{reference} ({})", image.platform)
        } else {
            reference.to_string()
        };
        found.extend(check_built(policy, &Built { name: &name, config: &image.config, image: None }));
    }
    Ok(found)
}
