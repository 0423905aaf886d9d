//! Edits a config as Docker's builders do, and writes it in its canonical form.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::ImageConfig;
use crate::oci::Bytes;
use crate::platform::Platform;
use crate::reference::Digest;

/// A health check. A duration of zero means the engine's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", "…"]`.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// Time after which a check has failed.
    pub timeout: Option<Duration>,
    /// Time after the start in which failures do not count.
    pub start_period: Option<Duration>,
    /// Consecutive failures that make the container unhealthy.
    pub retries: Option<u32>,
}

impl Healthcheck {
    /// The check merged with that of the base: timings and retries that the spec does not set come
    /// from the base, as with Docker's classic builder.
    #[must_use]
    pub fn on(&self, base: Option<&Self>) -> Self {
        let Some(base) = base.filter(|_| self.test.first().is_some_and(|kind| kind != "NONE"))
        else {
            return self.clone();
        };
        // Zero means the engine's default, as if the value were not set.
        let time = |own: Option<Duration>, base| own.filter(|time| !time.is_zero()).or(base);
        Self {
            test: self.test.clone(),
            interval: time(self.interval, base.interval),
            timeout: time(self.timeout, base.timeout),
            start_period: time(self.start_period, base.start_period),
            retries: self.retries.filter(|retries| *retries > 0).or(base.retries),
        }
    }
}

/// One entry of an image's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The creation time in RFC 3339.
    pub created: String,
    /// The command or tool that created the layer.
    pub created_by: String,
    /// True if the entry has no layer.
    pub empty_layer: bool,
}

impl ImageConfig {
    /// The config of an empty image.
    #[must_use]
    pub fn scratch(platform: &Platform) -> Self {
        let mut config = Self::default();
        config.set_platform(platform);
        config.0.insert(
            "rootfs".to_owned(),
            json!({ "type": "layers", "diff_ids": [] }),
        );
        config
    }

    /// The canonical bytes, from which the digest is computed: keys sorted at every level, no white
    /// space.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut object = Value::Object(self.0.clone());
        object.sort_all_objects();
        object.to_string().into_bytes().into()
    }

    /// Sets the platform.
    pub fn set_platform(&mut self, platform: &Platform) {
        self.0.insert("os".to_owned(), platform.os.clone().into());
        self.0.insert(
            "architecture".to_owned(),
            platform.architecture.clone().into(),
        );
        match &platform.variant {
            Some(variant) => self.0.insert("variant".to_owned(), variant.clone().into()),
            None => self.0.shift_remove("variant"),
        };
    }

    /// Sets the creation time, in RFC 3339.
    pub fn set_created(&mut self, created: &str) {
        self.0.insert("created".to_owned(), created.into());
    }

    /// Removes a top-level key.
    pub fn remove(&mut self, key: &str) {
        self.0.shift_remove(key);
    }

    /// Sets a label, or replaces its value.
    pub fn set_label(&mut self, key: &str, value: &str) {
        self.object_in_runtime("Labels")
            .insert(key.to_owned(), value.into());
    }

    /// The value of an environment variable, if it is set.
    #[must_use]
    pub fn env_value(&self, key: &str) -> Option<String> {
        let env = self.env();
        env.iter().find_map(|item| {
            item.split_once('=')
                .filter(|(k, _)| *k == key)
                .map(|(_, v)| v.to_owned())
        })
    }

    /// Sets an environment variable. An existing one keeps its position; a new one is added at the
    /// end.
    pub fn set_env(&mut self, key: &str, value: &str) {
        let mut env = self.env();
        let item = format!("{key}={value}");
        match env
            .iter_mut()
            .find(|item| item.split('=').next() == Some(key))
        {
            Some(place) => *place = item,
            None => env.push(item),
        }
        self.set_words("Env", env);
    }

    /// Adds a port, such as `80/tcp`.
    pub fn expose(&mut self, port: &str) {
        self.object_in_runtime("ExposedPorts")
            .insert(port.to_owned(), json!({}));
    }

    /// Adds a volume by its path.
    pub fn add_volume(&mut self, path: &str) {
        self.object_in_runtime("Volumes")
            .insert(path.to_owned(), json!({}));
    }

    /// Sets a string in the runtime part: `User`, `WorkingDir` or `StopSignal`.
    pub fn set_text(&mut self, key: &str, value: &str) {
        self.runtime_mut().insert(key.to_owned(), value.into());
    }

    /// Sets a list of strings in the runtime part, such as `Cmd`. An empty list removes the key,
    /// because Docker treats both the same.
    pub fn set_words(&mut self, key: &str, words: Vec<String>) {
        if words.is_empty() {
            self.runtime_mut().shift_remove(key);
        } else {
            self.runtime_mut().insert(key.to_owned(), words.into());
        }
    }

    /// The health check, if the config has a valid one.
    #[must_use]
    pub fn healthcheck(&self) -> Option<Healthcheck> {
        let check = self.runtime()?.get("Healthcheck")?.as_object()?;
        let words = check
            .get("Test")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let time = |key: &str| {
            check
                .get(key)
                .and_then(Value::as_u64)
                .map(Duration::from_nanos)
        };
        Some(Healthcheck {
            test: words
                .filter_map(|word| word.as_str().map(str::to_owned))
                .collect(),
            interval: time("Interval"),
            timeout: time("Timeout"),
            start_period: time("StartPeriod"),
            retries: check
                .get("Retries")
                .and_then(Value::as_u64)
                .and_then(|number| number.try_into().ok()),
        })
    }

    /// Sets the health check, or replaces it.
    pub fn set_healthcheck(&mut self, check: &Healthcheck) {
        let mut object = Map::new();
        object.insert("Test".to_owned(), check.test.clone().into());
        let times = [
            ("Interval", check.interval),
            ("Timeout", check.timeout),
            ("StartPeriod", check.start_period),
        ];
        for (key, time) in times {
            if let Some(time) = time.filter(|time| !time.is_zero()) {
                object.insert(key.to_owned(), nanoseconds(time).into());
            }
        }
        if let Some(retries) = check.retries.filter(|retries| *retries > 0) {
            object.insert("Retries".to_owned(), retries.into());
        }
        self.runtime_mut()
            .insert("Healthcheck".to_owned(), Value::Object(object));
    }

    /// Adds a layer on top, by the digest of its uncompressed bytes.
    pub fn push_diff_id(&mut self, diff_id: &Digest) {
        let rootfs = object_in(&mut self.0, "rootfs");
        rootfs.entry("type").or_insert_with(|| "layers".into());
        match rootfs.get_mut("diff_ids") {
            Some(Value::Array(list)) => list.push(diff_id.as_str().into()),
            _ => drop(rootfs.insert("diff_ids".to_owned(), json!([diff_id.as_str()]))),
        }
    }

    /// Adds an entry to the history.
    pub fn push_history(&mut self, line: &HistoryEntry) {
        let mut entry = json!({ "created": line.created, "created_by": line.created_by });
        if line.empty_layer {
            entry["empty_layer"] = true.into();
        }
        match self.0.get_mut("history") {
            Some(Value::Array(list)) => list.push(entry),
            _ => drop(self.0.insert("history".to_owned(), json!([entry]))),
        }
    }

    /// The runtime part. It is created if it does not exist.
    fn runtime_mut(&mut self) -> &mut Map<String, Value> {
        object_in(&mut self.0, "config")
    }

    /// An object in the runtime part. It is created if it does not exist or is `null`, as Docker
    /// writes an empty object.
    fn object_in_runtime(&mut self, key: &str) -> &mut Map<String, Value> {
        object_in(self.runtime_mut(), key)
    }
}

