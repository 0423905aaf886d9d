//! The charts of sizes: the layers of an image, and its versions.

use serde::Serialize;

use crate::app::site::data::{SiteLayer, SiteVersion};
use crate::inventory::LayerOwner;
use crate::report::text::{bytes, count};

/// The width of a chart, in pixels.
const WIDTH: u64 = 640;
/// The place for the numbers left of the versions.
const LEFT: u64 = 64;
/// The height of the bar of the largest version.
const HEIGHT: u64 = 110;
/// The largest number of versions in a chart.
const MOST_VERSIONS: usize = 40;
/// The largest width of the bar of a version.
const WIDEST: u64 = 34;
/// The width that the label of a version needs.
const LABEL: u64 = 64;

/// A rectangle, with the text that describes it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Bar {
    x: u64,
    y: u64,
    width: u64,
    height: u64,
    kind: &'static str,
    text: String,
    /// The text below the bar; empty if there is no space.
    label: String,
    /// The middle of the bar.
    middle: u64,
}

/// A bar chart of a page.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Chart {
    width: u64,
    bars: Vec<Bar>,
    /// The size at the top of the chart.
    top: String,
    description: String,
}

pub(super) fn owner(owner: LayerOwner) -> &'static str {
    match owner {
        LayerOwner::Base => "base",
        LayerOwner::Image => "own",
    }
}

/// The layers of an image as one bar. `None` if they have no content.
pub(super) fn layers(layers: &[SiteLayer]) -> Option<Chart> {
    let total: u64 = layers.iter().map(|layer| layer.size).sum();
    if total == 0 {
        return None;
    }
    let mut before: u64 = 0;
    let mut bars = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let x = scaled(before, total, WIDTH);
        before += layer.size;
        let width = (scaled(before, total, WIDTH) - x).max(1);
        bars.push(Bar {
            x,
            y: 0,
            width,
            height: 28,
            kind: owner(layer.owner),
            text: format!(
                "layer {} of {}: {}",
                number + 1,
                layers.len(),
                bytes(layer.size)
            ),
            label: String::new(),
            middle: x + width / 2,
        });
    }
    let own = layers
        .iter()
        .filter(|layer| layer.owner == LayerOwner::Image);
    let own: u64 = own.map(|layer| layer.size).sum();
    Some(Chart {
        width: WIDTH,
        bars,
        top: bytes(total),
        description: format!(
            "{} in {}: {} of the base and {} of the image",
            bytes(total),
            count(layers.len(), "layer"),
            bytes(total - own),
            bytes(own)
        ),
    })
}

/// The sizes of versions, the oldest first. `versions` has the newest first. `None` if there are
/// fewer than two.
pub(super) fn versions(versions: &[SiteVersion]) -> Option<Chart> {
    let shown = &versions[..versions.len().min(MOST_VERSIONS)];
    let largest = shown.iter().map(|one| one.size).max().unwrap_or(0);
    let (Some(newest), Some(oldest)) = (shown.first(), shown.last()) else {
        return None;
    };
    if shown.len() < 2 || largest == 0 {
        return None;
    }
    let number = u64::try_from(shown.len()).unwrap_or(1);
    let slot = ((WIDTH - LEFT) / number).min(LABEL + 16);
    let every = (LABEL / slot.max(1) + 1).max(1);
    let mut bars = Vec::new();
    for (at, one) in (0_u64..).zip(shown.iter().rev()) {
        let width = (slot * 7 / 10).clamp(2, WIDEST);
        let middle = LEFT + at * slot + slot / 2;
        let height = scaled(one.size, largest, HEIGHT).max(1);
        let has_label = slot >= LABEL || (number - 1 - at).is_multiple_of(every);
        bars.push(Bar {
            x: middle - width / 2,
            y: 10 + HEIGHT - height,
            width,
            height,
            kind: if at + 1 == number { "own" } else { "base" },
            text: format!("{}: {}", one.version, bytes(one.size)),
            label: if has_label {
                short(&one.version)
            } else {
                String::new()
            },
            middle,
        });
    }
    Some(Chart {
        width: LEFT + slot * number + 8,
        bars,
        top: bytes(largest),
        description: format!(
            "{} versions, from {} with {} to {} with {}; the largest has {}",
            shown.len(),
            oldest.version,
            bytes(oldest.size),
            newest.version,
            bytes(newest.size),
            bytes(largest)
        ),
    })
}

/// A part of `whole`, in proportion to `length`.
fn scaled(part: u64, whole: u64, length: u64) -> u64 {
    let product = u128::from(part) * u128::from(length) / u128::from(whole.max(1));
    u64::try_from(product).unwrap_or(length)
}

/// A version that fits below a bar.
fn short(version: &str) -> String {
    if version.chars().count() <= 9 {
        return version.to_owned();
    }
    let start: String = version.chars().take(8).collect();
    format!("{start}…")
}
