//! `golden tags`: show the tags of a version, and which of them may move.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::reference::Tag;
use crate::report::OutputFormat;
use crate::tags::{
    self, Action, FanOut, Latest, Move, MoveReason, PublishedContent, TagList, TagRules, Variant,
};

/// Show the tags of a version, and which of them may move.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Semantic version; a leading `v` is removed.
    #[arg(allow_hyphen_values = true)]
    pub version: String,
    /// Suffix of the tags; empty for no suffix.
    #[arg(long, value_name = "VARIANT")]
    pub variant: Option<String>,
    /// File with the existing tags, one per line; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub existing: Option<PathBuf>,
    /// Allow republishing a version that already exists.
    #[arg(long)]
    pub republish: bool,
    /// Create the tag `0` for 0.x versions.
    #[arg(long)]
    pub zero_major: bool,
    /// When to move `latest`.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub latest: Latest,
    /// Additional moving tag.
    #[arg(long, value_name = "TAG")]
    pub extra: Vec<String>,
}

/// The document of `--format json`.
#[derive(Debug, Serialize)]
struct TagsDocument<'a> {
    version: String,
    tags: Vec<TagRow<'a>>,
}

#[derive(Debug, Serialize)]
struct TagRow<'a> {
    tag: &'a Tag,
    action: &'static str,
    because: &'a MoveReason,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::usage(error);
    let version = tags::version_argument(&args.version).map_err(|error| usage(&error))?;
    let variant = args.variant.as_deref().filter(|text| !text.is_empty());
    let variant: Option<Variant> = variant
        .map(str::parse)
        .transpose()
        .map_err(|error| usage(&error))?;
    let existing = existing_tags(args.existing.as_deref(), context).await?;
    let existing = TagList::new(&existing, variant.as_ref(), &[]);
    let variants = existing.variants();
    for extra in &args.extra {
        let names = variants.iter().map(Variant::as_str);
        tags::check_extra(extra, variant.as_ref(), names).map_err(|error| usage(&error))?;
    }
    let rules = TagRules {
        latest: args.latest,
        zero_major: args.zero_major,
        extra: args.extra,
        ..TagRules::default()
    };
    let out = tags::fan_out(&version, variant.as_ref(), &rules).map_err(|error| usage(&error))?;
    let content = if args.republish {
        PublishedContent::Same
    } else {
        PublishedContent::Different
    };
    let moves = tags::decide(&out, &existing, &rules, content);
    if context.format == OutputFormat::Json {
        print_json(&out, &moves, context);
    } else {
        print_text(&moves, context);
    }
    if moves.iter().any(Move::is_refusal) {
        let next = tags::next_free(&version, [&existing], &[]);
        context
            .out
            .error(&format!("help: the next free version is {next}"));
        return Ok(Exit::Refused);
    }
    Ok(Exit::Done)
}

fn row(decided: &Move) -> TagRow<'_> {
    let action = match decided.action {
        Action::Create => "create",
        Action::Move => "move",
        Action::Keep { .. } => "keep",
        Action::Refuse => "refuse",
    };
    TagRow {
        tag: &decided.tag,
        action,
        because: &decided.because,
    }
}

fn print_json(out: &FanOut, moves: &[Move], context: &Context) {
    let document = TagsDocument {
        version: out.version.to_string(),
        tags: moves.iter().map(row).collect(),
    };
    context.out.json(&document);
}

fn print_text(moves: &[Move], context: &Context) {
    if !moves.iter().any(Move::is_refusal) {
        let pushed = moves.iter().filter(|decided| decided.is_push());
        let lines: Vec<&str> = pushed
            .flat_map(|decided| [decided.tag.as_str(), "\n"])
            .collect();
        context.out.data(&lines.concat());
    }
    for Move {
        tag,
        action,
        because,
        ..
    } in moves
    {
        match action {
            Action::Keep { .. } => context.out.message(&format!("kept {tag}: {because}")),
            Action::Refuse => context.out.error(&format!("refused {tag}: {because}")),
            Action::Create | Action::Move => {}
        }
    }
}

/// Reads the tags of `--existing`. Lines that are not valid tags are ignored. Fails if the file
/// cannot be read or is not UTF-8.
async fn existing_tags(path: Option<&Path>, context: &Context) -> Result<Vec<Tag>, Failure> {
    use std::io::Read as _;
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).map(drop)
    } else {
        tokio::fs::read(context.cwd.join(path))
            .await
            .map(|read| bytes = read)
    };
    let name = if path == Path::new("-") {
        "standard input".into()
    } else {
        path.to_string_lossy()
    };
    let failed = |reason: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "cannot read the tags of --existing from {name}: {reason}"
        ))
    };
    read.map_err(|error| failed(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8"))?;
    Ok(text
        .trim_start_matches('\u{feff}')
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect())
}
