//! The parts of a Dockerfile, each as text that is already escaped: what a template puts in order.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Error;
use super::files::PlacedFiles;
use super::form::Form;
use super::instruction::{Instruction, Piece};
use crate::reference::Reference;
use crate::resolve::image::{Base, EnvValue, Family, Invocation, Packages};
use crate::resolve::{ResolvedImage, packages};

/// What a template may use. The names are documented at the top of each built-in template.
#[derive(Debug, Serialize)]
pub(super) struct Sections {
    image: Facts,
    header: String,
    from: String,
    root: String,
    env: String,
    add_certificates: String,
    certificates: Vec<String>,
    packages: PackageLists,
    files: String,
    workdir: String,
    steps: String,
    labels: String,
    late_env: String,
    config: String,
    restore_user: String,
}

/// The packages, as the family's package manager takes them.
#[derive(Debug, Serialize)]
struct PackageLists {
    /// To install, with versions.
    install: Vec<String>,
    /// The names of those, without versions.
    names: Vec<String>,
    /// To remove.
    remove: Vec<String>,
}

/// What a template may ask about the image.
#[derive(Debug, Serialize)]
struct Facts {
    name: String,
    version: String,
    variant: Option<String>,
    description: Option<String>,
    family: &'static str,
    scratch: bool,
}

/// What does not fit into the Dockerfile.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Whether the Dockerfile is built without golden, so that a build without the arguments must fail.
    standalone: bool,
    /// Values of build arguments.
    pub(super) build_args: BTreeMap<String, String>,
    /// Labels for the API.
    pub(super) api_labels: BTreeMap<String, String>,
}

/// The build argument that names the base.
const BASE: &str = "GOLDEN_BASE";
/// The build argument with the base's own user.
const BASE_USER: &str = "GOLDEN_BASE_USER";
/// The build argument that says that labels come in addition to the Dockerfile.
const BAKE: &str = "GOLDEN_BAKE";
/// The message of a build by hand that lacks a build argument.
const BUILD_WITH_BAKE: &str = "build with docker-bake.json";
/// The message of a build by hand where nobody could tell the base's user.
const GIVE_BASE_USER: &str = "give the user of the base with --build-arg GOLDEN_BASE_USER=USER";
/// Root, by its number: the name needs /etc/passwd and /etc/group.
const ROOT: &str = "0:0";

impl Sections {
    /// The sections of an image, and what goes beside them.
    pub(super) fn of(
        image: &ResolvedImage,
        placed: &PlacedFiles,
        form: &Form<'_>,
    ) -> Result<(Self, Beside), Error> {
        let mut beside = Beside {
            standalone: form.standalone,
            ..Beside::default()
        };
        let scratch = matches!(image.base, Base::Scratch);
        let users = StepUsers::of(image, form, scratch);
        let (env, late_env) = env(image, &mut beside)?;
        let workdir = image.config.workdir.iter();
        let workdir = lines(
            workdir
                .flat_map(|path| beside.argument(path, Instruction::Workdir))
                .collect::<Vec<_>>(),
        );
        let (steps, current) = steps(image, &users);
        let restore = users.restore(&current, &mut beside);
        let sections = Self {
            image: facts(image, scratch),
            header: Instruction::Comment(format!("{}. {}", image.display(), super::MARK))
                .to_string(),
            from: from(image, form.base),
            env,
            add_certificates: add_certificates(image, scratch, form.suffix),
            certificates: super::files::certificate_paths(image),
            packages: package_lists(image),
            files: files(image, placed, form.suffix),
            workdir,
            steps,
            labels: labels(image, &mut beside),
            late_env,
            config: config(image, form, &restore, &mut beside),
            restore_user: lines(if scratch {
                Vec::new()
            } else {
                users.restored(&mut beside)
            }),
            root: lines(users.root),
        };
        Ok((sections, beside))
    }
}

impl Beside {
    /// A text as pieces. Line breaks are build arguments.
    fn pieces(&self, text: &str) -> Vec<Piece> {
        let required = |piece| match piece {
            Piece::Variable(name) if self.standalone => Piece::Required(name, BUILD_WITH_BAKE),
            other => other,
        };
        Piece::of(text).into_iter().map(required).collect()
    }

