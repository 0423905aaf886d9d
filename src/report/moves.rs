//! Decisions about tags as text.

use super::Out;
use crate::tags::{Action, Move};

/// Shows the tags to push, and the reason for each other tag. If a tag is refused, no tag is pushed.
pub fn moves(out: &Out, moves: &[Move]) {
    if !moves.iter().any(Move::is_refusal) {
        let pushed = moves.iter().filter(|decided| decided.is_push());
        let lines: Vec<&str> = pushed
            .flat_map(|decided| [decided.tag.as_str(), "\n"])
            .collect();
        out.data(&lines.concat());
    }
    for Move {
        tag,
        action,
        because,
        ..
    } in moves
    {
        match action {
            Action::Keep { .. } => out.message(&format!("kept {tag}: {because}")),
            Action::Refuse => out.error(&format!("refused {tag}: {because}")),
            Action::Create | Action::Move => {}
        }
    }
}
