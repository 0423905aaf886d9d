//! The table of `golden ls`.

use super::table::TextTable;
use super::text::bytes;
use crate::app::list::ListRow;
use crate::oci::artifact::ArtifactKind;

/// The table of the tags. The column KIND is shown only if an artifact is among them.
#[must_use]
pub fn listing(rows: &[ListRow]) -> TextTable {
    let is_image = |row: &ListRow| row.kind.as_ref().is_none_or(ArtifactKind::is_image);
    let only_images = rows.iter().all(is_image);
    let columns = |kind: String, others: [String; 5]| {
        let [tag, rest @ ..] = others;
        [tag]
            .into_iter()
            .chain((!only_images).then_some(kind))
            .chain(rest)
    };
    let headings = ["TAG", "DIGEST", "SIZE", "CREATED", "VERSION"].map(str::to_owned);
    let mut table = TextTable::new(columns("KIND".to_owned(), headings));
    for row in rows {
        let kind = row
            .kind
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let size = row.size.map(bytes).unwrap_or_default();
        let cells = [
            row.tag.to_string(),
            row.digest.short(),
            size,
            text(&row.created),
            text(&row.version),
        ];
        table.row(columns(kind, cells));
    }
    table
}
