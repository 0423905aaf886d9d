//! The end of `build` and `push`: the failures, the summary table, and the common exit code of all
//! images.

use serde::Serialize;

use super::context::Context;
use super::exit::Exit;
use crate::diagnostic::SourceMap;
use crate::pipeline::{Ended, Failed, ImageReport};
use crate::report::table::TextTable;
use crate::report::{self, OutputFormat};

/// The content of `--format json` and `--metadata-file`.
#[derive(Serialize)]
pub(crate) struct Summary<'a> {
    /// The result of each image.
    pub(crate) images: &'a [ImageReport],
    /// The files and directories that assembled images were written to.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(crate) places: &'a [String],
}

/// Shows the failures and the summary, and returns the exit code.
pub(crate) fn finish(context: &Context, ended: &mut Ended, places: &[String]) -> Exit {
    let exit = exit(ended);
    for (position, failed) in std::mem::take(&mut ended.failures) {
        explain(context, &ended.reports[position], failed);
    }
    if context.format == OutputFormat::Json {
        context.out.json(&Summary {
            images: &ended.reports,
            places,
        });
    } else if !context.globals.quiet {
        context.out.data(&table(&ended.reports));
    }
    exit
}

fn explain(context: &Context, report: &ImageReport, failed: Failed) {
    let image = format!("{}:{}", report.image, report.version);
    if let Failed::Policy { found, .. } = &failed {
        report::diagnostics(
            &context.out,
            OutputFormat::Text,
            found,
            &SourceMap::default(),
        );
    }
    let hints = failed.hints();
    report::failure(&context.out, &NamedFailure { image, failed }, &hints);
}

/// A failure and the name of its image.
#[derive(Debug)]
struct NamedFailure {
    image: String,
    failed: Failed,
}

impl std::fmt::Display for NamedFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.image, self.failed.reason())
    }
}

impl std::error::Error for NamedFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.failed)
    }
}

fn table(reports: &[ImageReport]) -> String {
    let mut table = TextTable::new(["IMAGE", "OUTCOME", "DIGEST", "WHY"]);
    for report in reports {
        let variant = report
            .variant
            .as_ref()
            .map(|variant| format!("-{variant}"))
            .unwrap_or_default();
        table.row([
            format!("{}:{}{variant}", report.image, report.version),
            report.outcome.verb().to_owned(),
            report
                .digest
                .as_ref()
                .map_or_else(|| "-".to_owned(), crate::reference::Digest::short),
            report.because.clone(),
        ]);
    }
    table.to_string()
}

/// The exit code of several images: 1 if one failed, else 4 if one was refused, else 3 if one
/// violates the policy, else 2 if a spec does not fit its base, else 0.
fn exit(ended: &Ended) -> Exit {
    let failures = || ended.failures.iter().map(|(_, failed)| failed);
    let violates_policy = |failed: &Failed| matches!(failed, Failed::Policy { .. });
    let other = |failed: &Failed| {
        !failed.is_refusal() && !violates_policy(failed) && !failed.is_of_the_spec()
    };
    if failures().any(other) {
        Exit::Failed
    } else if failures().any(Failed::is_refusal) {
        Exit::Refused
    } else if failures().any(violates_policy) {
        Exit::Policy
    } else if failures().any(Failed::is_of_the_spec) {
        Exit::Usage
    } else {
        Exit::Done
    }
}
