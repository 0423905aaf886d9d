//! The parts of a Dockerfile as escaped text. A template puts them in order.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Error;
use super::files::PlacedFiles;
use super::form::DockerfileForm;
use super::instruction::{RenderedInstruction, RenderedPiece, ScriptForm};
use crate::config_files::values::is_root;
use crate::reference::Reference;
use crate::resolve::image::{Base, EnvValue, Family, Invocation, Packages, RunStep};
use crate::resolve::{ResolvedImage, package_sources, packages};

/// The variables of a template. A comment at the top of each built-in template documents them.
#[derive(Debug, Serialize)]
pub(super) struct Sections {
    image: TemplateImage,
    header: String,
    from: String,
    root: String,
    env: String,
    add_certificates: String,
    add_repositories: String,
    certificates: Vec<String>,
    java: bool,
    packages: PackageLists,
    files: String,
    workdir: String,
    steps: String,
    labels: String,
    late_env: String,
    config: String,
    restore_user: String,
}

/// The packages, in the syntax of the family's package manager.
#[derive(Debug, Serialize)]
struct PackageLists {
    /// Packages to install, with versions.
    install: Vec<String>,
    /// The names of the packages to install, without versions.
    names: Vec<String>,
    remove: Vec<String>,
    upgrade: bool,
    /// The time of the snapshot archives, such as `20261120T000000Z`; empty without one.
    snapshot: String,
    /// The lines of /etc/apk/repositories.
    lines: Vec<String>,
    /// The names and versions in golden.lock.
    locked: Vec<String>,
}

/// The variable `image` of a template.
#[derive(Debug, Serialize)]
struct TemplateImage {
    name: String,
    version: String,
    variant: Option<String>,
    description: Option<String>,
    family: &'static str,
    scratch: bool,
}

/// Build arguments and labels that are passed to the build next to the Dockerfile.
#[derive(Debug, Default)]
pub(super) struct BuildArguments {
    /// True if the Dockerfile is built without golden: then a missing argument must be an error.
    standalone: bool,
    pub(super) build_args: BTreeMap<String, String>,
    /// Labels that the Dockerfile cannot hold.
    pub(super) api_labels: BTreeMap<String, String>,
}

/// The build argument for the reference of the base.
const BASE: &str = "GOLDEN_BASE";
/// The build argument for the user of the base.
const BASE_USER: &str = "GOLDEN_BASE_USER";
/// The build argument that confirms that the build adds the labels which the Dockerfile lacks.
const BAKE: &str = "GOLDEN_BAKE";
/// The error message of a build without golden if a build argument is missing.
const BUILD_WITH_BAKE: &str = "build with docker-bake.json";
/// The error message of a build without golden if the user of the base is unknown.
const GIVE_BASE_USER: &str = "give the user of the base with --build-arg GOLDEN_BASE_USER=USER";
/// The builders that can build a rendered Dockerfile.
const NEEDS: &str = "Needs BuildKit (Docker 23 or later) or Buildah 1.33 or later.";
/// A comment for hadolint, above a user whose name its rule DL3066 rejects.
const NAMED_USER: &str = "hadolint ignore=DL3066 # the user exists in the image";
/// A comment for hadolint, above a command in shell form.
const SHELL_FORM: &str = "hadolint ignore=DL3025 # the command is for a shell";
/// Root by number, since a name needs /etc/passwd and /etc/group.
const ROOT: &str = "0:0";