/// The object under `key`. It is created if it does not exist, and replaces a value of another
/// type.
fn object_in<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = map.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("the value was replaced by an object above"),
    }
}

/// A duration in nanoseconds, as in Go; at most 292 years.
fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(config: &ImageConfig) -> String {
        String::from_utf8(config.to_bytes().to_vec()).unwrap()
    }

    #[test]
    fn unknown_keys_are_kept_in_canonical_order() {
        let one =
            ImageConfig::parse(br#"{"z":{"b":1,"a":[{"d":0,"c":null}]},"architecture":"amd64"}"#)
                .unwrap();
        let two =
            ImageConfig::parse(br#"{"architecture":"amd64","z":{"a":[{"c":null,"d":0}],"b":1}}"#)
                .unwrap();
        assert_eq!(
            text(&one),
            r#"{"architecture":"amd64","z":{"a":[{"c":null,"d":0}],"b":1}}"#
        );
        assert_eq!(one.to_bytes(), two.to_bytes());
    }

    #[test]
    fn a_variable_keeps_its_position() {
        let mut config = ImageConfig::parse(br#"{"config":{"Env":["A=1","B=2=3","C"]}}"#).unwrap();
        config.set_env("B", "x=y");
        config.set_env("D", "");
        config.set_env("C", "4");
        assert_eq!(config.env(), ["A=1", "B=x=y", "C=4", "D="]);
        assert_eq!(config.env_value("B").as_deref(), Some("x=y"));
        assert_eq!(config.env_value("E"), None);
    }

    #[test]
    fn nulls_of_docker_are_replaced() {
        let mut config = ImageConfig::parse(
            br#"{"config":{"Labels":null,"ExposedPorts":null,"Volumes":null},"rootfs":null,"history":null}"#,
        )
        .unwrap();
        config.set_label("a", "b");
        config.expose("80/tcp");
        config.add_volume("/data");
        config.push_diff_id(&Digest::of(b""));
        let created = "1970-01-01T00:00:00Z".to_owned();
        config.push_history(&HistoryEntry {
            created,
            created_by: "x".to_owned(),
            empty_layer: true,
        });
        insta::assert_snapshot!(text(&config), @r#"{"config":{"ExposedPorts":{"80/tcp":{}},"Labels":{"a":"b"},"Volumes":{"/data":{}}},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"x","empty_layer":true}],"rootfs":{"diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],"type":"layers"}}"#);
        assert_eq!(config.diff_ids(), Some(vec![Digest::of(b"")]));
    }

    #[test]
    fn a_health_check_is_in_nanoseconds() {
        let mut config = ImageConfig::default();
        config.set_healthcheck(&Healthcheck {
            test: vec!["CMD".to_owned(), "/check".to_owned()],
            interval: Some(Duration::from_secs(30)),
            timeout: Some(Duration::from_millis(1500)),
            start_period: Some(Duration::ZERO),
            retries: Some(3),
        });
        insta::assert_snapshot!(text(&config), @r#"{"config":{"Healthcheck":{"Interval":30000000000,"Retries":3,"Test":["CMD","/check"],"Timeout":1500000000}}}"#);
    }

    #[test]
    fn an_empty_list_removes_the_key() {
        let mut config = ImageConfig::parse(br#"{"config":{"Cmd":["sh"]}}"#).unwrap();
        config.set_words("Cmd", Vec::new());
        assert_eq!(text(&config), r#"{"config":{}}"#);
    }
}