    /// The declarations of the line breaks in these texts, which are build arguments.
    fn line_breaks<'a>(
        &mut self,
        texts: impl Iterator<Item = &'a str> + Clone,
    ) -> Vec<Instruction> {
        let mut declared = Vec::new();
        for (name, value) in Piece::line_breaks(texts) {
            self.build_args.insert(name.to_owned(), value.to_owned());
            declared.push(Instruction::Arg {
                name: name.to_owned(),
                default: None,
            });
        }
        declared
    }

    /// An instruction with one argument.
    fn argument(&mut self, text: &str, make: fn(Vec<Piece>) -> Instruction) -> Vec<Instruction> {
        let mut lines = self.line_breaks(std::iter::once(text));
        lines.push(make(self.pieces(text)));
        lines
    }
}

/// Who runs the steps, and who the image is left to.
struct StepUsers<'a> {
    /// `USER 0:0` before the first step, where the base's user may be another.
    root: Option<Instruction>,
    /// The base's user; none if nobody can tell.
    base: Option<&'a str>,
    standalone: bool,
    scratch: bool,
}

impl<'a> StepUsers<'a> {
    fn of(image: &ResolvedImage, form: &Form<'a>, scratch: bool) -> Self {
        let executes = image.needs_execution()
            || (!image.certificates.is_empty() && image.family != Family::Static);
        let base = form.traits.map(|traits| traits.user.as_str());
        let needed =
            !scratch && (executes || image.config.workdir.is_some()) && !base.is_some_and(is_root);
        let root = needed.then(|| Instruction::User(literal(ROOT)));
        Self {
            root,
            base,
            standalone: form.standalone,
            scratch,
        }
    }

    /// The user of the first step.
    fn first(&self) -> &'a str {
        match self.base {
            Some(base) if self.root.is_none() => base,
            _ if self.scratch => "",
            _ => ROOT,
        }
    }

    /// The instructions that make the base's user the image's again after steps that `current` ran last; none where it
    /// still is.
    fn restore(&self, current: &str, beside: &mut Beside) -> Vec<Instruction> {
        let changed = self.root.is_some() || current != self.first();
        if changed && !self.scratch {
            self.restored(beside)
        } else {
            Vec::new()
        }
    }

    /// The instructions that make the base's user the image's. Empty stays empty.
    fn restored(&self, beside: &mut Beside) -> Vec<Instruction> {
        let name = BASE_USER.to_owned();
        let (default, user) = match self.base {
            Some(base) if self.standalone => {
                let declared = beside.line_breaks(std::iter::once(base));
                let arg = Instruction::Arg {
                    name: name.clone(),
                    default: Some(beside.pieces(base)),
                };
                let user = Instruction::User(vec![Piece::Variable(name)]);
                return declared.into_iter().chain([arg, user]).collect();
            }
            None if self.standalone => (None, Piece::Required(name.clone(), GIVE_BASE_USER)),
            _ => (None, Piece::Variable(name.clone())),
        };
        vec![
            Instruction::Arg { name, default },
            Instruction::User(vec![user]),
        ]
    }
}

/// Whether `USER[:GROUP]` is root without doubt.
fn is_root(user: &str) -> bool {
    matches!(
        user,
        "" | "root" | "0" | "0:0" | "root:root" | "0:root" | "root:0"
    )
}

/// A value without line breaks.
fn literal(text: &str) -> Vec<Piece> {
    vec![Piece::Text(text.to_owned())]
}

/// Instructions, one a line.
fn lines(instructions: impl IntoIterator<Item = Instruction>) -> String {
    instructions
        .into_iter()
        .map(|instruction| instruction.to_string())
        .collect::<Vec<_>>()
        .join("\n")
}

fn facts(image: &ResolvedImage, scratch: bool) -> Facts {
    Facts {
        name: image.name.to_string(),
        version: image.version.to_string(),
        variant: image.variant.as_ref().map(ToString::to_string),
        description: image.description.clone(),
        family: image.family.as_str(),
        scratch,
    }
}

fn package_lists(image: &ResolvedImage) -> PackageLists {
    let Packages { install, remove } = &image.packages;
    PackageLists {
        install: install
            .iter()
            .map(|entry| packages::for_manager(entry, image.family))
            .collect(),
        names: install
            .iter()
            .map(|entry| packages::name(entry).to_owned())
            .collect(),
        remove: remove.clone(),
    }
}