impl Sections {
    /// The sections of an image, and the options of its build. Fails if a Dockerfile cannot refer
    /// to a variable that the spec extends.
    pub(super) fn of(
        image: &ResolvedImage,
        placed: &PlacedFiles,
        form: &DockerfileForm<'_>,
    ) -> Result<(Self, BuildArguments), Error> {
        let mut options = BuildArguments {
            standalone: form.standalone,
            ..BuildArguments::default()
        };
        let scratch = matches!(image.base, Base::Scratch);
        let users = StepUsers::of(image, form, scratch);
        let (env, late_env) = env(image, &mut options)?;
        let workdir = image.config.workdir.iter();
        let workdir = lines(
            workdir
                .flat_map(|path| options.argument(path, RenderedInstruction::Workdir))
                .collect::<Vec<_>>(),
        );
        let (steps, current) = steps(image, &users, form.scripts());
        let restore = users.restore(&current, &mut options);
        let sections = Self {
            image: facts(image, scratch),
            header: header(image, form),
            from: from(image, form.base),
            env,
            add_certificates: add_certificates(image, scratch, placed, form.scripts()),
            add_repositories: lines(placed.repository_instructions(form.scripts())),
            certificates: super::files::certificate_paths(image),
            java: image.adds_to_keystores(),
            packages: package_lists(image),
            files: lines(placed.instructions(form.scripts())),
            workdir,
            steps,
            labels: labels(image, &mut options),
            late_env,
            config: config(image, form, &restore, &mut options),
            restore_user: lines(if scratch {
                Vec::new()
            } else {
                users.restored(&mut options)
            }),
            root: lines(users.root),
        };
        Ok((sections, options))
    }
}

impl BuildArguments {
    /// Splits a text into pieces; line breaks become build arguments.
    fn pieces(&self, text: &str) -> Vec<RenderedPiece> {
        let required = |piece| match piece {
            RenderedPiece::Variable(name) if self.standalone => {
                RenderedPiece::Required(name, BUILD_WITH_BAKE)
            }
            other => other,
        };
        RenderedPiece::of(text).into_iter().map(required).collect()
    }

    /// Declares the build arguments for the line breaks in these texts.
    fn line_breaks<'a>(
        &mut self,
        texts: impl Iterator<Item = &'a str> + Clone,
    ) -> Vec<RenderedInstruction> {
        let mut declared = Vec::new();
        for (name, value) in RenderedPiece::line_breaks(texts) {
            self.build_args.insert(name.to_owned(), value.to_owned());
            declared.push(RenderedInstruction::Arg {
                name: name.to_owned(),
                default: None,
            });
        }
        declared
    }

    /// An instruction with one argument.
    fn argument(
        &mut self,
        text: &str,
        make: fn(Vec<RenderedPiece>) -> RenderedInstruction,
    ) -> Vec<RenderedInstruction> {
        let mut lines = self.line_breaks(std::iter::once(text));
        lines.push(make(self.pieces(text)));
        lines
    }
}

/// The first comment. The path of the spec is not part of the inputs, so only a Dockerfile for users
/// names it.
fn header(image: &ResolvedImage, form: &DockerfileForm<'_>) -> String {
    let image_name = image.display();
    let mark = super::MARK;
    let start = if form.standalone {
        let path = image.source.display().to_string().replace('\\', "/");
        format!("{image_name}, {mark} from {path}.")
    } else {
        format!("{image_name}, {mark}.")
    };
    let whole = format!("{start} {NEEDS}");
    let comments = if whole.chars().count() > RenderedInstruction::LONGEST_COMMENT {
        vec![start, NEEDS.to_owned()]
    } else {
        vec![whole]
    };
    lines(comments.into_iter().map(RenderedInstruction::Comment))
}

/// The users of the steps and of the final image.
struct StepUsers<'a> {
    /// `USER 0:0` before the first step, if the user of the base may not be root.
    root: Option<RenderedInstruction>,
    /// The user of the base; `None` if unknown.
    base: Option<&'a str>,
    standalone: bool,
    scratch: bool,
}

