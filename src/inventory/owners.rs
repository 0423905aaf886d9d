//! The layers of an image that golden has added to its base.

use serde_json::Value;

use super::merged::LayerOwner;
use crate::assemble::{CONFIG, OWN_LAYERS};
use crate::oci::ImageConfig;
use crate::render::{INPUTS, steps};

/// An entry in the history of an image.
struct HistoryStep<'h> {
    text: &'h str,
    has_layer: bool,
    /// True if golden placed the files or certificates of a spec with it.
    is_placed: bool,
}

impl<'h> HistoryStep<'h> {
    /// Reads an entry. `is_from_golden` is true if golden made the image.
    fn of(entry: &'h Value, is_from_golden: bool) -> Self {
        let text = entry.get("created_by").and_then(Value::as_str);
        let text = text.unwrap_or_default();
        Self {
            text,
            has_layer: entry.get("empty_layer").and_then(Value::as_bool) != Some(true),
            is_placed: OWN_LAYERS.contains(&text) || (is_from_golden && steps::places_files(text)),
        }
    }
}

/// The owner of each of `count` layers, by the history in the config. Lower layers without a
/// history belong to the base, because golden adds its layers with their history on top. The layers
/// of a base that golden built belong to the base.
#[must_use]
pub fn layer_owners(config: &ImageConfig, count: usize) -> Vec<LayerOwner> {
    let history = config.as_object().get("history").and_then(Value::as_array);
    let is_from_golden = config.label(INPUTS).is_some();
    let steps: Vec<HistoryStep<'_>> = history
        .into_iter()
        .flatten()
        .map(|entry| HistoryStep::of(entry, is_from_golden))
        .collect();
    let start = own_start(&steps);
    let owner = |(position, step): (usize, &HistoryStep<'_>)| {
        step.has_layer
            .then_some(if step.is_placed && position >= start {
                LayerOwner::Image
            } else {
                LayerOwner::Base
            })
    };
    let owners: Vec<LayerOwner> = steps.iter().enumerate().filter_map(owner).collect();
    let base = |missing| vec![LayerOwner::Base; missing];
    match count.checked_sub(owners.len()) {
        Some(missing) => [base(missing), owners].concat(),
        None => base(count),
    }
}

/// The position of the first step of the image itself. Each build by golden ends with an entry of
/// its own if golden assembled the image, and with the labels if an engine built it. The built-in
/// templates place no layer after the labels, so a layer above the last end is not of its build.
fn own_start(steps: &[HistoryStep<'_>]) -> usize {
    let is_end = |position: usize| {
        let next = steps.get(position + 1).and_then(|next| label(next.text));
        match label(steps[position].text) {
            // One build writes its labels in the order of their keys.
            Some(key) => next.is_none_or(|next| next <= key),
            None => steps[position].text == CONFIG,
        }
    };
    let ends: Vec<usize> = (0..steps.len())
        .filter(|position| is_end(*position))
        .collect();
    let Some((last, earlier)) = ends.split_last() else {
        return 0;
    };
    let above = &steps[last + 1..];
    let is_of_base = above.iter().any(|step| step.has_layer)
        || (steps[*last].text == CONFIG && !above.is_empty());
    if is_of_base {
        last + 1
    } else {
        earlier.last().map_or(0, |end| end + 1)
    }
}

/// The key of a `LABEL` instruction.
fn label(step: &str) -> Option<&str> {
    step.strip_prefix("LABEL ")?.split('=').next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    #[test]
    fn the_layers_of_a_base_that_golden_built_belong_to_the_base() {
        let (base, image) = (LayerOwner::Base, LayerOwner::Image);
        let assembled = ["golden: certificates", "golden: files", "- golden: config"];
        let bare = ["- golden: config"];
        let built = [
            "RUN /bin/sh -ec apt # buildkit",
            "COPY --chmod=0644 files/a /a # buildkit",
            "- LABEL a=1",
            "- LABEL b=1",
        ];
        let labelled = ["- LABEL a=2", "- LABEL b=2"];
        let cmd = ["- CMD [\"a\"]"];
        let foreign = ["COPY app /app # buildkit"];
        for (builds, expected) in [
            (
                vec![&assembled[..], &assembled],
                vec![base, base, image, image],
            ),
            (vec![&assembled, &bare], vec![base, base]),
            (
                vec![&assembled, &built, &cmd],
                vec![base, base, base, image],
            ),
            (vec![&assembled, &labelled], vec![base, base]),
            (vec![&assembled, &foreign], vec![base; 3]),
            (vec![&built, &foreign], vec![base; 3]),
            (vec![&built, &cmd, &foreign, &cmd], vec![base; 3]),
            (vec![&built, &assembled], vec![base, base, image, image]),
            (
                vec![&built, &cmd, &built, &cmd],
                vec![base, base, base, image],
            ),
            (vec![&built, &labelled, &cmd], vec![base, base]),
            (vec![&built, &built[..2]], vec![base, base, base, image]),
            (vec![&built, &bare], vec![base, base]),
        ] {
            let entries = builds.concat();
            let entries = entries.iter().map(|text| match text.strip_prefix("- ") {
                Some(text) => json!({ "created_by": text, "empty_layer": true }),
                None => json!({ "created_by": text }),
            });
            let config = json!({
                "config": { "Labels": { INPUTS: "x" } },
                "history": entries.collect::<Vec<_>>(),
            });
            let config = ImageConfig::parse(config.to_string().as_bytes()).unwrap();
            let owners = layer_owners(&config, expected.len());
            assert_eq!(owners, expected, "{builds:?}");
        }
    }
}