/// The base: by `shown`, or else by its normal name. A build passes what it was pinned to.
fn from(image: &ResolvedImage, shown: Option<&str>) -> String {
    let (note, default) = match &image.base {
        Base::Scratch => return Instruction::FromScratch.to_string(),
        // The build passes the digest; the inputs count it by what it is of.
        Base::Reference(reference) => (
            None,
            Reference {
                digest: None,
                ..reference.clone()
            }
            .to_string(),
        ),
        Base::Layout(layout) => (
            Some(format!("{}, as golden loads it", layout.written)),
            layout.local_name(),
        ),
        Base::Requirement {
            repository,
            requirement,
        } => (
            Some(format!("the highest tag that {requirement} admits")),
            repository.to_string(),
        ),
        Base::Workspace { name, variant, .. } => {
            let tag = variant
                .as_ref()
                .map_or_else(|| "latest".to_owned(), ToString::to_string);
            (
                Some(format!("{name} of this workspace")),
                format!("localhost/{name}:{tag}"),
            )
        }
    };
    let default = shown.map_or(default, str::to_owned);
    let arg = Instruction::Arg {
        name: BASE.to_owned(),
        default: Some(literal(&default)),
    };
    lines(
        note.map(Instruction::Comment)
            .into_iter()
            .chain([arg, Instruction::From(BASE.to_owned())]),
    )
}

/// The environment before the steps, and what of it comes after the last one; an empty value keeps its place
/// meanwhile.
fn env(image: &ResolvedImage, beside: &mut Beside) -> Result<(String, String), Error> {
    let (mut early, mut late) = (Vec::new(), Vec::new());
    let mut late_texts = Vec::new();
    for (key, value) in &image.env {
        let texts = match value {
            EnvValue::Set(text) => vec![text.as_str()],
            EnvValue::Extend { prepend, append } => vec![prepend.as_str(), append.as_str()],
        };
        let holds = texts.iter().all(|text| Instruction::holds(text));
        let variable = Instruction::Env {
            key: key.clone(),
            value: env_pieces(image, key, value, beside)?,
        };
        if holds {
            early.push(variable);
            continue;
        }
        late.push(variable);
        late_texts.extend(texts);
        if matches!(value, EnvValue::Set(_)) {
            early.push(Instruction::Env {
                key: key.clone(),
                value: literal(""),
            });
        }
    }
    let declared = beside.line_breaks(late_texts.into_iter());
    Ok((lines(early), lines(declared.into_iter().chain(late))))
}

fn env_pieces(
    image: &ResolvedImage,
    key: &str,
    value: &EnvValue,
    beside: &Beside,
) -> Result<Vec<Piece>, Error> {
    let (prepend, append) = match value {
        EnvValue::Set(text) => return Ok(beside.pieces(text)),
        EnvValue::Extend { prepend, append } => (prepend, append),
    };
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !key.chars().all(name) || key.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Error::Extend {
            image: image.display(),
            key: key.to_owned(),
        });
    }
    Ok([
        beside.pieces(prepend),
        vec![Piece::Variable(key.to_owned())],
        beside.pieces(append),
    ]
    .concat())
}

fn add_certificates(image: &ResolvedImage, scratch: bool, suffix: &str) -> String {
    if image.certificates.is_empty() {
        return String::new();
    }
    let add = |source: &str| Instruction::Add {
        source: source.to_owned(),
        target: "/".to_owned(),
    };
    if image.family == Family::Static && !scratch {
        // Without a shell only the embedded engine can; should an engine be given this all the same, it fails here.
        let why = "certificates: only golden's embedded engine can append them to this base's trust store";
        return lines([
            Instruction::Comment(why.to_owned()),
            add("certificates.need-the-embedded-engine"),
        ]);
    }
    add(&super::files::certificates_archive(suffix)).to_string()
}

fn files(image: &ResolvedImage, placed: &PlacedFiles, suffix: &str) -> String {
    let add = Instruction::Add {
        source: super::files::files_archive(suffix),
        target: "/".to_owned(),
    };
    let add = placed.needs_archive(image).then_some(add);
    let copies = placed.named.iter().map(|group| Instruction::Copy {
        owner: group.owner.clone(),
        source: format!("{}/", group.folder),
        target: group.target.clone(),
    });
    lines(add.into_iter().chain(copies))
}