impl<'a> StepUsers<'a> {
    fn of(image: &ResolvedImage, form: &DockerfileForm<'a>, scratch: bool) -> Self {
        let executes = image.needs_execution()
            || (!image.certificates.is_empty() && image.family != Family::Static);
        let base = form.traits.map(|traits| traits.user.as_str());
        let needed =
            !scratch && (executes || image.config.workdir.is_some()) && !base.is_some_and(is_root);
        let root = needed.then(|| RenderedInstruction::User(literal(ROOT)));
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

    /// The instructions that restore the user of the base after the steps; `current` ran the last
    /// step. Empty if the user has not changed.
    fn restore(&self, current: &str, options: &mut BuildArguments) -> Vec<RenderedInstruction> {
        let changed = self.root.is_some() || current != self.first();
        if changed && !self.scratch {
            self.restored(options)
        } else {
            Vec::new()
        }
    }

    /// The instructions that set the user of the image to the user of the base; an empty user stays
    /// empty.
    fn restored(&self, options: &mut BuildArguments) -> Vec<RenderedInstruction> {
        let name = BASE_USER.to_owned();
        let (default, user) = match self.base {
            Some(base) if self.standalone => {
                let declared = options.line_breaks(std::iter::once(base));
                let arg = RenderedInstruction::Arg {
                    name: name.clone(),
                    default: Some(options.pieces(base)),
                };
                let user = set_user(vec![RenderedPiece::Variable(name)]);
                return declared.into_iter().chain([arg]).chain(user).collect();
            }
            None if self.standalone => {
                (None, RenderedPiece::Required(name.clone(), GIVE_BASE_USER))
            }
            _ => (None, RenderedPiece::Variable(name.clone())),
        };
        std::iter::once(RenderedInstruction::Arg { name, default })
            .chain(set_user(vec![user]))
            .collect()
    }
}

/// The instruction that sets a user, with a comment for hadolint if it may be a name.
fn set_user(user: Vec<RenderedPiece>) -> Vec<RenderedInstruction> {
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == ':');
    let is_numeric = matches!(user.as_slice(), [RenderedPiece::Text(text)] if is_number(text));
    let comment = (!is_numeric).then(|| RenderedInstruction::Comment(NAMED_USER.to_owned()));
    comment
        .into_iter()
        .chain([RenderedInstruction::User(user)])
        .collect()
}

/// A value of one piece; `text` has no line breaks.
fn literal(text: &str) -> Vec<RenderedPiece> {
    vec![RenderedPiece::Text(text.to_owned())]
}

/// Joins instructions, one per line.
fn lines(instructions: impl IntoIterator<Item = RenderedInstruction>) -> String {
    instructions
        .into_iter()
        .map(|instruction| instruction.to_string())
        .collect::<Vec<_>>()
        .join("\n")
}

fn facts(image: &ResolvedImage, scratch: bool) -> TemplateImage {
    TemplateImage {
        name: image.name.to_string(),
        version: image.version.to_string(),
        variant: image.variant.as_ref().map(ToString::to_string),
        description: image.description.clone(),
        family: image.family.as_str(),
        scratch,
    }
}

fn package_lists(image: &ResolvedImage) -> PackageLists {
    let Packages {
        install,
        remove,
        upgrade,
        snapshot,
        repositories,
        locked,
    } = &image.packages;
    let sources = repositories
        .iter()
        .filter_map(|repository| package_sources::of(repository, image.family));
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
        upgrade: *upgrade,
        snapshot: snapshot.as_ref().map_or_else(String::new, |date| {
            format!("{}T000000Z", date.replace('-', ""))
        }),
        lines: sources.filter_map(|source| source.line).collect(),
        locked: locked
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect(),
    }
}

