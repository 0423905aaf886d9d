//! `COPY` and `ADD` of files of the build context.

use std::path::Path;

use super::context::{
    ContextContent, ContextEntry, ContextKind, FILES, MODES, joined, parent, unusual_mode,
};
use super::draft::{DraftContent, FileDraft};
use super::owners::owner;
use super::reach::is_at_or_below;
use super::scripts::make_directory;
use super::shell::quoted;
use super::state::{Importer, InstructionOutcome, shown};
use crate::config_files::values::Mode;
use crate::dockerfile::{Instruction, Keyword, expand};
use crate::resolve::image::Certificate;

/// The maximum number of `[[files]]` for one instruction.
const MAX_TABLES: usize = 2_000;

/// The directories from which the tools of the families read certificates.
const TRUST: [&str; 2] = [
    "/usr/local/share/ca-certificates",
    "/etc/pki/ca-trust/source/anchors",
];

/// The files that one instruction places.
#[derive(Debug, Default)]
struct Placement {
    files: Vec<PlacedFile>,
    /// The owner; `None` for root.
    owner: Option<String>,
    mode: Option<u32>,
    /// The directory that the files go into, or the path of the only file.
    destination: String,
    /// True if the destination is a directory.
    into: bool,
    /// The reason why the spec lacks a part of the instruction.
    missing: Option<String>,
}

/// One source of an instruction.
#[derive(Debug)]
struct PlacedFile {
    content: DraftContent,
    /// The path in the context; `None` for a here-document.
    path: Option<String>,
    target: String,
    is_directory: bool,
}

