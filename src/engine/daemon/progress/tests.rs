use bollard::moby::buildkit::v1::VertexLog;
use bollard::models::ImageId;

use super::super::super::error::StepName;
use super::*;
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, Family, RunStep};

const DOCKERFILE: &str = "FROM a\nRUN [\"/bin/sh\",\"-ec\",\"make\"]\n# packages\nRUN apt\n# step 2\n\
     RUN [\"/bin/sh\",\"-ec\",\"make install\"]\n";

/// An image with the steps of [`DOCKERFILE`].
fn image() -> ResolvedImage {
    let step = |name: Option<&str>, script: &str| RunStep {
        name: name.map(str::to_owned),
        script: script.to_owned(),
        user: None,
        secrets: Vec::new(),
        ssh: false,
        location: None,
    };
    ResolvedImage {
        run: vec![step(Some("compile it"), "make"), step(None, "make install")],
        ..ResolvedImage::empty(Family::Debian, Base::Scratch)
    }
}

/// Processes messages. Returns the events as text, the error if the build failed with `message`,
/// and the image ID.
fn process(
    infos: Vec<BuildInfo>,
    message: Option<&str>,
) -> (Vec<String>, Option<Error>, Option<Digest>) {
    let (events, mut receiver) = Events::channel();
    let image = image();
    let names = BuildSteps::new(DOCKERFILE, &image);
    let mut progress = Progress::new("app:1.0.0", &events, names);
    for info in infos {
        progress.take(info);
    }
    let id = progress.image_id().cloned();
    let error = message.map(|message| progress.failure(message.to_owned()));
    let mut sent = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        sent.push(match event {
            Event::Step { step, .. } => format!("step {step}"),
            Event::Log { line, .. } => format!("log {line}"),
            Event::Bytes {
                what, done, total, ..
            } => {
                format!("bytes {what} {done}/{}", total.unwrap_or_default())
            }
            other => format!("{other:?}"),
        });
    }
    (sent, error, id)
}

fn stream(text: &str) -> BuildInfo {
    BuildInfo {
        stream: Some(text.to_owned()),
        ..Default::default()
    }
}

fn status(vertexes: Vec<Vertex>, logs: &[(&str, &str)]) -> BuildInfo {
    let log = |(vertex, text): &(&str, &str)| VertexLog {
        vertex: (*vertex).to_owned(),
        msg: text.as_bytes().to_vec(),
        ..Default::default()
    };
    let response = StatusResponse {
        vertexes,
        logs: logs.iter().map(log).collect(),
        ..Default::default()
    };
    BuildInfo {
        aux: Some(BuildInfoAux::BuildKit(response)),
        ..Default::default()
    }
}

fn vertex(digest: &str, name: &str, error: &str) -> Vertex {
    let mut vertex = Vertex {
        digest: digest.to_owned(),
        name: name.to_owned(),
        error: error.to_owned(),
        ..Default::default()
    };
    vertex.started.get_or_insert_default();
    vertex
}

#[test]
fn the_steps_of_the_classic_builder_become_events() {
    let (sent, error, _) = process(
        vec![
            stream("Step 1/2 : FROM ${GOLDEN_BASE}"),
            stream("\n"),
            stream(" ---> c9785a1919fb\n"),
            stream("Step 2/4 : RUN [\"/bin/sh\",\"-ec\",\"make\"]"),
            stream("\n"),
            stream(" ---> Running in 5cfe1a843d9d\n"),
            stream("compi"),
            stream("ling\nno rule"),
            stream("Removing intermediate container 5cfe1a843d9d\n"),
        ],
        Some("The command '/bin/sh -ec make' returned a non-zero code: 2"),
    );
    assert_eq!(
        sent,
        [
            "step [1/2] FROM ${GOLDEN_BASE}",
            "step [2/4] compile it",
            "log compiling",
            "log no rule"
        ]
    );
    let Some(Error::Step {
        step,
        exit_code,
        output: StepOutput { tail, .. },
    }) = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        (step.name, exit_code),
        (StepName::Named("compile it".to_owned()), Some(2))
    );
    assert_eq!(tail, ["compiling", "no rule"]);
}

