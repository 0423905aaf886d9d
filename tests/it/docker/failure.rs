//! A failing step is shown with its last lines.

use golden::engine::{BuildOptions, Error, StepName};

use super::recipe::{BUILDERS, build, docker, on_busybox, unique};
use crate::support::services;
use crate::support::workspace::Golden;

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
            matches!(&step.name, StepName::Instruction(text) if text.contains("RUN") && text.contains("seq 50")),
            "{builder:?}: {step:?}"
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

/// The classic builder counts every instruction, BuildKit only those with a layer.
#[test]
fn a_failing_step_is_shown_once_with_its_name_and_its_place() {
    for buildkit in ["1", "0"] {
        let name = unique();
        let golden = Golden::new()
            .workspace("")
            .image(
                "tool",
                &format!(
                    "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"{}\"\nfamily = \"static\"\n\
                     [[files]]\ncontent = \"x\"\ntarget = \"/etc/x\"\n\
                     [[run]]\nscript = \"true\"\n\
                     [[run]]\nname = \"install the tool\"\nscript = \"\"\"\necho step one\necho $HOME\nexit 3\"\"\"\n\
                     [[run]]\nscript = \"true\"\n",
                    services::base_busybox()
                ),
            )
            .env("DOCKER_HOST", services::docker_host())
            .env("DOCKER_BUILDKIT", buildkit);
        let run = golden.run(&["build"]).exit(1);
        let failed = run.stderr.split_once("error: ").unwrap().1;
        assert_eq!(
            failed,
            format!(
                "{name}:1.0.0: step `install the tool` (tool/image.toml:11) failed with exit code 3. Last output:\n  \
                 step one\n  /root\n"
            ),
            "{buildkit}: {}",
            run.stderr
        );
        assert!(
            run.stderr.contains("] install the tool\n"),
            "{}",
            run.stderr
        );
        assert!(
            run.stdout.contains("  failed   see the error message"),
            "{}",
            run.stdout
        );
    }
}
