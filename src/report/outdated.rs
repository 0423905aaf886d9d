//! `golden outdated` as text.

use super::Out;
use super::table::TextTable;
use super::text::count;
use crate::app::bases::{ComparedBase, LockedBaseChange};

/// Shows the bases that changed since golden.lock, and the next step. `lost` is the number of
/// bases that could not be read.
pub fn outdated(out: &Out, compared: &[ComparedBase], lost: usize) {
    let changed: Vec<&ComparedBase> = compared
        .iter()
        .filter(|base| base.change != LockedBaseChange::Unchanged)
        .collect();
    let mut table = TextTable::default();
    for base in &changed {
        table.row([base.base.clone(), base.line(), base.images.join(", ")]);
    }
    out.data(&table.to_string());
    let pinned = changed.iter().filter(|base| base.pinned).count();
    out.message(&summary(changed.len(), compared.len() + lost, pinned, lost));
}

/// The last line: the number of outdated bases, and the next step.
fn summary(outdated: usize, all: usize, pinned: usize, lost: usize) -> String {
    let next = match (outdated, outdated - pinned, lost) {
        (0, _, 0) if all == 0 => return "No image has a base in a registry.".to_owned(),
        (0, _, 0) => return "All bases match golden.lock.".to_owned(),
        (0, _, 1..) => return format!("{lost} of {} could not be read.", count(all, "base")),
        (_, _, 1..) => format!("{lost} could not be read"),
        (_, 0, 0) => "write the new digest into the spec".to_owned(),
        (_, _, 0) if pinned == 0 => "run `golden update`".to_owned(),
        (_, _, 0) => "run `golden update`, and write the new digest of a pinned base into its spec"
            .to_owned(),
    };
    let bases = count(all, "base");
    let moved = if outdated == 1 {
        "moved or is"
    } else {
        "moved or are"
    };
    format!("{outdated} of {bases} {moved} not locked: {next}")
}
