//! `RUN`: packages and certificates are declared where possible; the rest becomes steps.

use super::draft::{DraftContent, FileDraft, RunDraft};
use super::mounts::Mounts;
use super::owners::owner;
use super::packages::{Recognised, recognise};
use super::pending::{PendingStep, Workdir};
use super::reach::is_at_or_below;
use super::scripts::{self, Body};
use super::shell::{commands, quoted, quoted_words};
use super::state::{Importer, InstructionOutcome};
use crate::config_files::config::Invocation;
use crate::config_files::values::EnvValue;
use crate::config_files::values::is_root;
use crate::dockerfile::{HereDocument, Instruction, ScopeValue};
use crate::resolve::image::Family;

/// The longest name of a step, in characters.
const LONGEST_NAME: usize = 60;

/// Directories that every base has.
const USUAL: [&str; 16] = [
    "/", "/bin", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/root", "/run",
    "/sbin", "/srv", "/tmp", "/usr", "/var",
];

impl Importer<'_> {
    /// `RUN`. Fails with the reason why it is left out.
    pub(super) fn run(&mut self, instruction: &Instruction) -> Result<InstructionOutcome, String> {
        let mounts = self.mounts(instruction)?;
        let has_default_shell = self.shell.is_none();
        let script = match instruction.form() {
            Invocation::Shell(text) if instruction.here_documents.is_empty() => Some(text),
            Invocation::Shell(_) => instruction
                .only_here_document()
                .map(HereDocument::text)
                .filter(|text| !text.starts_with("#!") && has_default_shell),
            Invocation::Exec(_) => None,
        };
        let found = script
            .filter(|_| mounts.is_empty() && self.is_root())
            .and_then(|text| recognise(&self.with_values(commands(&text)?)));
        let Some(found) = found.filter(|found| self.can_declare(found, instruction.line)) else {
            let body = scripts::body(instruction, self.shell.as_deref());
            self.push_run(scripts::name(instruction), body, mounts);
            return Ok(InstructionOutcome::Step);
        };
        self.declare(&found);
        if found.rest.is_empty() {
            return Ok(InstructionOutcome::Declared);
        }
        let text = found.rest.join(" && ");
        let body = scripts::of_text(&text, self.shell.as_deref());
        self.push_run(scripts::short(&text), body, Mounts::default());
        Ok(InstructionOutcome::Step)
    }

    /// A step of a `RUN`, which may use the user and the working directory at its place.
    fn push_run(&mut self, name: String, body: Body, mounts: Mounts) {
        self.needs_unknown_user |= self.user.is_none();
        match self.workdir {
            Workdir::OfBase => self.uses_workdir_of_base |= body.may_use_workdir(),
            Workdir::LeftOut => self.uses_workdir_left_out |= body.may_use_workdir(),
            Workdir::Known(_) => {}
        }
        self.push_step(name, body, mounts);
    }

    /// The commands with the values of variables in words such as `curl=$VERSION`.
    fn with_values(
        &self,
        commands: Vec<super::shell::ShellCommand>,
    ) -> Vec<super::shell::ShellCommand> {
        let words = |text: &str| -> Option<Vec<String>> {
            let is_plain = !text.contains(['|', '<', '>', '(', '`', '&', ';']);
            let words = text.split_whitespace();
            let expand = |word: &str| self.scope_of_step(word);
            is_plain.then(|| words.map(expand).collect::<Option<Vec<String>>>())?
        };
        commands
            .into_iter()
            .map(|mut command| {
                if command.words.is_none() {
                    command.words = words(&command.text);
                }
                command
            })
            .collect()
    }

    /// A word of a script as the shell reads it, if only variables of the Dockerfile occur and no
    /// value is split into words.
    fn scope_of_step(&self, word: &str) -> Option<String> {
        let value = crate::dockerfile::expand::word(word, '\\', &self.scope).ok()?;
        let text = value.known().ok()?;
        let is_one_word = !text.is_empty() && !text.contains(char::is_whitespace);
        is_one_word.then_some(text)
    }

    fn is_root(&self) -> bool {
        self.user.as_deref().is_none_or(is_root)
    }

    /// True if the order of a spec gives the same result for the recognised commands.
    fn can_declare(&self, found: &Recognised, line: usize) -> bool {
        let of_image = self.draft.family.or(self.family.map(Family::as_str));
        let fits = |family: Family| of_image.is_none_or(|known| known == family.as_str());
        let has_packages = !found.install.is_empty();
        self.steps.is_empty()
            && self.last_special_env < line
            && found.family.is_none_or(fits)
            && (!has_packages || self.targets.iter().all(|path| is_apart_from_packages(path)))
            && (!found.updates_trust || self.can_trust(found.family))
    }

    /// True if the pending certificates can be declared.
    fn can_trust(&self, family: Option<Family>) -> bool {
        let is_known = family
            .or(self.family)
            .is_some_and(|family| family != Family::Static)
            || self.draft.family.is_some();
        !self.certificates.is_empty() && is_known
    }

    fn declare(&mut self, found: &Recognised) {
        if let Some(family) = found.family.filter(|family| self.family != Some(*family)) {
            self.draft.family = Some(family.as_str());
        }
        for package in &found.install {
            if !self.draft.install.contains(package) {
                self.draft.install.push(package.clone());
            }
        }
        if !found.updates_trust {
            return;
        }
        for (source, _) in std::mem::take(&mut self.certificates) {
            let path = self.context.destination(&source);
            self.copies.insert(source);
            self.draft.trust.push(path);
        }
    }

    /// Declares the certificates that are not added to the trust store as files.
    pub(super) fn declare_pending_certificates(&mut self) {
        for (source, target) in std::mem::take(&mut self.certificates) {
            self.targets.insert(target.clone());
            self.draft.files.push(FileDraft {
                content: DraftContent::Source(self.context.destination(&source)),
                target,
                ..FileDraft::default()
            });
            self.copies.insert(source);
        }
    }

    fn push_step(&mut self, name: String, body: Body, mounts: Mounts) {
        self.declare_pending_certificates();
        self.steps.push(PendingStep {
            name,
            body,
            user: self.user.clone().filter(|_| !self.is_root()),
            workdir: self.workdir.clone(),
            env: self.scope.env().clone(),
            arguments: self.scope.arguments().clone(),
            secrets: mounts.secrets,
            ssh: mounts.ssh,
            absent: Vec::new(),
        });
    }

    /// True if a step so far may read or change one of the paths.
    pub(super) fn is_reached<'p>(&self, mut paths: impl Iterator<Item = &'p String>) -> bool {
        let reaches = |path: &String| {
            let path = path.trim_end_matches('/');
            self.steps
                .iter()
                .any(|step| step.body.may_reach(step.workdir.known(), path))
        };
        paths.any(reaches)
    }

    /// A step that golden adds. Root runs it, and all its paths are absolute.
    pub(super) fn push_own_step(&mut self, name: String, script: String) {
        self.push_step(name, Body::of_golden(script), Mounts::default());
        if let Some(step) = self.steps.last_mut() {
            step.user = None;
            step.arguments.clear();
        }
    }

    /// `WORKDIR`.
    pub(super) fn set_workdir(&mut self, instruction: &Instruction) -> Result<(), String> {
        let written = self.text(&instruction.arguments);
        let path = match written.and_then(|written| self.absolute(&written)) {
            Ok(path) => format!("/{path}"),
            Err(reason) => {
                self.workdir = Workdir::LeftOut;
                return Err(reason);
            }
        };
        self.workdir = Workdir::Known(path.clone());
        self.draft.config.workdir = Some(path.clone());
        let missing = self.missing(&path);
        if missing.is_empty() {
            return Ok(());
        }
        self.created.extend(missing.iter().cloned());
        let owner = match &self.user {
            Some(user) => owner(user)?,
            None => None,
        };
        let is_plain = owner.is_none() || self.steps.is_empty();
        if is_plain && !self.is_reached(missing.iter()) {
            let directory = |path: &String| FileDraft {
                target: format!("{path}/"),
                owner: owner.clone(),
                ..FileDraft::default()
            };
            self.draft.files.extend(missing.iter().map(directory));
            return Ok(());
        }
        let conflicts = |step: &PendingStep| missing.iter().any(|path| step.body.may_use(path));
        if self.steps.iter().any(conflicts) {
            let absent: Vec<String> = missing.iter().rev().cloned().collect();
            for step in &mut self.steps {
                step.absent.extend(absent.iter().cloned());
            }
        }
        let mut script = String::new();
        for path in &missing {
            script.push_str(&scripts::make_directory(path, owner.as_deref()));
        }
        self.push_own_step(format!("create {path}"), script);
        Ok(())
    }

    /// The directories of a path that may be missing, the highest first.
    pub(super) fn missing(&self, path: &str) -> Vec<String> {
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
        ends.chain([path.len()])
            .map(|end| path[..end].to_owned())
            .filter(|path| !USUAL.contains(&path.as_str()) && !self.created.contains(path))
            .collect()
    }

    /// The step of the spec, after the config is known.
    pub(super) fn step(&self, step: PendingStep) -> RunDraft {
        let mut lines: Vec<String> = Vec::new();
        let of_spec = self.draft.config.workdir.as_deref();
        let own = step.workdir.known().unwrap_or("/");
        let stays = match step.workdir {
            Workdir::OfBase => of_spec.is_none_or(|directory| directory == own),
            Workdir::LeftOut => of_spec == Some(own),
            Workdir::Known(_) => of_spec.unwrap_or("/") == own,
        };
        if !step.absent.is_empty() {
            // A directory is empty only without those below it.
            let mut absent = step.absent.clone();
            absent.sort_by_key(|path| std::cmp::Reverse(path.len()));
            lines.push("cd /".to_owned());
            lines.push(format!("rmdir {} 2> /dev/null || :", quoted_words(&absent)));
        }
        let is_absent = step.absent.iter().any(|path| path == own);
        let is_in_root = own == "/" || is_absent;
        if (!stays && step.absent.is_empty()) || (!step.absent.is_empty() && !is_in_root) {
            lines.push(format!("cd {}", quoted(own)));
        }
        lines.extend(self.environment(&step));
        let script = step.body.with(lines);
        RunDraft {
            name: step.name.chars().take(LONGEST_NAME).collect(),
            script,
            user: step.user,
            secrets: step.secrets,
            ssh: step.ssh,
        }
    }

    /// The commands that restore the environment at the place of a step.
    fn environment(&self, step: &PendingStep) -> Vec<String> {
        let mut unset = Vec::new();
        let mut lines = Vec::new();
        for (name, last) in &self.draft.env {
            if !scripts::is_name(name) {
                continue;
            }
            match step.env.get(name) {
                Some(value) => lines.extend(self.restored(name, value, last)),
                None => match self.restored(name, &ScopeValue::inherited(name), last) {
                    Some(line) => lines.push(line),
                    None => unset.push(name.clone()),
                },
            }
        }
        if !unset.is_empty() {
            lines.insert(0, format!("unset {}", unset.join(" ")));
        }
        for (name, value) in &step.arguments {
            let Some(value) = value.as_ref().filter(|_| !step.env.contains_key(name)) else {
                continue;
            };
            if let Some(value) = self.known(value).ok().filter(|_| scripts::is_name(name)) {
                lines.push(format!("export {name}={}", quoted(&value)));
            } else if step.body.mentions(name) {
                lines.extend(scripts::platform_argument(name));
            }
        }
        lines
    }

    /// The command that gives a variable its earlier value.
    fn restored(&self, name: &str, value: &ScopeValue, last: &EnvValue) -> Option<String> {
        match (self.known(value), value.around(name), last) {
            (Ok(text), _, EnvValue::Set(last)) if text == *last => None,
            (
                _,
                Some((prepend, append)),
                EnvValue::Extend {
                    prepend: p,
                    append: a,
                },
            ) => {
                let is_same = (&prepend, &append) == (p, a);
                (!is_same).then(|| scripts::extended(name, [p, a], [&prepend, &append]))
            }
            (Ok(text), _, _) => Some(format!("export {name}={}", quoted(&text))),
            (Err(_), _, _) => None,
        }
    }
}

/// True if packages do not own files at a path.
fn is_apart_from_packages(path: &str) -> bool {
    const APART: [&str; 9] = [
        "/app",
        "/code",
        "/data",
        "/home",
        "/opt",
        "/srv",
        "/usr/local/bin",
        "/usr/src",
        "/workspace",
    ];
    let first = path.split('/').nth(1).unwrap_or_default();
    let is_own = !USUAL.contains(&format!("/{first}").as_str())
        && !["lib64", "lib32", "boot", "proc", "sys"].contains(&first);
    is_own
        || APART
            .iter()
            .any(|directory| is_at_or_below(path, directory))
}
