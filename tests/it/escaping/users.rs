//! The user of each step, and the user of the finished image.

use golden::engine::docker::Builder;
use golden::reference::Reference;
use golden::resolve::image::{Base, Family, Invocation};
use serde_json::json;

use crate::docker::recipe::{BUILDERS, docker, unique};
use crate::support::built::{built, outcome};
use crate::support::images::{base, image, set, step, words};

/// A base that sets a user.
async fn base_of(builder: Builder, user: &str) -> Reference {
    let reference: Reference = format!("localhost/{}:1", unique()).parse().unwrap();
    let mut image = image(Family::Alpine, base("busybox:1.36"));
    image.config.user = Some(user.to_owned());
    outcome(builder, &image, std::slice::from_ref(&reference))
        .await
        .built();
    reference
}

#[tokio::test]
async fn steps_run_as_their_users_and_the_image_keeps_the_user_of_the_base() {
    for builder in BUILDERS {
        let reference = base_of(builder, "1234:5678").await;
        let mut image = image(Family::Alpine, Base::Reference(reference.clone()));
        image.run = vec![
            step("id -u; id -g", None),
            step("id -u; id -g", Some("nobody")),
            step("id -u; id -g", Some("77:88")),
            step(
                "id -u\nprintf '%s\\n' \"$SEEN\" 'it'\"'\"'s \\ \"x\" # y'\n# a comment\nfalse || echo on",
                None,
            ),
        ];
        image.env = vec![set("SEEN", "a $b \"c\" \\")];
        let build_outcome = outcome(builder, &image, &[]).await;
        let (_, id) = build_outcome.built();
        let expected = [
            "0",
            "0",
            "65534",
            "65534",
            "77",
            "88",
            "0",
            "a $b \"c\" \\",
            "it's \\ \"x\" # y",
            "on",
        ];
        assert_eq!(build_outcome.logs(), expected, "{builder:?}");
        let config = crate::support::built::Built::named(id.as_str()).config();
        assert_eq!(config["User"], json!("1234:5678"), "{builder:?}");

        // Without a step that needs root, the Dockerfile has no USER; only WORKDIR creates its
        // directory as root.
        image.run.clear();
        assert_eq!(
            built(builder, &image).await.config()["User"],
            json!("1234:5678"),
            "{builder:?}"
        );
        image.config.workdir = Some("/work/dir".to_owned());
        let image = built(builder, &image).await;
        assert_eq!(image.config()["User"], json!("1234:5678"), "{builder:?}");
        let directory = &image.files()["work/dir"];
        assert_eq!(
            (directory.kind, directory.mode, directory.owner),
            ('d', 0o755, (0, 0)),
            "{builder:?}"
        );
        docker(builder).await.remove(&reference).await.unwrap();
    }
}

#[tokio::test]
async fn an_image_on_a_base_without_a_user_has_no_user() {
    for builder in BUILDERS {
        let mut image = image(Family::Alpine, base("busybox:1.36"));
        image.run = vec![step("true", None)];
        image.config.workdir = Some("/work".to_owned());
        assert_eq!(
            built(builder, &image).await.config()["User"],
            json!(""),
            "{builder:?}"
        );
    }
}

#[tokio::test]
async fn steps_get_the_environment_and_a_failing_step_fails_the_build() {
    for builder in BUILDERS {
        let mut image = image(Family::Alpine, base("busybox:1.36"));
        // The shell of the image is for its entrypoint and cmd; steps run in /bin/sh.
        image.config.shell = Some(words(&["/bin/none", "-c"]));
        image.config.cmd = Some(Invocation::Shell("exec x".to_owned()));
        image.env = vec![set("LONG", &"y".repeat(100_000)), set("LINES", "a\nb")];
        image.run = vec![step("echo ok; false; echo never", None)];
        let build_outcome = outcome(builder, &image, &[]).await;
        let error = build_outcome.result.as_ref().unwrap_err();
        assert_eq!(build_outcome.logs(), ["ok"], "{builder:?}: {error:?}");
    }
}
