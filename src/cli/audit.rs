//! `golden audit`: apply the policy to published images, from any tool or publisher.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{self, destinations, names};
use crate::app::audit::audit;
use crate::diagnostic::{Diagnostics, SourceMap};
use crate::report::text::count;
use crate::report::{self, OutputFormat};

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
    let settings = context.settings();
    let results = audit(
        &args.references,
        &names,
        &workspace,
        &settings,
        &destinations,
    )
    .await?;
    let number = results.len();
    let mut found = Diagnostics::new();
    let mut failures = Vec::new();
    for result in results {
        match result {
            Ok(diagnostics) => found.extend(diagnostics),
            Err(error) => failures.push(Failure::from(error)),
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
            count(number, "image")
        ));
    }
    Ok(session::exit_of(&found).unwrap_or(Exit::Done))
}
