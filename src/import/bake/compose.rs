//! Compose files (<https://docs.docker.com/reference/compose-file/build/>): each service with a
//! `build` is a target.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::file::BakeError;
use super::target::BakeTarget;
use super::yaml;
use crate::dockerfile::{Scope, ScopeValue as Text, expand};

/// The keys of `build` with other names than in a bake file.
const NAMES: [(&str, &str); 6] = [
    ("dockerfile_inline", "dockerfile-inline"),
    ("additional_contexts", "contexts"),
    ("cache_from", "cache-from"),
    ("cache_to", "cache-to"),
    ("no_cache", "no-cache"),
    ("secrets", "secret"),
];

/// Reads the services of a Compose file. `set` are the variables that `${…}` refers to.
pub fn parse_compose(
    text: &str,
    set: &BTreeMap<String, String>,
) -> Result<Vec<BakeTarget>, BakeError> {
    let document = yaml::parse(text).map_err(BakeError::Yaml)?;
    let mut scope = Scope::default();
    for (name, value) in set {
        let set = scope.set(name.clone(), Text::text(value));
        set.map_err(|error| BakeError::Yaml(error.to_string()))?;
    }
    let document = interpolated(document, &scope).map_err(BakeError::Yaml)?;
    let services = document["services"].as_object().into_iter().flatten();
    let targets: Vec<BakeTarget> = services
        .filter_map(|(name, service)| target(name, service))
        .collect();
    if targets.is_empty() {
        return Err(BakeError::NoTarget);
    }
    Ok(targets)
}

/// The value with the variables in its strings evaluated.
fn interpolated(value: Value, scope: &Scope) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) if text.contains('$') => {
            let text = text.replace('\\', "\\\\").replace("$$", "\\$");
            let value = expand::here_document(&text, '\\', scope);
            let value = value.map_err(|error| error.to_string())?;
            Value::String(value.known().map_err(str::to_owned)?)
        }
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| interpolated(item, scope))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .map(|(key, value)| Ok((key, interpolated(value, scope)?)))
                .collect::<Result<_, String>>()?,
        ),
        other => other,
    })
}

/// The target of a service; `None` if it builds nothing.
fn target(name: &str, service: &Value) -> Option<BakeTarget> {
    let build = match service.get("build")? {
        Value::Null => return None,
        Value::String(context) => {
            Map::from_iter([("context".to_owned(), Value::String(context.clone()))])
        }
        other => other.as_object()?.clone(),
    };
    let mut target = BakeTarget {
        name: name.to_owned(),
        ..BakeTarget::default()
    };
    for (key, value) in build {
        let renamed = NAMES.iter().find(|(name, _)| *name == key);
        let key = renamed.map_or(key.as_str(), |(_, name)| name);
        let is_map = ["args", "labels", "contexts"].contains(&key);
        target.set(key, &if is_map { pairs(value) } else { value });
    }
    if let Some(image) = service["image"].as_str() {
        target.tags.insert(0, image.to_owned());
    }
    if let Some(platform) = service["platform"]
        .as_str()
        .filter(|_| target.platforms.is_empty())
    {
        target.platforms.push(platform.to_owned());
    }
    // A service names another one with this prefix.
    for context in target.contexts.values_mut() {
        if let Some(other) = context.strip_prefix("service:") {
            *context = format!("target:{other}");
        }
    }
    Some(target)
}

/// The object of a map, which may be written as a list of `KEY=VALUE`.
fn pairs(value: Value) -> Value {
    let Value::Array(items) = value else {
        return value;
    };
    let pair = |item: &Value| {
        let text = item.as_str()?;
        Some(match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Value::String(value.to_owned())),
            None => (text.to_owned(), Value::Null),
        })
    };
    Value::Object(items.iter().filter_map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_with_a_build_are_targets() {
        let text = "
x-common: &common
  args: [A=b, PASSED]
services:
  app:
    image: registry.example.com/app:${TAG:-1.0.0}
    build:
      <<: *common
      context: ./app
      dockerfile: Dockerfile.app
      labels:
        team: a
        price: $$5
      additional_contexts:
        base: service:base
      shm_size: 1g
  base:
    build: ./base
    platform: linux/arm64
  database:
    image: postgres
";
        let targets = parse_compose(text, &BTreeMap::new()).unwrap();
        insta::assert_debug_snapshot!(targets);
        let none = parse_compose("services: {}\n", &BTreeMap::new());
        assert_eq!(none, Err(BakeError::NoTarget));
    }
}
