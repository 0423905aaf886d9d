//! `golden matrix`: the build as waves of CI jobs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{Session, SessionOptions};
use crate::report::Format;
use crate::resolve::{ResolvedImage, graph, select};

/// The build as waves of CI jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images, by name or glob; all without.
    pub images: Vec<String>,
    /// Only images that changed since this commit, and what is built on them.
    #[arg(long, value_name = "SINCE")]
    pub changed: Option<String>,
    /// Set a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// One job: one image.
#[derive(Debug, Clone, Serialize)]
struct Job {
    /// What `golden build` is to be given.
    image: String,
    name: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    platforms: Vec<String>,
    /// Jobs of earlier waves that this one stands on.
    needs: Vec<String>,
}

#[derive(Serialize)]
struct Waves {
    waves: Vec<Vec<Job>>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let options = SessionOptions {
        images: args.images,
        set: args.set,
        with_dependants: args.changed.is_some(),
        changed: args.changed,
    };
    let session = Session::open(context, &options).await?;
    let waves = waves(&session, options.changed.is_some());
    match context.format {
        Format::Json => context.out.json(&Waves { waves }),
        Format::Gitlab => context.out.data(&gitlab(&waves)),
        _ => context.out.data(&github(&waves)),
    }
    Ok(Exit::Done)
}

/// The jobs, in waves. Of a changed fleet only what was selected becomes a job: what it is built on is published.
fn waves(session: &Session, selected_alone: bool) -> Vec<Vec<Job>> {
    let wanted: Vec<&ResolvedImage> = session
        .images
        .iter()
        .enumerate()
        .filter(|(n, _)| !selected_alone || session.selected.contains(n))
        .map(|(_, image)| image)
        .collect();
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for image in &session.images {
        *versions.entry(image.name.as_str()).or_default() += 1;
    }
    let call = |image: &ResolvedImage| match versions.get(image.name.as_str()) {
        Some(1) => image.name.to_string(),
        _ => image.display(),
    };
    let images: Vec<ResolvedImage> = wanted.into_iter().cloned().collect();
    let parents = select::parents(&images);
    let job = |n: usize| {
        let image = &images[n];
        Job {
            image: call(image),
            name: image.name.to_string(),
            version: image.version.to_string(),
            variant: image.variant.as_ref().map(ToString::to_string),
            platforms: image.platforms.iter().map(ToString::to_string).collect(),
            needs: parents[n].map(|parent| call(&images[parent])).into_iter().collect(),
        }
    };
    graph::waves(&parents).into_iter().map(|wave| wave.into_iter().map(job).collect()).collect()
}

/// Lines for `$GITHUB_OUTPUT`: the number of waves, and for each the value of `strategy.matrix`.
fn github(waves: &[Vec<Job>]) -> String {
    let mut text = format!("waves={}\n", waves.len());
    for (n, wave) in waves.iter().enumerate() {
        let include: Vec<_> = wave.iter().map(|job| json!({ "image": job.image })).collect();
        // Writing into a String cannot fail.
        let _ = writeln!(text, "wave_{}={}", n + 1, json!({ "include": include }));
    }
    text
}

/// A child pipeline: a stage for each wave, and jobs that wait only for what they are built on.
fn gitlab(waves: &[Vec<Job>]) -> String {
    if waves.is_empty() {
        // GitLab refuses a pipeline without jobs.
        return "nothing-to-build:\n  script:\n    - \"true\"\n".to_owned();
    }
    let mut text = String::from("stages:\n");
    for n in 1..=waves.len() {
        let _ = writeln!(text, "  - wave-{n}");
    }
    for (n, wave) in waves.iter().enumerate() {
        for job in wave {
            let _ = writeln!(text, "\n{}:\n  stage: wave-{}", json!(job.image), n + 1);
            let needs: Vec<_> = job.needs.iter().map(|need| json!(need).to_string()).collect();
            let _ = writeln!(text, "  needs: [{}]", needs.join(", "));
            let _ = writeln!(text, "  script:\n    - golden build --push {}", job.image);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(image: &str, needs: &[&str]) -> Job {
        Job {
            image: image.to_owned(),
            name: image.to_owned(),
            version: "1.0.0".to_owned(),
            variant: None,
            platforms: Vec::new(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        }
    }

    #[test]
    fn pipelines() {
        let waves = [vec![job("debian", &[]), job("static", &[])], vec![job("java", &["debian"])]];
        insta::assert_snapshot!(github(&waves), @r#"
        waves=2
        wave_1={"include":[{"image":"debian"},{"image":"static"}]}
        wave_2={"include":[{"image":"java"}]}
        "#);
        insta::assert_snapshot!(gitlab(&waves), @r#"
        stages:
          - wave-1
          - wave-2

        "debian":
          stage: wave-1
          needs: []
          script:
            - golden build --push debian

        "static":
          stage: wave-1
          needs: []
          script:
            - golden build --push static

        "java":
          stage: wave-2
          needs: ["debian"]
          script:
            - golden build --push java
        "#);
        assert_eq!(github(&[]), "waves=0\n");
    }
}
