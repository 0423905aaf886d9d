//! `golden serve`: the distribution API as an HTTP client sees it, and the whole workflow of golden
//! against it.
//!
//! The first tests follow the four categories of the OCI distribution spec: pull, push, content
//! discovery, content management.

use std::path::Path;

use golden::reference::Digest;
use serde_json::{Value, json};

use crate::support::curl::{Answer, curl_with};
use crate::support::served::Served;
use crate::support::workspace::{Golden, Run};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Served {
    /// Kills the process, as a crash does, and serves the same directory again.
    fn crash(self) -> Self {
        let golden = self.kill();
        Self::of(golden, &[])
    }

    fn ask(&self, options: &[&str], method: &str, path: &str) -> Answer {
        let url = if path.starts_with('/') {
            format!("{}{path}", self.url)
        } else {
            path.to_owned()
        };
        curl_with(options, method, &url)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&[], "GET", path)
    }

    /// Sends a body.
    fn send(&self, options: &[&str], method: &str, path: &str, body: &[u8]) -> Answer {
        let file = self.golden.write("body", body);
        let body = format!("@{}", file.display());
        self.ask(
            &[options, &["-H", "Expect:", "--data-binary", &body]].concat(),
            method,
            path,
        )
    }

    /// The Location of an upload in an answer.
    fn location(answer: &Answer) -> String {
        let location = answer.header("location").unwrap();
        assert!(location.starts_with("/v2/"), "{location}");
        location.to_owned()
    }

    /// Uploads a blob in one request, and returns its digest.
    fn blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = Digest::of(bytes).to_string();
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.send(
            &["-H", "Content-Type: application/octet-stream"],
            "POST",
            &path,
            bytes,
        );
        assert_eq!(answer.status, 201, "{}", answer.body);
        digest
    }

    /// Puts a manifest.
    fn put(&self, repository: &str, target: &str, media_type: &str, manifest: &Value) -> Answer {
        let header = format!("Content-Type: {media_type}");
        let path = format!("/v2/{repository}/manifests/{target}");
        self.send(
            &["-H", &header],
            "PUT",
            &path,
            manifest.to_string().as_bytes(),
        )
    }

    /// Uploads the blobs of an image with one layer; returns its manifest.
    fn image(&self, repository: &str, content: &str) -> Value {
        let config = self.blob(repository, b"{}");
        let layer = self.blob(repository, content.as_bytes());
        json!({ "schemaVersion": 2, "mediaType": MANIFEST,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": content.len() }] })
    }

    /// Uploads an image with these tags; returns its digest.
    fn tagged(&self, repository: &str, content: &str, tags: &[&str]) -> String {
        let manifest = self.image(repository, content);
        for tag in tags {
            assert_eq!(self.put(repository, tag, MANIFEST, &manifest).status, 201);
        }
        Digest::of(manifest.to_string().as_bytes()).to_string()
    }

    fn tags(&self, repository: &str) -> Value {
        self.get(&format!("/v2/{repository}/tags/list")).json()["tags"].clone()
    }
}

/// The code of an error body.
fn code(answer: &Answer) -> String {
    answer.json()["errors"][0]["code"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn blobs_are_pulled_completely_in_ranges_and_by_etag() {
    let served = Served::start(&[]);
    let digest = served.blob("app", b"0123456789");
    let path = format!("/v2/app/blobs/{digest}");
    let head = served.ask(&[], "HEAD", &path);
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("10"))
    );
    assert_eq!(head.header("docker-content-digest"), Some(digest.as_str()));
    let etag = head.header("etag").unwrap();
    for (header, status, range, body) in [
        ("X-None: 1", 200, None, "0123456789"),
        ("Range: bytes=2-4", 206, Some("bytes 2-4/10"), "234"),
        ("Range: bytes=7-", 206, Some("bytes 7-9/10"), "789"),
        ("Range: bytes=-2", 206, Some("bytes 8-9/10"), "89"),
        (
            "Range: bytes=0-100",
            206,
            Some("bytes 0-9/10"),
            "0123456789",
        ),
        (&format!("If-None-Match: {etag}"), 304, None, ""),
    ] {
        let answer = served.ask(&["-H", header], "GET", &path);
        assert_eq!(
            (answer.status, answer.header("content-range")),
            (status, range),
            "{header}"
        );
        assert_eq!(answer.body, body, "{header}");
    }
    let outside = served.ask(&["-H", "Range: bytes=10-"], "GET", &path);
    assert_eq!(
        (outside.status, outside.header("content-range")),
        (416, Some("bytes */10"))
    );
    let missing = served.get(&format!("/v2/app/blobs/{}", Digest::of(b"missing")));
    assert_eq!(
        (missing.status, code(&missing).as_str()),
        (404, "BLOB_UNKNOWN")
    );
}

#[test]
fn a_blob_arrives_in_chunks_and_is_resumed_after_a_crash() {
    let mut served = Served::start(&[]);
    let content = b"first second third";
    let digest = Digest::of(content).to_string();
    let begun = served.send(&[], "POST", "/v2/app/blobs/uploads/", b"");
    assert_eq!(begun.status, 202);
    let place = Served::location(&begun);
    let first = served.send(&["-H", "Content-Range: 0-5"], "PATCH", &place, b"first ");
    assert_eq!((first.status, first.header("range")), (202, Some("0-5")));
    let place = Served::location(&first);
    let skipped = served.send(&["-H", "Content-Range: 8-9"], "PATCH", &place, b"xx");
    assert_eq!(
        (skipped.status, skipped.header("range")),
        (416, Some("0-5"))
    );
    served = served.crash();
    let status = served.get(&place);
    assert_eq!((status.status, status.header("range")), (204, Some("0-5")));
    let second = served.send(&[], "PATCH", &Served::location(&status), b"second ");
    assert_eq!(second.header("range"), Some("0-12"));
    let place = format!("{}?digest={digest}", Served::location(&second));
    let done = served.send(&[], "PUT", &place, b"third");
    assert_eq!(
        (done.status, done.header("docker-content-digest")),
        (201, Some(digest.as_str()))
    );
    assert_eq!(
        served.get(done.header("location").unwrap()).body.as_bytes(),
        content
    );
    let again = served.get(place.split('?').next().unwrap());
    assert_eq!(
        (again.status, code(&again).as_str()),
        (404, "BLOB_UPLOAD_UNKNOWN")
    );
}

#[test]
fn an_upload_is_cancelled_and_a_wrong_digest_refused() {
    let served = Served::start(&[]);
    let begin = || Served::location(&served.send(&[], "POST", "/v2/app/blobs/uploads/", b""));
    let place = begin();
    assert_eq!(served.ask(&[], "DELETE", &place).status, 204);
    assert_eq!(served.get(&place).status, 404);
    let place = begin();
    let wrong = served.send(
        &[],
        "PUT",
        &format!("{place}?digest={}", Digest::of(b"other")),
        b"content",
    );
    assert_eq!(
        (wrong.status, code(&wrong).as_str()),
        (400, "DIGEST_INVALID")
    );
    let place = begin();
    let none = served.send(&[], "PUT", &format!("{place}?digest=nonsense"), b"content");
    assert_eq!((none.status, code(&none).as_str()), (400, "DIGEST_INVALID"));
    let foreign = begin().replace("/app/", "/other/");
    assert_eq!(served.get(&foreign).status, 404);
    let traversal = served.get("/v2/app/blobs/uploads/..%2f..%2findex.json");
    assert_eq!(traversal.status, 404);
    let strong = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    let path = format!("/v2/app/blobs/uploads/?digest=sha512:{strong}");
    assert_eq!(served.send(&[], "POST", &path, b"abc").status, 201);
    assert_eq!(
        served.get(&format!("/v2/app/blobs/sha512:{strong}")).body,
        "abc"
    );
}

#[test]
fn a_blob_is_mounted_from_another_repository() {
    let served = Served::start(&[]);
    let digest = served.blob("one", b"shared");
    let path = format!("/v2/two/blobs/uploads/?mount={digest}&from=one");
    let mounted = served.send(&[], "POST", &path, b"");
    assert_eq!(
        (mounted.status, mounted.header("location").unwrap()),
        (201, format!("/v2/two/blobs/{digest}").as_str())
    );
    let missing = Digest::of(b"missing");
    let path = format!("/v2/two/blobs/uploads/?mount={missing}&from=one");
    assert_eq!(served.send(&[], "POST", &path, b"").status, 202);
}

#[test]
fn a_manifest_is_pushed_and_pulled_by_tag_and_digest() {
    let served = Served::start(&[]);
    let manifest = served.image("team/app", "layer");
    let digest = Digest::of(manifest.to_string().as_bytes()).to_string();
    let put = served.put("team/app", "1.2.3", MANIFEST, &manifest);
    assert_eq!(
        (put.status, put.header("docker-content-digest")),
        (201, Some(digest.as_str()))
    );
    assert_eq!(
        put.header("location"),
        Some(format!("/v2/team/app/manifests/{digest}").as_str())
    );
    for target in ["1.2.3", &digest] {
        let path = format!("/v2/team/app/manifests/{target}");
        let got = served.get(&path);
        assert_eq!(
            (got.status, got.header("content-type")),
            (200, Some(MANIFEST))
        );
        assert_eq!(got.body, manifest.to_string());
        let head = served.ask(&[], "HEAD", &path);
        assert_eq!(
            head.header("content-length"),
            Some(manifest.to_string().len().to_string().as_str())
        );
        let known = format!("If-None-Match: \"{digest}\"");
        assert_eq!(served.ask(&["-H", &known], "GET", &path).status, 304);
    }
    assert_eq!(served.get("/v2/team/other/manifests/1.2.3").status, 404);
    assert_eq!(
        code(&served.get("/v2/team/app/manifests/9")),
        "MANIFEST_UNKNOWN"
    );
}

#[test]
fn an_invalid_manifest_is_refused() {
    let served = Served::start(&[]);
    let good = served.image("app", "layer");
    let with = |key: &str, value: Value| {
        let mut manifest = good.clone();
        manifest[key] = value;
        manifest
    };
    let missing = json!([{ "mediaType": "x", "digest": Digest::of(b"missing"), "size": 7 }]);
    let other = Digest::of(b"other").to_string();
    for (target, media_type, manifest, status, expected) in [
        (
            "1",
            MANIFEST,
            with("layers", missing),
            400,
            "MANIFEST_BLOB_UNKNOWN",
        ),
        ("1", INDEX, good.clone(), 400, "MANIFEST_INVALID"),
        ("1", "text/plain", good.clone(), 400, "MANIFEST_INVALID"),
        (
            "1",
            MANIFEST,
            with("schemaVersion", json!(1)),
            400,
            "MANIFEST_INVALID",
        ),
        ("1", MANIFEST, json!("text"), 400, "MANIFEST_INVALID"),
        (&other, MANIFEST, good.clone(), 400, "DIGEST_INVALID"),
        ("-1", MANIFEST, good.clone(), 400, "DIGEST_INVALID"),
        (
            "1",
            MANIFEST,
            with("annotations", json!({ "a": "x".repeat(5 << 20) })),
            413,
            "MANIFEST_INVALID",
        ),
    ] {
        let answer = served.put("app", target, media_type, &manifest);
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (status, expected),
            "{target} {media_type}"
        );
    }
    assert_eq!(served.get("/v2/app/tags/list").status, 404);
    let lower = served.put("APP", "1", MANIFEST, &good);
    assert_eq!((lower.status, code(&lower).as_str()), (400, "NAME_INVALID"));
}

