//! The layers of an image that golden has added to its base.

use serde_json::Value;

use super::merged::LayerOwner;
use crate::assemble::OWN_LAYERS;
use crate::oci::ImageConfig;
use crate::render::{INPUTS, steps};

/// The owner of each of `count` layers, by the history in the config. Lower layers without a
/// history belong to the base, because golden adds its layers with their history on top.
#[must_use]
pub fn layer_owners(config: &ImageConfig, count: usize) -> Vec<LayerOwner> {
    let history = config.as_object().get("history").and_then(Value::as_array);
    let with_layer = history
        .into_iter()
        .flatten()
        .filter(|entry| entry.get("empty_layer").and_then(Value::as_bool) != Some(true));
    let is_own = |text: &str| {
        let is_from_golden = config.label(INPUTS).is_some();
        OWN_LAYERS.contains(&text) || (is_from_golden && steps::places_files(text))
    };
    let owners: Vec<LayerOwner> = with_layer
        .map(
            |entry| match entry.get("created_by").and_then(Value::as_str) {
                Some(text) if is_own(text) => LayerOwner::Image,
                _ => LayerOwner::Base,
            },
        )
        .collect();
    let base = |missing| vec![LayerOwner::Base; missing];
    match count.checked_sub(owners.len()) {
        Some(missing) => [base(missing), owners].concat(),
        None => base(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_records_the_layers_of_a_rendered_dockerfile() {
        let history = |labels: &str| {
            let text = format!(
                r#"{{"config": {{"Labels": {{{labels}}}}}, "history": [
                {{"created_by": "ADD rootfs.tar.xz / # buildkit"}},
                {{"created_by": "COPY --chmod=0644 certs/a.crt /usr/local/share/ca-certificates/ # buildkit"}},
                {{"created_by": "RUN /bin/sh -c apt-get install # buildkit"}},
                {{"created_by": "ADD files.tar / # buildkit"}}]}}"#
            );
            ImageConfig::parse(text.as_bytes()).unwrap()
        };
        let (base, image) = (LayerOwner::Base, LayerOwner::Image);
        let own = history(r#""dev.golden.inputs": "x""#);
        assert_eq!(layer_owners(&own, 4), [base, image, base, image]);
        assert_eq!(layer_owners(&history(""), 4), [base; 4]);
    }

    #[test]
    fn the_history_names_the_layers_that_golden_added() {
        let history = serde_json::json!({"history": [
            {"created_by": "/bin/sh -c #(nop) ADD file:x in /"},
            {"created_by": "CMD [\"bash\"]", "empty_layer": true},
            {"created_by": "golden: certificates"},
            {"created_by": "golden: files"},
            {"created_by": "golden: config", "empty_layer": true},
        ]});
        let config = ImageConfig::parse(history.to_string().as_bytes()).unwrap();
        let (base, image) = (LayerOwner::Base, LayerOwner::Image);
        assert_eq!(layer_owners(&config, 3), [base, image, image]);
        assert_eq!(layer_owners(&config, 4), [base, base, image, image]);
        assert_eq!(layer_owners(&config, 2), [base, base]);
        assert_eq!(layer_owners(&ImageConfig::default(), 1), [base]);
    }
}
