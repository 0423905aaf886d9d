//! The channels of images.

use super::Out;
use super::table::TextTable;
use crate::app::channels::{ChannelChange, ChannelRow};
use crate::plan::ChannelState;

/// Shows the channels as a table.
pub fn channels(out: &Out, rows: &[ChannelRow]) {
    if rows.is_empty() {
        out.message("no image has a channel; add [channels] to image.toml");
        return;
    }
    let mut table = TextTable::new(["CHANNEL", "TARGET", "VERSION", "STATE"]);
    for row in rows {
        table.row([
            format!("{}:{}", row.repository, row.channel),
            row.target.clone(),
            row.version.clone().unwrap_or_default(),
            state(&row.state),
        ]);
    }
    out.data(&table.to_string());
}

/// The state in words.
pub(super) fn state(state: &ChannelState) -> String {
    match state {
        ChannelState::Current => "current".to_owned(),
        ChannelState::Behind => "moves with the next publication".to_owned(),
        ChannelState::Moved => "moved".to_owned(),
        ChannelState::Waiting(because) => format!("waits: {because}"),
        ChannelState::Refused(because) => format!("refused: {because}"),
    }
}

/// Shows the history of channels as a table.
pub fn channel_history(out: &Out, history: &[ChannelChange]) {
    if history.is_empty() {
        out.message("git has no change of a channel");
        return;
    }
    let mut table = TextTable::new([
        "TIME",
        "COMMIT",
        "IMAGE",
        "CHANNEL",
        "FROM",
        "TO",
        "PUBLISHED",
    ]);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    for one in history {
        table.row([
            one.time.clone(),
            one.commit.get(..12).unwrap_or(&one.commit).to_owned(),
            one.image.clone(),
            one.channel.clone(),
            text(&one.from),
            text(&one.to),
            text(&one.published),
        ]);
    }
    out.data(&table.to_string());
}

/// Shows the channels that a publication moved or refused to move.
pub fn moved_channels(out: &Out, rows: &[ChannelRow]) {
    for row in rows.iter().filter(|row| row.state != ChannelState::Current) {
        let text = state(&row.state);
        let version = row.version.as_deref().unwrap_or(&row.target);
        out.message(&format!(
            "channel {}:{} → {version}: {text}",
            row.repository, row.channel
        ));
    }
}
