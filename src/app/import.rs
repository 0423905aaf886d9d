//! Creates an image of the workspace from a Dockerfile and its build context, or from an existing
//! image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::bases;
use super::error::Error;
use super::located::Finder;
use super::new::{NewImage, NewSpec, shown};
use super::session;
use super::settings::Settings;
use crate::config_files::format::format;
use crate::dockerfile::parse;
use crate::import::{self, ImportOptions, ImportedLine, InstructionOutcome};
use crate::workspace::{build_context, fs};

/// A new image, with the result of importing its Dockerfile.
#[derive(Debug)]
pub struct ImportedImage {
    /// The new image.
    pub image: NewImage,
    /// The instructions of the Dockerfile with their outcomes.
    pub lines: Vec<ImportedLine>,
    /// The copied files, relative to the workspace.
    pub files: Vec<PathBuf>,
}

impl ImportedImage {
    /// True if every instruction is in the spec.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let is_left_out =
            |line: &ImportedLine| matches!(line.outcome, InstructionOutcome::LeftOut(_));
        !self.lines.iter().any(is_left_out)
    }
}

/// Creates an image from a Dockerfile. `base_dir` is the build context; the default is the directory
/// of the Dockerfile. Fails before it writes a file if the Dockerfile is invalid, or if a file
/// exists.
pub async fn dockerfile(
    settings: &Settings,
    name: &str,
    from: &Path,
    base_dir: Option<&Path>,
) -> Result<ImportedImage, Error> {
    let spec = NewSpec::of(settings, name).await?;
    let mut file = settings.cwd.join(from);
    if file.is_dir() {
        file.push("Dockerfile");
    }
    let directory = match base_dir {
        Some(directory) => settings.cwd.join(directory),
        None => fs::directory_of(&file).to_owned(),
    };
    let written = shown(&file, settings);
    let options = ImportOptions {
        name: spec.name.to_string(),
        comment: comment(&written),
        ..ImportOptions::default()
    };
    let text = text_of(&file, &written)?;
    let prepared = prepare(settings, &written, &text, (&file, &directory), &options)?;
    prepared.write(settings, spec).await
}

/// The comment at the top of an imported spec.
pub(super) fn comment(written: &str) -> String {
    format!("Imported from {written} by `golden new`.")
}

/// The text of a file that the user names.
pub(super) fn text_of(file: &Path, written: &str) -> Result<String, Error> {
    let bytes = fs::read(file)?;
    String::from_utf8(bytes).map_err(|_| Error::invalid(format!("{written} is not UTF-8 text")))
}

/// An import before it is written.
#[derive(Debug)]
pub(super) struct PreparedImport {
    text: String,
    lines: Vec<ImportedLine>,
    copies: BTreeMap<String, String>,
    /// The build context.
    directory: PathBuf,
}

/// Imports the text of a Dockerfile. `paths` are the file and its build context. `written` is the
/// name of the file in messages.
pub(super) fn prepare(
    settings: &Settings,
    written: &str,
    text: &str,
    paths: (&Path, &Path),
    options: &ImportOptions,
) -> Result<PreparedImport, Error> {
    let (file, directory) = paths;
    if !directory.is_dir() {
        let shown = shown(directory, settings);
        return Err(Error::invalid(format!(
            "the build context {shown} is not a directory"
        )));
    }
    let invalid = |error: import::Error| {
        let hints = error.hints();
        let error = Error::invalid(format!("{written}: {error}"));
        hints.into_iter().fold(error, Error::hint)
    };
    let dockerfile = parse(text).map_err(|error| invalid(error.into()))?;
    let context = build_context::read(directory, file)?;
    let imported = import::import(&dockerfile, &context, options).map_err(invalid)?;
    let warnings = [
        (
            imported.needs_unknown_user,
            "steps run as root: the Dockerfile does not determine their user; if it is another one, set `user` in their [[run]]",
        ),
        (
            imported.needs_unknown_workdir,
            "steps run in /: the Dockerfile does not determine their working directory; if it is another one, begin their scripts with `cd DIRECTORY`",
        ),
    ];
    for (_, problem) in warnings.into_iter().filter(|(is_needed, _)| *is_needed) {
        settings.events.warn(None, format!("{written}: {problem}"));
    }
    let text = format(&imported.spec)
        .map_err(|error| Error::failed(format!("the spec of {written} is invalid: {error}")))?;
    Ok(PreparedImport {
        text,
        lines: imported.lines,
        copies: imported.copies,
        directory: directory.to_owned(),
    })
}

impl PreparedImport {
    /// Copies the files and writes the spec. Fails before the first write if a file exists.
    pub(super) async fn write(
        self,
        settings: &Settings,
        spec: NewSpec,
    ) -> Result<ImportedImage, Error> {
        let target = spec.directory();
        let root = spec.root.clone();
        let files = build_context::copy(&self.directory, &target, &self.copies)?;
        let relative = |file: PathBuf| {
            let relative = file.strip_prefix(&root).map(Path::to_owned);
            relative.unwrap_or(file)
        };
        Ok(ImportedImage {
            files: files.into_iter().map(relative).collect(),
            image: spec.write(settings, &self.text).await?,
            lines: self.lines,
        })
    }
}

/// Creates an image on an existing image, with the config of that image, and records the digest of
/// that image in golden.lock. Fails if no registry has it.
pub async fn existing(finder: &Finder<'_>, name: &str, from: &str) -> Result<NewImage, Error> {
    let settings = finder.settings;
    if from.starts_with("oci:") {
        return Err(
            Error::invalid(format!("`{from}` is not an image of a registry"))
                .hint(format!("golden new {name} --base {from}")),
        );
    }
    let spec = NewSpec::of(settings, name).await?;
    let located = finder.find(from).await?;
    let base = located.reference;
    let options = ImportOptions {
        name: spec.name.to_string(),
        comment: format!("The config is that of {base}."),
        ..ImportOptions::default()
    };
    let text = import::on_image(&base, &located.chosen.config, &options);
    let text = format(&text)
        .map_err(|error| Error::failed(format!("the spec of {base} is invalid: {error}")))?;
    let image = spec.write(settings, &text).await?;
    pin(settings, &base).await?;
    Ok(image)
}

/// Records the digest of a base in golden.lock. An entry that exists does not move, because other
/// images use it. A workspace with an invalid spec is not changed.
async fn pin(settings: &Settings, base: &str) -> Result<(), Error> {
    let Some(session) = session::check(settings.clone()).await?.session else {
        return Ok(());
    };
    let (compared, _) = bases::compare(&session, &[base.to_owned()]).await?;
    let mut lock = session.workspace.lock.clone();
    for found in compared.into_iter().filter(|one| !one.pinned) {
        let current = found.current;
        let locked = match found.locked {
            Some(locked) => locked,
            None => lock.add(current.clone()).clone(),
        };
        if found.base == base && locked.digest != current.digest {
            let text = format!(
                "{base} remains at {} in golden.lock, and the registry has {} now; `golden update {base}` \
                 moves it for every image",
                locked.digest, current.digest
            );
            settings.events.warn(None, text);
        }
    }
    Ok(lock.write(&session.workspace.root)?)
}
