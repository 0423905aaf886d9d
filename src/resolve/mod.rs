//! Resolves specs into images: merges defaults, expands the matrix, fills in templates and checks
//! the result.

mod build;
mod claims;
pub mod destination;
pub mod family;
pub mod files;
pub mod graph;
pub mod image;
pub mod image_test;
mod inherit;
pub mod labels;
pub mod lifecycle;
mod location;
mod matrix;
pub mod package_sources;
pub mod packages;
pub mod parsed;
pub mod pin;
pub mod repetition;
pub mod select;
pub mod signal;
mod strings;
pub mod target;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

pub use destination::Destination;
pub use image::ResolvedImage;
pub use parsed::{ParsedImage, ParsedImages};
pub use pin::PinnedBase;
pub(crate) use strings::LONGEST_EXPRESSION;
pub use strings::Names;

use crate::config_files::document::{SourceFiles, SpecTable, entry};
use crate::config_files::{ImageSpec, WorkspaceSpec, keyed, typed::typed};
use crate::diagnostic::{Diagnostic, Diagnostics};
use parsed::IncompleteImage;
use strings::Strings;

/// golden.toml after its templates are filled in.
#[derive(Debug)]
pub struct WorkspaceFile<'t> {
    /// The path of golden.toml, relative to the workspace.
    pub file: PathBuf,
    /// The typed content.
    pub spec: WorkspaceSpec,
    /// `[defaults]`, whose templates are not filled in yet.
    pub defaults: SpecTable<'t>,
    /// The names that templates of images can use, except `matrix` and `image`.
    pub names: Names,
}

/// An image.toml after TOML parsing.
#[derive(Debug)]
pub struct ImageFile<'t> {
    /// The path of the image.toml, relative to the workspace.
    pub file: PathBuf,
    /// The parsed TOML.
    pub table: SpecTable<'t>,
}

/// Reads golden.toml. `names` are the names that templates can use in addition to `vars`; `set`
/// overrides variables.
pub fn workspace<'t>(
    file: &Path,
    mut table: SpecTable<'t>,
    names: Names,
    set: &BTreeMap<String, String>,
    found: &mut Diagnostics,
) -> WorkspaceFile<'t> {
    let files = SourceFiles {
        workspace: file.to_owned(),
        image: file.to_owned(),
    };
    let defaults = take_defaults(&mut table, &files, found);
    keyed::check(&mut table, &files, found);
    let mut vars = BTreeMap::new();
    if let Some(DeValue::Table(entries)) = table.get("vars").map(toml::Spanned::get_ref) {
        let text = |(key, value): (
            &toml::Spanned<std::borrow::Cow<'_, str>>,
            &crate::config_files::document::Value<'_>,
        )| {
            Some((
                key.get_ref().clone().into_owned(),
                value.get_ref().as_str()?.to_owned(),
            ))
        };
        vars.extend(entries.iter().filter_map(text));
    }
    vars.extend(set.clone());
    let names = names.with("vars", vars);
    let kept = table.remove("vars");
    Strings::default().fill(&mut table, &names, true, &files, found);
    if let Some(vars) = kept {
        table.insert(toml::Spanned::new(vars.span(), "vars".into()), vars);
    }
    let spec = typed(table, &files, found);
    WorkspaceFile {
        file: file.to_owned(),
        spec,
        defaults,
        names,
    }
}

fn take_defaults<'t>(
    table: &mut SpecTable<'t>,
    files: &SourceFiles,
    found: &mut Diagnostics,
) -> SpecTable<'t> {
    let Some(value) = table.get("defaults") else {
        return SpecTable::new();
    };
    let DeValue::Table(mut defaults) = value.get_ref().clone() else {
        return SpecTable::new();
    };
    table.remove("defaults");
    for key in ["image", "matrix"] {
        if let Some((span, _)) = entry(&defaults, &[key]) {
            let message = format!("[{key}] cannot have defaults: each image has its own");
            found.push(files.at(Diagnostic::error("spec.unknown-key", message), &span, ""));
            defaults.remove(key);
        }
    }
    defaults
}

