//! An image or artifact as text.

use std::fmt::Write as _;

use serde_json::Value;

use super::referrers::{images, nodes};
use super::table::TextTable;
use super::text::{bytes, one_line};
use crate::app::inspect::Inspected;

/// The text of `golden inspect`.
#[must_use]
pub fn inspected(output: &Inspected) -> String {
    let tags = if output.tags.is_empty() {
        "none".to_owned()
    } else {
        output.tags.join(", ")
    };
    let mut text = format!(
        "{}\n  digest      {}\n  media type  {}\n  size        {}\n  tags        {tags}\n",
        output.reference,
        output.digest,
        one_line(&output.media_type),
        bytes(output.size),
    );
    if !output.kind.is_image() {
        text.push_str(&artifact(output));
    }
    for image in &output.images {
        // Writing into a String cannot fail.
        let _ = write!(text, "\n{}  {}\n", image.platform, image.digest);
        let runtime = image.config.get("config").cloned().unwrap_or_default();
        let mut table = TextTable::default();
        for key in [
            "User",
            "WorkingDir",
            "Entrypoint",
            "Cmd",
            "Env",
            "ExposedPorts",
            "Volumes",
            "StopSignal",
            "Healthcheck",
        ] {
            if let Some(value) = runtime.get(key).filter(|value| !is_empty(value)) {
                let shown = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                table.row(["  ".to_owned() + key, shown]);
            }
        }
        let _ = write!(text, "{table}");
        let mut table = TextTable::default();
        for (key, value) in &image.labels {
            table.row([format!("  {key}"), value.clone()]);
        }
        let _ = write!(text, "\n  labels\n{table}\n  layers\n");
        let mut table = TextTable::default();
        for layer in &image.layers {
            table.row([
                format!("  {}", layer.digest),
                bytes(layer.size),
                layer.media_type.clone(),
            ]);
        }
        let _ = write!(text, "{table}");
    }
    if !(output.referrers.is_empty() && output.referrers_of_images.is_empty()) {
        let _ = write!(
            text,
            "\n  referrers\n{}{}",
            nodes(&output.referrers, 1),
            images(&output.referrers_of_images)
        );
    }
    text
}

/// The text for an artifact, which has no platform, config or labels.
fn artifact(output: &Inspected) -> String {
    let kind = output.kind.to_string();
    let mut text = format!("  kind        {}\n", one_line(&kind));
    if let Some(subject) = output
        .manifest
        .pointer("/subject/digest")
        .and_then(Value::as_str)
    {
        let _ = writeln!(text, "  refers to   {}", one_line(subject));
    }
    let mut table = TextTable::default();
    let entries = output.manifest["manifests"]
        .as_array()
        .into_iter()
        .flatten();
    for entry in entries {
        let field = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        table.row([format!("  {}", field("digest")), field("artifactType")]);
    }
    for blob in &output.blobs {
        table.row([
            format!("  {}", blob.digest),
            bytes(blob.size),
            blob.media_type.clone(),
        ]);
    }
    let _ = write!(text, "\n  content\n{table}");
    text
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
