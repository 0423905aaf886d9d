//! The command line as a whole: help, usage errors, exit codes.

use crate::support::workspace::Golden;

#[test]
fn an_unknown_command_is_a_usage_error() {
    let run = Golden::new().run(&["bulid"]).exit(2);
    assert!(run.stderr.contains("build"), "{}", run.stderr);
    assert!(run.stdout.is_empty());
}
