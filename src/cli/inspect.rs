//! `golden inspect`: show the manifest, config, labels and layers of an image, and all tags of its
//! digest.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{destinations, names};
use crate::app::registries;
use crate::config_files::base::LayoutSpec;
use crate::image::{Described, Inventory, describe};
use crate::observe::Absent;
use crate::oci::Descriptor;
use crate::oci::artifact::ArtifactKind;
use crate::platform::Platform;
use crate::reference::Digest;
use crate::report::OutputFormat;
use crate::report::table::TextTable;
use crate::report::text::{bytes, one_line};
use crate::store::layout::LayoutReader;

/// Show the manifest, config, labels and layers of an image, and all tags of its digest.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image in a registry, by reference or by the name of a workspace image; or
    /// `oci:DIR[:NAME][@DIGEST]` in an OCI layout.
    #[arg(value_name = "REF")]
    pub reference: String,
}

/// The JSON output.
#[derive(Serialize)]
struct InspectOutput {
    reference: String,
    digest: Digest,
    kind: ArtifactKind,
    media_type: String,
    size: u64,
    created: Option<String>,
    /// All tags that point to this digest, including the requested one; in a layout, all names.
    tags: Vec<String>,
    manifest: Value,
    images: Vec<InspectedImage>,
    /// The blobs of an artifact.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blobs: Vec<Descriptor>,
}

/// One image of the reference; an index has several.
#[derive(Serialize)]
struct InspectedImage {
    platform: Platform,
    digest: Digest,
    config: Value,
    labels: BTreeMap<String, String>,
    layers: Vec<Descriptor>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let output = if args.reference.starts_with("oci:") {
        inspect_layout(args.reference, context).await?
    } else {
        inspect_registry(&args.reference, context).await?
    };
    match context.format {
        OutputFormat::Json => context.out.json(&output),
        _ => context.out.data(&text(&output)),
    }
    Ok(Exit::Done)
}

/// Reads an image from an OCI layout.
async fn inspect_layout(written: String, context: &Context) -> Result<InspectOutput, Failure> {
    let LayoutSpec {
        directory,
        name,
        digest,
    } = written.parse().map_err(Failure::usage)?;
    let layout = LayoutReader::open(&context.cwd.join(directory))?;
    let (top, names) = layout.find(name.as_deref(), digest.as_ref())?;
    Ok(output(written, &layout.describe(&top).await?, names))
}

/// Reads an image from a registry.
async fn inspect_registry(written: &str, context: &Context) -> Result<InspectOutput, Failure> {
    let destinations = destinations(context).await?;
    let arguments = [written.to_owned()];
    let names = names(context, &destinations, &arguments).await?;
    let reference = names.reference(written)?;
    let named = names.with_host(&arguments);
    let repo =
        registries::open(&context.settings(), &destinations, &named)?.repo(&reference.repository);
    let Some(described) = describe(&repo, reference.target()).await? else {
        return Err(Failure::absent(Absent::find(&repo, &reference).await));
    };
    let tags = Inventory::tags(&repo).await?;
    let same = tags
        .into_iter()
        .filter(|(_, found)| found.digest == described.raw.digest);
    Ok(output(
        reference.to_string(),
        &described,
        same.map(|(tag, _)| tag.to_string()).collect(),
    ))
}

fn output(reference: String, described: &Described, tags: Vec<String>) -> InspectOutput {
    let images = described.images.iter().map(|image| InspectedImage {
        platform: image.platform.clone(),
        digest: image.digest.clone(),
        config: Value::Object(image.config.as_object().clone()),
        labels: image.config.labels(),
        layers: image.manifest.layers.clone(),
    });
    InspectOutput {
        reference,
        digest: described.raw.digest.clone(),
        kind: described.kind.clone(),
        media_type: described.raw.media_type.clone(),
        size: described.size(),
        created: described.created().map(str::to_owned),
        tags,
        manifest: serde_json::from_slice(&described.raw.bytes).unwrap_or_default(),
        images: images.collect(),
        blobs: described.artifact_blobs(),
    }
}

fn text(output: &InspectOutput) -> String {
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
    text
}

/// The text for an artifact, which has no platform, config or labels.
fn artifact(output: &InspectOutput) -> String {
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
