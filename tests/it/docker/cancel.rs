//! A build that is dropped stops on the engine.

use std::time::Duration;

use golden::engine::BuildOptions;
use golden::event::{Event, Events};

use super::recipe::{BUILDERS, docker, on_busybox};

/// True if a process with this argument runs on this machine, where the engines of the tests run
/// their steps.
fn runs(argument: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.into_iter().any(|process| {
        let mut line = Vec::new();
        let read = std::fs::File::open(process.path().join("cmdline"))
            .and_then(|mut file| std::io::Read::read_to_end(&mut file, &mut line));
        let mut arguments = line.split(|byte| *byte == 0);
        read.is_ok()
            && arguments.next() == Some(b"sleep")
            && arguments.next() == Some(argument.as_bytes())
    })
}

/// Waits until such a process runs, or no longer runs if `wanted` is false. Returns false after a
/// timeout of 15 seconds.
pub(crate) fn appears(argument: &str, wanted: bool) -> bool {
    (0..300).any(|_| {
        let is = runs(argument) == wanted;
        if !is {
            std::thread::sleep(Duration::from_millis(50));
        }
        is
    })
}

async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..300 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: timed out after 15 s");
}

#[tokio::test]
async fn dropping_the_build_stops_the_step() {
    for (builder, seconds) in BUILDERS.into_iter().zip([300_001, 300_002]) {
        let docker = docker(builder).await;
        let argument = format!("{seconds}.{}", std::process::id());
        let step = format!("RUN [\"/bin/sh\",\"-ec\",\"echo begun; sleep {argument}\"]");
        let recipe = on_busybox(&docker, &step).await;
        let (events, mut receiver) = Events::channel();
        let building = tokio::spawn(async move {
            docker
                .build(&recipe, &BuildOptions::default(), &events)
                .await
        });
        while let Some(event) = receiver.recv().await {
            if matches!(&event, Event::Log { line, .. } if line == "begun") {
                break;
            }
        }
        wait_until("the step runs", || runs(&argument)).await;
        building.abort();
        wait_until(&format!("{builder:?} stops the step"), || !runs(&argument)).await;
    }
}
