//! Reads the instructions in order and decides for each of them.

use std::collections::{BTreeMap, BTreeSet};

use super::context::BuildContext;
use super::draft::{Draft, with_comment};
use super::pending::Workdir;
use super::state::{ImportOptions, ImportedLine, Importer, InstructionOutcome, shown};
use crate::config_files::quoted::quoted;
use crate::dockerfile::{
    self, Dockerfile, Instruction, Keyword, Scope, ScopeValue, Stage, StageBase, expand,
};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::resolve::family;

/// The maximum number of steps. Each one is compared with each file that is placed after it.
const MAX_STEPS: usize = 1_000;

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The text of image.toml.
    pub spec: String,
    /// The instructions with their outcomes.
    pub lines: Vec<ImportedLine>,
    /// The paths of the build context to copy, with their paths next to image.toml.
    pub copies: BTreeMap<String, String>,
    /// True if the Dockerfile does not determine the user of a step. The spec runs it as root.
    pub needs_unknown_user: bool,
    /// True if the Dockerfile does not determine the working directory of a step that may use it.
    /// The spec runs the step in `/`.
    pub needs_unknown_workdir: bool,
}

/// The reason why a Dockerfile cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not a Dockerfile.
    #[error(transparent)]
    Parse(#[from] dockerfile::Error),
    /// The Dockerfile has several build stages.
    #[error("the Dockerfile has {} build stages ({}); an image of a workspace has one", .0.len(), .0.join(", "))]
    Stages(Vec<String>),
    /// There is no such stage.
    #[error("the Dockerfile has no build stage `{0}`")]
    NoStage(String),
    /// The base cannot be used.
    #[error("line {line}: the base `{written}` cannot be used: {reason}")]
    Base {
        /// The number of the line.
        line: usize,
        /// The base as written.
        written: String,
        /// The problem.
        reason: String,
    },
    /// The instructions up to one need too many steps.
    #[error("golden imports at most {MAX_STEPS} steps; {keyword} in line {line} needs one more")]
    TooManySteps {
        /// The number of the line.
        line: usize,
        /// The instruction.
        keyword: Keyword,
    },
}

impl Error {
    /// Hints for the user.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Parse(_) | Self::NoStage(_) => Vec::new(),
            Self::Stages(_) => vec![
                "build the files of the other stages outside golden (in CI, or with `docker build --target STAGE --output DIR`), place them with [[files]], and import a Dockerfile with only the last stage".to_owned(),
                "a stage that other images share can be an image of its own: import it first, and write base = { image = \"NAME\" }".to_owned(),
            ],
            Self::TooManySteps { .. } => vec![
                "join RUN instructions with `&&`, and import the Dockerfile again; an engine builds at most about 125 of them".to_owned(),
            ],
            Self::Base { .. } => {
                vec!["write the base into FROM, or give its ARG a default".to_owned()]
            }
        }
    }
}

/// Imports a Dockerfile with its build context. Fails if it is invalid, or has several stages.
pub fn import(
    dockerfile: &Dockerfile,
    context: &BuildContext,
    options: &ImportOptions,
) -> Result<Import, Error> {
    let (outer, stages) = dockerfile::stages(dockerfile, &options.arguments)?;
    let stage = chosen(&stages, options.stage.as_deref())?;
    let mut importer = Importer::new(dockerfile, context, options, outer);
    importer.from(stage, &stages, options)?;
    let first = stages.first().map_or(0, |stage| stage.from.line);
    let of_stage = |(number, instruction): &(usize, &Instruction)| {
        instruction.line < first
            || instruction.line == stage.from.line
            || stage.instructions.contains(number)
    };
    let instructions = dockerfile.instructions.iter().enumerate();
    for (_, instruction) in instructions.filter(of_stage) {
        let outcome = match instruction.keyword {
            Keyword::From => importer.platform(stage),
            Keyword::Arg if instruction.line < first => InstructionOutcome::Declared,
            _ => importer
                .instruction(instruction)
                .unwrap_or_else(InstructionOutcome::LeftOut),
        };
        if importer.steps.len() > MAX_STEPS {
            return Err(Error::TooManySteps {
                line: instruction.line,
                keyword: instruction.keyword,
            });
        }
        importer.lines.push(ImportedLine {
            line: instruction.line,
            instruction: shown(instruction),
            outcome,
        });
    }
    Ok(importer.finished(options))
}

