//! A registry in the test's process. It is strict, and can behave in ways that no installable
//! registry does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use golden::reference::Digest;
use serde_json::{Value, json};

use super::server::{Answer, Seen, Server, handler};

/// A function that answers some requests.
pub(crate) type Instead = Arc<dyn Fn(&Seen) -> Option<Answer> + Send + Sync>;

/// Behaviour in the points where registries differ.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// Accepts `?tag=…&tag=…`, and confirms each tag with `OCI-Tag`.
    pub(crate) fan_out: bool,
    /// Deletes a tag by its name, as distribution 3 does.
    pub(crate) deletes_tags: bool,
    /// Deletion is disabled.
    pub(crate) no_deletion: bool,
    /// The maximum number of tags in one request.
    pub(crate) max_tags_per_request: Option<usize>,
    /// Stores a blob that is sent with the POST that opens an upload.
    pub(crate) single_post: bool,
    /// The minimum size of a chunk in bytes, except for the last one.
    pub(crate) min_chunk: Option<usize>,
    /// The page size of lists.
    pub(crate) page: Option<usize>,
    /// Maintains lists of referrers.
    pub(crate) referrers: bool,
    /// The entries of these lists have the types and annotations of the manifests.
    pub(crate) describes_referrers: bool,
    /// The required Authorization header, and the challenge for requests without it.
    pub(crate) authorization: Option<(String, String)>,
    /// Called first; its answer replaces the registry's own.
    pub(crate) instead: Option<Instead>,
}

impl Behaviour {
    /// A registry that maintains no lists of referrers, and one that does.
    pub(crate) fn both() -> [Self; 2] {
        [false, true].map(|referrers| Self {
            referrers,
            ..Self::default()
        })
    }
}

#[derive(Default)]
struct Repository {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    tags: BTreeMap<String, String>,
}

#[derive(Default)]
struct State {
    repositories: BTreeMap<String, Repository>,
    uploads: BTreeMap<String, Vec<u8>>,
    next: usize,
}

pub(crate) struct FakeRegistry {
    /// The server, which records its requests.
    pub(crate) server: Server,
    state: Arc<Mutex<State>>,
}