/// Parses all images and finds their parents. `complete` is true if every image file could be
/// parsed.
#[must_use]
pub fn images(
    workspace: &WorkspaceFile<'_>,
    files: &[ImageFile<'_>],
    complete: bool,
    found: &mut Diagnostics,
) -> ParsedImages {
    let strings = Strings::default();
    let (mut images, mut incomplete) = (Vec::new(), Vec::new());
    for file in files {
        for parsed in rows_of(workspace, file, &strings, found) {
            match parsed {
                Ok(image) => images.push(image),
                Err(image) => incomplete.push(*image),
            }
        }
    }
    // The error of an unusable matrix or image is already reported. Do not report the images that
    // refer to it.
    let complete = complete && !found.has_errors();
    claims::check(&images, found);
    ParsedImages {
        images: graph::ordered(images, complete, found),
        incomplete,
    }
}

/// Parses an image file: one image for each row of its matrix.
fn rows_of(
    workspace: &WorkspaceFile<'_>,
    image: &ImageFile<'_>,
    strings: &Strings,
    found: &mut Diagnostics,
) -> Vec<Result<ParsedImage, Box<IncompleteImage>>> {
    let files = SourceFiles {
        workspace: workspace.file.clone(),
        image: image.file.clone(),
    };
    let mut own = image.table.clone();
    let mut axes = SpecTable::new();
    if let Some((key, value)) = own.remove_entry("matrix") {
        axes.insert(key, value);
    }
    let at = entry(&axes, &["matrix"]).map_or(0..0, |(key, _)| key);
    strings.fill(&mut axes, &workspace.names, false, &files, found);
    let matrix = typed::<ImageSpec>(axes, &files, found).matrix;
    let rows = match matrix::rows(&matrix) {
        Ok((rows, idle)) => {
            for number in idle {
                let message = format!("entry {} of `exclude` matches no combination", number + 1);
                found.push(files.at(Diagnostic::warning("matrix.exclude", message), &at, ""));
            }
            rows
        }
        Err(error) => {
            found.push(files.at(Diagnostic::error("spec.matrix", error.to_string()), &at, ""));
            return Vec::new();
        }
    };
    let mut images = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut table = inherit::merged(&workspace.defaults, &own);
        let names = workspace.names.clone().with("matrix", row.clone());
        fill_image(strings, &mut table, names, &files, found);
        keyed::check(&mut table, &files, found);
        let spec: ImageSpec = typed(table.clone(), &files, found);
        images.push(build::parse(spec, &table, row, &files, found));
    }
    images
}

/// Fills in `[image]` first, key by key, so that the rest of the file can use its values.
fn fill_image(
    strings: &Strings,
    table: &mut SpecTable<'_>,
    mut names: Names,
    files: &SourceFiles,
    found: &mut Diagnostics,
) {
    names = names.with("image", BTreeMap::new());
    if let Some(DeValue::Table(image)) = table.get_mut("image").map(toml::Spanned::get_mut) {
        let mut order: Vec<String> = image
            .keys()
            .map(|key| key.get_ref().clone().into_owned())
            .collect();
        order.sort_by_key(|key| match key.as_str() {
            "name" => 0,
            "version" => 1,
            "variant" => 2,
            _ => 3,
        });
        for key in order {
            let Some((name, value)) = image
                .get_key_value(&*key)
                .map(|(n, v)| (n.clone(), v.clone()))
            else {
                continue;
            };
            let mut one = SpecTable::new();
            one.insert(name, value);
            strings.fill(&mut one, &names, false, files, found);
            for (name, value) in one {
                if let Some(text) = value.get_ref().as_str() {
                    names.set("image", &key, text);
                }
                image.insert(name, value);
            }
        }
    }
    // `[image]` is filled in already. Braces that a value contains now are literal and are kept.
    let image = table.remove_entry("image");
    strings.fill(table, &names, false, files, found);
    if let Some((key, value)) = image {
        table.insert(key, value);
    }
}
