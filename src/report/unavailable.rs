//! Shows the bases that are unavailable.

use super::{Out, finding};
use crate::diagnostic::{Diagnostic, SourceMap};
use crate::observe;
use crate::resolve::image::SpecLocation;

/// The ID of the finding about an unavailable base.
const UNAVAILABLE: &str = "base.unavailable";

/// Shows the unavailable bases, each once, with all places in the specs that name it.
pub fn unavailable(
    out: &Out,
    sources: &SourceMap,
    bases: &[(observe::Error, Option<SpecLocation>)],
) {
    let mut findings: Vec<(String, Diagnostic)> = Vec::new();
    for (error, location) in bases {
        let message = error.to_string();
        let known = findings.iter().position(|(other, _)| *other == message);
        let at = known.unwrap_or_else(|| {
            let finding = Diagnostic::error(UNAVAILABLE, message.as_str());
            let hints = error.hints();
            let finding = if hints.is_empty() {
                finding
            } else {
                finding.help(hints.join("\n"))
            };
            findings.push((message, finding));
            findings.len() - 1
        });
        let known = &mut findings[at].1;
        let is_marked = |location: &SpecLocation| {
            let mut labels = known.labels.iter();
            labels.any(|label| label.file == location.file && label.span == location.span)
        };
        // The rows of a matrix have one place.
        if let Some(location) = location.as_ref().filter(|location| !is_marked(location)) {
            *known = known.clone().at(&location.file, location.span.clone(), "");
        }
    }
    for (_, unavailable) in findings {
        finding(out, &unavailable, sources);
    }
}