/// The `FROM` section: `shown`, or the normal name of the base. The build passes the pinned base in
/// a build argument.
fn from(image: &ResolvedImage, shown: Option<&str>) -> String {
    let (note, default) = match &image.base {
        Base::Scratch => return RenderedInstruction::FromScratch.to_string(),
        // The build passes the digest, and the inputs digest includes it separately.
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
            // The name in the engine contains the digest of the index, but the inputs depend only
            // on the manifests that are used.
            "localhost/golden/base".to_owned(),
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
    let arg = RenderedInstruction::Arg {
        name: BASE.to_owned(),
        default: Some(literal(&default)),
    };
    lines(
        note.map(RenderedInstruction::Comment)
            .into_iter()
            .chain([arg, RenderedInstruction::From(BASE.to_owned())]),
    )
}

/// The `ENV` instructions before the steps and those after the last step. A variable that is set
/// late is empty during the steps, so that it keeps its position.
fn env(image: &ResolvedImage, options: &mut BuildArguments) -> Result<(String, String), Error> {
    let (mut early, mut late) = (Vec::new(), Vec::new());
    let mut late_texts = Vec::new();
    let environment = image.environment();
    for (key, value) in environment.iter() {
        let texts = match value {
            EnvValue::Set(text) => vec![text.as_str()],
            EnvValue::Extend { prepend, append } => vec![prepend.as_str(), append.as_str()],
        };
        let holds = texts.iter().all(|text| RenderedInstruction::holds(text));
        let variable = RenderedInstruction::Env {
            key: key.clone(),
            value: env_pieces(image, key, value, options)?,
        };
        if holds {
            early.push(variable);
            continue;
        }
        late.push(variable);
        late_texts.extend(texts);
        if matches!(value, EnvValue::Set(_)) {
            early.push(RenderedInstruction::Env {
                key: key.clone(),
                value: literal(""),
            });
        }
    }
    let declared = options.line_breaks(late_texts.into_iter());
    Ok((lines(early), lines(declared.into_iter().chain(late))))
}

fn env_pieces(
    image: &ResolvedImage,
    key: &str,
    value: &EnvValue,
    options: &BuildArguments,
) -> Result<Vec<RenderedPiece>, Error> {
    let (prepend, append) = match value {
        EnvValue::Set(text) => return Ok(options.pieces(text)),
        EnvValue::Extend { prepend, append } => (prepend, append),
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !key.chars().all(is_word) || key.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Error::Extend {
            image: image.display(),
            key: key.to_owned(),
        });
    }
    Ok([
        options.pieces(prepend),
        vec![RenderedPiece::Variable(key.to_owned())],
        options.pieces(append),
    ]
    .concat())
}

fn add_certificates(
    image: &ResolvedImage,
    scratch: bool,
    placed: &PlacedFiles,
    scripts: ScriptForm,
) -> String {
    if !image.certificates.is_empty() && image.family == Family::Static && !scratch {
        // On a base without a shell, only the embedded engine can add certificates. This
        // instruction makes a build by another engine fail.
        let note = "only golden's embedded engine can append them to the trust store of this base";
        return lines([
            RenderedInstruction::Comment(note.to_owned()),
            RenderedInstruction::Add {
                source: "certificates.need-the-embedded-engine".to_owned(),
                target: "/".to_owned(),
            },
        ]);
    }
    lines(placed.certificate_instructions(scripts))
}

/// The steps, each run by its own user or by root, and the user of the last step.
fn steps(image: &ResolvedImage, users: &StepUsers<'_>, form: ScriptForm) -> (String, String) {
    let mut out = Vec::new();
    let mut current = users.first();
    for (number, step) in image.run.iter().enumerate() {
        let user = step.user.as_deref().unwrap_or(ROOT);
        let mut instructions = vec![RenderedInstruction::Comment(match &step.name {
            Some(name) if !name.trim().is_empty() => name.clone(),
            _ => format!("step {}", number + 1),
        })];
        if user != current && !(is_root(user) && is_root(current)) {
            let user_or_root = if is_root(user) { ROOT } else { user };
            instructions.extend(set_user(literal(user_or_root)));
            current = user;
        }
        instructions.push(run_instruction(step, form));
        out.push(lines(instructions));
    }
    (out.join("\n\n"), current.to_owned())
}

/// The instruction that runs a step.
pub(super) fn run_instruction(step: &RunStep, form: ScriptForm) -> RenderedInstruction {
    RenderedInstruction::Run {
        secrets: step.secrets.clone(),
        ssh: step.ssh,
        readable: !is_root(step.user.as_deref().unwrap_or(ROOT)),
        script: step.script.clone(),
        form,
    }
}

