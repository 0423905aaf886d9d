//! Lists tags and repositories in pages (OCI distribution spec, "Listing tags"; `_catalog` is part
//! of Docker's API).

use hyper::StatusCode;
use hyper::header::LINK;
use serde_json::{Value, json};

use super::answer::{Answer, RequestRefusal, document, set};
use super::query::Query;
use super::store::Store;
use crate::reference::RepositoryPath;

/// `GET /v2/NAME/tags/list`
pub(super) fn tags(
    store: &Store,
    repository: &RepositoryPath,
    query: &Query,
) -> Result<Answer, RequestRefusal> {
    let names = store.read(|index| {
        let tags = index
            .repository(repository)
            .map(|contents| contents.tags.keys());
        let tags = tags.map(|tags| tags.map(ToString::to_string).collect::<Vec<_>>());
        tags.or_else(|| index.knows(repository).then(Vec::new))
    })?;
    let Some(names) = names else {
        return Err(RequestRefusal::new(
            StatusCode::NOT_FOUND,
            "NAME_UNKNOWN",
            "repository unknown to the registry",
        ));
    };
    let none_left = names.is_empty();
    let (page, link) = page(names, &format!("/v2/{repository}/tags/list"), query)?;
    // Docker's registry answers with null if a repository has no tags left.
    let tags = if none_left { Value::Null } else { json!(page) };
    Ok(linked(&json!({ "name": repository, "tags": tags }), link))
}

/// `GET /v2/_catalog`
pub(super) fn catalog(store: &Store, query: &Query) -> Result<Answer, RequestRefusal> {
    let names = store.read(|index| index.names().into_iter().map(ToString::to_string).collect())?;
    let (page, link) = page(names, "/v2/_catalog", query)?;
    Ok(linked(&json!({ "repositories": page }), link))
}

fn linked(value: &Value, link: Option<String>) -> Answer {
    let mut answer = document(value);
    if let Some(link) = link {
        set(&mut answer, LINK, link);
    }
    answer
}

/// The names after `last`, at most `n`, and the link to the next page. The spec requires "lexical
/// order"; its conformance suite ignores case.
fn page(
    mut names: Vec<String>,
    path: &str,
    query: &Query,
) -> Result<(Vec<String>, Option<String>), RequestRefusal> {
    let key = |name: &str| (name.to_ascii_lowercase(), name.to_owned());
    names.sort_by_key(|name| key(name));
    if let Some(last) = query.get("last") {
        names.retain(|name| key(name) > key(last));
    }
    let Some(count) = query.get("n") else {
        return Ok((names, None));
    };
    let count: usize = count.parse().map_err(|_| {
        RequestRefusal::new(
            StatusCode::BAD_REQUEST,
            "PAGINATION_NUMBER_INVALID",
            "the parameter n is not a number",
        )
    })?;
    let more = names.len() > count && count > 0;
    names.truncate(count);
    let link = names
        .last()
        .filter(|_| more)
        .map(|last| format!("<{path}?n={count}&last={last}>; rel=\"next\""));
    Ok((names, link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_into_pages() {
        let names = || ["b", "A", "c", "B"].map(str::to_owned).to_vec();
        for (query, expected, link) in [
            ("", "A B b c", None),
            ("n=2", "A B", Some("</p?n=2&last=B>; rel=\"next\"")),
            ("n=2&last=B", "b c", None),
            ("n=4", "A B b c", None),
            ("n=0", "", None),
            ("last=b", "c", None),
            ("last=zzz", "", None),
        ] {
            let (page, found) = page(names(), "/p", &Query::parse(query)).unwrap();
            assert_eq!(
                (page.join(" ").as_str(), found.as_deref()),
                (expected, link),
                "{query}"
            );
        }
        assert!(page(names(), "/p", &Query::parse("n=x")).is_err());
    }
}