impl FakeRegistry {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        Self::with_tls(behaviour, None)
    }

    /// Starts a registry with TLS.
    pub(crate) fn with_tls(
        behaviour: Behaviour,
        tls: Option<tokio_rustls::rustls::ServerConfig>,
    ) -> Self {
        Self::at("127.0.0.1", behaviour, tls)
    }

    /// Starts a registry on an address of this machine.
    pub(crate) fn at(
        address: &str,
        behaviour: Behaviour,
        tls: Option<tokio_rustls::rustls::ServerConfig>,
    ) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        let server = Server::at(
            address,
            0,
            tls,
            handler(move |seen| {
                if let Some(answer) = behaviour.instead.as_ref().and_then(|instead| instead(seen)) {
                    return answer;
                }
                if let Some((wanted, challenge)) = &behaviour.authorization
                    && seen.header("authorization") != Some(wanted)
                {
                    return refuse(401, "UNAUTHORIZED", "authentication required")
                        .header("www-authenticate", challenge);
                }
                answer(&mut lock(&shared), seen, &behaviour)
            }),
        );
        Self { server, state }
    }

    /// `ADDRESS:PORT`.
    pub(crate) fn host(&self) -> String {
        self.server.host()
    }

    /// Adds an image with these tags to a repository; returns its digest.
    pub(crate) fn image(&self, repository: &str, content: &str, tags: &[&str]) -> String {
        let labels = json!({ "content": content, "org.opencontainers.image.version": "1.2.3" });
        self.labelled(repository, content, &labels, tags)
    }

    /// Adds an image with these labels to a repository; returns its digest.
    pub(crate) fn labelled(
        &self,
        repository: &str,
        content: &str,
        labels: &Value,
        tags: &[&str],
    ) -> String {
        let mut state = lock(&self.state);
        let repository = state.repositories.entry(repository.to_owned()).or_default();
        let mut blob = |bytes: Vec<u8>| {
            let (digest, size) = (Digest::of(&bytes).to_string(), bytes.len());
            repository.blobs.insert(digest.clone(), bytes);
            (digest, size)
        };
        let (layer, layer_size) = blob(content.as_bytes().to_vec());
        let config = json!({ "architecture": "amd64", "os": "linux", "created": "2024-05-06T07:08:09Z",
            "config": { "Labels": labels },
            "rootfs": { "type": "layers", "diff_ids": [&layer] } });
        let (config, config_size) = blob(config.to_string().into_bytes());
        let media_type = golden::oci::media::OCI_MANIFEST;
        let manifest = json!({ "schemaVersion": 2, "mediaType": media_type,
            "config": { "mediaType": golden::oci::media::OCI_CONFIG, "digest": config, "size": config_size },
            "layers": [{ "mediaType": golden::oci::media::OCI_LAYER, "digest": layer, "size": layer_size }] });
        put(
            repository,
            media_type,
            manifest.to_string().into_bytes(),
            tags,
        )
    }

    /// Adds an image of these layers, bottom first, to a repository; returns its digest. Its history
    /// has one step for each layer.
    pub(crate) fn layered(
        &self,
        repository: &str,
        architecture: &str,
        layers: &[&str],
        labels: &Value,
        tags: &[&str],
    ) -> String {
        let mut state = lock(&self.state);
        let repository = state.repositories.entry(repository.to_owned()).or_default();
        let mut blob = |kind: &str, bytes: Vec<u8>| {
            let descriptor =
                json!({ "mediaType": kind, "digest": Digest::of(&bytes), "size": bytes.len() });
            repository
                .blobs
                .insert(Digest::of(&bytes).to_string(), bytes);
            descriptor
        };
        let history: Vec<Value> = layers
            .iter()
            .map(|layer| json!({ "created_by": layer }))
            .collect();
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| blob(golden::oci::media::OCI_LAYER, layer.as_bytes().to_vec()))
            .collect();
        let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
        let config = json!({ "architecture": architecture, "os": "linux", "config": { "Labels": labels },
            "rootfs": { "type": "layers", "diff_ids": diff_ids }, "history": history });
        let config = blob(
            golden::oci::media::OCI_CONFIG,
            config.to_string().into_bytes(),
        );
        let media_type = golden::oci::media::OCI_MANIFEST;
        let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers });
        put(
            repository,
            media_type,
            manifest.to_string().into_bytes(),
            tags,
        )
    }

    /// Adds a manifest or an index to a repository unchanged; returns its digest.
    pub(crate) fn manifest(
        &self,
        repository: &str,
        media_type: &str,
        manifest: &Value,
        tags: &[&str],
    ) -> String {
        let mut state = lock(&self.state);
        let repository = state.repositories.entry(repository.to_owned()).or_default();
        put(
            repository,
            media_type,
            manifest.to_string().into_bytes(),
            tags,
        )
    }

    /// Adds an image without layers for a platform to a repository; returns its digest.
    pub(crate) fn image_for(
        &self,
        repository: &str,
        architecture: &str,
        content: &str,
        tags: &[&str],
    ) -> String {
        let config = json!({ "architecture": architecture, "os": "linux", "config": { "Env": [content] },
            "rootfs": { "type": "layers", "diff_ids": [] } });
        let config = config.to_string().into_bytes();
        let descriptor = json!({ "mediaType": golden::oci::media::OCI_CONFIG, "digest": Digest::of(&config),
            "size": config.len() });
        let media_type = golden::oci::media::OCI_MANIFEST;
        let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "config": descriptor, "layers": [] });
        let digest = Digest::of(&config).to_string();
        let mut state = lock(&self.state);
        state
            .repositories
            .entry(repository.to_owned())
            .or_default()
            .blobs
            .insert(digest, config);
        drop(state);
        self.manifest(repository, media_type, &manifest, tags)
    }

    /// Adds an index of these images, each with its platform, to a repository; returns its digest.
    pub(crate) fn index_for(
        &self,
        repository: &str,
        children: &[(&str, &str)],
        tags: &[&str],
    ) -> String {
        let media_type = golden::oci::media::OCI_INDEX;
        let entries: Vec<Value> = children
            .iter()
            .map(|(architecture, digest)| {
                json!({ "mediaType": golden::oci::media::OCI_MANIFEST, "digest": digest, "size": 1,
                    "platform": { "os": "linux", "architecture": architecture } })
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries });
        self.manifest(repository, media_type, &index, tags)
    }

    /// Points a tag to a manifest, as another tool does.
    pub(crate) fn tag(&self, repository: &str, tag: &str, digest: &str) {
        let mut state = lock(&self.state);
        let repository = state.repositories.entry(repository.to_owned()).or_default();
        repository.tags.insert(tag.to_owned(), digest.to_owned());
    }

    /// Adds an index of these manifests to a repository; returns its digest.
    pub(crate) fn index(&self, repository: &str, children: &[&str], tags: &[&str]) -> String {
        let mut state = lock(&self.state);
        let repository = state.repositories.entry(repository.to_owned()).or_default();
        let entries = children.iter().map(|child| {
            let (media_type, bytes) = &repository.manifests[*child];
            json!({ "mediaType": media_type, "digest": child, "size": bytes.len() })
        });
        let media_type = golden::oci::media::OCI_INDEX;
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries.collect::<Vec<_>>() });
        put(repository, media_type, index.to_string().into_bytes(), tags)
    }

    /// Adds an artifact to a repository, with a config and one layer of the given media types;
    /// returns its digest.
    pub(crate) fn artifact(
        &self,
        repository: &str,
        artifact_type: Option<&str>,
        config: (&str, &str),
        layer: (&str, &str),
        subject: Option<&str>,
        tags: &[&str],
    ) -> String {
        let mut state = lock(&self.state);
        let repository = state.repositories.entry(repository.to_owned()).or_default();
        let mut blob = |(kind, content): (&str, &str)| {
            let digest = Digest::of(content.as_bytes()).to_string();
            repository
                .blobs
                .insert(digest.clone(), content.as_bytes().to_vec());
            json!({ "mediaType": kind, "digest": digest, "size": content.len() })
        };
        let media_type = golden::oci::media::OCI_MANIFEST;
        let mut manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "config": blob(config), "layers": [blob(layer)] });
        if let Some(kind) = artifact_type {
            manifest["artifactType"] = kind.into();
        }
        if let Some(subject) = subject {
            manifest["subject"] = json!({ "mediaType": media_type, "digest": subject, "size": 1 });
        }
        put(
            repository,
            media_type,
            manifest.to_string().into_bytes(),
            tags,
        )
    }

    /// Adds the list of referrers of `subject` under its fallback tag, as clients do; returns its
    /// digest.
    pub(crate) fn fallback(&self, repository: &str, subject: &str, referrers: &[&str]) -> String {
        let mut state = lock(&self.state);
        let repository = state.repositories.entry(repository.to_owned()).or_default();
        let entries = referrers.iter().map(|digest| {
            let (media_type, bytes) = &repository.manifests[*digest];
            let value: Value = serde_json::from_slice(bytes).unwrap();
            let kind = value.get("artifactType").or_else(|| value.pointer("/config/mediaType")).cloned();
            json!({ "mediaType": media_type, "digest": digest, "size": bytes.len(), "artifactType": kind,
                "annotations": { "z": "first", "a": "second" } })
        });
        let media_type = golden::oci::media::OCI_INDEX;
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries.collect::<Vec<_>>() });
        let tag = subject.replace(':', "-");
        put(
            repository,
            media_type,
            index.to_string().into_bytes(),
            &[tag.as_str()],
        )
    }

    /// Adds a manifest that refers to another one to a repository; returns its digest.
    pub(crate) fn referrer(&self, repository: &str, subject: &str, content: &str) -> String {
        let mut state = lock(&self.state);
        let repository = state.repositories.entry(repository.to_owned()).or_default();
        let (empty, layer) = (b"{}".to_vec(), content.as_bytes().to_vec());
        let descriptor = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() });
        let media_type = golden::oci::media::OCI_MANIFEST;
        let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "artifactType": "application/vnd.test.signature",
            "config": descriptor("application/vnd.oci.empty.v1+json", &empty),
            "layers": [descriptor("application/octet-stream", &layer)],
            "subject": { "mediaType": media_type, "digest": subject, "size": 1 },
            "annotations": { "content": content } });
        for bytes in [empty, layer] {
            repository
                .blobs
                .insert(Digest::of(&bytes).to_string(), bytes);
        }
        put(
            repository,
            media_type,
            manifest.to_string().into_bytes(),
            &[],
        )
    }

    /// Loads recorded content of real tools into a repository: `tags`, `manifests` as text, and
    /// `blobs`.
    pub(crate) fn load(&self, repository: &str, content: &Value) {
        let mut state = lock(&self.state);
        let repository = state.repositories.entry(repository.to_owned()).or_default();
        for blob in content["blobs"].as_array().unwrap() {
            let bytes = match blob["text"].as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => STANDARD.decode(blob["base64"].as_str().unwrap()).unwrap(),
            };
            repository
                .blobs
                .insert(Digest::of(&bytes).to_string(), bytes);
        }
        for manifest in content["manifests"].as_array().unwrap() {
            let text = manifest.as_str().unwrap();
            let value: Value = serde_json::from_str(text).unwrap();
            let media_type = value["mediaType"].as_str().unwrap();
            put(repository, media_type, text.as_bytes().to_vec(), &[]);
        }
        for (tag, digest) in content["tags"].as_object().unwrap() {
            let digest = digest.as_str().unwrap().to_owned();
            repository.tags.insert(tag.clone(), digest);
        }
    }

    /// The digests of the manifests of a repository.
    pub(crate) fn manifests(&self, repository: &str) -> BTreeSet<String> {
        let state = lock(&self.state);
        let found = state.repositories.get(repository);
        found
            .map(|found| found.manifests.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The tags of a repository, with their digests.
    pub(crate) fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        lock(&self.state)
            .repositories
            .get(repository)
            .map(|found| found.tags.clone())
            .unwrap_or_default()
    }

    /// True if a repository has a manifest.
    pub(crate) fn has(&self, repository: &str, digest: &str) -> bool {
        lock(&self.state)
            .repositories
            .get(repository)
            .is_some_and(|found| found.manifests.contains_key(digest))
    }

    /// The number of uploads that were started and neither completed nor cancelled.
    pub(crate) fn open_uploads(&self) -> usize {
        lock(&self.state).uploads.len()
    }

    /// `METHOD path` of every request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.server
            .seen()
            .iter()
            .map(|seen| format!("{} {}", seen.method, seen.path))
            .collect()
    }
}

