//! A registry read with curl, independently of golden.

use std::process::Command;

use super::services;

/// The Accept list that a registry needs to find any kind of image.
const ACCEPT: &str = "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Header lines, with names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Parses the body as JSON, and panics with the body if that fails.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends a request to `http://HOST/v2/PATH`; `method` is GET, HEAD or DELETE.
#[track_caller]
pub(crate) fn curl(method: &str, host: &str, path: &str) -> Answer {
    curl_with(&[], method, &format!("http://{host}/v2/{path}"))
}

/// Sends a request to an address, with more options of curl.
#[track_caller]
pub(crate) fn curl_with(options: &[&str], method: &str, url: &str) -> Answer {
    let mut command = Command::new("curl");
    command.args(["-s", "-i", "-H", ACCEPT]).args(options);
    match method {
        "HEAD" => command.arg("--head"),
        _ => command.args(["-X", method]),
    };
    let output = command.arg(url).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer from {url}: {text:?}"));
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| (key.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Answer {
        status,
        headers,
        body: body.to_owned(),
    }
}

/// The tags of a repository of the plain registry, sorted; empty if the repository does not exist.
#[track_caller]
pub(crate) fn tags(repository: &str) -> Vec<String> {
    let answer = curl(
        "GET",
        services::registry(),
        &format!("{repository}/tags/list"),
    );
    let mut tags: Vec<String> = match answer.status {
        404 => Vec::new(),
        _ => serde_json::from_value::<Option<_>>(answer.json()["tags"].clone())
            .unwrap()
            .unwrap_or_default(),
    };
    tags.sort();
    tags
}

/// The digest of a tag in the plain registry; `None` if the tag does not exist.
#[track_caller]
pub(crate) fn digest(repository: &str, tag: &str) -> Option<String> {
    let answer = curl(
        "HEAD",
        services::registry(),
        &format!("{repository}/manifests/{tag}"),
    );
    match answer.status {
        200 => Some(answer.header("docker-content-digest").unwrap().to_owned()),
        404 => None,
        status => panic!("HEAD {repository}:{tag}: {status}"),
    }
}

/// The labels of a tag in the plain registry, read through manifest and config.
#[track_caller]
pub(crate) fn labels(repository: &str, tag: &str) -> serde_json::Value {
    let manifest = curl(
        "GET",
        services::registry(),
        &format!("{repository}/manifests/{tag}"),
    )
    .json();
    let config = manifest["config"]["digest"].as_str().unwrap();
    curl(
        "GET",
        services::registry(),
        &format!("{repository}/blobs/{config}"),
    )
    .json()["config"]["Labels"]
        .clone()
}