#[test]
fn the_failed_step_of_buildkit_is_reported_and_not_a_cancelled_one() {
    let (sent, error, _) = process(
        vec![
            status(
                vec![vertex("a", "[internal] load build definition", "")],
                &[],
            ),
            status(
                vec![
                    vertex("b", "[3/4] RUN one", ""),
                    vertex("c", "[4/4] RUN two", ""),
                ],
                &[("c", "x\ny\n")],
            ),
            status(vec![vertex("b", "[3/4] RUN one", "context canceled")], &[]),
            status(vec![vertex("c", "[4/4] RUN two", "executor failed")], &[]),
        ],
        Some("executor failed running [/bin/sh -ec exit 7]: exit code: 7"),
    );
    assert_eq!(
        sent,
        [
            "step [3/4] [packages]",
            "step [4/4] step 2",
            "log x",
            "log y"
        ]
    );
    let Some(Error::Step {
        step,
        exit_code,
        output: StepOutput { tail, .. },
    }) = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((step.name, exit_code), (StepName::Number(2), Some(7)));
    assert_eq!(tail, ["x", "y"]);
}

#[test]
fn only_the_last_twenty_lines_are_kept() {
    let lines: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let output = format!("{}\n", lines.join("\n"));
    let (_, error, _) = process(
        vec![stream("Step 1/1 : RUN x"), stream(&output)],
        Some("code"),
    );
    let Some(Error::Step {
        output: StepOutput { tail, .. },
        ..
    }) = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        (tail.len(), tail[0].as_str(), tail[19].as_str()),
        (20, "80", "99")
    );
}

#[test]
fn a_failure_before_any_step_is_reported_with_the_engines_message() {
    let (_, error, _) = process(vec![], Some("dockerfile parse error"));
    assert_eq!(
        error.unwrap().to_string(),
        "the engine could not build the image: dockerfile parse error"
    );
}

#[test]
fn the_image_id_of_the_engine_is_kept() {
    let digest = Digest::of(b"image");
    let aux = BuildInfoAux::Default(ImageId {
        id: Some(digest.to_string()),
    });
    let (_, _, id) = process(
        vec![BuildInfo {
            aux: Some(aux),
            ..Default::default()
        }],
        None,
    );
    assert_eq!(id, Some(digest));
}

#[test]
fn a_step_is_shortened_to_one_line() {
    assert_eq!(shorten("a\nb"), "a");
    assert_eq!(shorten(&"é".repeat(500)).chars().count(), STEP + 1);
}

#[test]
fn escape_sequences_do_not_reach_the_terminal() {
    assert_eq!(
        without_escapes("\u{1b}[91merr\u{1b}[0m or \u{1b}[1;31mcolour"),
        "err or colour"
    );
    assert_eq!(without_escapes("\u{1b}cx\u{1b}[2"), "cx");
    let (sent, ..) = process(
        vec![
            stream("Step 9/9 : RUN x"),
            stream("\u{1b}[91mwarned\n\u{1b}[0m"),
            stream("Removing intermediate container 0123456789ab\n"),
        ],
        None,
    );
    assert_eq!(sent, ["step [9/9] RUN x", "log warned"]);
}

#[test]
fn the_failed_step_of_podman_has_its_name_and_its_exit_code() {
    let (sent, error, _) = process(
        vec![
            stream("STEP 1/4: FROM a\n"),
            stream("STEP 2/4: RUN [\"/bin/sh\",\"-ec\",\"make\"]\n"),
            stream("no rule\n"),
        ],
        Some("building at STEP \"RUN make\": while running runtime: exit status 2"),
    );
    assert_eq!(
        sent,
        ["step [1/4] FROM a", "step [2/4] compile it", "log no rule"]
    );
    assert_eq!(
        error.unwrap().to_string(),
        "step `compile it` failed with exit code 2. Last output:\nno rule"
    );
}
