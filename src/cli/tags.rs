//! `golden tags`: show the tags of a version, and which of them may move.

use std::path::PathBuf;

use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::app::tags::{TagsRequest, decide};
use crate::reference::Tag;
use crate::report::{self, OutputFormat};
use crate::tags::{Action, Latest, Move, MoveReason, TagRules};

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
    let request = TagsRequest {
        version: args.version,
        variant: args.variant.unwrap_or_default(),
        existing: args.existing,
        republish: args.republish,
        rules: TagRules {
            latest: args.latest,
            zero_major: args.zero_major,
            extra: args.extra,
            ..TagRules::default()
        },
    };
    let decided = decide(request, &context.cwd).await?;
    match context.format {
        OutputFormat::Json => context.out.json(&TagsDocument {
            version: decided.version.to_string(),
            tags: decided.moves.iter().map(row).collect(),
        }),
        _ => report::moves(&context.out, &decided.moves),
    }
    if decided.moves.iter().any(Move::is_refusal) {
        let help = format!("help: the next free version is {}", decided.next);
        context.out.error(&help);
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
