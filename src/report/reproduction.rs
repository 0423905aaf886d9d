//! The result of `golden reproduce` as text.

use std::fmt::Write as _;

use super::difference;
use crate::app::reproduce::{ReproduceOutcome, Reproduction};

/// The result in one line, and the differences below it.
#[must_use]
pub fn reproduction(result: &Reproduction) -> String {
    let Reproduction {
        reference,
        digest,
        commit,
        provenance,
        ..
    } = result;
    let image = format!("{}@{digest}", reference.repository);
    // Writing into a String cannot fail.
    let mut text = String::new();
    let reasons = match &result.outcome {
        ReproduceOutcome::Same => {
            let _ = writeln!(text, "{image}: the commit {commit} gives the same digest");
            &[][..]
        }
        ReproduceOutcome::SameInputs { engine } => {
            let _ = writeln!(
                text,
                "{image}: the commit {commit} has the same inputs; the digests were not compared, \
                 because a build by {engine} does not give the same digest twice"
            );
            &[][..]
        }
        ReproduceOutcome::OtherInputs { inputs, because } => {
            let _ = writeln!(
                text,
                "{image}: the commit {commit} has other inputs, {inputs}"
            );
            because.as_slice()
        }
        ReproduceOutcome::Different {
            rebuilt, because, ..
        } => {
            let _ = writeln!(
                text,
                "{image}: the commit {commit} gives another digest, {rebuilt}"
            );
            because.as_slice()
        }
    };
    for reason in reasons {
        let _ = writeln!(text, "  {reason}");
    }
    let _ = match (&provenance.signed_by, &provenance.problem) {
        (Some(signer), _) => writeln!(text, "  the provenance statement is signed by {signer}"),
        (None, Some(problem)) => writeln!(text, "  the provenance statement {problem}"),
        (None, None) => Ok(()),
    };
    if let ReproduceOutcome::Different { diff, .. } = &result.outcome {
        let _ = write!(text, "\n{}", difference::text(diff));
    }
    text
}