/// The steps, each run by its own user, else by root; and the user of the last one.
fn steps(image: &ResolvedImage, users: &StepUsers<'_>) -> (String, String) {
    let mut out = Vec::new();
    let mut current = users.first();
    for (number, step) in image.run.iter().enumerate() {
        let user = step.user.as_deref().unwrap_or(ROOT);
        let name = step.name.clone().unwrap_or_default();
        out.push(Instruction::Comment(
            format!("step {}: {name}", number + 1)
                .trim_end_matches([':', ' '])
                .to_owned(),
        ));
        if user != current && !(is_root(user) && is_root(current)) {
            out.push(Instruction::User(literal(if is_root(user) {
                ROOT
            } else {
                user
            })));
            current = user;
        }
        out.push(Instruction::Run {
            secrets: step.secrets.clone(),
            readable: !is_root(user),
            script: step.script.clone(),
        });
    }
    (lines(out), current.to_owned())
}

/// The instructions that let a build by hand fail which would lose labels that no Dockerfile holds.
fn guard(beside: &mut Beside) -> Vec<Instruction> {
    if !beside.standalone || beside.api_labels.is_empty() {
        return Vec::new();
    }
    beside.build_args.insert(BAKE.to_owned(), "1".to_owned());
    let required = vec![Piece::Required(BAKE.to_owned(), BUILD_WITH_BAKE)];
    vec![
        Instruction::Arg {
            name: BAKE.to_owned(),
            default: None,
        },
        Instruction::Arg {
            name: format!("{BAKE}_GIVEN"),
            default: Some(required),
        },
    ]
}

fn labels(image: &ResolvedImage, beside: &mut Beside) -> String {
    let (held, others): (Vec<_>, Vec<_>) = image
        .labels
        .iter()
        .partition(|(key, _)| Instruction::holds_key(key));
    beside.api_labels.extend(
        others
            .into_iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    let declared = beside.line_breaks(held.iter().map(|(_, value)| value.as_str()));
    let label = |(key, value): (&String, &String)| Instruction::Label {
        key: key.clone(),
        value: beside.pieces(value),
    };
    let held: Vec<Instruction> = held.into_iter().map(label).collect();
    lines(declared.into_iter().chain(held).chain(guard(beside)))
}

/// What stands last, so that no step sees it.
fn config(
    image: &ResolvedImage,
    form: &Form<'_>,
    restore: &[Instruction],
    beside: &mut Beside,
) -> String {
    let config = &image.config;
    let of_base = form
        .traits
        .map(|traits| &traits.shell)
        .filter(|shell| !shell.is_empty());
    let shell = config
        .shell
        .as_ref()
        .or(of_base)
        .cloned()
        .unwrap_or_else(super::default_shell);
    // With a shell of its own the exec form says the same, and says it for every text.
    let invocation = |invocation: &Invocation| match invocation {
        Invocation::Shell(text) if config.shell.is_some() => {
            Invocation::Exec(shell.iter().cloned().chain([text.clone()]).collect())
        }
        other => other.clone(),
    };
    let mut out = Vec::new();
    if !config.expose.is_empty() {
        out.push(Instruction::Expose(config.expose.clone()));
    }
    if let Some(signal) = &config.stop_signal {
        out.extend(beside.argument(signal, Instruction::StopSignal));
    }
    out.extend(config.shell.clone().map(Instruction::Shell));
    if !config.volumes.is_empty() {
        out.push(Instruction::Volume(config.volumes.clone()));
    }
    match &config.user {
        Some(user) => out.extend(beside.argument(user, Instruction::User)),
        None => out.extend_from_slice(restore),
    }
    let of_base = form.traits.and_then(|traits| traits.healthcheck.as_ref());
    let check = config.healthcheck.as_ref().map(|check| check.on(of_base));
    out.extend(check.map(|check| Instruction::Healthcheck {
        check,
        shell: shell.clone(),
    }));
    let entrypoint = config.entrypoint.as_ref().map(invocation);
    out.extend(entrypoint.map(|entrypoint| Instruction::Entrypoint(entrypoint, shell.clone())));
    let cmd = config.cmd.as_ref().map(invocation);
    out.extend(cmd.map(|cmd| Instruction::Cmd(cmd, shell.clone())));
    lines(out)
}