#[test]
fn several_tags_are_put_in_one_request() {
    let served = Served::start(&[]);
    let manifest = served.image("app", "layer");
    let digest = Digest::of(manifest.to_string().as_bytes());
    let put = served.put(
        "app",
        &format!("{digest}?tag=1.2.3&tag=1.2&tag=latest"),
        MANIFEST,
        &manifest,
    );
    assert_eq!(put.status, 201);
    assert_eq!(served.tags("app"), json!(["1.2", "1.2.3", "latest"]));
}

#[test]
fn tags_and_repositories_are_listed_in_pages() {
    let served = Served::start(&[]);
    served.tagged("app", "layer", &["a", "b", "c"]);
    served.tagged("team/app", "layer", &["1"]);
    assert_eq!(served.tags("app"), json!(["a", "b", "c"]));
    let first = served.get("/v2/app/tags/list?n=2");
    assert_eq!(first.json(), json!({ "name": "app", "tags": ["a", "b"] }));
    assert_eq!(
        first.header("link"),
        Some("</v2/app/tags/list?n=2&last=b>; rel=\"next\"")
    );
    let second = served.get("/v2/app/tags/list?n=2&last=b");
    assert_eq!(
        (second.json()["tags"].clone(), second.header("link")),
        (json!(["c"]), None)
    );
    assert_eq!(
        served.get("/v2/_catalog").json(),
        json!({ "repositories": ["app", "team/app"] })
    );
    assert_eq!(
        served.get("/v2/_catalog?n=1&last=app").json(),
        json!({ "repositories": ["team/app"] })
    );
    let unknown = served.get("/v2/none/tags/list");
    assert_eq!(
        (unknown.status, code(&unknown).as_str()),
        (404, "NAME_UNKNOWN")
    );
}

