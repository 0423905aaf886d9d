//! `golden fmt` formats the files of a workspace, and `--check` shows what it would change.

use crate::support::workspace::{Golden, Run};

const MESSY: &str = "\n[image] # one\nname=\"app\"\n  version = '1.0.0'   # the version\r\n\n\nbase=\"scratch\"\n[labels]\nb=\"1\"\na = \"2\"\n";
const NEAT: &str = "[image] # one\nname = \"app\"\nversion = '1.0.0'     # the version\n\nbase = \"scratch\"\n\n[labels]\nb = \"1\"\na = \"2\"\n";

fn read(golden: &Golden, file: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
    std::fs::read_to_string(golden.path().join(file)).unwrap()
}

#[test]
fn files_are_formatted_and_then_stay_the_same() {
    let golden = Golden::new()
        .workspace("[vars]\na=\"b\"\n")
        .image("app", MESSY)
        .image("other", &NEAT.replace("app", "other"));
    let run = golden.run(&["fmt", "--check"]).exit(5);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines.contains(&"--- app/image.toml"), "{}", run.stdout);
    assert!(lines.contains(&"+base = \"scratch\""), "{}", run.stdout);
    assert!(lines.contains(&"+++ golden.toml"), "{}", run.stdout);
    assert!(!run.stdout.contains("other"), "{}", run.stdout);
    assert_eq!(read(&golden, "app/image.toml"), MESSY);
    let json = golden
        .run(&["fmt", "--check", "--format", "json"])
        .exit(5)
        .stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["files"][0]["file"], "app/image.toml");
    assert_eq!(json["files"][0]["written"], false);

    let run = golden.run(&["fmt"]).exit(0);
    assert_eq!(
        run.stderr,
        "app/image.toml: formatted\ngolden.toml: formatted\n"
    );
    assert_eq!(read(&golden, "app/image.toml"), NEAT);
    assert_eq!(golden.run(&["fmt", "--check"]).exit(0).stdout, "");
    assert_eq!(golden.run(&["fmt"]).exit(0).stderr, "");
}

#[test]
fn a_spec_with_errors_is_formatted_but_not_one_that_is_not_toml() {
    let golden = Golden::new()
        .workspace("")
        .image("app", "[image]\nname=1\nunknown=true\n");
    golden.run(&["fmt"]).exit(0);
    let expected = "[image]\nname = 1\nunknown = true\n";
    assert_eq!(read(&golden, "app/image.toml"), expected);

    golden.write("app/image.toml", "[image]\nname=1\n");
    golden.write("bad/image.toml", "[image\n");
    let run = golden.run(&["fmt"]).exit(2);
    assert!(run.stderr.contains("bad/image.toml"), "{}", run.stderr);
    assert_eq!(read(&golden, "app/image.toml"), "[image]\nname=1\n");
}

#[test]
fn a_new_workspace_is_formatted() {
    let golden = Golden::new();
    golden.run(&["init", "."]).exit(0);
    golden.run(&["new", "tool", "--base", "scratch"]).exit(0);
    let run = golden.run(&["fmt", "--check"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
}

/// A process may have a low limit of open files, and a workspace many specs.
#[test]
fn many_files_are_formatted_with_few_open_files() {
    let mut golden = Golden::new().workspace("");
    for n in 0..60 {
        let name = format!("app{n}");
        golden = golden.image(&name, &MESSY.replace("app", &name));
    }
    let own = golden.command(&["fmt"]);
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(own.get_program())
        .args(own.get_args())
        .current_dir(golden.path())
        .env_clear()
        .envs(
            own.get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        );
    let run = Run::of(limited.output().unwrap()).exit(0);
    assert_eq!(run.stderr.matches(": formatted").count(), 60);
    let files = std::fs::read_dir(golden.path().join("app0")).unwrap();
    assert_eq!(files.count(), 1, "a temporary file is left");
}
