//! The `docker-credential-*` protocol: the server name on stdin, a login as JSON on stdout.

use std::time::Duration;

use serde::Deserialize;

use super::Credential;
use crate::process::{self, Environment, Limits, Program};
use crate::registry::error::Error;
use crate::secret::Secret;

/// The longest response that is read, in bytes. Tokens have a few kilobytes.
const MAX_ANSWER: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    #[serde(default)]
    username: String,
    secret: String,
}

/// Runs a credential helper. Returns `None` if it has no login for the server. The helper may
/// prompt the user, so it gets `limit` to respond.
pub(super) async fn get(
    programs: &Environment,
    name: &str,
    server: &str,
    limit: Duration,
) -> Result<Option<Credential>, Error> {
    let program = format!("docker-credential-{name}");
    if name.contains(['/', '\\']) {
        return Err(Error::local(format!(
            "`{name}` is not the name of a credential helper"
        )));
    }
    let failed = |reason: String| {
        Error::local(format!(
            "credential helper `{program}` for {server}: {reason}"
        ))
    };
    let mut command = programs.command(Program::CredentialHelper, &program);
    command.arg("get");
    let limits = Limits {
        time: limit,
        output: MAX_ANSWER,
    };
    let output = process::output(command, format!("{server}\n").as_bytes(), limits).await;
    let output = output.map_err(|error| match error {
        error if error.is_missing() => failed("not found in PATH".to_owned()),
        process::Error::Time(limit) => failed(format!("no answer in {} s", limit.as_secs())),
        error => failed(error.to_string()),
    })?;
    if !output.status.success() {
        // Helpers print the reason to stdout; wrapped programs print it to stderr.
        let message = [output.stdout, b"\n".to_vec(), output.stderr].concat();
        let message = Error::line(&String::from_utf8_lossy(&message));
        let lowercase = message.to_ascii_lowercase();
        let is_absent = lowercase.contains("credentials not found")
            || lowercase.contains("no credentials server url");
        return match message.as_str() {
            _ if is_absent => Ok(None),
            "" => Err(failed(format!("failed ({})", output.status))),
            message => Err(failed(message.to_owned())),
        };
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("its answer is not JSON".to_owned()))?;
    let secret = Secret::new(answer.secret);
    Ok(Some(match answer.username.as_str() {
        "<token>" => Credential::IdentityToken(secret),
        _ => Credential::Password {
            user: answer.username,
            password: secret,
        },
    }))
}