/// The stage to import. Fails if there are several and none is named.
fn chosen<'s>(stages: &'s [Stage], name: Option<&str>) -> Result<&'s Stage, Error> {
    let is_named = |(number, stage): &(usize, &Stage)| {
        let name = name.unwrap_or_default();
        stage.name.as_deref() == Some(name.to_ascii_lowercase().as_str())
            || name == number.to_string()
    };
    match (stages, name) {
        ([stage], None) => return Ok(stage),
        (_, Some(name)) => {
            let found = stages.iter().enumerate().find(is_named);
            return found
                .map(|(_, stage)| stage)
                .ok_or_else(|| Error::NoStage(name.to_owned()));
        }
        (_, None) => {}
    }
    Err(Error::Stages(names(stages)))
}

/// The names and lines of the stages.
fn names(stages: &[Stage]) -> Vec<String> {
    let shown = |stage: &Stage| {
        let line = stage.from.line;
        let name = stage.name.as_ref();
        name.map_or_else(
            || format!("line {line}"),
            |name| format!("{name} on line {line}"),
        )
    };
    stages.iter().map(shown).collect()
}

impl<'a> Importer<'a> {
    fn new(
        dockerfile: &Dockerfile,
        context: &'a BuildContext,
        options: &'a ImportOptions,
        outer: Scope,
    ) -> Self {
        let special = dockerfile.instructions.iter().filter(|instruction| {
            instruction.keyword == Keyword::Env
                && instruction
                    .pairs(dockerfile.escape)
                    .is_ok_and(|pairs| pairs.iter().any(|pair| is_special(&pair.key, &pair.value)))
        });
        Self {
            escape: dockerfile.escape,
            context,
            arguments: &options.arguments,
            outer,
            scope: Scope::on_base(),
            draft: Draft {
                name: options.name.clone(),
                version: "0.1.0".to_owned(),
                ..Draft::default()
            },
            family: None,
            user: None,
            workdir: Workdir::OfBase,
            needs_unknown_user: false,
            uses_workdir_of_base: false,
            uses_workdir_left_out: false,
            shell: None,
            steps: Vec::new(),
            created: BTreeSet::new(),
            targets: BTreeSet::new(),
            certificates: Vec::new(),
            copies: BTreeSet::new(),
            last_special_env: special
                .map(|instruction| instruction.line)
                .max()
                .unwrap_or(0),
            lines: Vec::new(),
        }
    }

    fn from(
        &mut self,
        stage: &Stage,
        stages: &[Stage],
        options: &ImportOptions,
    ) -> Result<(), Error> {
        let invalid = |reason: String| Error::Base {
            line: stage.from.line,
            written: stage.from.written.clone(),
            reason,
        };
        match &stage.from.source {
            StageBase::Scratch => {
                self.draft.base = quoted("scratch");
                self.scope.has_base = false;
                self.user = Some("root".to_owned());
                self.workdir = Workdir::Known("/".to_owned());
            }
            StageBase::Image(text) if options.bases.contains_key(text) => {
                self.draft.base.clone_from(&options.bases[text]);
            }
            StageBase::Image(text) => {
                let reference: Reference = text
                    .parse()
                    .map_err(|error: crate::reference::Error| invalid(error.to_string()))?;
                self.family = family::of(&reference);
                self.draft.base = quoted(text);
            }
            StageBase::Stage(_) => return Err(Error::Stages(names(stages))),
            StageBase::Unknown(expand::Error::Unknown(_)) => {
                let reason = "its build argument has no default, or depends on the platform";
                return Err(invalid(reason.to_owned()));
            }
            StageBase::Unknown(error) => return Err(invalid(error.to_string())),
        }
        Ok(())
    }

