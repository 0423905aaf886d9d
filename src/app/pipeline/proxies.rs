//! Docker's predefined proxy build arguments. The steps of a build receive them, but they are not
//! part of the image's history or inputs.

use std::collections::BTreeMap;

use serde_json::Value;

/// The variables, and their keys in `proxies.default` of Docker's config.json.
const VARIABLES: [(&str, &str); 5] = [
    ("HTTP_PROXY", "httpProxy"),
    ("HTTPS_PROXY", "httpsProxy"),
    ("FTP_PROXY", "ftpProxy"),
    ("NO_PROXY", "noProxy"),
    ("ALL_PROXY", "allProxy"),
];

/// The build arguments, in upper and lower case. The environment overrides Docker's `config.json`.
#[must_use]
pub fn build_args(
    env: &BTreeMap<String, String>,
    config: Option<&Value>,
) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    for (upper, key) in VARIABLES {
        let lower = upper.to_lowercase();
        let configured = || {
            config?
                .get("proxies")?
                .get("default")?
                .get(key)?
                .as_str()
                .map(str::to_owned)
        };
        let variable = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        if let Some(value) = variable(upper)
            .or_else(|| variable(&lower))
            .or_else(configured)
        {
            args.insert(upper.to_owned(), value.clone());
            args.insert(lower, value);
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_overrides_the_config() {
        let env = BTreeMap::from([("https_proxy".to_owned(), "http://a:1".to_owned())]);
        let config = serde_json::json!({"proxies": {"default": {"httpsProxy": "http://b:2", "noProxy": "x"}}});
        let args = build_args(&env, Some(&config));
        let pairs: Vec<String> = args
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(
            pairs,
            [
                "HTTPS_PROXY=http://a:1",
                "NO_PROXY=x",
                "https_proxy=http://a:1",
                "no_proxy=x"
            ]
        );
        assert!(build_args(&BTreeMap::new(), None).is_empty());
    }
}
