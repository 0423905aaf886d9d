//! The result of `golden attest` and `golden attach` as text.

use super::table::TextTable;
use crate::app::attest::Attested;

/// One row for each statement.
#[must_use]
pub fn attested(statements: &[Attested]) -> String {
    let mut table = TextTable::default();
    for one in statements {
        let repository = &one.reference.repository;
        let done = if one.added.is_some() {
            "attached"
        } else {
            "already attached"
        };
        table.row([
            format!("{repository}@{}", one.digest),
            one.predicate_type.clone(),
            done.to_owned(),
        ]);
    }
    table.to_string()
}
