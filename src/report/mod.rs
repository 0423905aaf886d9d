//! All output of golden: prints events, diagnostics and results as text, JSON, GitHub annotations
//! or SARIF.

mod attested;
mod audited;
mod branches;
mod channels;
mod code_quality;
mod conceal;
pub mod deletion;
pub mod difference;
pub mod dockerfile;
mod failure;
pub mod format;
mod gated;
mod github;
pub mod graph;
mod impact;
mod imported;
mod inspected;
pub(crate) mod json;
mod lifecycle;
mod listing;
mod moves;
pub mod out;
mod outdated;
mod packages;
pub mod page;
mod place;
mod plan;
pub mod progress;
mod promotion;
pub mod pruning;
mod referrers;
mod rendered;
mod reproduction;
pub mod rollback;
mod sarif;
mod signed;
mod source;
pub mod step_summary;
mod summary;
pub mod table;
mod tested;
pub mod text;
mod unavailable;
mod updated;
mod verified;
pub mod waves;

use crate::diagnostic::{Diagnostic, Diagnostics, SourceMap};
use crate::event::{Event, Events};

pub use attested::attested;
pub use audited::{audited, audited_files, audited_page};
pub use channels::{channel_history, channels, moved_channels};
pub use difference::planned as plan_differences;
pub use failure::{chain, failure};
pub use format::OutputFormat;
pub use impact::{impact, impact_summary, scan_problems};
pub use imported::{created, imported, imported_targets};
pub use inspected::inspected;
pub use lifecycle::{announced, revocation, revocation_question, revoked};
pub use listing::listing;
pub use moves::moves;
pub use out::Out;
pub use outdated::outdated;
pub use packages::packages;
pub use plan::{plan, plan_totals};
pub use progress::{EventLog, Folding, LoggedRun, Reporting, ReportingOptions, spawn};
pub use promotion::promotion;
pub use referrers::referrers;
pub use rendered::rendered;
pub use reproduction::reproduction;
pub use signed::signed;
pub use summary::{failures, metadata, summary};
pub use tested::{junit, tested};
pub use unavailable::unavailable;
pub use updated::updated;
pub use verified::verified;

/// Shows findings in a format of `check` and `audit`. Text goes to stderr, the other formats to
/// stdout. Formats that these commands do not have count as text.
pub fn diagnostics(out: &Out, format: OutputFormat, found: &Diagnostics, sources: &SourceMap) {
    let found = &conceal::conceal(found, sources);
    match format {
        OutputFormat::Json => out.data(&json::document(found, sources)),
        OutputFormat::Github => out.data(&github::annotations(found, sources)),
        OutputFormat::Gitlab => out.data(&code_quality::report(found, sources)),
        OutputFormat::Sarif => out.data(&sarif::log(found, sources, &[])),
        OutputFormat::Text
        | OutputFormat::Tree
        | OutputFormat::Mermaid
        | OutputFormat::Dot
        | OutputFormat::Svg
        | OutputFormat::Html
        | OutputFormat::Markdown
        | OutputFormat::Junit
        | OutputFormat::CycloneDx
        | OutputFormat::Spdx => {
            source::draw(out, found, sources);
        }
    }
}

/// Sends findings as events, for the file of `--events`. The caller shows them.
pub fn send_findings(events: &Events, found: &Diagnostics, sources: &SourceMap) {
    let found = &conceal::conceal(found, sources);
    for finding in json::reported(found, sources) {
        events.send(Event::Finding(finding));
    }
}

/// Shows one finding of a run as text, without a summary line.
pub fn finding(out: &Out, finding: &Diagnostic, sources: &SourceMap) {
    let mut found = Diagnostics::new();
    found.push(finding.clone());
    source::draw_each(out, &conceal::conceal(&found, sources), sources);
}

#[cfg(test)]
mod tests;