/// The instructions that make a build without golden fail if it would lose labels that a Dockerfile
/// cannot hold.
fn guard(options: &mut BuildArguments) -> Vec<RenderedInstruction> {
    if !options.standalone || options.api_labels.is_empty() {
        return Vec::new();
    }
    options.build_args.insert(BAKE.to_owned(), "1".to_owned());
    let required = vec![RenderedPiece::Required(BAKE.to_owned(), BUILD_WITH_BAKE)];
    vec![
        RenderedInstruction::Arg {
            name: BAKE.to_owned(),
            default: None,
        },
        RenderedInstruction::Arg {
            name: format!("{BAKE}_GIVEN"),
            default: Some(required),
        },
    ]
}

fn labels(image: &ResolvedImage, options: &mut BuildArguments) -> String {
    let (held, others): (Vec<_>, Vec<_>) = image
        .labels
        .iter()
        .partition(|(key, _)| RenderedInstruction::holds_key(key));
    options.api_labels.extend(
        others
            .into_iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    let declared = options.line_breaks(held.iter().map(|(_, value)| value.as_str()));
    let label = |(key, value): (&String, &String)| RenderedInstruction::Label {
        key: key.clone(),
        value: options.pieces(value),
    };
    let held: Vec<RenderedInstruction> = held.into_iter().map(label).collect();
    lines(declared.into_iter().chain(held).chain(guard(options)))
}

/// The config section. It comes last, so that it does not affect the steps.
fn config(
    image: &ResolvedImage,
    form: &DockerfileForm<'_>,
    restore: &[RenderedInstruction],
    options: &mut BuildArguments,
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
    // With another shell than the usual one, the exec form is equivalent and works for every text.
    // In shell form, Podman uses /bin/sh if only the base sets the shell.
    let has_other_shell = config.shell.is_some() || shell != super::default_shell();
    let invocation = |invocation: &Invocation| match invocation {
        Invocation::Shell(text) if has_other_shell => {
            Invocation::Exec(shell.iter().cloned().chain([text.clone()]).collect())
        }
        other => other.clone(),
    };
    let mut out = Vec::new();
    if !config.expose.is_empty() {
        out.push(RenderedInstruction::Expose(config.expose.clone()));
    }
    if let Some(signal) = &config.stop_signal {
        out.extend(options.argument(signal, RenderedInstruction::StopSignal));
    }
    out.extend(config.shell.clone().map(RenderedInstruction::Shell));
    if !config.volumes.is_empty() {
        out.push(RenderedInstruction::Volume(config.volumes.clone()));
    }
    match &config.user {
        Some(user) => {
            out.extend(options.line_breaks(std::iter::once(user.as_str())));
            out.extend(set_user(options.pieces(user)));
        }
        None => out.extend_from_slice(restore),
    }
    let of_base = form.traits.and_then(|traits| traits.healthcheck.as_ref());
    let check = config.healthcheck.as_ref().map(|check| check.on(of_base));
    out.extend(check.map(|check| RenderedInstruction::Healthcheck {
        check,
        shell: shell.clone(),
    }));
    if let Some(entrypoint) = config.entrypoint.as_ref().map(invocation) {
        out.extend(shell_form_comment(&entrypoint));
        out.push(RenderedInstruction::Entrypoint(entrypoint, shell.clone()));
    }
    if let Some(cmd) = config.cmd.as_ref().map(invocation) {
        out.extend(shell_form_comment(&cmd));
        out.push(RenderedInstruction::Cmd(cmd, shell));
    }
    lines(out)
}

/// A comment for hadolint above a command in shell form, which its rule DL3025 rejects.
fn shell_form_comment(invocation: &Invocation) -> Option<RenderedInstruction> {
    let is_shell_form = matches!(invocation, Invocation::Shell(_));
    is_shell_form.then(|| RenderedInstruction::Comment(SHELL_FORM.to_owned()))
}
