//! Validates `[config]`: entrypoint, user, ports, signals and health check.

use std::collections::BTreeSet;

use super::SpecParser;
use crate::config_files::config::{ConfigTable, ExposedPort, HealthcheckTable};
use crate::config_files::document::entry;
use crate::config_files::values::OwnerSpec;
use crate::diagnostic::Diagnostic;
use crate::resolve::image::{Config, Healthcheck, Invocation, Port};
use crate::resolve::signal::{SIGNALS, is_signal};
use crate::suggest::closest;

impl SpecParser<'_, '_> {
    /// Converts `[config]` and reports its errors.
    pub(super) fn config(&mut self, spec: ConfigTable) -> Config {
        if let Some(user) = spec.user.as_deref() {
            self.user(&["config", "user"], user);
        }
        if let Some(workdir) = spec
            .workdir
            .as_deref()
            .filter(|path| !path.starts_with('/'))
        {
            let message = format!("the working directory `{workdir}` is not an absolute path");
            self.error(&["config", "workdir"], "spec.value", message);
        }
        for (n, volume) in spec.volumes.iter().flatten().enumerate() {
            if !volume.starts_with('/') {
                let message = format!("the volume `{volume}` is not an absolute path");
                self.error(
                    &["config", "volumes", &n.to_string()],
                    "spec.value",
                    message,
                );
            }
        }
        if let Some(signal) = spec
            .stop_signal
            .as_deref()
            .filter(|signal| !is_signal(signal))
        {
            let message = format!("`{signal}` is not a signal, such as SIGTERM or 15");
            let similar = closest(
                signal.strip_prefix("SIG").unwrap_or(signal),
                SIGNALS.iter().copied(),
            );
            let diagnostic = Diagnostic::error("spec.value", message);
            let diagnostic = match similar {
                Some(similar) => diagnostic.help(format!("did you mean `SIG{similar}`?")),
                None => diagnostic,
            };
            self.report(&["config", "stop_signal"], diagnostic);
        }
        if spec.shell.as_ref().is_some_and(Vec::is_empty) {
            self.error(
                &["config", "shell"],
                "spec.value",
                "a shell needs at least its program",
            );
        }
        let healthcheck = spec.healthcheck.and_then(|check| self.healthcheck(check));
        Config {
            expose: ports(spec.expose.unwrap_or_default()),
            user: spec.user,
            workdir: spec.workdir,
            entrypoint: spec.entrypoint,
            cmd: spec.cmd,
            volumes: spec.volumes.unwrap_or_default(),
            stop_signal: spec.stop_signal,
            shell: spec.shell,
            healthcheck,
        }
    }

    /// Reports an invalid user name or id.
    pub(super) fn user(&mut self, path: &[&str], user: &str) {
        if let Err(message) = OwnerSpec::try_from(user.to_owned()) {
            self.error(
                path,
                "spec.value",
                message
                    .replace("an owner", "a user")
                    .replace("0:0", "10001:10001"),
            );
        }
    }

    fn healthcheck(&mut self, spec: HealthcheckTable) -> Option<Healthcheck> {
        let path = ["config", "healthcheck", "test"];
        let test = match spec.test {
            Some(Invocation::Shell(line)) => vec!["CMD-SHELL".to_owned(), line],
            Some(Invocation::Exec(words)) => words,
            None if entry(self.table, &path).is_some() => return None,
            None => {
                self.error(
                    &path,
                    "spec.missing",
                    "`test` is missing in config.healthcheck",
                );
                return None;
            }
        };
        let fits = match test.first().map(String::as_str) {
            Some("NONE") => test.len() == 1,
            Some("CMD") => test.len() > 1,
            Some("CMD-SHELL") => test.len() == 2,
            _ => false,
        };
        if !fits {
            let message = "a test is [\"CMD\", program, …], [\"CMD-SHELL\", line] or [\"NONE\"]";
            self.error(&path, "spec.value", message);
        }
        if test == ["NONE"] {
            // A disabled check drops the timings from the defaults, as Docker's builders do.
            return Some(Healthcheck {
                test,
                interval: None,
                timeout: None,
                start_period: None,
                retries: None,
            });
        }
        Some(Healthcheck {
            test,
            interval: spec.interval.map(|interval| interval.0),
            timeout: spec.timeout.map(|timeout| timeout.0),
            start_period: spec.start_period.map(|period| period.0),
            retries: spec.retries,
        })
    }
}

fn ports(exposed: Vec<ExposedPort>) -> Vec<Port> {
    let mut seen = BTreeSet::new();
    let mut ports = Vec::new();
    for range in exposed {
        let protocol = range.protocol;
        for number in range.first..=range.last {
            let port = Port { number, protocol };
            if seen.insert(port) {
                ports.push(port);
            }
        }
    }
    ports
}