fn lock(state: &Arc<Mutex<State>>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn put(repository: &mut Repository, media_type: &str, bytes: Vec<u8>, tags: &[&str]) -> String {
    let digest = Digest::of(&bytes).to_string();
    repository
        .manifests
        .insert(digest.clone(), (media_type.to_owned(), bytes));
    for tag in tags {
        repository.tags.insert((*tag).to_owned(), digest.clone());
    }
    digest
}

/// An error in the format of the distribution API.
pub(crate) fn refuse(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
    Answer::new(status, body.to_string()).header("content-type", "application/json")
}

fn json_answer(value: &Value) -> Answer {
    Answer::new(200, value.to_string()).header("content-type", "application/json")
}

fn answer(state: &mut State, seen: &Seen, behaviour: &Behaviour) -> Answer {
    let route = seen.route().to_owned();
    let Some(rest) = route.strip_prefix("/v2/") else {
        return Answer::new(404, "404 page not found\n");
    };
    if rest.is_empty() {
        return json_answer(&json!({}));
    }
    if rest == "_catalog" {
        let names = state.repositories.keys().cloned().collect();
        return list(seen, behaviour, "repositories", names, &json!({}));
    }
    for (noun, act) in [
        (
            "/tags/list",
            tags as fn(&mut State, &Seen, &Behaviour, &str, &str) -> Answer,
        ),
        ("/blobs/uploads/", uploads),
        ("/blobs/", blobs),
        ("/manifests/", manifests),
        ("/referrers/", referrers),
    ] {
        if let Some((name, last)) = rest.rsplit_once(noun) {
            return act(state, seen, behaviour, name, last);
        }
    }
    Answer::new(404, "404 page not found\n")
}

fn list(seen: &Seen, behaviour: &Behaviour, key: &str, names: Vec<String>, base: &Value) -> Answer {
    let last = seen.query("last").pop();
    let rest: Vec<String> = names
        .into_iter()
        .filter(|name| last.as_ref().is_none_or(|last| name > last))
        .collect();
    let page = behaviour.page.unwrap_or(usize::MAX).min(rest.len());
    let mut value = base.clone();
    value[key] = json!(rest[..page]);
    let answer = json_answer(&value);
    if page < rest.len() {
        return answer.header(
            "link",
            format!("<{}?last={}>; rel=\"next\"", seen.route(), rest[page - 1]),
        );
    }
    answer
}

fn tags(state: &mut State, seen: &Seen, behaviour: &Behaviour, name: &str, _: &str) -> Answer {
    let Some(repository) = state.repositories.get(name) else {
        return refuse(404, "NAME_UNKNOWN", "repository name not known to registry");
    };
    if repository.tags.is_empty() {
        return json_answer(&json!({ "name": name, "tags": null }));
    }
    list(
        seen,
        behaviour,
        "tags",
        repository.tags.keys().cloned().collect(),
        &json!({ "name": name }),
    )
}

fn blobs(state: &mut State, seen: &Seen, _: &Behaviour, name: &str, digest: &str) -> Answer {
    let found = state
        .repositories
        .get(name)
        .and_then(|repository| repository.blobs.get(digest));
    let Some(bytes) = found else {
        return refuse(404, "BLOB_UNKNOWN", "blob unknown to registry");
    };
    let from = seen.header("range").and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    });
    match from {
        Some(from) => {
            let from: usize = from;
            Answer::new(206, &bytes[from..]).header(
                "content-range",
                format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()),
            )
        }
        None => Answer::new(200, bytes.clone()).header("docker-content-digest", digest),
    }
}

