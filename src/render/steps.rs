//! Finds the part of the spec that an instruction of a rendered Dockerfile comes from. Messages
//! about a build then show the user's names and not the instruction.

use super::files::{certificates_archive, certificates_directory, files_archive, files_directory};
use super::heredoc;
use super::instruction::ScriptForm;
use super::sections::run_instruction;
use crate::resolve::ResolvedImage;
use crate::resolve::image::RunStep;

/// The part of a spec that an instruction comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecPart {
    /// The `[[run]]` step with this position, from 0.
    Run(usize),
    /// `[packages]`.
    Packages,
    /// `[certs]`.
    Certificates,
    /// `[[files]]`.
    Files,
}

/// The position of an instruction, as a builder reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepPosition {
    /// BuildKit: the number of instructions after it in its stage that change the file system.
    FromEnd {
        /// The name that BuildKit gives to the stage; `None` if there is only one.
        stage: Option<String>,
        /// The number of instructions after it.
        after: usize,
    },
    /// The classic builder: the number among all instructions, from 1.
    Overall(usize),
    /// Podman: the number in its stage, from 1 for `FROM`.
    InStage {
        /// The number of the stage, from 1.
        stage: usize,
        /// The number of the instruction.
        number: usize,
    },
}

/// The instructions of a Dockerfile, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instructions(Vec<ParsedInstruction>);

/// One instruction of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ParsedInstruction {
    /// The number of its stage, from 1; 0 before the first `FROM`.
    stage: usize,
    /// The name of its stage.
    stage_name: Option<String>,
    /// True if it changes the file system, so that BuildKit counts it.
    has_layer: bool,
    part: Option<SpecPart>,
}

