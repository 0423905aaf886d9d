//! A hundred invalid answers of a registry: each operation ends soon and without a panic.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use golden::oci::{Descriptor, RawManifest, media};
use golden::reference::{Digest, Host, RepositoryPath, Tag, Target};
use golden::registry::{Registries, Registry, RegistryEnv};

/// A server that answers every request with these bytes and then closes the connection.
fn server(answer: Vec<u8>) -> Host {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                drop(stream.read(&mut [0; 8192]));
                drop(stream.write_all(&answer));
            });
        }
    });
    host.parse().unwrap()
}

fn client(host: &Host) -> Registry {
    let mut env = RegistryEnv::from_vars(&BTreeMap::new());
    env.retry_policy.attempts = 2;
    env.retry_policy.pause = Duration::from_millis(1);
    env.retry_policy.longest_pause = Duration::from_millis(5);
    env.retry_policy.stall = Duration::from_secs(1);
    env.retry_policy.settle = Duration::from_millis(10);
    Registries::new(Vec::new(), env).at(host)
}

/// An answer with a body that ends with the connection.
fn with(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}\r\n{body}").into_bytes()
}

fn answers() -> Vec<Vec<u8>> {
    let json = "Content-Type: application/json\r\n";
    let digest = Digest::of(b"x");
    let many = |text: &str, times: usize| text.repeat(times);
    let mut all: Vec<Vec<u8>> = Vec::new();

    // Invalid HTTP.
    for raw in [
        "",
        "\0",
        "\r\n\r\n",
        "HTTP/1.1",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "200 OK\r\n\r\n",
        "HTTP/1.1 -1 X\r\n\r\n",
        "HTTP/1.1 99999 X\r\n\r\n",
        "HTTP/1.1 000 X\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\u{16}\u{3}\u{1}\u{2}",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/1.0 200 OK\n\n{}",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
    ] {
        all.push(raw.into());
    }
    all.push(many("HTTP/1.1 100 Continue\r\n\r\n", 5000).into());
    all.push(many("HTTP/1.1 103 Early Hints\r\n\r\n", 5000).into());
    all.push(vec![0xff; 100_000]);

    // Unexpected statuses.
    for status in [
        "101 Switching Protocols",
        "200 OK",
        "201 Created",
        "202 Accepted",
        "204 No Content",
        "206 Partial Content",
        "300 Multiple Choices",
        "304 Not Modified",
        "400 X",
        "401 X",
        "402 X",
        "403 X",
        "404 X",
        "405 X",
        "407 X",
        "409 X",
        "410 X",
        "413 X",
        "416 X",
        "418 X",
        "429 X",
        "451 X",
        "500 X",
        "503 X",
        "511 X",
        "599 X",
        "700 X",
        "999 X",
    ] {
        all.push(with(status, "", ""));
    }

    // Headers.
    for headers in [
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: 99999999999999999999\r\n".to_owned(),
        "Content-Length: 9223372036854775807\r\n".to_owned(),
        "Content-Length: 1\r\nContent-Length: 2\r\n".to_owned(),
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        "Transfer-Encoding: gzip, identity\r\n".to_owned(),
        "Content-Encoding: gzip\r\n".to_owned(),
        many("A: b\r\n", 20_000),
        format!("A: {}\r\n", many("b", 1 << 20)),
        "Docker-Content-Digest: ../../etc/passwd\r\n".to_owned(),
        format!("Docker-Content-Digest: sha256:{}\r\n", many("0", 64)),
        "Link: <>; rel=next\r\n".to_owned(),
        "Link: <?>; rel=\"next\"\r\n".to_owned(),
        "Link: <file:///etc/passwd>; rel=\"next\"\r\n".to_owned(),
        format!("Link: {}\r\n", many("<a>; rel=next, ", 1000)),
        "Content-Type: \u{1b}[31m\r\n".to_owned(),
        "Content-Type: text/html; charset=utf-16\r\n".to_owned(),
        "Location: \r\n".to_owned(),
        "Location: http://[::1\r\n".to_owned(),
        "Location: javascript:alert(1)\r\n".to_owned(),
        "Retry-After: -5\r\n".to_owned(),
        "OCI-Subject: x\r\nOCI-Tag: y\r\n".to_owned(),
    ] {
        all.push(with("200 OK", &headers, "{}"));
    }
    for chunk in [
        "FFFFFFFFFFFFFFFFF\r\n",
        "-1\r\nx\r\n",
        "x\r\n",
        "5;a=\r\n{}",
        "0\r\nTrailer: x\r\n\r\n",
    ] {
        all.push(with("200 OK", "Transfer-Encoding: chunked\r\n", chunk));
    }
    for challenge in [
        "",
        "Bearer",
        "Bearer realm=",
        "Bearer realm=\"file:///etc/passwd\"",
        "Basic realm=\"\u{1b}]0;x\u{7}\"",
        "Negotiate",
        "Bearer realm=\"http://127.0.0.1:1/\",scope=\"\"",
    ] {
        all.push(with(
            "401 X",
            &format!("WWW-Authenticate: {challenge}\r\n"),
            "",
        ));
    }
    all.push(with(
        "401 X",
        &format!("WWW-Authenticate: Bearer {}\r\n", many("a=b,", 50_000)),
        "",
    ));
    for location in [
        "/",
        "//",
        "///x",
        "http://127.0.0.1:1/",
        "http://user:password@127.0.0.1:1/",
        "ftp://127.0.0.1/",
        "?",
        "#",
        "\u{1f600}",
    ] {
        all.push(with("307 X", &format!("Location: {location}\r\n"), ""));
        all.push(with(
            "202 X",
            &format!("Location: {location}\r\nRange: 0-x\r\n"),
            "",
        ));
    }
    for wait in [
        "0",
        "-1",
        "99999999999999999999",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "x",
    ] {
        all.push(with("429 X", &format!("Retry-After: {wait}\r\n"), ""));
    }

    // Bodies.
    let deep = many("[", 100_000);
    let deeper = many("{\"a\":", 100_000);
    for body in [
        "null",
        "[]",
        "{",
        "\"\"",
        "1e999",
        "\u{feff}{}",
        deep.as_str(),
        deeper.as_str(),
        "{\"tags\":null}",
        "{\"tags\":[null]}",
        "{\"tags\":[\"\"]}",
        "{\"tags\":[\"../../x\",\"\u{1b}[2J\"]}",
        "{\"tags\":{}}",
        "{\"repositories\":[\"\",\"..\"]}",
        "{\"errors\":[]}",
        "{\"errors\":[{\"code\":1,\"message\":{},\"detail\":\"\u{1b}c\"}]}",
        "{\"errors\":\"\"}",
        "{\"schemaVersion\":2}",
        "{\"schemaVersion\":1,\"fsLayers\":[]}",
        "{\"schemaVersion\":2,\"manifests\":[{}]}",
        "{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:../x\",\"size\":-1},\"layers\":[]}",
        "{\"schemaVersion\":2,\"config\":{\"digest\":\"md5:00\",\"size\":1e99},\"layers\":null}",
        "{\"token\":\"\\r\\nX: y\"}",
        "{\"token\":\"\",\"expires_in\":-1}",
    ] {
        all.push(with("200 OK", json, body));
        all.push(with("404 X", json, body));
    }
    let manifest = format!(
        "Content-Type: {}\r\nDocker-Content-Digest: {digest}\r\n",
        media::OCI_MANIFEST
    );
    all.push(with("200 OK", &manifest, "x"));
    all.push(with("200 OK", &manifest, "y"));
    all.push(with("200 OK", json, &many(" ", 8 << 20)));
    all
}

