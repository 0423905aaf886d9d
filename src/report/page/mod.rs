//! The pages of `golden report` and `golden audit`: HTML that needs no server, with charts that
//! golden draws. All text is escaped, and the pages load nothing.

mod audit;
mod charts;
mod image;
mod index;
mod lineage;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::text::{count, visible};
use crate::app::audit::Audited;
use crate::app::audit_files::AuditedFiles;
use crate::app::site::SiteReport;
use crate::app::site::files::{IMAGES, INDEX, MARK};
use crate::oci::rfc3339;

/// The templates, by name.
const TEMPLATES: [(&str, &str); 5] = [
    ("parts", include_str!("../../../templates/page/parts.j2")),
    ("page", include_str!("../../../templates/page/page.html.j2")),
    (
        "index",
        include_str!("../../../templates/page/index.html.j2"),
    ),
    (
        "image",
        include_str!("../../../templates/page/image.html.j2"),
    ),
    (
        "audit",
        include_str!("../../../templates/page/audit.html.j2"),
    ),
];
const STYLE: &str = include_str!("../../../templates/page/page.css");
const SCRIPT: &str = include_str!("../../../templates/page/page.js");

/// The parts that every page has.
#[derive(Debug, Serialize)]
struct Frame {
    /// The comment at the start of a page of a report.
    mark: Option<&'static str>,
    /// The command that wrote the page.
    command: &'static str,
    policy: String,
    style: &'static str,
    script: &'static str,
    /// The time of the report, to the minute.
    written: String,
}

impl Frame {
    fn new(command: &'static str, mark: Option<&'static str>, now: i64) -> Self {
        let written = rfc3339(now);
        Self {
            mark,
            command,
            policy: policy(),
            style: STYLE,
            script: SCRIPT,
            written: written.replace('T', " ").chars().take(16).collect(),
        }
    }
}

/// A page of any kind.
#[derive(Debug, Serialize)]
struct Page<'a, T> {
    frame: &'a Frame,
    page: T,
}

/// The files of a report, by their paths. Fails only if a template is invalid.
pub fn site(report: &SiteReport) -> Result<BTreeMap<String, String>, Error> {
    let environment = environment()?;
    let frame = Frame::new("golden report", Some(MARK), report.now);
    let mut files = BTreeMap::new();
    let index = index::view(report);
    files.insert(
        INDEX.to_owned(),
        render(&environment, "index", &frame, index)?,
    );
    for one in &report.images {
        let view = image::view(one, report);
        let text = render(&environment, "image", &frame, view)?;
        files.insert(format!("{IMAGES}/{}", one.key.page()), text);
    }
    Ok(files)
}

/// The page of an audit of images. Fails only if a template is invalid.
pub fn audited(audited: &Audited, summary: String, now: i64) -> Result<String, Error> {
    audit_page(audit::images(audited, summary), now)
}

/// The page of an audit of files. Fails only if a template is invalid.
pub fn audited_files(audited: &AuditedFiles, summary: String, now: i64) -> Result<String, Error> {
    audit_page(audit::files(audited, summary), now)
}

fn audit_page(view: audit::AuditView, now: i64) -> Result<String, Error> {
    let frame = Frame::new("golden audit", None, now);
    render(&environment()?, "audit", &frame, view)
}

fn render(
    environment: &Environment<'_>,
    template: &str,
    frame: &Frame,
    page: impl Serialize,
) -> Result<String, Error> {
    let page = Page { frame, page };
    let template = environment.get_template(template)?;
    template.render(Value::from(Serde(&page)))
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    // Text of a registry cannot hide or reorder a part of a page.
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => {
            let text = Value::from(visible(text).into_owned());
            minijinja::escape_formatter(out, state, &text)
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_filter("count", |number: usize, noun: &str| count(number, noun));
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    Ok(environment)
}

/// The policy of the pages: their own style and script, and nothing else.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}
