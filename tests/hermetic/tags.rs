//! `golden tags` prints the fan-out, for any CI.

use crate::support::workspace::Golden;

fn tags(args: &[&str], existing: &str) -> (i32, String, String) {
    let golden = Golden::new();
    golden.write("existing", existing);
    let mut all = vec!["tags", "--existing", "existing"];
    all.extend(args);
    let run = golden.run(&all);
    (run.code, run.stdout, run.stderr)
}

#[test]
fn tags_to_push_are_on_stdout_and_kept_tags_on_stderr() {
    let (code, stdout, stderr) = tags(
        &["v1.2.9"],
        "2.0.0\r\n\r\n1.2.8\n1.2.8\nnot a tag!\n  1.2\n",
    );
    assert_eq!(
        (code, stdout.as_str(), stderr.as_str()),
        (
            0,
            "1.2.9\n1.2\n1\n",
            "kept latest: 2.0.0 is the higher version\n"
        )
    );
}

#[test]
fn without_existing_tags_all_are_pushed() {
    let run = Golden::new()
        .run(&["tags", "1.2.3", "--variant", "alpine", "--extra", "edge"])
        .exit(0);
    assert_eq!(
        run.stdout,
        "1.2.3-alpine\n1.2-alpine\n1-alpine\nalpine\nedge-alpine\n"
    );
    let run = Golden::new()
        .run(&[
            "tags",
            "0.4.2",
            "--variant",
            "",
            "--zero-major",
            "--latest",
            "never",
        ])
        .exit(0);
    assert_eq!(run.stdout, "0.4.2\n0.4\n0\n");
}

#[test]
fn a_refusal_prints_no_tags_as_text_and_all_tags_as_json() {
    let (code, stdout, stderr) = tags(&["1.2.3"], "1.2.3\n1\n");
    assert_eq!((code, stdout.as_str()), (4, ""));
    assert_eq!(
        stderr,
        "refused 1.2.3: 1.2.3 is already published, and versions are immutable\nhelp: the next free version is 1.2.4\n"
    );
    let (code, stdout, _) = tags(&["1.2.3", "--format", "json"], "1.2.3\n1\n2.0.0");
    assert_eq!(code, 4);
    insta::assert_snapshot!(stdout, @r#"
    {
      "schema": 1,
      "version": "1.2.3",
      "tags": [
        {
          "tag": "1.2.3",
          "action": "refuse",
          "because": "1.2.3 is already published, and versions are immutable"
        },
        {
          "tag": "1.2",
          "action": "create",
          "because": "does not exist yet"
        },
        {
          "tag": "1",
          "action": "move",
          "because": "no stable version is higher"
        },
        {
          "tag": "latest",
          "action": "keep",
          "because": "2.0.0 is the higher version"
        }
      ]
    }
    "#);
    let (code, stdout, _) = tags(&["1.2.3", "--republish"], "1.2.3\n1\n");
    assert_eq!((code, stdout.as_str()), (0, "1.2.3\n1.2\n1\nlatest\n"));
}

#[test]
fn bad_input_is_a_usage_error_with_its_cause() {
    for (args, message) in [
        (&["1.2"][..], "only two numbers"),
        (&["01.2.3"], "leading zero in `01`"),
        (&["1.2.3.4"], "four numbers"),
        (&[""], "the version is empty"),
        (&["1.2.3+r1"], "reserved"),
        (
            &["1.2.3", "--variant", "latest"],
            "a variant cannot be called `latest`",
        ),
        (&["1.2.3", "--variant", "Alpine"], "is not a variant"),
        (&["1.2.3", "--extra", "1.2"], "looks like a version"),
        (&["1.2.3", "--extra", "latest-dev"], "contains `latest`"),
        (&["1.2.3", "--existing", "missing"], "missing"),
    ] {
        let mut all = vec!["tags"];
        all.extend(args);
        let run = Golden::new().run(&all).exit(2);
        assert!(run.stderr.contains(message), "{args:?}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
    let long = format!("1.2.3-{}", "a".repeat(130));
    let run = Golden::new().run(&["tags", &long]).exit(2);
    assert!(
        run.stderr.contains(&format!("`{long}` is not a tag")),
        "{}",
        run.stderr
    );
}
