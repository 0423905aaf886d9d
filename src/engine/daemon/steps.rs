//! The steps of a build under the names of the spec.

use super::super::error::{BuildStep, StepName};
use crate::render::steps::{Instructions, SpecPart, StepPosition};
use crate::resolve::ResolvedImage;

/// The steps of one build.
#[derive(Debug)]
pub(in crate::engine) struct BuildSteps<'a> {
    instructions: Instructions,
    image: &'a ResolvedImage,
}

impl<'a> BuildSteps<'a> {
    /// The steps of a Dockerfile that was rendered for `image`.
    pub(in crate::engine) fn new(dockerfile: &str, image: &'a ResolvedImage) -> Self {
        Self {
            instructions: Instructions::of(dockerfile, image),
            image,
        }
    }

    /// The step that a builder shows with this heading: `[2/5] RUN …`.
    pub(super) fn step(&self, heading: &Heading) -> BuildStep {
        let part = self.instructions.part(&heading.position);
        let locations = &self.image.locations;
        let (name, location) = match part {
            Some(SpecPart::Run(at)) => {
                let step = &self.image.run[at];
                let name = step
                    .name
                    .clone()
                    .map_or(StepName::Number(at + 1), StepName::Named);
                (name, &step.location)
            }
            Some(SpecPart::Packages) => (StepName::Table("[packages]"), &locations.packages),
            Some(SpecPart::Certificates) => (StepName::Table("[certs]"), &locations.certificates),
            Some(SpecPart::Files) => (StepName::Table("[[files]]"), &locations.files),
            None => (StepName::Instruction(heading.instruction.clone()), &None),
        };
        BuildStep {
            name,
            location: location.clone(),
        }
    }
}

/// The first line that a builder shows for an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    /// The count as shown: `2/5`.
    pub(super) count: String,
    pub(super) position: StepPosition,
    pub(super) instruction: String,
}

impl Heading {
    /// Parses `[2/5] RUN …` or `[STAGE 2/5] RUN …` of BuildKit.
    pub(super) fn of_buildkit(name: &str) -> Option<Self> {
        let (bracket, instruction) = name.strip_prefix('[')?.split_once("] ")?;
        let mut words = bracket.split_whitespace().rev();
        let count = words.next()?;
        let (number, total) = numbers(count)?;
        Some(Self {
            count: count.to_owned(),
            position: StepPosition::FromEnd {
                // With several platforms, the platform is the first word.
                stage: words
                    .next()
                    .filter(|word| !word.contains('/'))
                    .map(str::to_owned),
                after: total.checked_sub(number)?,
            },
            instruction: instruction.to_owned(),
        })
    }

    /// Parses `Step 2/5 : RUN …` of the classic builder, and `[1/2] STEP 2/5: RUN …` of Podman.
    pub(super) fn of_stream(text: &str) -> Option<Self> {
        if let Some((count, instruction)) = text
            .strip_prefix("Step ")
            .and_then(|rest| rest.split_once(" : "))
        {
            return Some(Self {
                count: count.to_owned(),
                position: StepPosition::Overall(numbers(count)?.0),
                instruction: instruction.trim_end().to_owned(),
            });
        }
        let (stage, rest) = match text.strip_prefix('[') {
            Some(rest) => {
                let (stage, rest) = rest.split_once("] ")?;
                (numbers(stage)?.0, rest)
            }
            None => (1, text),
        };
        let (count, instruction) = rest.strip_prefix("STEP ")?.split_once(": ")?;
        Some(Self {
            count: count.to_owned(),
            position: StepPosition::InStage {
                stage,
                number: numbers(count)?.0,
            },
            instruction: instruction.trim_end().to_owned(),
        })
    }
}

/// The two numbers of `2/5`.
fn numbers(count: &str) -> Option<(usize, usize)> {
    let (number, total) = count.split_once('/')?;
    Some((number.trim().parse().ok()?, total.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_of_all_builders_are_parsed() {
        let position = |heading: Option<Heading>| heading.map(|heading| heading.position);
        let from_end = |stage: Option<&str>, after| {
            Some(StepPosition::FromEnd {
                stage: stage.map(str::to_owned),
                after,
            })
        };
        for (name, expected) in [
            ("[2/5] RUN make", from_end(None, 3)),
            ("[ 2/12] RUN make", from_end(None, 10)),
            ("[tools 2/2] RUN make", from_end(Some("tools"), 0)),
            (
                "[linux/arm64 stage-1 1/2] COPY a b",
                from_end(Some("stage-1"), 1),
            ),
            ("[linux/arm64 1/2] COPY a b", from_end(None, 1)),
            ("[internal] load build definition", None),
            ("exporting to image", None),
        ] {
            assert_eq!(position(Heading::of_buildkit(name)), expected, "{name}");
        }
        let in_stage = |stage, number| Some(StepPosition::InStage { stage, number });
        for (text, expected) in [
            ("Step 2/5 : RUN make", Some(StepPosition::Overall(2))),
            ("STEP 2/5: RUN make", in_stage(1, 2)),
            ("[2/3] STEP 4/5: RUN make", in_stage(2, 4)),
            ("Step 1: mix", None),
            ("[1/2] installing", None),
        ] {
            assert_eq!(position(Heading::of_stream(text)), expected, "{text}");
        }
    }
}
