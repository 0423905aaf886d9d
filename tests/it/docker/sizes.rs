//! `[policy.size]` on images that an engine builds.

use super::recipe::unique;
use crate::support::curl::tags;
use crate::support::services;
use crate::support::workspace::Golden;

#[test]
fn an_image_of_an_engine_that_exceeds_its_size_limits_is_not_published() {
    let (name, registry) = (unique(), services::registry());
    let golden = Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .env("SOURCE_DATE_EPOCH", "0");
    let limits = |limits: &str| {
        let registry =
            format!("[[registry]]\nname = \"t\"\nhost = \"{registry}\"\nnamespace = \"sizes\"\n");
        golden.write(
            "golden.toml",
            format!("{registry}[policy.size]\n{limits}\n"),
        );
    };
    // The content is random, so it is as large in the registry as in the image.
    let image = |version: &str, bytes: usize| {
        golden.write(
            "app/image.toml",
            format!(
                "[image]\nname = \"{name}\"\nversion = \"{version}\"\nbase = \"{}\"\nfamily = \"static\"\n\
                 [[run]]\nscript = \"head -c {bytes} /dev/urandom >/large; head -c 1000 /dev/zero >/small\"\n",
                services::base_busybox()
            ),
        );
    };
    let published = || tags(&format!("sizes/{name}"));
    image("1.0.0", 3_000_000);
    for (limit, rule) in [
        ("packed = \"3MB\"", "size.packed"),
        ("unpacked = \"3MB\"", "size.unpacked"),
        ("layer = \"2MB\"", "size.layer"),
    ] {
        limits(limit);
        let run = golden
            .run(&["build", "--push", "--engine", "docker"])
            .exit(3);
        assert!(run.stderr.contains(&format!("[{rule}]")), "{}", run.stderr);
        assert!(
            run.stderr.contains("the largest files: /large (3.0 MB)"),
            "{}",
            run.stderr
        );
        assert_eq!(published(), [""; 0], "{limit}");
    }
    limits("packed = \"5MB\"\nunpacked = \"6MB\"\nlayer = \"4MB\"\ngrowth = \"10%\"");
    let run = golden
        .run(&["build", "--push", "--engine", "docker"])
        .exit(0);
    assert!(run.stderr.contains("engine: "), "{}", run.stderr);
    let tags = ["1", "1.0", "1.0.0", "latest"];
    assert_eq!(published(), tags);
    image("1.0.1", 3_900_000);
    let run = golden
        .run(&["build", "--push", "--engine", "docker"])
        .exit(3);
    assert!(run.stderr.contains("[size.growth]"), "{}", run.stderr);
    assert!(
        run.stderr.contains("the largest files: /large (3.9 MB)"),
        "{}",
        run.stderr
    );
    assert_eq!(published(), tags);
}