fn uploads(
    state: &mut State,
    seen: &Seen,
    behaviour: &Behaviour,
    name: &str,
    session: &str,
) -> Answer {
    let location = |session: &str, offset: usize| {
        format!("/v2/{name}/blobs/uploads/{session}?_state={offset}")
    };
    if seen.method == "POST" {
        if let (Some(digest), Some(from)) = (seen.query("mount").pop(), seen.query("from").pop())
            && let Some(bytes) = state
                .repositories
                .get(&from)
                .and_then(|other| other.blobs.get(&digest))
                .cloned()
        {
            state
                .repositories
                .entry(name.to_owned())
                .or_default()
                .blobs
                .insert(digest, bytes);
            return Answer::new(201, "");
        }
        if behaviour.single_post
            && let Some(digest) = seen.query("digest").pop()
        {
            assert_eq!(Digest::of(&seen.body).to_string(), digest);
            let repository = state.repositories.entry(name.to_owned()).or_default();
            repository.blobs.insert(digest.clone(), seen.body.clone());
            return Answer::new(201, "").header("docker-content-digest", digest);
        }
        state.next += 1;
        let session = format!("session-{}", state.next);
        state.uploads.insert(session.clone(), Vec::new());
        let answer = Answer::new(202, "")
            .header("location", location(&session, 0))
            .header("range", "0-0");
        return match behaviour.min_chunk {
            Some(size) => answer.header("oci-chunk-min-length", size),
            None => answer,
        };
    }
    let Some(received) = state.uploads.get_mut(session) else {
        return refuse(
            404,
            "BLOB_UPLOAD_UNKNOWN",
            "blob upload unknown to registry",
        );
    };
    if seen.query("_state").pop() != Some(received.len().to_string()) && seen.method != "GET" {
        return refuse(404, "BLOB_UPLOAD_INVALID", "an old Location was used");
    }
    // If a client disconnects during an upload, the data that arrived is kept.
    let announced = seen
        .header("content-length")
        .and_then(|length| length.parse().ok());
    if announced.is_some_and(|length: usize| length > seen.body.len()) {
        received.extend_from_slice(&seen.body);
        return Answer::Close;
    }
    match seen.method.as_str() {
        "GET" => {
            let end = received.len().saturating_sub(1);
            let length = received.len();
            Answer::new(204, "")
                .header("location", location(session, length))
                .header("range", format!("0-{end}"))
        }
        "DELETE" => {
            state.uploads.remove(session);
            Answer::new(204, "")
        }
        "PATCH" => {
            // Docker Engines stream without a Content-Range.
            let from: Option<usize> = seen
                .header("content-range")
                .and_then(|range| range.split('-').next()?.parse().ok());
            if from.is_some_and(|from| from != received.len()) {
                return refuse(416, "BLOB_UPLOAD_INVALID", "out of order");
            }
            received.extend_from_slice(&seen.body);
            let length = received.len();
            Answer::new(202, "")
                .header("location", location(session, length))
                .header("range", format!("0-{}", length - 1))
        }
        "PUT" => {
            let whole = [received.as_slice(), &seen.body].concat();
            let wanted = seen.query("digest").pop().unwrap_or_default();
            if Digest::of(&whole).to_string() != wanted {
                state.uploads.remove(session);
                return refuse(
                    400,
                    "DIGEST_INVALID",
                    "provided digest did not match uploaded content",
                );
            }
            state.uploads.remove(session);
            state
                .repositories
                .entry(name.to_owned())
                .or_default()
                .blobs
                .insert(wanted.clone(), whole);
            Answer::new(201, "").header("docker-content-digest", wanted)
        }
        _ => refuse(405, "UNSUPPORTED", "method"),
    }
}

