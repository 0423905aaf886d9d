//! The spec of an image on an existing image, with the config of that image.

use std::time::Duration;

use super::draft::{Draft, DraftHealthcheck, with_comment};
use super::state::ImportOptions;
use crate::config_files::config::Invocation;
use crate::config_files::quoted::quoted;
use crate::config_files::values::EnvValue;
use crate::oci::ImageConfig;

/// Labels about the existing image itself, which would be wrong in an image on it.
const IDENTITY: [&str; 9] = [
    "org.opencontainers.image.created",
    "org.opencontainers.image.revision",
    "org.opencontainers.image.version",
    "org.opencontainers.image.title",
    "org.opencontainers.image.source",
    "org.opencontainers.image.ref.name",
    "org.opencontainers.image.base.name",
    "org.opencontainers.image.base.digest",
    "version",
];

/// The text of image.toml for an image on `base`, which has this config.
#[must_use]
pub fn on_image(base: &str, config: &ImageConfig, options: &ImportOptions) -> String {
    let mut draft = Draft {
        name: options.name.clone(),
        version: "0.1.0".to_owned(),
        base: quoted(base),
        ..Draft::default()
    };
    let is_kept = |key: &str| !IDENTITY.contains(&key) && !key.starts_with("dev.golden.");
    let labels = config.labels().into_iter();
    draft.labels.extend(labels.filter(|(key, _)| is_kept(key)));
    for item in config.env() {
        // A variable that names itself would be a reference to the base.
        if let Some((name, value)) = item
            .split_once('=')
            .filter(|(_, value)| !value.contains('$'))
        {
            let value = EnvValue::Set(value.to_owned());
            draft.env.insert(name.to_owned(), value);
        }
    }
    let text = |key: &str| Some(config.text(key).to_owned()).filter(|text| !text.is_empty());
    let keys = |key: &str| -> Vec<String> {
        let object = config
            .runtime()
            .and_then(|runtime| runtime.get(key)?.as_object());
        object
            .into_iter()
            .flatten()
            .map(|(key, _)| key.clone())
            .collect()
    };
    let words = |key: &str| Some(config.words(key)).filter(|words| !words.is_empty());
    let of_spec = &mut draft.config;
    of_spec.expose = keys("ExposedPorts")
        .iter()
        .map(|port| port.strip_suffix("/tcp").unwrap_or(port).to_owned())
        .collect();
    of_spec.volumes = keys("Volumes");
    of_spec.user = text("User");
    of_spec.workdir = text("WorkingDir");
    of_spec.stop_signal = text("StopSignal");
    of_spec.entrypoint = words("Entrypoint").map(Invocation::Exec);
    of_spec.cmd = words("Cmd").map(Invocation::Exec);
    of_spec.shell = words("Shell");
    of_spec.healthcheck = healthcheck(config);
    with_comment(&draft, &options.comment)
}

fn healthcheck(config: &ImageConfig) -> Option<DraftHealthcheck> {
    let check = config
        .healthcheck()
        .filter(|check| !check.test.is_empty())?;
    // A spec has no such key. The base keeps its own check if none is declared.
    let own = config.runtime()?.get("Healthcheck")?;
    if own.get("StartInterval").is_some_and(|time| time != 0) {
        return None;
    }
    let time = |time: Option<Duration>| time.filter(|time| !time.is_zero()).map(written);
    let retries = check.retries.filter(|retries| *retries > 0);
    let options = [
        ("interval", time(check.interval)),
        ("timeout", time(check.timeout)),
        ("start_period", time(check.start_period)),
        ("retries", retries.map(|retries| retries.to_string())),
    ];
    let options = options
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    Some(DraftHealthcheck {
        options: options.collect(),
        test: check.test,
    })
}

/// A duration as a TOML string.
fn written(time: Duration) -> String {
    quoted(&if time.subsec_nanos() == 0 {
        format!("{}s", time.as_secs())
    } else {
        format!("{}ms", time.as_millis())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_of_the_image_becomes_the_spec() {
        let config = serde_json::json!({ "config": {
            "Env": ["PATH=/bin", "A=b c", "ODD=$X"],
            "Labels": { "team": "a", "org.opencontainers.image.created": "2024", "dev.golden.inputs": "x" },
            "ExposedPorts": { "80/tcp": {}, "53/udp": {} },
            "Volumes": { "/data": {} },
            "User": "10001",
            "WorkingDir": "/app",
            "StopSignal": "SIGTERM",
            "Entrypoint": ["/tini", "--"],
            "Cmd": ["a", "b"],
            "Healthcheck": { "Test": ["CMD-SHELL", "true"], "Interval": 30_000_000_000_u64, "Retries": 3 },
        } });
        let config = ImageConfig::parse(config.to_string().as_bytes()).unwrap();
        let options = ImportOptions {
            name: "app".to_owned(),
            comment: "On app.".to_owned(),
            ..ImportOptions::default()
        };
        let text = on_image("registry.example.com/app:1", &config, &options);
        insta::assert_snapshot!(crate::config_files::format::format(&text).unwrap());
    }

    #[test]
    fn a_health_check_that_a_spec_cannot_declare_stays_in_the_base() {
        for (interval, is_declared) in [(0, true), (5_000_000_000_u64, false)] {
            let config = serde_json::json!({ "config": { "Healthcheck": {
                "Test": ["CMD", "true"], "StartInterval": interval,
            } } });
            let config = ImageConfig::parse(config.to_string().as_bytes()).unwrap();
            let text = on_image(
                "registry.example.com/app:1",
                &config,
                &ImportOptions::default(),
            );
            assert_eq!(text.contains("healthcheck"), is_declared, "{text}");
        }
    }
}