#[test]
fn referrers_are_listed_and_filtered() {
    let served = Served::start(&[]);
    let subject = served.tagged("app", "layer", &["1"]);
    let empty = served.get(&format!("/v2/app/referrers/{}", Digest::of(b"nothing")));
    assert_eq!(
        (empty.status, empty.header("content-type")),
        (200, Some(INDEX))
    );
    assert_eq!(empty.json()["manifests"], json!([]));
    let mut digests = Vec::new();
    for kind in ["application/vnd.test.a", "application/vnd.test.b"] {
        let mut manifest = served.image("app", kind);
        manifest["artifactType"] = json!(kind);
        manifest["annotations"] = json!({ "kind": kind });
        manifest["subject"] = json!({ "mediaType": MANIFEST, "digest": subject, "size": 1 });
        let digest = Digest::of(manifest.to_string().as_bytes()).to_string();
        let put = served.put("app", &digest, MANIFEST, &manifest);
        assert_eq!(
            (put.status, put.header("oci-subject")),
            (201, Some(subject.as_str()))
        );
        digests.push((kind, digest));
    }
    let path = format!("/v2/app/referrers/{subject}");
    let all = served.get(&path).json()["manifests"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(all, 2);
    let filtered = served.get(&format!("{path}?artifactType=application/vnd.test.b"));
    assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
    let lines = filtered.json()["manifests"].clone();
    assert_eq!(lines.as_array().unwrap().len(), 1);
    assert_eq!(lines[0]["digest"], digests[1].1);
    assert_eq!(lines[0]["artifactType"], digests[1].0);
    assert_eq!(lines[0]["annotations"], json!({ "kind": digests[1].0 }));
    assert_eq!(
        served
            .ask(
                &[],
                "DELETE",
                &format!("/v2/app/manifests/{}", digests[1].1)
            )
            .status,
        202
    );
    assert_eq!(
        served.get(&path).json()["manifests"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn tags_manifests_and_blobs_are_deleted() {
    let served = Served::start(&[]);
    let digest = served.tagged("app", "layer", &["1", "1.0", "latest"]);
    let delete = |path: &str| served.ask(&[], "DELETE", path).status;
    assert_eq!(delete("/v2/app/manifests/1.0"), 202);
    assert_eq!(served.tags("app"), json!(["1", "latest"]));
    assert_eq!(
        served.get(&format!("/v2/app/manifests/{digest}")).status,
        200
    );
    assert_eq!(delete("/v2/app/manifests/1.0"), 404);
    assert_eq!(delete(&format!("/v2/app/manifests/{digest}")), 202);
    assert_eq!(served.tags("app"), Value::Null);
    assert_eq!(
        served.get(&format!("/v2/app/manifests/{digest}")).status,
        404
    );
    let layer = Digest::of(b"layer");
    served.tagged("other", "layer", &["1"]);
    let needed = served.ask(&[], "DELETE", &format!("/v2/app/blobs/{layer}"));
    assert_eq!(
        (needed.status, code(&needed).as_str()),
        (405, "UNSUPPORTED")
    );
    assert_eq!(delete(&format!("/v2/other/blobs/{layer}")), 202);
    assert_eq!(served.get(&format!("/v2/other/blobs/{layer}")).status, 404);
}

#[test]
fn an_image_of_an_index_is_read_and_deleted() {
    let served = Served::start(&[]);
    let child = served.image("app", "layer");
    let digest = Digest::of(child.to_string().as_bytes()).to_string();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [{ "mediaType": MANIFEST, "digest": digest, "size": child.to_string().len() }] });
    let early = served.put("app", "1", INDEX, &index);
    assert_eq!(
        (early.status, code(&early).as_str()),
        (400, "MANIFEST_BLOB_UNKNOWN")
    );
    served.put("app", &digest, MANIFEST, &child);
    assert_eq!(served.put("app", "1", INDEX, &index).status, 201);
    let path = format!("/v2/app/manifests/{digest}");
    assert_eq!(served.get(&path).status, 200);
    assert_eq!(served.ask(&[], "DELETE", &path).status, 202);
    assert_eq!(served.get(&path).status, 404);
    assert_eq!(served.get("/v2/app/manifests/1").status, 200);
}

#[test]
fn read_only_and_no_delete_refuse_changes() {
    let served = Served::start(&["--no-delete"]);
    served.tagged("app", "layer", &["1"]);
    let refused = served.ask(&[], "DELETE", "/v2/app/manifests/1");
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (405, "UNSUPPORTED")
    );
    let served = Served::of(served.kill(), &["--read-only"]);
    assert_eq!(served.get("/v2/app/manifests/1").status, 200);
    for (method, path) in [
        ("POST", "/v2/app/blobs/uploads/"),
        ("DELETE", "/v2/app/manifests/1"),
    ] {
        assert_eq!(served.ask(&[], method, path).status, 405, "{method}");
    }
    let wrong = served.ask(&[], "POST", "/v2/app/tags/list");
    assert_eq!(wrong.status, 405);
    assert_eq!(served.get("/v1/").status, 404);
}

#[test]
fn concurrent_writers_lose_no_tag() {
    let served = Served::start(&[]);
    let manifest = served.image("app", "layer");
    let other = Served::same_directory(&served);
    std::thread::scope(|scope| {
        for (server, name) in [(&served, "a"), (&other, "b")] {
            let manifest = &manifest;
            scope.spawn(move || {
                for number in 0..15 {
                    let tag = format!("{name}{number}");
                    let file = server
                        .golden
                        .write(&format!("manifest-{tag}"), manifest.to_string());
                    let body = format!("@{}", file.display());
                    let header = format!("Content-Type: {MANIFEST}");
                    let path = format!("/v2/app/manifests/{tag}");
                    let put = server.ask(&["-H", &header, "--data-binary", &body], "PUT", &path);
                    assert_eq!(put.status, 201, "{}", put.body);
                }
            });
        }
    });
    for server in [&served, &other] {
        assert_eq!(server.tags("app").as_array().unwrap().len(), 30);
    }
}

#[test]
fn garbage_collection_keeps_images() {
    let served = Served::start(&[]);
    served.tagged("app", "layer", &["1"]);
    let lost = served.blob("app", b"nothing needs this");
    let fresh = served.blob("app", b"its manifest is on its way");
    let file = |digest: &str| {
        served
            .golden
            .path()
            .join("registry/blobs/sha256")
            .join(&digest[7..])
    };
    let old = |path: &Path| {
        let hours = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(1);
        std::fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(hours)
            .unwrap();
    };
    for digest in [&lost, &Digest::of(b"layer").to_string()] {
        old(&file(digest));
    }
    let run = served.golden.run(&["serve", "registry", "--gc"]).exit(0);
    assert_eq!(run.stdout, "removed 1 blob (18 B)\n");
    assert_eq!(
        run.stderr,
        "kept 1 blob (26 B) that no image needs: it is younger than an hour; run --gc again later\n"
    );
    assert!(!file(&lost).exists() && file(&fresh).exists());
    assert_eq!(
        served
            .get(&format!("/v2/app/blobs/{}", Digest::of(b"layer")))
            .body,
        "layer"
    );
}

#[test]
fn only_the_directory_of_a_registry_is_cleaned_up_or_served() {
    let golden = Golden::new().file("file", "");
    let run = golden.run(&["serve", "empty", "--gc"]).exit(2);
    insta::assert_snapshot!(run.stderr.replace(golden.path().to_str().unwrap(), "."), @r"
    error: ./empty is not the directory of a registry: it has no file oci-layout
      help: name the directory that `golden serve DIR` serves
    ");
    assert!(!golden.path().join("empty").exists());
    let run = golden.run(&["serve", "file"]).exit(2);
    insta::assert_snapshot!(run.stderr.replace(golden.path().to_str().unwrap(), "."), @r"
    error: ./file is not a directory
      help: choose an empty directory, or one that does not exist
    ");
    let run = golden.run(&["serve", "--addr", "example.com:0"]).exit(2);
    assert!(
        run.stderr.contains("such as 127.0.0.1:5000"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_stopped_server_ends_without_an_error() {
    let golden = Golden::new();
    let mut command = golden.command(&["serve", "registry", "--addr", "localhost:0"]);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    assert!(line.starts_with("http://127.0.0.1:"), "{line}");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("error"), "{stderr}");
}

#[test]
fn an_address_for_other_machines_needs_tls_and_a_login() {
    let golden = Golden::new();
    let run = golden
        .run(&["serve", "registry", "--addr", "0.0.0.0:0"])
        .exit(2);
    insta::assert_snapshot!(run.stderr, @r"
    error: refusing to listen on 0.0.0.0:0 without TLS and a login: other machines can reach that address
      help: add --htpasswd FILE, --tls-cert FILE and --tls-key FILE, or listen on 127.0.0.1
    ");
    golden.write("photos/holiday.jpg", "");
    let run = golden.run(&["serve", "photos"]).exit(2);
    assert!(
        run.stderr
            .contains("is not an OCI layout: it has no file oci-layout, and is not empty"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_login_is_required_if_users_are_listed() {
    let hash = bcrypt::hash("p@ss:word", 4).unwrap();
    let golden = Golden::new().file("users", format!("ann:{hash}\n"));
    let served = Served::of(golden, &["--htpasswd", "users"]);
    let refused = served.get("/v2/");
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, Some("Basic realm=\"golden\""))
    );
    assert_eq!(served.ask(&["-u", "ann:wrong"], "GET", "/v2/").status, 401);
    assert_eq!(
        served.ask(&["-u", "ann:p@ss:word"], "GET", "/v2/").status,
        200
    );
    assert_eq!(code(&refused), "UNAUTHORIZED");
}

/// The acceptance scenario: publish with four tags, read them with a plain HTTP client, delete them,
/// and verify the deletion.
#[test]
fn the_whole_workflow_needs_no_engine_and_no_other_registry() {
    let served = Served::start(&[]);
    let host = served.host().to_owned();
    let golden = Golden::new().workspace("").image(
        "app",
        "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n[[files]]\ncontent = \"hello\"\ntarget = \"/etc/motd\"\n",
    );
    let registry = format!("{host}/golden");
    golden
        .run(&["build", "--push", "--registry", &registry])
        .exit(0);
    assert_eq!(
        served.get("/v2/_catalog").json(),
        json!({ "repositories": ["golden/app"] })
    );
    assert_eq!(
        served.tags("golden/app"),
        json!(["1", "1.2", "1.2.3", "latest"])
    );
    let digests: Vec<_> = ["1.2.3", "1.2", "1", "latest"]
        .map(|tag| {
            let head = served.ask(&[], "HEAD", &format!("/v2/golden/app/manifests/{tag}"));
            head.header("docker-content-digest").unwrap().to_owned()
        })
        .to_vec();
    assert!(
        digests.iter().all(|digest| *digest == digests[0]),
        "{digests:?}"
    );
    golden
        .run(&["verify", "--deep", "--registry", &registry])
        .exit(0);
    let image = format!("{registry}/app:1.2.3");
    golden
        .run(&["delete", &image, "--all-tags", "--yes"])
        .exit(0);
    assert_eq!(
        served.get("/v2/golden/app/tags/list").json(),
        json!({ "name": "golden/app", "tags": null })
    );
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        assert_eq!(
            served
                .get(&format!("/v2/golden/app/manifests/{tag}"))
                .status,
            404
        );
    }
}

/// golden serves a layout that it wrote, and a served directory is a layout to build on.
#[test]
fn a_layout_that_golden_wrote_is_served() {
    let golden = Golden::new().workspace("").image(
        "app",
        "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n",
    );
    golden
        .run(&["build", "--engine", "embedded", "--to", "oci:registry"])
        .exit(0);
    let served = Served::of(golden, &[]);
    assert_eq!(served.tags("app"), json!(["1.2.3"]));
    let run: Run = served
        .golden
        .run(&["inspect", &format!("{}/app:1.2.3", served.host())]);
    run.exit(0);
}
