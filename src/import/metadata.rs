//! The instructions that change only the config of the image.

use super::draft::DraftHealthcheck;
use super::state::{Importer, env_text};
use crate::config_files::config::ExposedPort;
use crate::config_files::config::Invocation;
use crate::config_files::quoted::quoted;
use crate::config_files::values::{Interval, OwnerSpec};
use crate::dockerfile::{Instruction, Keyword};
use crate::resolve::signal::is_signal;

impl Importer<'_> {
    /// Declares an instruction of the config. Fails with the reason why the spec cannot
    /// contain it.
    pub(super) fn metadata(&mut self, instruction: &Instruction) -> Result<(), String> {
        match instruction.keyword {
            Keyword::Env => self.env(instruction),
            Keyword::Label => self.labels(instruction),
            Keyword::Expose => self.ports(instruction),
            Keyword::User => self.set_user(instruction),
            Keyword::Workdir => self.set_workdir(instruction),
            Keyword::Volume => self.volumes(instruction),
            Keyword::Stopsignal => self.signal(instruction),
            Keyword::Shell => self.set_shell(instruction),
            Keyword::Healthcheck => self.healthcheck(instruction),
            Keyword::Cmd => {
                self.draft.config.cmd = Some(invocation(instruction)?);
                Ok(())
            }
            Keyword::Entrypoint => {
                self.draft.config.entrypoint = Some(invocation(instruction)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn env(&mut self, instruction: &Instruction) -> Result<(), String> {
        let pairs = instruction
            .pairs(self.escape)
            .map_err(|error| error.to_string())?;
        // All pairs of one instruction see the values before it.
        let mut evaluated = Vec::new();
        for pair in pairs {
            evaluated.push((self.text(&pair.key)?, self.value(&pair.value)?));
        }
        let mut problem = None;
        for (name, value) in evaluated {
            let text = env_text(&name, &value, self.known(&value));
            // Later instructions do not see the value before one that is left out.
            let set = self.scope.set(name.clone(), value);
            match set.map_err(|error| error.to_string()).and(text) {
                Ok(text) => drop(self.draft.env.insert(name, text)),
                Err(reason) => problem = Some(reason),
            }
        }
        problem.map_or(Ok(()), Err)
    }

    fn labels(&mut self, instruction: &Instruction) -> Result<(), String> {
        let pairs = instruction
            .pairs(self.escape)
            .map_err(|error| error.to_string())?;
        let mut problem = None;
        for pair in pairs {
            match (self.text(&pair.key), self.text(&pair.value)) {
                (Ok(key), Ok(value)) => drop(self.draft.labels.insert(key, value)),
                (Err(reason), _) | (_, Err(reason)) => problem = Some(reason),
            }
        }
        problem.map_or(Ok(()), Err)
    }

    fn ports(&mut self, instruction: &Instruction) -> Result<(), String> {
        let mut ports = Vec::new();
        for word in instruction.words() {
            let text = self.text(word)?.to_ascii_lowercase();
            for port in text.split_whitespace() {
                port.parse::<ExposedPort>()?;
                ports.push(port.strip_suffix("/tcp").unwrap_or(port).to_owned());
            }
        }
        for port in ports {
            if !self.draft.config.expose.contains(&port) {
                self.draft.config.expose.push(port);
            }
        }
        Ok(())
    }

    fn set_user(&mut self, instruction: &Instruction) -> Result<(), String> {
        // The user before a USER that is left out does not run the steps after it.
        self.user = None;
        let user = self.text(&instruction.arguments)?;
        OwnerSpec::try_from(user.clone())
            .map_err(|_| format!("`{user}` is not a user that a spec can have"))?;
        self.draft.config.user = Some(user.clone());
        self.user = Some(user);
        Ok(())
    }

    fn volumes(&mut self, instruction: &Instruction) -> Result<(), String> {
        let mut volumes = Vec::new();
        for word in instruction.list() {
            let path = self.text(&word)?;
            if !path.starts_with('/') {
                return Err(format!("the volume `{path}` is not an absolute path"));
            }
            volumes.push(path);
        }
        for path in volumes {
            if !self.draft.config.volumes.contains(&path) {
                self.draft.config.volumes.push(path);
            }
        }
        Ok(())
    }

    fn signal(&mut self, instruction: &Instruction) -> Result<(), String> {
        let signal = self.text(&instruction.arguments)?;
        if !is_signal(&signal) {
            return Err(format!("`{signal}` is not a signal"));
        }
        self.draft.config.stop_signal = Some(signal);
        Ok(())
    }

    fn set_shell(&mut self, instruction: &Instruction) -> Result<(), String> {
        let Invocation::Exec(words) = instruction.form() else {
            return Err("SHELL needs a JSON list".to_owned());
        };
        if words.is_empty() {
            return Err("SHELL needs a program".to_owned());
        }
        self.freeze_shell_forms();
        self.draft.config.shell = Some(words.clone());
        self.shell = Some(words);
        Ok(())
    }

    /// Writes the shell forms so far in exec form, since a later `SHELL` does not apply to them.
    fn freeze_shell_forms(&mut self) {
        let shell = self.shell.clone().unwrap_or_else(default_shell);
        let config = &mut self.draft.config;
        for form in [&mut config.cmd, &mut config.entrypoint]
            .into_iter()
            .flatten()
        {
            if let Invocation::Shell(text) = form {
                *form = Invocation::Exec(shell.iter().cloned().chain([text.clone()]).collect());
            }
        }
    }

    fn healthcheck(&mut self, instruction: &Instruction) -> Result<(), String> {
        let mut options = Vec::new();
        for flag in &instruction.flags {
            let value = flag.value.clone().unwrap_or_default();
            let name = match flag.name.as_str() {
                "interval" => "interval",
                "timeout" => "timeout",
                "start-period" => "start_period",
                "retries" => {
                    let retries: u32 = value
                        .parse()
                        .map_err(|_| format!("`{value}` is not a number of retries"))?;
                    options.push(("retries", retries.to_string()));
                    continue;
                }
                other => return Err(format!("a spec has no equivalent of HEALTHCHECK --{other}")),
            };
            Interval::try_from(value.clone())?;
            options.push((name, quoted(&value)));
        }
        let arguments = instruction.arguments.trim();
        let (kind, rest) = arguments
            .split_once(char::is_whitespace)
            .unwrap_or((arguments, ""));
        let test = match (
            kind.to_ascii_uppercase().as_str(),
            Invocation::of(rest.trim()),
        ) {
            ("NONE", _) => vec!["NONE".to_owned()],
            ("CMD", Invocation::Exec(words)) if !words.is_empty() => {
                std::iter::once("CMD".to_owned()).chain(words).collect()
            }
            ("CMD", Invocation::Shell(text)) if !text.is_empty() => {
                vec!["CMD-SHELL".to_owned(), text]
            }
            _ => return Err("it is neither `NONE` nor `CMD`".to_owned()),
        };
        self.draft.config.healthcheck = Some(DraftHealthcheck { test, options });
        Ok(())
    }
}

/// The command of `CMD` or `ENTRYPOINT`.
fn invocation(instruction: &Instruction) -> Result<Invocation, String> {
    if instruction.arguments.is_empty() {
        return Err("it has no command".to_owned());
    }
    Ok(instruction.form())
}

/// The shell of a Dockerfile without `SHELL`.
pub(super) fn default_shell() -> Vec<String> {
    crate::render::default_shell()
}