/// Runs every operation once. Each may succeed or fail, but must end.
async fn try_all(registry: &Registry) {
    let repository: RepositoryPath = "a/b".parse().unwrap();
    let content: golden::oci::Bytes = b"content".to_vec().into();
    let layer = Descriptor::of(media::OCI_LAYER, &content);
    let tag: Tag = "1.2.3".parse().unwrap();
    let target = Target::from(&tag);
    let digest = Digest::of(b"x");
    let manifest = RawManifest::new(media::OCI_MANIFEST, b"{\"schemaVersion\":2}".to_vec());
    drop(registry.catalog().await);
    drop(registry.catalog().await);
    drop(registry.repo(&repository).find_tags().await);
    drop(registry.repo(&repository).head(&target).await);
    let by_digest = Target::Digest(digest.clone());
    if let Ok(Some(found)) = registry.repo(&repository).manifest(&by_digest).await {
        assert_eq!(found.digest, digest);
    }
    drop(registry.repo(&repository).manifest(&target).await);
    drop(registry.repo(&repository).blob(&layer, 1 << 20).await);
    drop(registry.repo(&repository).referrers(&digest).await);
    drop(registry.repo(&repository).push_blob(&layer, &content).await);
    drop(registry.repo(&repository).put(&target, &manifest).await);
    drop(registry.repo(&repository).delete(&digest).await);
    drop(registry.repo(&repository).delete_tag(&tag).await);
}

#[test]
fn a_hundred_hostile_answers_end_soon_and_without_a_panic() {
    let all = answers();
    assert!(all.len() >= 100, "{}", all.len());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let started = Instant::now();
    let tries: Vec<_> = all
        .into_iter()
        .map(|answer| {
            let shown = String::from_utf8_lossy(&answer[..answer.len().min(120)]).into_owned();
            let work = async move {
                let registry = client(&server(answer));
                tokio::time::timeout(Duration::from_mins(1), try_all(&registry)).await
            };
            (shown, runtime.spawn(work))
        })
        .collect();
    for (shown, work) in tries {
        let ended = runtime.block_on(work);
        assert!(matches!(ended, Ok(Ok(()))), "{shown:?}: {ended:?}");
    }
    assert!(
        started.elapsed() < Duration::from_mins(2),
        "{:?}",
        started.elapsed()
    );
}
