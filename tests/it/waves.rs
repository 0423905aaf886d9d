//! The waves of `golden matrix`, run as CI would: separate processes, separate workspaces, the registry alone in common.

use std::process::Stdio;

use crate::fleet_end_to_end::{assert_tags, contents, fleet, namespace, workspace};

#[test]
fn waves_share_a_fleet_through_the_registry_alone() {
    let namespace = namespace();
    let planner = workspace(&namespace);
    let matrix: serde_json::Value =
        serde_json::from_str(&planner.run(&["matrix", "--format", "json"]).exit(0).stdout).unwrap();
    let waves = matrix["waves"].as_array().unwrap();
    assert_eq!(waves.len(), 3, "{matrix}");
    let mut built = Vec::new();
    for wave in waves {
        let images: Vec<String> =
            wave.as_array().unwrap().iter().map(|job| job["image"].as_str().unwrap().to_owned()).collect();
        // A few machines at once, as a CI has; each begins with nothing but the workspace.
        for together in images.chunks(4) {
            let machines: Vec<_> = together
                .iter()
                .map(|image| {
                    let machine = workspace(&namespace);
                    let child = machine
                        .command(&["build", "--push", image])
                        .stdout(Stdio::piped())
                        .stderr(Stdio::piped())
                        .spawn()
                        .unwrap();
                    (image, machine, child)
                })
                .collect();
            for (image, _machine, child) in machines {
                let output = child.wait_with_output().unwrap();
                assert!(output.status.success(), "{image}: {}", String::from_utf8_lossy(&output.stderr));
            }
        }
        built.extend(images);
        let published = contents(&namespace).values().filter(|tags| !tags.is_empty()).count();
        assert_eq!(published, built.len(), "a wave published what is not its own");
    }
    let mut expected = fleet();
    expected.sort();
    built.sort();
    assert_eq!(built, expected);
    let first = ["1", "1.0", "1.0.0", "latest"];
    for (image, tags) in contents(&namespace) {
        assert_tags(&image, &tags, &first, &first);
    }

    // Nothing changed: no wave has a job.
    let published = contents(&namespace);
    planner.run(&["build", "--push"]).exit(0);
    assert_eq!(contents(&namespace), published);
}
