//! Suggestions for misspelt words ("did you mean …?").

/// The candidate most similar to `word`; `None` if no candidate is similar enough to suggest.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The `count` candidates most similar to `word`, most similar first.
#[must_use]
pub fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    count: usize,
) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let mut sorted: Vec<&str> = candidates.into_iter().collect();
    sorted.sort_by_cached_key(|candidate| {
        strsim::damerau_levenshtein(&word, &candidate.to_lowercase())
    });
    sorted.truncate(count);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_words_are_suggested() {
        let known = ["labels", "env", "config", "version"];
        assert_eq!(closest("lables", known), Some("labels"));
        assert_eq!(closest("Version", known), Some("version"));
        assert_eq!(closest("healthcheck", known), None);
        assert_eq!(nearest("end", known, 2), ["env", "labels"]);
    }
}
