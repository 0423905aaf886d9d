//! `golden report`: write a static site about the images of the workspace.

use std::path::PathBuf;

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session;
use crate::app::site::files::{self, INDEX, WrittenSite};
use crate::app::site::gather;
use crate::report::OutputFormat;
use crate::report::page::site;
use crate::report::text::count;

/// Write a static site about the images of the workspace.
///
/// The pages show the tags, platforms, bases, findings, tests, sizes, packages and changes of each
/// image. They need no server and load nothing: open DIR/index.html. Pages of an earlier report that
/// are no longer needed are removed. If something cannot be read, its page says so, and the exit
/// code is 1. Findings do not change the exit code.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images to report on, by name or glob [default: all].
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Directory of the site: a new or empty one, or that of an earlier report.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

#[derive(Serialize)]
struct ReportSummary<'a> {
    index: String,
    images: usize,
    #[serde(flatten)]
    files: WrittenSite,
    problems: &'a [&'a String],
}

/// Runs the command. Fails if something cannot be read, after the site is written.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let directory = context.cwd.join(&args.out);
    files::require_own(&directory)?;
    let (session, found) = session::open_with_findings(context, args.images).await?;
    let report = Box::pin(gather(&session, found)).await?;
    let pages = site(&report)?;
    let files = files::write(&directory, &pages)?;
    let problems = report.images.iter().flat_map(|image| &image.problems);
    let problems: Vec<&String> = problems.collect();
    for problem in &problems {
        context.events.warn(None, problem.as_str());
    }
    let index = args.out.join(INDEX).display().to_string();
    let images = report.images.len();
    if context.format == OutputFormat::Json {
        context.out.json(&ReportSummary {
            index,
            images,
            files,
            problems: &problems,
        });
    } else {
        context.out.message(&format!(
            "{index}: {} ({} written, {} unchanged, {} removed)",
            count(images, "image"),
            count(files.written, "file"),
            files.unchanged,
            files.removed
        ));
    }
    if problems.is_empty() {
        return Ok(Exit::Done);
    }
    let unread = report
        .images
        .iter()
        .filter(|image| !image.problems.is_empty());
    let message = format!(
        "the report is incomplete, because facts about {} of {} cannot be read",
        unread.count(),
        count(images, "image")
    );
    Err(Failure::new(Exit::Failed, anyhow::anyhow!(message)))
}
