//! The table and the summary of `golden audit` on repositories.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::text::count;
use super::{Out, OutputFormat, json as documents, page, table::TextTable};
use crate::app::audit::{Audited, AuditedImage};
use crate::app::audit_attest::AttestedSummary;
use crate::app::audit_files::AuditedFiles;
use crate::diagnostic::{Diagnostics, SourceMap};

/// The number of findings that the text shows in full below the table.
const MOST_SHOWN: usize = 20;

/// Shows the result of an audit. With a whole repository, the text is a table of the images on
/// stdout; the findings follow on stderr if there are few. Fails only if a template of the page for a
/// browser is invalid.
pub fn audited(
    out: &Out,
    format: OutputFormat,
    audited: &Audited,
    now: i64,
) -> Result<(), minijinja::Error> {
    let mut found = Diagnostics::new();
    for image in &audited.images {
        found.extend(image.found.clone());
    }
    match format {
        OutputFormat::Json => {
            let mut document = documents::findings(&found, &SourceMap::default());
            document["images"] = json!(audited.images);
            document["summary"] = summary(audited);
            if !audited.attested.is_empty() {
                document["attested"] = json!(audited.attested);
            }
            out.data(&documents::with_schema(&document));
            return Ok(());
        }
        OutputFormat::Html => out.data(&audited_page(audited, now)?),
        OutputFormat::Text if audited.is_survey => {
            if !audited.images.is_empty() {
                out.data(&table(&audited.images));
            }
            if found.iter().count() <= MOST_SHOWN {
                super::diagnostics(out, format, &found, &SourceMap::default());
            } else {
                out.message(&by_rule(&audited.images));
            }
            out.message(&totals(audited));
        }
        _ => super::diagnostics(out, format, &found, &SourceMap::default()),
    }
    summaries(out, &audited.attested);
    let is_complete = audited.failures.is_empty() && audited.problems.is_empty();
    if format == OutputFormat::Text && !audited.is_survey && is_complete && found.is_empty() {
        out.message(&format!(
            "{} checked; no policy violations",
            count(audited.images.len(), "image")
        ));
    }
    Ok(())
}

/// The result of an audit as a page for a browser. Fails only if a template is invalid.
pub fn audited_page(audited: &Audited, now: i64) -> Result<String, minijinja::Error> {
    page::audited(audited, totals(audited), now)
}

/// Reports which images have a verification summary.
fn summaries(out: &Out, attested: &[AttestedSummary]) {
    for one in attested {
        let done = if one.added.is_some() {
            "attached"
        } else {
            "already attached"
        };
        out.message(&format!(
            "{}: verification summary {done} (policy {})",
            one.reference, one.policy
        ));
    }
}

/// Shows the findings about files. Fails only if a template of the page for a browser is invalid.
pub fn audited_files(
    out: &Out,
    format: OutputFormat,
    audited: &AuditedFiles,
    now: i64,
) -> Result<(), minijinja::Error> {
    let AuditedFiles {
        found,
        sources,
        files,
        images,
        fixed,
        ..
    } = audited;
    if format == OutputFormat::Json {
        let mut document = documents::findings(found, sources);
        document["summary"] = json!({
            "files": files,
            "images": images,
            "problems": audited.problems,
            "unchecked": audited.unchecked,
        });
        document["fixed"] = json!(fixed);
        out.data(&documents::with_schema(&document));
        return Ok(());
    }
    if format == OutputFormat::Html {
        out.data(&page::audited_files(
            audited,
            totals_of_files(audited),
            now,
        )?);
        return Ok(());
    }
    if !found.is_empty() || format != OutputFormat::Text {
        super::diagnostics(out, format, found, sources);
    }
    if format == OutputFormat::Text {
        for file in fixed {
            out.message(&format!("corrected {}", file.display()));
        }
        out.message(&totals_of_files(audited));
    }
    Ok(())
}

fn table(images: &[AuditedImage]) -> String {
    let mut table = TextTable::new(["RESULT", "IMAGE", "DIGEST", "PLATFORMS", "FINDINGS"]);
    for image in images {
        let result = match (image.compliant, image.warnings) {
            (true, 0) => "ok".to_owned(),
            (true, number) => count(number, "warning"),
            (false, _) => count(image.errors, "error"),
        };
        table.row([
            result,
            image.reference.to_string(),
            image.digest.short(),
            image.platforms.join(", "),
            image.rules.join(", "),
        ]);
    }
    table.to_string()
}

/// The number of images that violate each rule.
fn by_rule(images: &[AuditedImage]) -> String {
    let mut rules: BTreeMap<&str, Vec<&AuditedImage>> = BTreeMap::new();
    for image in images {
        for rule in &image.rules {
            rules.entry(rule).or_default().push(image);
        }
    }
    let mut table = TextTable::new(["RULE", "IMAGES", "SUCH AS"]);
    for (rule, images) in rules {
        let first = images.first().map(|image| image.reference.to_string());
        table.row([
            rule.to_owned(),
            images.len().to_string(),
            first.unwrap_or_default(),
        ]);
    }
    format!(
        "{table}`golden audit REF` shows the findings of one image; --format json shows all of them"
    )
}

fn summary(audited: &Audited) -> Value {
    let compliant = audited.images.iter().filter(|image| image.compliant);
    json!({
        "images": audited.images.len(),
        "compliant": compliant.count(),
        "repositories": audited.repositories,
        "unreadable": audited.problems.len() + audited.failures.len(),
        "problems": audited.problems,
    })
}

/// The number of files that were checked. Only if nothing is left out can it say that no image
/// violates the policy.
fn totals_of_files(audited: &AuditedFiles) -> String {
    let is_complete = audited.unchecked.is_empty() && audited.problems.is_empty();
    let result = match audited.unchecked.len() {
        0 if is_complete && audited.found.is_empty() => "; no policy violations".to_owned(),
        0 => String::new(),
        number => format!(", {number} not checked"),
    };
    let images = count(audited.images - audited.unchecked.len(), "image");
    let files = count(audited.files, "file");
    format!("{images} in {files} checked{result}")
}

/// The number of images that comply.
fn totals(audited: &Audited) -> String {
    let compliant = audited.images.iter().filter(|image| image.compliant);
    let repositories = match audited.repositories {
        0 => String::new(),
        1 => " in 1 repository".to_owned(),
        number => format!(" in {number} repositories"),
    };
    let compliant = compliant.count();
    let verb = if compliant == 1 { "complies" } else { "comply" };
    let others = audited.images.len() - compliant;
    let violate = if others == 1 { "violates" } else { "violate" };
    format!(
        "{}{repositories} checked: {compliant} {verb}, {others} {violate} the policy",
        count(audited.images.len(), "image"),
    )
}
