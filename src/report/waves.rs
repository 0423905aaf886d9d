//! The waves of CI jobs as text for GitHub Actions and GitLab.

use std::fmt::Write as _;

use serde_json::json;

use crate::app::waves::MatrixJob;

/// The maximum number of jobs in a GitHub matrix.
const GITHUB_JOBS: usize = 256;

/// Lines for `$GITHUB_OUTPUT`: the number of waves, and the value of `strategy.matrix` for each
/// wave. If a wave has more images than a matrix may have jobs, each job gets several images,
/// separated by spaces.
#[must_use]
pub fn github(waves: &[Vec<MatrixJob>]) -> String {
    let mut text = format!("waves={}\n", waves.len());
    for (n, wave) in waves.iter().enumerate() {
        let images_per_job = wave.len().div_ceil(GITHUB_JOBS).max(1);
        let names = |jobs: &[MatrixJob]| {
            jobs.iter()
                .map(|job| job.image.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let include: Vec<_> = wave
            .chunks(images_per_job)
            .map(|jobs| json!({ "image": names(jobs) }))
            .collect();
        // Writing into a String cannot fail.
        let _ = writeln!(text, "wave_{}={}", n + 1, json!({ "include": include }));
    }
    text
}

/// A GitLab child pipeline with a stage for each wave. Each job waits only for the jobs of its base
/// images. Job names have a prefix, because an image may have a name that GitLab reserves, such as
/// `cache`.
#[must_use]
pub fn gitlab(waves: &[Vec<MatrixJob>]) -> String {
    if waves.is_empty() {
        // GitLab refuses a pipeline without jobs.
        return "nothing-to-build:\n  script:\n    - \"true\"\n".to_owned();
    }
    let job_name = |image: &str| json!(format!("build {image}")).to_string();
    let mut text = String::from("stages:\n");
    for n in 1..=waves.len() {
        let _ = writeln!(text, "  - wave-{n}");
    }
    for (n, wave) in waves.iter().enumerate() {
        for job in wave {
            let _ = writeln!(text, "\n{}:\n  stage: wave-{}", job_name(&job.image), n + 1);
            let needs: Vec<_> = job.needs.iter().map(|need| job_name(need)).collect();
            let _ = writeln!(text, "  needs: [{}]", needs.join(", "));
            let _ = writeln!(text, "  script:\n    - golden build --push {}", job.image);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(image: &str, needs: &[&str]) -> MatrixJob {
        MatrixJob {
            image: image.to_owned(),
            name: image.to_owned(),
            version: "1.0.0".to_owned(),
            variant: None,
            platforms: Vec::new(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        }
    }

    #[test]
    fn github_and_gitlab_get_one_job_per_image() {
        let waves = [
            vec![job("debian", &[]), job("static", &[])],
            vec![job("java", &["debian"])],
        ];
        insta::assert_snapshot!(github(&waves), @r#"
        waves=2
        wave_1={"include":[{"image":"debian"},{"image":"static"}]}
        wave_2={"include":[{"image":"java"}]}
        "#);
        insta::assert_snapshot!(gitlab(&waves), @r#"
        stages:
          - wave-1
          - wave-2

        "build debian":
          stage: wave-1
          needs: []
          script:
            - golden build --push debian

        "build static":
          stage: wave-1
          needs: []
          script:
            - golden build --push static

        "build java":
          stage: wave-2
          needs: ["build debian"]
          script:
            - golden build --push java
        "#);
        assert_eq!(github(&[]), "waves=0\n");
    }

    #[test]
    fn jobs_get_several_images_if_a_wave_exceeds_the_matrix_limit() {
        let images: Vec<String> = (0..600).map(|n| format!("app{n}")).collect();
        let wave: Vec<MatrixJob> = images.iter().map(|image| job(image, &[])).collect();
        let text = github(&[wave]);
        let (_, matrix) = text.lines().nth(1).unwrap().split_once('=').unwrap();
        let matrix: serde_json::Value = serde_json::from_str(matrix).unwrap();
        let jobs = matrix["include"].as_array().unwrap();
        assert_eq!(jobs.len(), 200);
        let named = jobs
            .iter()
            .flat_map(|job| job["image"].as_str().unwrap().split(' '));
        assert_eq!(named.collect::<Vec<_>>(), images);
    }
}
