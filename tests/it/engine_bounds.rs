//! An engine that sends very slowly, stops sending, or sends without end does not block golden.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use golden::engine::{BuildKit, Docker, DockerEnv, Timeouts};
use golden::reference::Digest;

/// Timeouts that even a busy machine does not reach before the size limit.
const LONG: Timeouts = Timeouts {
    answer: Duration::from_mins(1),
    silence: Duration::from_mins(1),
};

/// The faulty answer to one request. The engine answers all other requests correctly.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// The head, then one byte of the body every 20 ms.
    Drip,
    /// One byte of the head every 20 ms.
    DripOfHead,
    /// An endless body.
    Endless,
    /// An endless body with status 500.
    EndlessRefusal,
}

const TIMEOUTS: Timeouts = Timeouts {
    answer: Duration::from_millis(600),
    silence: Duration::from_millis(600),
};

/// Starts an engine with a faulty answer to requests that contain `words`. Returns its address.
fn engine(words: &'static str, answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drop(serve(stream, words, answer)));
        }
    });
    address
}

fn serve(mut stream: TcpStream, words: &str, answer: Answer) -> std::io::Result<()> {
    let mut head = vec![0; 8192];
    let length = stream.read(&mut head)?;
    let request = String::from_utf8_lossy(&head[..length]).into_owned();
    if !request.lines().next().unwrap_or_default().contains(words) {
        let body = format!(
            r#"{{"Version":"28.5.0","ApiVersion":"1.51","MinAPIVersion":"1.24","Os":"linux","Arch":"amd64","Id":"{}"}}"#,
            Digest::of(b"id")
        );
        let length = body.len();
        return write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
    }
    let status = if matches!(answer, Answer::EndlessRefusal) {
        500
    } else {
        200
    };
    if matches!(answer, Answer::DripOfHead) {
        write!(stream, "HTTP/1.1 200 OK\r\nA: ")?;
    } else {
        write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n\r\n{{\"a\":\""
        )?;
    }
    loop {
        match answer {
            Answer::Drip | Answer::DripOfHead => {
                stream.write_all(b"x")?;
                std::thread::sleep(Duration::from_millis(20));
            }
            Answer::Endless | Answer::EndlessRefusal => stream.write_all(&vec![b'x'; 1 << 16])?,
        }
    }
}

async fn connected(address: String, timeouts: Timeouts) -> Result<Docker, golden::engine::Error> {
    let environment = DockerEnv {
        host: Some(address),
        timeouts,
        ..DockerEnv::default()
    };
    Docker::connect(&environment).await
}

/// Sends the request that contains `words`, which the engine answers incorrectly. Returns the error
/// with its sources.
fn request_error(words: &'static str, answer: Answer, timeouts: Timeouts) -> String {
    let started = Instant::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(async {
        let docker = match connected(engine(words, answer), timeouts).await {
            Ok(docker) => docker,
            Err(error) => return error,
        };
        let id = Digest::of(b"id");
        let reference = "localhost:5000/a:1".parse().unwrap();
        match words {
            "/json" => docker.image(&reference).await.unwrap_err(),
            "/tag" => docker.tag(&id, &reference).await.unwrap_err(),
            "DELETE" => docker.remove(&reference).await.unwrap_err(),
            other => unreachable!("{other}"),
        }
    });
    let took = started.elapsed();
    assert!(
        took < Duration::from_mins(1),
        "{words} {answer:?} took {took:?}"
    );
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[test]
fn a_slow_answer_to_a_query_times_out() {
    // golden reads only the status of the answer to a tag request.
    let status_only = ("/tag", Answer::DripOfHead);
    let read = ["/version", "/json", "DELETE"];
    let with_answer = |answer| read.map(|words| (words, answer));
    let all = [with_answer(Answer::Drip), with_answer(Answer::DripOfHead)].concat();
    for (words, answer) in [all, vec![status_only]].concat() {
        let error = request_error(words, answer, TIMEOUTS);
        assert!(
            error.contains("the response was not complete within 0.6 s"),
            "{words} {answer:?}: {error}"
        );
    }
}

#[test]
fn an_endless_answer_to_a_query_is_an_error() {
    for words in ["/version", "/json", "DELETE"] {
        for answer in [Answer::Endless, Answer::EndlessRefusal] {
            let error = request_error(words, answer, LONG);
            assert!(
                error.contains("it sent more than 16 MiB"),
                "{words} {answer:?}: {error}"
            );
        }
    }
}

#[test]
fn a_task_without_output_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 8192];
            let length = stream.read(&mut head).unwrap_or_default();
            if String::from_utf8_lossy(&head[..length]).contains("/version") {
                let body =
                    r#"{"Version":"28.5.0","ApiVersion":"1.51","Os":"linux","Arch":"amd64"}"#;
                let length = body.len();
                drop(write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
                ));
            } else {
                drop(write!(
                    stream,
                    "HTTP/1.1 200 OK\r\n\r\n{{\"status\":\"x\"}}\n"
                ));
                open.push(stream);
            }
        }
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(async {
        let docker = connected(address, TIMEOUTS).await.unwrap();
        let reference = "localhost:5000/a:1".parse().unwrap();
        let events = golden::event::Events::silent();
        docker
            .push(&reference, None, "a", &events)
            .await
            .unwrap_err()
    });
    let source = std::error::Error::source(&error).map(ToString::to_string);
    let text = format!("{error}: {}", source.unwrap_or_default());
    assert!(text.contains("it sent nothing for 0.6 s"), "{text}");
}

#[test]
fn a_slow_buildkit_daemon_times_out() {
    for answer in [Answer::Drip, Answer::DripOfHead] {
        let address = engine("", answer).replace("tcp://", "buildkit://");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let error = runtime
            .block_on(BuildKit::connect(&address, None, TIMEOUTS))
            .unwrap_err();
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("buildkit://{}", silent.local_addr().unwrap());
    // Only the limit of the whole answer may end the wait.
    let timeouts = Timeouts {
        silence: Duration::from_mins(1),
        ..TIMEOUTS
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime
        .block_on(BuildKit::connect(&address, None, timeouts))
        .unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(source.as_deref(), Some("it did not answer within 0.6 s"));
}
