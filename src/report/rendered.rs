//! The result of `golden render` as text.

use super::{Out, dockerfile};
use crate::app::render::RenderReport;
use crate::app::rendered::RenderState;

/// Shows the Dockerfiles, or the files of `--out` that changed or differ.
pub fn rendered(out: &Out, report: &RenderReport, check: bool) {
    let files = report
        .images
        .iter()
        .filter_map(|image| Some((image.file.as_str(), image.state?)));
    let mut files: Vec<_> = files
        .chain(
            report
                .context
                .iter()
                .map(|file| (file.file.as_str(), file.state)),
        )
        .collect();
    files.sort_unstable_by_key(|(file, _)| *file);
    for (position, image) in report
        .images
        .iter()
        .filter(|image| image.state.is_none())
        .enumerate()
    {
        let gap = if position == 0 { "" } else { "\n" };
        let dockerfile = if out.data_color {
            dockerfile::colored(&image.dockerfile)
        } else {
            image.dockerfile.clone()
        };
        out.data(&format!("{gap}{dockerfile}"));
    }
    for (file, state) in files {
        match state {
            RenderState::Current => {}
            RenderState::Written => out.message(&format!("{file}: written")),
            RenderState::Stale => out.data(&format!("{file}: stale\n")),
            RenderState::Missing => out.data(&format!("{file}: missing\n")),
        }
    }
    for file in &report.left {
        if check {
            out.data(&format!("{file}: left over\n"));
        } else {
            out.message(&format!(
                "{file}: left over, because no image needs it; delete it"
            ));
        }
    }
}