fn manifests(
    state: &mut State,
    seen: &Seen,
    behaviour: &Behaviour,
    name: &str,
    target: &str,
) -> Answer {
    let unknown = || refuse(404, "MANIFEST_UNKNOWN", "manifest unknown");
    if seen.method == "PUT" {
        return put_manifest(
            state.repositories.entry(name.to_owned()).or_default(),
            seen,
            behaviour,
            target,
        );
    }
    if seen.method == "DELETE" && behaviour.no_deletion {
        return refuse(405, "UNSUPPORTED", "The operation is unsupported.");
    }
    let Some(repository) = state.repositories.get_mut(name) else {
        return refuse(404, "NAME_UNKNOWN", "repository name not known to registry");
    };
    let is_digest = target.contains(':');
    let digest = if is_digest {
        Some(target.to_owned())
    } else {
        repository.tags.get(target).cloned()
    };
    let digest = digest.filter(|digest| repository.manifests.contains_key(digest));
    if seen.method == "DELETE" {
        if !is_digest && !behaviour.deletes_tags {
            return refuse(
                400,
                "DIGEST_INVALID",
                "provided digest did not match uploaded content",
            );
        }
        let Some(digest) = digest else {
            return unknown();
        };
        if is_digest {
            repository.manifests.remove(&digest);
            repository.tags.retain(|_, named| *named != digest);
        } else {
            repository.tags.remove(target);
        }
        return Answer::new(202, "");
    }
    let Some(digest) = digest else {
        return unknown();
    };
    let (media_type, bytes) = &repository.manifests[&digest];
    // As in distribution 2.8: if Accept lacks the manifest's type, the manifest is not found.
    let mut accepted = seen.headers.iter().filter(|(key, _)| key == "accept");
    if !accepted.any(|(_, accept)| accept.contains(media_type.as_str())) {
        return unknown();
    }
    Answer::new(200, bytes.clone())
        .header("content-type", media_type)
        .header("docker-content-digest", &digest)
}

