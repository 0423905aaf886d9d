//! `golden serve` in the test's process, behind a layer that records the requests and behaves as
//! other registries do: with fewer features, with stricter rules, or with any answer of a test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use golden::oci::media::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use golden::reference::Digest;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};

use super::content::Content;
use super::server::{Answer, Handler, Seen, Server};

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

pub(crate) struct FakeRegistry {
    /// The server, which records its requests.
    pub(crate) server: Server,
    content: Arc<Content>,
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
        let content = Arc::new(Content::new());
        let layer = Arc::new((content.clone(), behaviour));
        let handler: Handler = Arc::new(move |seen: Seen| {
            let layer = layer.clone();
            Box::pin(async move { answer(&layer.0, &layer.1, seen).await })
        });
        let server = Server::at(address, 0, tls, handler);
        Self { server, content }
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
        let config = json!({ "architecture": "amd64", "os": "linux", "created": "2024-05-06T07:08:09Z",
            "config": { "Labels": labels },
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(content.as_bytes())] } });
        self.configured(repository, &config, &[content], tags)
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
        let history = layers.iter().map(|layer| json!({ "created_by": layer }));
        let diff_ids = layers.iter().map(|layer| Digest::of(layer.as_bytes()));
        let config = json!({ "architecture": architecture, "os": "linux", "config": { "Labels": labels },
            "rootfs": { "type": "layers", "diff_ids": diff_ids.collect::<Vec<_>>() },
            "history": history.collect::<Vec<_>>() });
        self.configured(repository, &config, layers, tags)
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
        self.configured(repository, &config, &[], tags)
    }

    /// Adds an image with this config and these layers.
    fn configured(
        &self,
        repository: &str,
        config: &Value,
        layers: &[&str],
        tags: &[&str],
    ) -> String {
        let config = config.to_string();
        let blob = |kind: &str, text: &str| self.content.blob(repository, kind, text.as_bytes());
        let layers = layers.iter().map(|layer| blob(OCI_LAYER, layer));
        let layers = layers.collect::<Vec<_>>();
        let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": blob(OCI_CONFIG, &config), "layers": layers });
        self.manifest(repository, OCI_MANIFEST, &manifest, tags)
    }

    /// Adds a manifest or an index to a repository unchanged; returns its digest.
    pub(crate) fn manifest(
        &self,
        repository: &str,
        media_type: &str,
        manifest: &Value,
        tags: &[&str],
    ) -> String {
        let bytes = manifest.to_string().into_bytes();
        self.content.manifest(repository, media_type, &bytes, tags)
    }

    /// Adds an index of these images, each with its platform, to a repository; returns its digest.
    pub(crate) fn index_for(
        &self,
        repository: &str,
        children: &[(&str, &str)],
        tags: &[&str],
    ) -> String {
        let entries = children.iter().map(|(architecture, digest)| {
            json!({ "mediaType": OCI_MANIFEST, "digest": digest, "size": 1,
                "platform": { "os": "linux", "architecture": architecture } })
        });
        self.index_of(repository, entries, tags)
    }

    /// Removes a blob of a repository, as a registry that lost it.
    pub(crate) fn lose(&self, repository: &str, digest: &str) {
        self.content.lose(repository, digest);
    }

    /// Points a tag to a manifest, as another tool does.
    pub(crate) fn tag(&self, repository: &str, tag: &str, digest: &str) {
        self.content.tag(repository, tag, digest);
    }

    /// Adds an index of these manifests to a repository; returns its digest.
    pub(crate) fn index(&self, repository: &str, children: &[&str], tags: &[&str]) -> String {
        let entries = children.iter().map(|child| {
            let (media_type, bytes) = self.content.found(repository, child);
            json!({ "mediaType": media_type, "digest": child, "size": bytes.len() })
        });
        self.index_of(repository, entries, tags)
    }

    fn index_of(
        &self,
        repository: &str,
        entries: impl Iterator<Item = Value>,
        tags: &[&str],
    ) -> String {
        let entries: Vec<Value> = entries.collect();
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
        self.manifest(repository, OCI_INDEX, &index, tags)
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
        let blob =
            |(kind, text): (&str, &str)| self.content.blob(repository, kind, text.as_bytes());
        let mut manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": blob(config), "layers": [blob(layer)] });
        if let Some(kind) = artifact_type {
            manifest["artifactType"] = kind.into();
        }
        if let Some(subject) = subject {
            manifest["subject"] =
                json!({ "mediaType": OCI_MANIFEST, "digest": subject, "size": 1 });
        }
        self.manifest(repository, OCI_MANIFEST, &manifest, tags)
    }

    /// Adds the list of referrers of `subject` under its fallback tag, as clients do; returns its
    /// digest.
    pub(crate) fn fallback(&self, repository: &str, subject: &str, referrers: &[&str]) -> String {
        let entries = referrers.iter().map(|digest| {
            let (media_type, bytes) = self.content.found(repository, digest);
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            let kind = value.get("artifactType").or_else(|| value.pointer("/config/mediaType")).cloned();
            json!({ "mediaType": media_type, "digest": digest, "size": bytes.len(), "artifactType": kind,
                "annotations": { "z": "first", "a": "second" } })
        });
        self.index_of(repository, entries, &[&subject.replace(':', "-")])
    }

    /// Adds a manifest that refers to another one to a repository; returns its digest.
    pub(crate) fn referrer(&self, repository: &str, subject: &str, content: &str) -> String {
        let blob = |kind: &str, text: &str| self.content.blob(repository, kind, text.as_bytes());
        let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/vnd.test.signature",
            "config": blob("application/vnd.oci.empty.v1+json", "{}"),
            "layers": [blob("application/octet-stream", content)],
            "subject": { "mediaType": OCI_MANIFEST, "digest": subject, "size": 1 },
            "annotations": { "content": content } });
        self.manifest(repository, OCI_MANIFEST, &manifest, &[])
    }

    /// Loads recorded content of real tools into a repository: `tags`, `manifests` as text, and
    /// `blobs`.
    pub(crate) fn load(&self, repository: &str, content: &Value) {
        for blob in content["blobs"].as_array().unwrap() {
            let bytes = match blob["text"].as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => STANDARD.decode(blob["base64"].as_str().unwrap()).unwrap(),
            };
            self.content.blob(repository, "", &bytes);
        }
        for manifest in content["manifests"].as_array().unwrap() {
            let text = manifest.as_str().unwrap();
            let value: Value = serde_json::from_str(text).unwrap();
            let media_type = value["mediaType"].as_str().unwrap();
            self.content
                .manifest(repository, media_type, text.as_bytes(), &[]);
        }
        for (tag, digest) in content["tags"].as_object().unwrap() {
            self.tag(repository, tag, digest.as_str().unwrap());
        }
    }

    /// The digests of the manifests of a repository.
    pub(crate) fn manifests(&self, repository: &str) -> BTreeSet<String> {
        self.content.manifests(repository)
    }

    /// The tags of a repository, with their digests.
    pub(crate) fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        self.content.tags(repository)
    }

    /// True if a repository has a manifest.
    pub(crate) fn has(&self, repository: &str, digest: &str) -> bool {
        self.manifests(repository).contains(digest)
    }

    /// The number of uploads that were started and neither completed nor cancelled.
    pub(crate) fn open_uploads(&self) -> usize {
        self.content.open_uploads()
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

/// An error in the format of the distribution API.
pub(crate) fn refuse(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
    Answer::new(status, body.to_string()).header("content-type", "application/json")
}

/// The answer to a request: the test's own, that of a registry with less features, or that of
/// `golden serve`.
async fn answer(content: &Content, behaviour: &Behaviour, mut seen: Seen) -> Answer {
    if let Some(answer) = refused(content, behaviour, &seen) {
        return answer;
    }
    let name = repository(seen.route()).to_owned();
    if seen.route().contains("/blobs/uploads/")
        && ["PATCH", "PUT", "DELETE"].contains(&seen.method.as_str())
        && let Some(range) = received(content, &name, &seen).await
        && seen.query("_state") != [range]
    {
        return refuse(404, "BLOB_UPLOAD_INVALID", "an old Location was used");
    }
    change_query(content, behaviour, &mut seen, &name);
    let mut answer = forward(content, &name, &seen).await;
    let Answer::Full {
        status, headers, ..
    } = &mut answer
    else {
        return answer;
    };
    headers.retain(|(key, _)| behaviour.referrers || key != "oci-subject");
    let get = |name: &str| headers.iter().find(|(key, _)| key == name).cloned();
    // As in distribution 2.8: if Accept lacks the manifest's type, the manifest is not found.
    if *status == 200
        && seen.route().contains("/manifests/")
        && let Some((_, media_type)) = get("content-type")
        && !seen
            .headers
            .iter()
            .any(|(key, accept)| key == "accept" && accept.contains(&media_type))
    {
        return refuse(404, "MANIFEST_UNKNOWN", "manifest unknown");
    }
    // The Location of an upload changes with each request.
    if let Some((_, range)) = get("range") {
        let location = headers.iter_mut().find(|(key, _)| key == "location");
        location.unwrap().1.extend(["?_state=", &range]);
        if let Some(size) = behaviour.min_chunk.filter(|_| seen.method == "POST") {
            headers.push(("oci-chunk-min-length".to_owned(), size.to_string()));
        }
    }
    answer
}

/// The received range of an upload; `None` if the upload does not exist.
async fn received(content: &Content, repository: &str, seen: &Seen) -> Option<String> {
    let status = Seen {
        method: "GET".to_owned(),
        path: seen.path.clone(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    match forward(content, repository, &status).await {
        Answer::Full { headers, .. } => {
            let range = headers.into_iter().find(|(key, _)| key == "range");
            range.map(|(_, range)| range)
        }
        _ => None,
    }
}

/// The name of the repository in a path.
fn repository(route: &str) -> &str {
    let rest = route.strip_prefix("/v2/").unwrap_or_default();
    ["/tags/list", "/blobs/", "/manifests/", "/referrers/"]
        .iter()
        .find_map(|noun| rest.rsplit_once(noun))
        .map_or("", |(name, _)| name)
}

/// The answer that replaces that of `golden serve`.
fn refused(content: &Content, behaviour: &Behaviour, seen: &Seen) -> Option<Answer> {
    if let Some(answer) = behaviour.instead.as_ref().and_then(|instead| instead(seen)) {
        return Some(answer);
    }
    if let Some((wanted, challenge)) = &behaviour.authorization
        && seen.header("authorization") != Some(wanted)
    {
        let answer = refuse(401, "UNAUTHORIZED", "authentication required");
        return Some(answer.header("www-authenticate", challenge));
    }
    let route = seen.route();
    if route == "/v2/_catalog" {
        let list = json!({ "repositories": content.repositories() });
        let answer = Answer::new(200, list.to_string());
        return Some(answer.header("content-type", "application/json"));
    }
    if route.contains("/referrers/") && !behaviour.referrers {
        return Some(Answer::new(404, "404 page not found\n"));
    }
    let (_, target) = route.rsplit_once("/manifests/")?;
    if seen.method == "DELETE" && behaviour.no_deletion {
        return Some(refuse(405, "UNSUPPORTED", "The operation is unsupported."));
    }
    (seen.method == "DELETE" && !target.contains(':') && !behaviour.deletes_tags).then(|| {
        let message = "provided digest did not match uploaded content";
        refuse(400, "DIGEST_INVALID", message)
    })
}

/// Removes the parameters that this registry does not know, and adds its page size.
fn change_query(content: &Content, behaviour: &Behaviour, seen: &mut Seen, name: &str) {
    let from = seen.query("from").pop().unwrap_or_default();
    let (route, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let mut tags = 0..behaviour.max_tags_per_request.unwrap_or(usize::MAX);
    pairs.retain(|(key, value)| match key.as_str() {
        "tag" => behaviour.fan_out && tags.next().is_some(),
        "digest" => behaviour.single_post || seen.method != "POST",
        "mount" => content.mount(&from, name, value),
        "n" => behaviour.page.is_none(),
        _ => true,
    });
    pairs.extend(
        behaviour
            .page
            .map(|page| ("n".to_owned(), page.to_string())),
    );
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    seen.path = format!("{route}?{query}");
}

/// The answer of `golden serve`.
async fn forward(content: &Content, repository: &str, seen: &Seen) -> Answer {
    let announced = seen
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let is_cut = announced.is_some_and(|length: usize| length > seen.body.len());
    let cut = is_cut.then(|| Err(std::io::Error::other("the client disconnected")));
    let body = Ok(Frame::data(Bytes::copy_from_slice(&seen.body)));
    let body = StreamBody::new(stream::iter([body].into_iter().chain(cut)));
    let mut request = hyper::Request::builder()
        .method(seen.method.as_str())
        .uri(&seen.path);
    for (key, value) in &seen.headers {
        request = request.header(key, value);
    }
    let request = request.body(body.boxed_unsync()).unwrap();
    let response = content.service(repository).answer(request).await;
    if is_cut {
        return Answer::Close;
    }
    let (head, body) = response.into_parts();
    let headers = head.headers.iter();
    Answer::Full {
        status: head.status.as_u16(),
        headers: headers
            .map(|(key, value)| (key.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}