impl Instructions {
    /// The instructions of a Dockerfile that was rendered for `image`.
    #[must_use]
    pub fn of(dockerfile: &str, image: &ResolvedImage) -> Self {
        let mut steps: Vec<(usize, Vec<String>)> =
            image.run.iter().map(texts).enumerate().collect();
        let (mut stage, mut stage_name, mut section) = (0, None, None);
        let mut all = Vec::new();
        for line in logical_lines(dockerfile) {
            if line.starts_with('#') {
                section = section_of(&line).or(section);
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let keyword = words[0].to_ascii_uppercase();
            if keyword == "FROM" {
                stage += 1;
                stage_name = match words.as_slice() {
                    [.., alias, name] if alias.eq_ignore_ascii_case("as") => {
                        Some((*name).to_owned())
                    }
                    _ => None,
                };
            }
            let part = match keyword.as_str() {
                "RUN" => match steps.iter().position(|(_, texts)| texts.contains(&line)) {
                    Some(at) => {
                        section = None;
                        Some(SpecPart::Run(steps.remove(at).0))
                    }
                    None => section,
                },
                "ADD" | "COPY" => part_of_source(&words),
                _ => None,
            };
            all.push(ParsedInstruction {
                stage,
                stage_name: stage_name.clone(),
                has_layer: ["RUN", "ADD", "COPY", "WORKDIR"].contains(&keyword.as_str()),
                part,
            });
        }
        Self(all)
    }

    /// The part of the spec that an instruction comes from. `None` if the template adds it.
    #[must_use]
    pub fn part(&self, position: &StepPosition) -> Option<SpecPart> {
        let found = match position {
            StepPosition::Overall(number) => self.0.get(number.checked_sub(1)?),
            StepPosition::InStage { stage, number } => self
                .0
                .iter()
                .filter(|one| one.stage == *stage)
                .nth(number.checked_sub(1)?),
            StepPosition::FromEnd { stage, after } => self
                .0
                .iter()
                .rev()
                .filter(|one| one.has_layer && one.is_in(stage.as_deref()))
                .nth(*after),
        };
        found?.part
    }
}

impl ParsedInstruction {
    /// True if it is in the stage with this name in BuildKit.
    fn is_in(&self, stage: Option<&str>) -> bool {
        match (stage, &self.stage_name) {
            (None, _) => true,
            (Some(wanted), Some(name)) => wanted.eq_ignore_ascii_case(name),
            (Some(wanted), None) => wanted == format!("stage-{}", self.stage.saturating_sub(1)),
        }
    }
}

/// A step as one logical line, in each form.
fn texts(step: &RunStep) -> Vec<String> {
    [ScriptForm::Heredoc, ScriptForm::Exec]
        .iter()
        .flat_map(|form| logical_lines(&run_instruction(step, *form).to_string()))
        .collect()
}

/// The part whose files an `ADD` or `COPY` places. The engine's context has no suffixes.
fn part_of_source(words: &[&str]) -> Option<SpecPart> {
    let source = words
        .iter()
        .skip(1)
        .find(|word| !word.starts_with("--"))?
        .trim_start_matches(['[', '"']);
    let is_in = |directory: String| {
        source
            .strip_prefix(&directory)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    if source == certificates_archive("") || is_in(certificates_directory("")) {
        Some(SpecPart::Certificates)
    } else if source == files_archive("") || is_in(files_directory("")) {
        Some(SpecPart::Files)
    } else {
        None
    }
}

/// True if an instruction in the history of an image places the files or certificates of a spec, as
/// `BuildKit` records it: `COPY --chmod=0644 files/a /a # buildkit`.
#[must_use]
pub fn places_files(history: &str) -> bool {
    let words: Vec<&str> = history.split_whitespace().collect();
    matches!(words.first(), Some(&"ADD" | &"COPY")) && part_of_source(&words).is_some()
}

/// The part that a comment of the built-in templates introduces.
fn section_of(comment: &str) -> Option<SpecPart> {
    match comment {
        "# packages" => Some(SpecPart::Packages),
        "# certificates" | "# certificates for Java" => Some(SpecPart::Certificates),
        "# files" => Some(SpecPart::Files),
        _ => None,
    }
}

/// The comments and the instructions of a Dockerfile, each as one line that the content of its
/// heredocs follows.
fn logical_lines(dockerfile: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut open = String::new();
    let mut lines = dockerfile.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.is_empty() || (line.starts_with('#') && !open.is_empty()) {
            continue;
        }
        if let Some(start) = line.strip_suffix('\\').filter(|_| !line.starts_with('#')) {
            open.push_str(start);
            continue;
        }
        open.push_str(line);
        let mut whole = std::mem::take(&mut open);
        for delimiter in heredoc::opened_by(&whole) {
            for line in lines
                .by_ref()
                .take_while(|line| !heredoc::is_end(line, &delimiter))
            {
                whole.push('\n');
                whole.push_str(line);
            }
        }
        out.push(whole);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::image::{Base, Family};

    fn image(scripts: &[&str]) -> ResolvedImage {
        let step = |script: &&str| RunStep {
            name: None,
            script: (*script).to_owned(),
            user: None,
            secrets: Vec::new(),
            ssh: false,
            location: None,
        };
        ResolvedImage {
            run: scripts.iter().map(step).collect(),
            ..ResolvedImage::empty(Family::Debian, Base::Scratch)
        }
    }

    #[test]
    fn each_builder_s_count_leads_to_the_step_of_the_spec() {
        let image = image(&["true", "make", "true"]);
        let text = "# app\nARG GOLDEN_BASE=debian\nFROM ${GOLDEN_BASE}\nUSER 0:0\n\n\
                    # certificates\nADD certificates.tar /\nRUN [\"/bin/sh\",\"-ec\",\"trust\"]\n\
                    # packages\nRUN [\"/bin/sh\",\"-ec\",\"apt\"]\n\
                    # files\nCOPY --chmod=0644 files/a /\nWORKDIR /srv\n\
                    RUN [\"/bin/sh\",\"-ec\",\"true\"]\n# step 2\nRUN <<EOR\nset -e\nmake\nEOR\n\
                    RUN [\"/bin/sh\",\"-ec\",\"true\"]\nLABEL a=b\n";
        let all = Instructions::of(text, &image);
        let parts = [
            Some(SpecPart::Certificates),
            Some(SpecPart::Certificates),
            Some(SpecPart::Packages),
            Some(SpecPart::Files),
            None,
            Some(SpecPart::Run(0)),
            Some(SpecPart::Run(1)),
            Some(SpecPart::Run(2)),
        ];
        for (n, part) in parts.into_iter().enumerate() {
            let from_end = StepPosition::FromEnd {
                stage: None,
                after: 7 - n,
            };
            assert_eq!(all.part(&from_end), part, "{n}");
            assert_eq!(all.part(&StepPosition::Overall(n + 4)), part, "{n}");
            let in_stage = StepPosition::InStage {
                stage: 1,
                number: n + 3,
            };
            assert_eq!(all.part(&in_stage), part, "{n}");
        }
        assert_eq!(all.part(&StepPosition::Overall(0)), None);
        assert_eq!(all.part(&StepPosition::Overall(99)), None);
    }

    #[test]
    fn stages_heredocs_and_continued_lines_of_a_template_are_counted_as_builders_do() {
        let image = image(&["make"]);
        let text = "FROM a AS tools\nRUN <<END\nRUN not this\nEND\nRUN a \\\n  # comment\n  b\n\
                    FROM scratch\nCOPY --from=tools <<\"x\" /y\nRUN neither\nx\n\
                    RUN [\"/bin/sh\",\"-ec\",\"make\"]\nCOPY [\"<<x\", \"/\"]\nRUN [\"other\"]\n";
        let all = Instructions::of(text, &image);
        let at = |stage: &str, after| {
            all.part(&StepPosition::FromEnd {
                stage: Some(stage.to_owned()),
                after,
            })
        };
        assert_eq!(at("stage-1", 2), Some(SpecPart::Run(0)));
        assert_eq!(
            (at("stage-1", 0), at("tools", 0), at("tools", 2)),
            (None, None, None)
        );
        assert_eq!(all.part(&StepPosition::Overall(6)), Some(SpecPart::Run(0)));
        let podman = StepPosition::InStage {
            stage: 2,
            number: 3,
        };
        assert_eq!(all.part(&podman), Some(SpecPart::Run(0)));
    }
}