fn put_manifest(
    repository: &mut Repository,
    seen: &Seen,
    behaviour: &Behaviour,
    target: &str,
) -> Answer {
    let digest = Digest::of(&seen.body).to_string();
    let invalid = |message: &str| refuse(400, "MANIFEST_INVALID", message);
    let Ok(value) = serde_json::from_slice::<Value>(&seen.body) else {
        return invalid("not JSON");
    };
    let kind = seen.header("content-type").unwrap_or_default().to_owned();
    if value["mediaType"].as_str().is_some_and(|own| own != kind) {
        return invalid("Content-Type is not mediaType");
    }
    if target.contains(':') && target != digest {
        return refuse(
            400,
            "DIGEST_INVALID",
            "provided digest did not match uploaded content",
        );
    }
    let list = |key: &str| value[key].as_array().cloned().unwrap_or_default();
    let text = |entry: &Value| entry["digest"].as_str().unwrap_or_default().to_owned();
    let blobs: BTreeSet<String> = list("layers")
        .iter()
        .chain(value.get("config"))
        .map(text)
        .collect();
    let missing = blobs
        .iter()
        .find(|blob| !repository.blobs.contains_key(*blob));
    let missing = missing.cloned().or_else(|| {
        list("manifests")
            .iter()
            .map(text)
            .find(|child| !repository.manifests.contains_key(child))
    });
    if let Some(missing) = missing {
        return refuse(400, "MANIFEST_BLOB_UNKNOWN", &missing);
    }
    let mut tags: Vec<String> = if target.contains(':') {
        Vec::new()
    } else {
        vec![target.to_owned()]
    };
    let mut answer = Answer::new(201, "").header("docker-content-digest", &digest);
    if behaviour.fan_out {
        for tag in seen
            .query("tag")
            .into_iter()
            .take(behaviour.max_tags_per_request.unwrap_or(usize::MAX))
        {
            answer = answer.header("oci-tag", &tag);
            tags.push(tag);
        }
    }
    if behaviour.referrers && value.get("subject").is_some() {
        answer = answer.header(
            "oci-subject",
            value["subject"]["digest"].as_str().unwrap_or_default(),
        );
    }
    put(
        repository,
        &kind,
        seen.body.clone(),
        &tags.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    answer
}

fn referrers(
    state: &mut State,
    _: &Seen,
    behaviour: &Behaviour,
    name: &str,
    digest: &str,
) -> Answer {
    if !behaviour.referrers {
        return Answer::new(404, "404 page not found\n");
    }
    let found = state
        .repositories
        .get(name)
        .map(|repository| repository.manifests.iter())
        .into_iter()
        .flatten();
    let entries = found.filter_map(|(own, (media_type, bytes))| {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let mut entry = json!({ "mediaType": media_type, "digest": own, "size": bytes.len() });
        if behaviour.describes_referrers {
            entry["artifactType"] = value["artifactType"].clone();
            entry["annotations"] = value["annotations"].clone();
        }
        (value["subject"]["digest"] == digest).then_some(entry)
    });
    json_answer(&json!({ "schemaVersion": 2, "manifests": entries.collect::<Vec<_>>() }))
}
