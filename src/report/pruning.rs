//! The decisions of `golden prune` as text.

use super::Out;
use super::deletion::attached_artifact;
use super::text::count;
use crate::app::prune::PlannedPruning;
use crate::publish::prune::Pruning;

/// Lists the attached artifacts that are deleted with their versions.
pub fn attached_to_versions(out: &Out, pruning: &Pruning, word: &str) {
    for attached in &pruning.attached {
        let line = attached_artifact(&pruning.repository, attached);
        out.message(&format!("{word}: {line}"));
    }
}

/// Shows the decision about each version.
pub fn prunings(out: &Out, prunings: &[Pruning], dry_run: bool) {
    for pruning in prunings {
        if pruning.versions.is_empty() {
            out.message(&format!("{} has no versions", pruning.repository));
        }
        for verdict in &pruning.versions {
            let name = format!("{}:{}", pruning.repository, verdict.tag);
            match (verdict.prune, dry_run) {
                (true, true) => out.data(&format!("would delete {name}: {}\n", verdict.because)),
                (true, false) => out.data(&format!("deleted {name}: {}\n", verdict.because)),
                (false, _) => out.message(&format!("kept {name}: {}", verdict.because)),
            }
        }
        if dry_run {
            attached_to_versions(out, pruning, "would delete");
        }
    }
}

/// The question of the confirmation.
#[must_use]
pub fn question(planned: &PlannedPruning) -> String {
    let tags_of = |pruning: &Pruning| -> Vec<String> {
        let tags = pruning.going().into_values().flatten();
        tags.map(|tag| format!("{}:{tag}", pruning.repository))
            .collect()
    };
    let tags: Vec<String> = planned.prunings.iter().flat_map(tags_of).collect();
    format!(
        "delete {}: {}",
        count(planned.digests(), "digest"),
        tags.join(", ")
    )
}
