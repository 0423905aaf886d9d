use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::DockerEnv;
use super::*;

const DOCKER: &str = r#"{"Version":"28.5.0","ApiVersion":"1.51","Os":"linux","Arch":"amd64"}"#;
const PODMAN: &str = r#"{"Version":"5.8.6","ApiVersion":"1.41","Os":"linux","Arch":"amd64",
    "Components":[{"Name":"Podman Engine","Version":"5.8.6"}]}"#;

/// The answers of an engine.
#[derive(Debug, Clone, Copy)]
struct EngineAnswers {
    version: &'static str,
    /// The answer to a request for the output of a container. After an answer without an error, the
    /// connection stays open.
    attach: &'static str,
    /// The answer to the start of a container.
    start: &'static str,
}

/// Starts an engine. Returns its address.
async fn engine(answers: EngineAnswers) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(client, answers));
        }
    });
    address
}

async fn answer(mut client: TcpStream, answers: EngineAnswers) {
    let mut request = vec![0; 8192];
    let length = client.read(&mut request).await.unwrap();
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let line = request.lines().next().unwrap_or_default();
    let (status, body) = match line {
        _ if line.contains("/version") => ("200 OK", answers.version),
        _ if line.contains("/attach") => (answers.attach, r#"{"message":"about the output"}"#),
        _ if line.contains("/start") => (answers.start, r#"{"message":"about the start"}"#),
        _ if line.contains("/wait") => ("200 OK", r#"{"StatusCode":3}"#),
        _ => ("200 OK", "{}"),
    };
    if line.contains("/attach") && !status.starts_with(['4', '5']) {
        let upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        let head = format!("HTTP/1.1 {status}\r\n{upgrade}");
        client.write_all(head.as_bytes()).await.unwrap();
        if status.starts_with("101") {
            return;
        }
        // The stream stays open until golden closes it.
        let mut rest = Vec::new();
        drop(client.read_to_end(&mut rest).await);
        return;
    }
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    client.write_all(answer.as_bytes()).await.unwrap();
}

/// Runs a command on an engine. Returns its end, or the error, as text.
async fn run(answers: EngineAnswers) -> String {
    let environment = DockerEnv {
        host: Some(engine(answers).await),
        ..DockerEnv::default()
    };
    let trial = TrialImage {
        docker: Docker::connect(&environment).await.unwrap(),
        name: "an-image".to_owned(),
        traces: Mutex::default(),
    };
    let plan = CommandPlan {
        setup: Vec::new(),
        command: ContainerCommand {
            words: vec!["true".to_owned()],
            user: None,
            env: BTreeMap::new(),
            timeout: Duration::from_secs(20),
            network: false,
            read_only: true,
        },
    };
    let ended = tokio::time::timeout(Duration::from_secs(30), trial.run(&plan));
    match ended.await {
        Ok(Ok(end)) => format!("{:?}", end.exit),
        Ok(Err(Error::Request { message, .. })) => format!("error: {message}"),
        Ok(Err(error)) => format!("other error: {error}"),
        Err(_) => "golden waits".to_owned(),
    }
}

const OPENED: &str = "101 UPGRADED";
const STARTED: &str = "204 No Content";
const NO_SESSION: &str = "error: the engine did not open a session (HTTP 200); a proxy may have \
     removed the header `Upgrade`";

#[tokio::test]
async fn only_an_error_about_the_command_is_a_result_of_the_test() {
    for (version, attach, start, expected) in [
        (DOCKER, OPENED, STARTED, "Status(3)"),
        (DOCKER, "200 OK", STARTED, NO_SESSION),
        (PODMAN, "200 OK", STARTED, NO_SESSION),
        (DOCKER, "503 X", STARTED, "error: about the output"),
        (DOCKER, "500 X", STARTED, "error: about the output"),
        (PODMAN, "503 X", STARTED, "error: about the output"),
        (PODMAN, "500 X", STARTED, "NotStarted(\"about the output\")"),
        (DOCKER, OPENED, "400 X", "NotStarted(\"about the start\")"),
        (DOCKER, OPENED, "500 X", "NotStarted(\"about the start\")"),
        (PODMAN, OPENED, "500 X", "NotStarted(\"about the start\")"),
        (DOCKER, OPENED, "404 X", "error: about the start"),
        (DOCKER, OPENED, "503 X", "error: about the start"),
    ] {
        let answers = EngineAnswers {
            version,
            attach,
            start,
        };
        assert_eq!(run(answers).await, expected, "{answers:?}");
    }
}