    /// The outcome of `FROM`, whose `--platform` becomes `platforms`.
    fn platform(&mut self, stage: &Stage) -> InstructionOutcome {
        let Some(platform) = &stage.from.platform else {
            return InstructionOutcome::Declared;
        };
        if platform.contains("TARGETPLATFORM") || platform.contains("BUILDPLATFORM") {
            return InstructionOutcome::Declared;
        }
        let value = expand::word(platform, self.escape, &self.outer);
        let known = value.ok().and_then(|value| value.known().ok());
        match known.and_then(|text| text.parse::<Platform>().ok()) {
            Some(platform) => {
                self.draft.platforms = vec![platform.to_string()];
                InstructionOutcome::Declared
            }
            None => InstructionOutcome::LeftOut(format!("the platform `{platform}` is not known")),
        }
    }

    /// Imports one instruction of the stage. Fails with the reason why the spec cannot contain it.
    fn instruction(&mut self, instruction: &Instruction) -> Result<InstructionOutcome, String> {
        match instruction.keyword {
            Keyword::Add | Keyword::Copy => self.copy(instruction),
            Keyword::Run => self.run(instruction),
            Keyword::Arg => self.argument(instruction).map(|()| InstructionOutcome::Declared),
            Keyword::From => Ok(InstructionOutcome::Declared),
            Keyword::Maintainer => Err(
                "the field `author` has no key in a spec; use the label org.opencontainers.image.authors"
                    .to_owned(),
            ),
            Keyword::Onbuild => {
                Err("golden images have no triggers; add the instruction to the images that are built on this one".to_owned())
            }
            _ => self.metadata(instruction).map(|()| InstructionOutcome::Declared),
        }
    }

    /// `ARG`: later instructions use the value.
    fn argument(&mut self, instruction: &Instruction) -> Result<(), String> {
        for (name, default) in instruction.build_arguments(self.escape) {
            let value = match (self.arguments.get(&name), default) {
                (Some(value), _) => Some(ScopeValue::text(value)),
                (None, Some(word)) => Some(self.value(&word)?),
                (None, None) => self.outer.arguments().get(&name).cloned().flatten(),
            };
            let declared = self.scope.declare(name, value);
            declared.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn finished(mut self, options: &ImportOptions) -> Import {
        self.declare_pending_certificates();
        let steps = std::mem::take(&mut self.steps);
        self.draft.run = steps.into_iter().map(|step| self.step(step)).collect();
        self.draft.labels.extend(options.labels.clone());
        let labels = ["org.opencontainers.image.version", "version"];
        let version = labels
            .iter()
            .find_map(|label| self.draft.labels.get(*label));
        if let Some(version) = version.filter(|text| semver::Version::parse(text).is_ok()) {
            self.draft.version.clone_from(version);
        }
        if let Some(version) = &options.version {
            self.draft.version.clone_from(version);
        }
        if !options.platforms.is_empty() {
            self.draft.platforms.clone_from(&options.platforms);
        }
        self.directories_of_workdirs();
        // Without a `workdir` in the spec, a step runs in the directory of the base there too.
        let is_replaced = self.uses_workdir_of_base && self.draft.config.workdir.is_some();
        let needs_unknown_workdir = self.uses_workdir_left_out || is_replaced;
        let copies = self.copies.into_iter();
        let copies = copies.map(|path| (path.clone(), self.context.destination(&path)));
        let copies = copies.collect();
        Import {
            spec: with_comment(&self.draft, &options.comment),
            lines: self.lines,
            copies,
            needs_unknown_user: self.needs_unknown_user,
            needs_unknown_workdir,
        }
    }
}

/// True if the variable changes how package managers or the dynamic linker work.
fn is_special(key: &str, value: &str) -> bool {
    let upper = key.to_ascii_uppercase();
    match upper.as_str() {
        "PATH" => !value.contains("PATH"),
        "APT_CONFIG" | "ENV" | "IFS" | "GNUPGHOME" => true,
        name => name.starts_with("LD_") || name.ends_with("_PROXY"),
    }
}