impl Importer<'_> {
    /// Imports `COPY` or `ADD`. Fails with the reason why the spec cannot contain it.
    pub(super) fn copy(&mut self, instruction: &Instruction) -> Result<InstructionOutcome, String> {
        let placement = self.placement(instruction)?;
        if self.pend_certificates(&placement) {
            return Ok(InstructionOutcome::Declared);
        }
        let tables = self.tables(&placement)?;
        let targets: Vec<String> = tables.iter().flat_map(|table| self.paths(table)).collect();
        let outcome = if self.can_place(&placement, &tables, &targets) {
            self.add_directories(&placement);
            self.draft.files.extend(tables);
            self.targets.extend(targets);
            InstructionOutcome::Declared
        } else {
            self.place_for_step(instruction, &placement, tables);
            InstructionOutcome::Step
        };
        for file in &placement.files {
            self.copies.extend(file.path.clone());
            if file.is_directory {
                let directory = file.path.clone().unwrap_or_default();
                let below = self.context.below(&directory);
                let kept = below.filter(|(path, _)| !is_of_git(path));
                self.copies
                    .extend(kept.map(|(path, _)| joined(&directory, path)));
            }
        }
        self.copies.remove("");
        let destination = placement.destination.clone();
        let created = self.missing(&destination);
        let directories = created.len() - usize::from(!placement.into).min(created.len());
        self.created.extend(created.into_iter().take(directories));
        match placement.missing {
            Some(reason) => Err(reason),
            None => Ok(outcome),
        }
    }

    /// Reads the flags, the sources and the destination.
    fn placement(&self, instruction: &Instruction) -> Result<Placement, String> {
        let mut placement = Placement::default();
        for flag in &instruction.flags {
            let value = self.text(flag.value.as_deref().unwrap_or_default())?;
            match flag.name.as_str() {
                "chown" => placement.owner = owner(&value)?,
                "chmod" => placement.mode = Some(Mode::try_from(value)?.0),
                "link" => {}
                "from" => return Err(format!("the files are in another image, `{value}`")),
                other => return Err(format!("a spec has no equivalent of --{other}")),
            }
        }
        let mut words = instruction.list();
        let written = words.pop().unwrap_or_default();
        let written = self.text(&written)?;
        let path = self.absolute(&written)?;
        placement.destination = format!("/{path}");
        let ends_as_directory = written.ends_with('/')
            || ["", ".", ".."].contains(&written.rsplit('/').next().unwrap_or_default());
        let mut sources = Vec::new();
        for word in &words {
            sources.extend(self.sources(instruction, word, &mut placement)?);
        }
        if sources.is_empty() {
            return Err("it has no source".to_owned());
        }
        let has_directory = sources.iter().any(|source| source.is_directory);
        placement.into = ends_as_directory || has_directory || sources.len() > 1;
        if path.is_empty() {
            placement.destination.clear();
        }
        for source in &mut sources {
            source.target = match (source.is_directory, placement.into) {
                (true, _) => format!("{}/", placement.destination),
                (false, true) => format!("{}/{}", placement.destination, source.target),
                (false, false) => placement.destination.clone(),
            };
        }
        placement.files = sources;
        Ok(placement)
    }

    /// The files of one source; their targets are names.
    fn sources(
        &self,
        instruction: &Instruction,
        word: &str,
        placement: &mut Placement,
    ) -> Result<Vec<PlacedFile>, String> {
        if let Some(document) = instruction
            .here_documents
            .iter()
            .find(|document| document.is_opened_by(word))
        {
            let text = document.text();
            let text = if document.expands {
                let value = expand::here_document(&text, self.escape, &self.scope)
                    .map_err(|error| error.to_string())?;
                self.known(&value)?
            } else {
                text
            };
            return Ok(vec![PlacedFile {
                content: DraftContent::Text(text),
                path: None,
                target: document.name.clone(),
                is_directory: false,
            }]);
        }
        let source = self.text(word)?;
        if instruction.keyword == Keyword::Add
            && (source.contains("://") || source.starts_with("git@"))
        {
            return Err(format!("golden does not download `{source}`"));
        }
        let selected = self.context.select(&source);
        if selected.is_empty() {
            return Err(format!("the build context has no file `{source}`"));
        }
        let mut files = Vec::new();
        for one in selected {
            let entry = self.context.entries.get(&one.path);
            if instruction.keyword == Keyword::Add
                && entry
                    .is_some_and(|entry| entry.kind == ContextKind::File(ContextContent::Archive))
            {
                return Err(format!(
                    "`{source}` is an archive, which golden does not unpack; unpack it in the build context"
                ));
            }
            let path = match entry.map(|entry| &entry.kind) {
                Some(ContextKind::Link(target)) => joined(parent(&one.path), target),
                _ => one.path.clone(),
            };
            if one.is_directory {
                self.check_directory(&path, placement)?;
            } else if !self.context.entries.contains_key(&path) {
                return Err(format!(
                    "the link `{source}` leads out of the build context"
                ));
            }
            files.push(PlacedFile {
                content: DraftContent::Source(self.context.destination(&path)),
                path: Some(path),
                target: one.path.rsplit('/').next().unwrap_or_default().to_owned(),
                is_directory: one.is_directory,
            });
        }
        Ok(files)
    }

    /// Checks the links in a directory, and notes files that are not copied.
    fn check_directory(&self, directory: &str, placement: &mut Placement) -> Result<(), String> {
        for (path, entry) in self.context.below(directory) {
            if is_of_git(path) {
                placement.missing = Some(
                    "the directory .git is not copied; the other files are declared".to_owned(),
                );
                continue;
            }
            let ContextKind::Link(target) = &entry.kind else {
                continue;
            };
            let depth = directory.split('/').filter(|part| !part.is_empty()).count()
                + path.matches('/').count();
            if !target.starts_with('/') && leaves(target, depth) {
                return Err(format!("the link `{path}` leads out of the build context"));
            }
        }
        Ok(())
    }

    /// Keeps certificates for the trust store until the Dockerfile updates it. False if the files
    /// are not certificates in the directory of a trust tool.
    fn pend_certificates(&mut self, placement: &Placement) -> bool {
        let is_certificate = |file: &PlacedFile| {
            let entry = file
                .path
                .as_ref()
                .and_then(|path| self.context.entries.get(path));
            TRUST.contains(&parent(&file.target))
                && entry.is_some_and(|entry| {
                    entry.kind == ContextKind::File(ContextContent::Certificates)
                        && placement.mode.unwrap_or(entry.mode) == 0o644
                })
                && file.path.as_deref().is_some_and(|path| {
                    let name = Certificate::file_name(Path::new(path), 0);
                    file.target.ends_with(&format!("/{name}"))
                })
        };
        let all = self.steps.is_empty()
            && placement.owner.is_none()
            && placement.files.iter().all(is_certificate);
        if all {
            let certificates = placement
                .files
                .iter()
                .filter_map(|file| Some((file.path.clone()?, file.target.clone())));
            self.certificates.extend(certificates);
        }
        all
    }

    /// The `[[files]]` of a placement. Fails if there are too many.
    fn tables(&self, placement: &Placement) -> Result<Vec<FileDraft>, String> {
        let mut tables = Vec::new();
        for file in &placement.files {
            let table = |content: DraftContent, target: String, mode: Option<u32>| FileDraft {
                content,
                target,
                mode,
                owner: placement.owner.clone(),
            };
            let Some(path) = file.path.as_ref().filter(|_| file.is_directory) else {
                let entry = file
                    .path
                    .as_ref()
                    .and_then(|path| self.context.entries.get(path));
                let mode = placement.mode.or_else(|| entry.and_then(unusual_mode));
                tables.push(table(file.content.clone(), file.target.clone(), mode));
                continue;
            };
            let below: Vec<(&str, &ContextEntry)> = self
                .context
                .below(path)
                .filter(|(path, _)| !is_of_git(path))
                .collect();
            tables.push(table(
                file.content.clone(),
                file.target.clone(),
                placement.mode,
            ));
            for (name, entry) in below {
                let target = format!("{}{name}", file.target);
                let unusual = unusual_mode(entry);
                if entry.kind == ContextKind::Directory {
                    let mode = placement.mode.unwrap_or(entry.mode);
                    // The mode of a directory without a table of its own.
                    let given = placement
                        .mode
                        .map_or(0o755, |mode| mode | ((mode & 0o444) >> 2));
                    if mode != given {
                        let target = format!("{target}/");
                        tables.push(table(DraftContent::Directory, target, Some(mode)));
                    }
                } else if unusual.is_some() {
                    let path = self.context.destination(&joined(path, name));
                    let mode = placement.mode.or(unusual);
                    tables.push(table(DraftContent::Source(path), target, mode));
                }
            }
        }
        if tables.len() > MAX_TABLES {
            return Err(format!(
                "more than {MAX_TABLES} of its files and directories need a [[files]] of their own for their mode"
            ));
        }
        Ok(tables)
    }

    /// The paths in the image of the files of a table.
    fn paths(&self, table: &FileDraft) -> Vec<String> {
        let target = table.target.trim_end_matches('/');
        let source = match &table.content {
            DraftContent::Directory => return Vec::new(),
            DraftContent::Text(_) => return vec![target.to_owned()],
            DraftContent::Source(source) => joined("", source),
        };
        let path = source.strip_prefix(FILES).unwrap_or_default();
        let path = path.trim_start_matches('/');
        if !table.target.ends_with('/') || source.starts_with(MODES) {
            return vec![target.to_owned()];
        }
        let files = self
            .context
            .below(path)
            .filter(|(name, entry)| entry.kind != ContextKind::Directory && !is_of_git(name));
        files.map(|(name, _)| format!("{target}/{name}")).collect()
    }

    /// True if the files can be placed before all steps, after the packages.
    fn can_place(&self, placement: &Placement, tables: &[FileDraft], targets: &[String]) -> bool {
        let is_numeric = |owner: &String| owner.chars().all(|c| c.is_ascii_digit() || c == ':');
        // A package or a step may create the user.
        let is_known = placement.owner.as_ref().is_none_or(is_numeric)
            || (self.draft.install.is_empty() && self.steps.is_empty());
        let directories = tables
            .iter()
            .filter(|table| table.content == DraftContent::Directory)
            .map(|table| &table.target);
        let created = match placement.owner {
            Some(_) => self.missing(&placement.destination),
            None => Vec::new(),
        };
        let is_below = |path: &String| {
            let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
            parents.skip(1).any(|parent| self.targets.contains(parent))
        };
        is_known
            && !self.is_reached(targets.iter().chain(directories).chain(&created))
            && !targets
                .iter()
                .any(|path| self.targets.contains(path) || is_below(path))
    }

    /// Adds the directories that an instruction with an owner creates: they get its owner too.
    fn add_directories(&mut self, placement: &Placement) {
        let Some(owner) = &placement.owner else {
            return;
        };
        let mut missing = self.missing(&placement.destination);
        if !placement.into {
            missing.pop();
        }
        let directory = |path: &String| FileDraft {
            target: format!("{path}/"),
            owner: Some(owner.clone()),
            ..FileDraft::default()
        };
        self.draft.files.extend(missing.iter().map(directory));
    }

    /// Places the files in a directory of their own, from which a step copies them.
    fn place_for_step(
        &mut self,
        instruction: &Instruction,
        placement: &Placement,
        tables: Vec<FileDraft>,
    ) {
        let stage = format!("/golden-import-{}", instruction.line);
        let owner = placement.owner.as_deref();
        let destination = if placement.destination.is_empty() {
            "/"
        } else {
            &placement.destination
        };
        let mut script: Vec<String> = Vec::new();
        let mut missing = self.missing(destination);
        if !placement.into {
            missing.pop();
        }
        script.extend(missing.iter().map(|path| make_directory(path, owner)));
        script.extend(owner.map(|owner| format!("chown -hR {} {stage}\n", quoted(owner))));
        for file in placement.files.iter().filter(|file| !file.is_directory) {
            let name = file.target.rsplit('/').next().unwrap_or_default();
            let from = quoted(&format!("{stage}/files/{name}"));
            script.push(format!("cp -a {from} {}\n", quoted(&file.target)));
        }
        if placement.files.iter().any(|file| file.is_directory) {
            let target = quoted(&format!("{}/", placement.destination));
            script.push(format!(
                "cd {stage}/tree\nfor name in * .[!.]* ..?*; do\n  if [ -e \"$name\" ] || [ -L \"$name\" ]; then cp -a \"$name\" {target}; fi\ndone\ncd /\n"
            ));
        }
        script.push(format!("rm -rf {stage}\n"));
        for mut table in tables {
            let inside = table
                .target
                .strip_prefix(&placement.destination)
                .unwrap_or(&table.target);
            let is_single = placement
                .files
                .iter()
                .any(|file| !file.is_directory && file.target == table.target);
            let name = table.target.rsplit('/').next().unwrap_or_default();
            table.target = if is_single {
                format!("{stage}/files/{name}")
            } else {
                format!(
                    "{stage}/tree{}{inside}",
                    if inside.starts_with('/') { "" } else { "/" }
                )
            };
            table.owner = None;
            self.draft.files.push(table);
        }
        self.push_own_step(shown(instruction), script.concat());
    }

    /// Drops the directories that `WORKDIR` of the spec creates by itself.
    pub(super) fn directories_of_workdirs(&mut self) {
        let Some(workdir) = self.draft.config.workdir.clone() else {
            return;
        };
        let owned: Vec<String> = self
            .draft
            .files
            .iter()
            .filter(|file| file.owner.is_some())
            .map(|file| file.target.clone())
            .collect();
        let files = std::mem::take(&mut self.draft.files);
        let is_needed = |file: &FileDraft| {
            let path = file.target.trim_end_matches('/');
            let is_parent = is_at_or_below(&workdir, path);
            let is_plain = file.content == DraftContent::Directory
                && file.owner.is_none()
                && file.mode.is_none();
            !(is_plain && is_parent && !owned.iter().any(|target| is_at_or_below(target, path)))
        };
        self.draft.files = files.into_iter().filter(is_needed).collect();
    }
}

/// True if the path is in a `.git` directory, which golden never copies.
fn is_of_git(path: &str) -> bool {
    path.split('/').any(|part| part == ".git")
}

/// True if a relative link in a directory of this depth leads out of the root.
fn leaves(target: &str, depth: usize) -> bool {
    let mut depth = depth;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}
