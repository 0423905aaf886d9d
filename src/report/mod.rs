//! All output of golden: prints events, diagnostics and results as text, JSON, GitHub annotations
//! or SARIF.

mod conceal;
mod failure;
pub mod format;
mod github;
pub mod graph;
pub(crate) mod json;
pub mod out;
mod place;
mod plan;
pub mod progress;
mod sarif;
mod source;
pub mod table;
pub mod text;

use crate::diagnostic::{Diagnostic, Diagnostics, SourceMap};

pub use failure::failure;
pub use format::OutputFormat;
pub use out::Out;
pub use plan::plan;
pub use progress::{Reporting, spawn};

/// Shows findings in a format of `check` and `audit`. Text goes to stderr, the other formats to
/// stdout. Formats that these commands do not have count as text.
pub fn diagnostics(out: &Out, format: OutputFormat, found: &Diagnostics, sources: &SourceMap) {
    let found = &conceal::conceal(found, sources);
    match format {
        OutputFormat::Json => out.data(&json::document(found, sources)),
        OutputFormat::Github => out.data(&github::annotations(found, sources)),
        OutputFormat::Sarif => out.data(&sarif::log(found, sources)),
        OutputFormat::Text
        | OutputFormat::Gitlab
        | OutputFormat::Mermaid
        | OutputFormat::Dot
        | OutputFormat::Svg => {
            source::draw(out, found, sources);
        }
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
