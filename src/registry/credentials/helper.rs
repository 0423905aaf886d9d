//! The `docker-credential-*` protocol: the server's address on stdin, a login as JSON on stdout.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::Credential;
use crate::registry::error::Error;
use crate::secret::Secret;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: String,
}

/// Asks a helper. None when it knows nothing of the server. It may ask its user something, but for no longer than
/// `limit`.
pub(super) async fn get(name: &str, server: &str, limit: Duration) -> Result<Option<Credential>, Error> {
    let program = format!("docker-credential-{name}");
    if name.contains(['/', '\\']) {
        return Err(Error::local(format!("`{name}` is not the name of a credential helper")));
    }
    let failed = |what: String| Error::local(format!("credential helper `{program}` for {server}: {what}"));
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed("there is no such program in PATH".to_owned()),
            _ => failed(error.to_string()),
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input fails in its own words.
        drop(stdin.write_all(format!("{server}\n").as_bytes()).await);
    }
    let output = tokio::time::timeout(limit, child.wait_with_output()).await;
    let output = output.map_err(|_| failed(format!("no answer in {} s", limit.as_secs())))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        // Helpers print this to stdout. Their other words may hold secrets and are not shown.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).to_ascii_lowercase();
        let nothing = said.contains("credentials not found") || said.contains("no credentials server url");
        return if nothing { Ok(None) } else { Err(failed(format!("it failed ({})", output.status))) };
    }
    let answer: Answer =
        serde_json::from_slice(&output.stdout).map_err(|_| failed("its answer is not JSON".to_owned()))?;
    let secret = Secret::new(answer.secret);
    Ok(Some(match answer.username.as_str() {
        "<token>" => Credential::IdentityToken(secret),
        _ => Credential::Password { user: answer.username, password: secret },
    }))
}
