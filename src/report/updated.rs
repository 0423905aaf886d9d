//! The changes of golden.lock as text.

use super::Out;
use super::table::TextTable;
use crate::app::bases::{ComparedBase, LockedBaseChange};
use crate::workspace::lock::FILE;

/// Shows the compared bases, and the entries that were removed from golden.lock.
pub fn updated(out: &Out, compared: &[ComparedBase], removed: &[String]) {
    let (pinned, compared): (Vec<&ComparedBase>, Vec<&ComparedBase>) =
        compared.iter().partition(|base| base.pinned);
    let mut table = TextTable::default();
    for base in compared
        .iter()
        .filter(|base| base.change != LockedBaseChange::Unchanged)
    {
        table.row([base.base.clone(), base.line()]);
    }
    for base in removed {
        table.row([base.as_str(), "no longer used"]);
    }
    out.data(&table.to_string());
    let unchanged = compared
        .iter()
        .filter(|base| base.change == LockedBaseChange::Unchanged)
        .count();
    let changed = compared.len() - unchanged;
    out.message(&format!(
        "{FILE}: {changed} changed, {unchanged} unchanged, {} removed",
        removed.len()
    ));
    for base in pinned
        .iter()
        .filter(|base| base.change != LockedBaseChange::Unchanged)
    {
        out.message(&format!(
            "{} is pinned in the spec of {}; to follow its tag, pin {}",
            base.base,
            base.images.join(", "),
            base.current.digest
        ));
    }
}
