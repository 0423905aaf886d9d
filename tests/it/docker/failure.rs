//! A failing step is shown with its last lines.

use golden::engine::{BuildOptions, Error};

use super::recipe::{BUILDERS, build, docker, on_busybox};

#[tokio::test]
async fn a_failing_step_is_reported_with_its_exit_code_and_last_lines() {
    for builder in BUILDERS {
        let docker = docker(builder).await;
        let lines =
            "RUN [\"/bin/sh\",\"-ec\",\"for n in $(seq 50); do echo line $n; done; exit 7\"]";
        let recipe = on_busybox(&docker, lines).await;
        let outcome = build(&docker, &recipe, &BuildOptions::default()).await;
        let Err(Error::Step {
            step,
            exit_code,
            output,
        }) = &outcome.result
        else {
            panic!("{:?}", outcome.result)
        };
        assert!(
            step.contains("RUN") && step.contains("seq 50"),
            "{builder:?}: {step}"
        );
        assert_eq!(*exit_code, Some(7), "{builder:?}");
        assert_eq!(
            (
                output.tail.len(),
                output.tail[0].as_str(),
                output.tail[19].as_str()
            ),
            (20, "line 31", "line 50"),
            "{builder:?}"
        );
    }
}

#[tokio::test]
async fn a_failure_outside_a_step_is_reported_in_the_engines_words() {
    for builder in BUILDERS {
        let docker = docker(builder).await;
        let outcome = build(
            &docker,
            &on_busybox(&docker, "NONSENSE here").await,
            &BuildOptions::default(),
        )
        .await;
        let error = outcome.result.unwrap_err();
        assert!(
            matches!(&error, Error::Build { message } if message.contains("NONSENSE")),
            "{builder:?}: {error:?}"
        );
    }
}
