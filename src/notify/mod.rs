//! Sends notifications to the receivers of `[[notify]]`: by HTTP, or to a command.

mod cloud_event;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url};

use crate::config_files::notify_table::{NotifyTable, problem_of_url};
use crate::process::{self, Environment, Limits, Program};
use crate::secret::Secret;

pub use cloud_event::CloudEvent;

/// The number of times that a request is sent.
const ATTEMPTS: u32 = 3;
/// The first pause between two attempts; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// The most output of a command that is read, in bytes.
const OUTPUT: u64 = 1 << 20;

/// Sends notifications.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The directory of golden.toml, in which the commands run.
    pub root: PathBuf,
    /// The environment of golden. A command receives a part of it, without logins.
    pub environment: Environment,
    /// Sends the requests.
    pub client: Client,
}

impl Sender {
    /// Sends an event to a receiver. The error is a clause that contains no part of a URL except its
    /// host, because other parts may be secret.
    pub async fn send(&self, receiver: &NotifyTable, event: &CloudEvent) -> Result<(), String> {
        let body = event.to_json();
        if let Some(command) = &receiver.command {
            return self.run(receiver, command, &body).await;
        }
        let variable = |name: &String| {
            let value = self.environment.get(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("the environment variable {name} is not set"))
        };
        let token = receiver.token_env.as_ref().map(variable).transpose()?;
        let url = match (&receiver.url, &receiver.url_env) {
            (Some(url), _) => url,
            (None, Some(name)) => variable(name)?,
            (None, None) => return Err("it has no URL and no command".to_owned()),
        };
        if let Some(problem) = problem_of_url(url, token.is_some()) {
            return Err(problem);
        }
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let token = token.map(|token| Secret::new(token.to_owned()));
        self.post(receiver, url, token.as_ref(), body).await
    }

    async fn post(
        &self,
        receiver: &NotifyTable,
        url: Url,
        token: Option<&Secret<String>>,
        body: Vec<u8>,
    ) -> Result<(), String> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let (mut attempt, mut pause) = (1, PAUSE);
        loop {
            let mut request = self
                .client
                .post(url.clone())
                .timeout(receiver.limit())
                .header(CONTENT_TYPE, cloud_event::MEDIA_TYPE)
                .body(body.clone());
            if let Some(token) = token {
                request = request.bearer_auth(token.expose());
            }
            let (problem, may_repeat) = match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => {
                    let status = answer.status();
                    let may_repeat =
                        status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                    (format!("{host} answered {status}"), may_repeat)
                }
                Err(error) => (format!("{host}: {}", reason(error)), true),
            };
            tracing::debug!(problem, attempt, "notification");
            if !may_repeat || attempt == ATTEMPTS {
                return Err(problem);
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
            pause *= 2;
        }
    }

    async fn run(
        &self,
        receiver: &NotifyTable,
        command: &[String],
        body: &[u8],
    ) -> Result<(), String> {
        let Some((program, arguments)) = command.split_first() else {
            return Err("it has no command".to_owned());
        };
        let path = process::program_in(&self.root, program);
        let mut started = self.environment.command(Program::Receiver, &path);
        started.args(arguments).current_dir(&self.root);
        let limits = Limits {
            time: receiver.limit(),
            output: OUTPUT,
        };
        let ended = process::output(started, body, limits).await;
        let ended = ended.map_err(|error| {
            if error.is_missing() {
                process::missing(program)
            } else {
                format!("`{program}`: {error}")
            }
        })?;
        if ended.status.success() {
            return Ok(());
        }
        let last = process::last_line(&ended.stderr);
        Err(format!("`{program}` ended with {}{last}", ended.status))
    }
}

/// The innermost reason of a failed request, without its URL.
fn reason(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let error = error.without_url();
    let mut reason: &dyn std::error::Error = &error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}
