//! Runs the gates of a workspace on an image before its tags move.

use std::path::Path;

use tempfile::TempDir;
use tokio::sync::Mutex;

use super::examiner::Examiner;
use super::image_globs::ImageGlobs;
use crate::assemble::{Assembled, AssembledImage};
use crate::config_files::gate_table::{GateEvent, GateTable};
use crate::event::Events;
use crate::gates::{self, GateReport, GateSurroundings, Placeholders, names_in};
use crate::image::Blobs;
use crate::inventory::{BillOfMaterials, SbomFormat, SbomSubject, layer_owners};
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::reference::{Digest, Reference};
use crate::store::LocalDestination;
use crate::store::destination::NamedImage;
use crate::workspace::fs;

/// The gates of a workspace.
#[derive(Debug)]
pub struct Gates {
    all: Vec<Gate>,
    surroundings: GateSurroundings,
    blobs: Blobs,
    examiner: Examiner,
    events: Events,
    /// One gate at a time writes a SARIF file, because its path is the same for all images.
    sarif: Mutex<()>,
}

/// A gate with its globs compiled.
#[derive(Debug)]
struct Gate {
    table: GateTable,
    images: ImageGlobs,
}

impl Gate {
    fn new(table: GateTable) -> Self {
        let images = ImageGlobs::new(table.images.as_ref());
        Self { table, images }
    }
}

/// The image that gates examine.
#[derive(Debug, Clone, Copy)]
pub struct GateSubject<'a> {
    /// The name in events.
    pub display: &'a str,
    /// The name without registry and namespace.
    pub name: &'a str,
    /// The version, or the tag.
    pub version: &'a str,
    /// The image by digest, in a registry.
    pub reference: &'a Reference,
    /// The content.
    pub image: &'a Assembled,
}

/// The temporary files for the commands. They are removed when this is dropped.
struct GateFiles {
    directory: TempDir,
}

impl Gates {
    /// The gates of golden.toml.
    #[must_use]
    pub fn new(
        tables: Vec<GateTable>,
        surroundings: GateSurroundings,
        blobs: Blobs,
        examiner: Examiner,
    ) -> Self {
        let events = examiner.events.clone();
        Self {
            all: tables.into_iter().map(Gate::new).collect(),
            surroundings,
            blobs,
            examiner,
            events,
            sarif: Mutex::new(()),
        }
    }

    /// The gates that a command runs on an image with one of these names.
    pub fn of<'a>(
        &'a self,
        event: GateEvent,
        names: &'a [&'a str],
    ) -> impl Iterator<Item = &'a GateTable> {
        let applies = move |gate: &&Gate| gate.table.is_on(event) && gate.images.select(names);
        self.all.iter().filter(applies).map(|gate| &gate.table)
    }

    /// Runs all gates, even if one fails. The error is a problem with the input of the commands.
    pub async fn run(
        &self,
        gates: &[&GateTable],
        subject: &GateSubject<'_>,
    ) -> Result<Vec<GateReport>, String> {
        let mut values = Placeholders::default();
        let platforms = subject.image.images.iter();
        let platforms: Vec<String> = platforms.map(|image| image.platform.to_string()).collect();
        values.set("reference", subject.reference.to_string());
        values.set("image", subject.name);
        values.set("version", subject.version);
        values.set("platform", platforms.join(","));
        let needs = |placeholder: &str| {
            let mut words = gates.iter().flat_map(|gate| &gate.command);
            words.any(|word| names_in(word).any(|name| name == placeholder))
        };
        let files = GateFiles::new().map_err(|error| error.to_string())?;
        if needs("layout") {
            let path = files.layout(self, subject).await?;
            values.set("layout", path);
        }
        if needs("sbom") {
            let path = files.sbom(self, subject).await?;
            values.set("sbom", path);
        }
        let mut reports = Vec::with_capacity(gates.len());
        for gate in gates {
            let _turn = match &gate.sarif {
                Some(_) => Some(self.sarif.lock().await),
                None => None,
            };
            let report = gates::run(gate, &values, &self.surroundings).await;
            let passed = if report.passed { "passed" } else { "failed" };
            let note = format!("gate {}: {passed} ({})", report.name, report.because);
            self.events.note(Some(subject.display), note);
            reports.push(report);
        }
        Ok(reports)
    }
}

/// The reason why tags may not move; `None` if every gate passed.
#[must_use]
pub fn failure(reports: &[GateReport]) -> Option<String> {
    let failed = reports.iter().filter(|report| !report.passed);
    let failed: Vec<String> = failed
        .map(|report| format!("the gate `{}` failed: {}", report.name, report.because))
        .collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}

impl GateFiles {
    fn new() -> std::io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("golden-gate-").tempdir()?;
        Ok(Self { directory })
    }

    /// Writes the image as an OCI layout, and returns its path.
    async fn layout(&self, gates: &Gates, subject: &GateSubject<'_>) -> Result<String, String> {
        let directory = self.directory.path().join("layout");
        let named = NamedImage {
            image: subject.image,
            references: vec![subject.reference.clone()],
        };
        let destination = LocalDestination::Layout {
            directory: directory.clone(),
            name: Some(format!("{}:{}", subject.name, subject.version)),
        };
        let named = [named];
        let written = destination.write(&named, &gates.blobs, &gates.events);
        written.await.map_err(|error| error.to_string())?;
        as_word(&directory)
    }

    /// Writes the bill of materials of the image for this machine, or of the first one.
    async fn sbom(&self, gates: &Gates, subject: &GateSubject<'_>) -> Result<String, String> {
        let host = Platform::host();
        let images = &subject.image.images;
        let of_host = images.iter().find(|image| image.platform == host);
        let Some(image) = of_host.or_else(|| images.first()) else {
            return Err("the index has no image".to_owned());
        };
        let bill = bill(gates, subject, image).await?;
        let path = self.directory.path().join("sbom.cdx.json");
        let text = bill.document(SbomFormat::CycloneDx).to_string();
        let written = fs::write_atomic(&path, text.as_bytes());
        written.map_err(|error| error.to_string())?;
        as_word(&path)
    }
}

/// A path as a word of a command, which is UTF-8 like golden.toml.
fn as_word(path: &Path) -> Result<String, String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        format!(
            "the temporary directory has a name that is not UTF-8, {}; set TMPDIR to another directory",
            path.display()
        )
    })
}

async fn bill(
    gates: &Gates,
    subject: &GateSubject<'_>,
    image: &AssembledImage,
) -> Result<BillOfMaterials, String> {
    let config = ImageConfig::parse(&image.config).map_err(|error| error.to_string())?;
    let owners = layer_owners(&config, image.layers.len());
    let layers: Vec<_> = image.layers.iter().cloned().zip(owners).collect();
    let reader = &gates.examiner.reader;
    // The files of an image take much memory.
    let _turn = reader.turn().await;
    let content = reader.listed(&layers, subject.display, &gates.events).await;
    let content = content.map_err(|error| error.to_string())?;
    let described = SbomSubject {
        name: subject.name.rsplit('/').next().unwrap_or(subject.name),
        digest: &image.manifest.digest,
        config_digest: &Digest::of(&image.config),
        config: &config,
    };
    Ok(BillOfMaterials::of(described, content))
}
