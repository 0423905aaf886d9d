//! Makes the config of the new image from those of the base and the spec, as Docker's builders do.

use std::collections::BTreeMap;

use crate::oci::ImageConfig;
use crate::oci::config::Healthcheck;
use crate::resolve::ResolvedImage;
use crate::resolve::image::{EnvValue, Invocation};

/// The PATH that both of Docker's builders set if the base has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Keys in which the classic builder describes the container that created the base. They do not
/// apply to the new image.
const BASE_ONLY: &[&str] = &[
    "container",
    "container_config",
    "docker_version",
    "id",
    "parent",
];

/// Applies the spec to the base's config. `late_labels` are the labels that are not in the
/// Dockerfile.
pub fn apply(
    image: &ResolvedImage,
    late_labels: &BTreeMap<String, String>,
    config: &mut ImageConfig,
) {
    for key in BASE_ONLY {
        config.remove(key);
    }
    environment(image, config);
    for (key, value) in image.labels.iter().chain(late_labels) {
        config.set_label(key, value);
    }
    for port in &image.config.expose {
        config.expose(&port.to_string());
    }
    for volume in &image.config.volumes {
        config.add_volume(volume);
    }
    let texts = [
        ("User", &image.config.user),
        ("WorkingDir", &image.config.workdir),
        ("StopSignal", &image.config.stop_signal),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            config.set_text(key, value);
        }
    }
    invocations(image, config);
    if let Some(check) = &image.config.healthcheck {
        let check = check.on(config.healthcheck().as_ref());
        let shell = shell(config);
        config.set_healthcheck(&Healthcheck {
            test: crate::render::healthcheck_test(&check, &shell),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            retries: check.retries,
        });
    }
}

/// Sets the environment. Variables of the base keep their order and position; new variables are
/// added at the end.
fn environment(image: &ResolvedImage, config: &mut ImageConfig) {
    if config.env_value("PATH").is_none() && config.platform().os != "windows" {
        config.set_env("PATH", DEFAULT_PATH);
    }
    for (key, value) in image.environment().iter() {
        match value {
            EnvValue::Set(value) => config.set_env(key, value),
            EnvValue::Extend { prepend, append } => {
                let old = config.env_value(key).unwrap_or_default();
                config.set_env(key, &format!("{prepend}{old}{append}"));
            }
        }
    }
}

/// The shell for entrypoint, cmd and health check in shell form.
fn shell(config: &ImageConfig) -> Vec<String> {
    let words = config.words("Shell");
    if words.is_empty() {
        crate::render::default_shell()
    } else {
        words
    }
}

/// Sets shell, entrypoint and cmd. A new entrypoint clears an inherited cmd.
fn invocations(image: &ResolvedImage, config: &mut ImageConfig) {
    if let Some(shell) = &image.config.shell {
        config.set_words("Shell", shell.clone());
    }
    let words = |invocation: &Invocation, config: &ImageConfig| match invocation {
        Invocation::Exec(words) => words.clone(),
        Invocation::Shell(text) => shell(config).into_iter().chain([text.clone()]).collect(),
    };
    if let Some(entrypoint) = &image.config.entrypoint {
        config.set_words("Entrypoint", words(entrypoint, config));
        config.set_words("Cmd", Vec::new());
    }
    if let Some(cmd) = &image.config.cmd {
        config.set_words("Cmd", words(cmd, config));
    }
}
