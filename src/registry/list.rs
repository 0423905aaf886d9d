//! Paginated lists: the catalog, and the tags of a repository.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::header::{ACCEPT, HeaderMap, LINK};
use reqwest::{Method, Url};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::time::Instant;

use super::auth::AuthScope;
use super::error::{Error, FailureKind};
use super::exchange::{Call, Fetched};
use super::{Registry, Repo};
use crate::reference::{RepositoryPath, Tag};

/// The number of concurrent HEAD requests.
const CONCURRENT_HEADS: usize = 8;

/// The number of entries requested per page; registries may return fewer, or all.
const PAGE: usize = 1000;
/// The largest page in bytes: enough for 100,000 tags of maximum length.
const PAGE_BYTES: usize = 32 * 1024 * 1024;
/// The maximum number of entries of a list.
const MOST_ENTRIES: usize = 1_000_000;
/// The maximum number of pages of a list.
const MOST_PAGES: usize = 4000;
/// The maximum number of consecutive pages without an entry.
const MOST_EMPTY_PAGES: usize = 100;

/// A page of a list: `{"tags": […]}` or `{"repositories": […]}`.
#[derive(Deserialize)]
struct ListPage {
    #[serde(default, alias = "repositories", deserialize_with = "list_or_null")]
    tags: Option<Vec<String>>,
    /// The repository of a list of tags.
    name: Option<Value>,
    /// Some proxies answer 200 with the error of the registry.
    errors: Option<Value>,
}

/// Reads a list; distribution writes `null` for a repository without tags.
fn list_or_null<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or_default()))
}

impl ListPage {
    fn entries(self) -> Result<Vec<String>, String> {
        match self {
            Self {
                errors: Some(errors),
                ..
            } => Err(format!("the list ends in an error: {errors}")),
            Self {
                tags: Some(entries),
                ..
            } => Ok(entries),
            Self {
                tags: None, name, ..
            } if name.is_some() => Ok(Vec::new()),
            Self { .. } => Err("the response is JSON, but not a list".to_owned()),
        }
    }
}

/// Checks the pages of a list as they are read. A list that is, or may be, incomplete is an error:
/// a missing version may be the highest.
pub(super) struct Pages {
    entries: BTreeSet<String>,
    addresses: BTreeSet<Url>,
    empty: usize,
    since: Instant,
    /// The time limit for all pages.
    limit: Duration,
}

impl Pages {
    /// Starts a list that must be complete within `limit`.
    pub(super) fn within(limit: Duration) -> Self {
        Self {
            entries: BTreeSet::new(),
            addresses: BTreeSet::new(),
            empty: 0,
            since: Instant::now(),
            limit,
        }
    }

    /// Requests the next page. Fails also if the list repeats itself, has too many pages, or takes
    /// too long.
    pub(super) async fn fetch(
        &mut self,
        registry: &Registry,
        call: &Call<'_>,
        most: usize,
    ) -> Result<Fetched, Error> {
        let incomplete = |message| call.incomplete(message);
        self.request(&call.url).map_err(incomplete)?;
        let fetching = registry.fetch(call, most);
        match tokio::time::timeout_at(self.since + self.limit, fetching).await {
            Ok(fetched) => fetched,
            Err(_) => Err(incomplete(format!(
                "the list was not complete after {}",
                time(self.limit)
            ))),
        }
    }

    /// Records the URL of the next request. Fails if it was requested before, or after too many
    /// pages.
    fn request(&mut self, url: &Url) -> Result<(), String> {
        if self.addresses.len() >= MOST_PAGES {
            return Err(format!(
                "the list does not end (more than {MOST_PAGES} pages)"
            ));
        }
        if !self.addresses.insert(url.clone()) {
            return Err(
                "the list repeats itself: its last page names an earlier page as the next one"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Adds a page. Returns false if all its entries are on earlier pages. Fails if the list is too
    /// long.
    pub(super) fn add(&mut self, page: Vec<String>) -> Result<bool, String> {
        self.empty = if page.is_empty() { self.empty + 1 } else { 0 };
        if self.empty > MOST_EMPTY_PAGES {
            return Err(format!(
                "the list does not end (more than {MOST_EMPTY_PAGES} empty pages)"
            ));
        }
        let (before, is_empty) = (self.entries.len(), page.is_empty());
        self.entries.extend(page);
        if self.entries.len() > MOST_ENTRIES {
            return Err(format!(
                "the list does not end (more than {MOST_ENTRIES} entries)"
            ));
        }
        Ok(is_empty || self.entries.len() > before)
    }
}

impl Registry {
    /// Every repository of the registry, sorted. Fails if the list is incomplete.
    pub async fn catalog(&self) -> Result<Vec<RepositoryPath>, Error> {
        let found = self.list("/v2/_catalog", AuthScope::catalog()).await?;
        Ok(found.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The entries of all pages of a list.
    async fn list(&self, path: &str, scope: AuthScope) -> Result<BTreeSet<String>, Error> {
        let sized = self.url(&format!("{path}?n={PAGE}"))?;
        match self.pages(sized, scope.clone(), Some(PAGE)).await {
            // The server's page limit is lower than ours (PAGINATION_NUMBER_INVALID).
            Err(error) if error.status == Some(400) => {
                self.pages(self.url(path)?, scope, None).await
            }
            other => other,
        }
    }

    /// Follows the pages of a list. Returns the entries sorted, without duplicates. `size` is the
    /// number of entries that `first` requests.
    async fn pages(
        &self,
        first: Url,
        scope: AuthScope,
        size: Option<usize>,
    ) -> Result<BTreeSet<String>, Error> {
        let mut pages = Pages::within(self.inner.env.retry_policy.list);
        let mut next = Some(first.clone());
        let mut has_next = true;
        while let Some(url) = next {
            let call =
                Call::new(Method::GET, url, scope.clone()).header(ACCEPT, "application/json");
            let incomplete = |message| call.incomplete(message);
            let fetched = match pages.fetch(self, &call, PAGE_BYTES).await {
                Ok(fetched) => fetched,
                Err(error)
                    if call.url != first
                        && matches!(error.status, Some(400 | 404 | 405 | 410 | 416)) =>
                {
                    return Err(incomplete(format!("the list ends in an error: {error}")));
                }
                Err(error) => return Err(error),
            };
            let entries = read(&call, &fetched)?.entries().map_err(incomplete)?;
            let last = entries
                .last()
                .cloned()
                .filter(|_| size.is_some_and(|size| entries.len() >= size));
            let is_new = pages.add(entries).map_err(incomplete)?;
            if !is_new && has_next {
                return Err(incomplete(
                    "the list repeats itself: a page has only entries of earlier pages".to_owned(),
                ));
            }
            next = next_page(&fetched.headers, &fetched.url).map_err(incomplete)?;
            if let Some(next) = &next
                && !self.is_ours(next)?
            {
                return Err(call.malformed("the next page of the list is on another host"));
            }
            has_next = next.is_some();
            // A full page without a Link to the next page may have lost it in a proxy.
            if let (None, Some(last), true) = (&next, last, is_new) {
                let mut url = first.clone();
                url.query_pairs_mut().append_pair("last", &last);
                next = Some(url);
            }
        }
        Ok(pages.entries)
    }
}

impl Repo {
    /// Every tag of a repository, sorted; empty if the repository does not exist. Fails if the list
    /// is incomplete.
    pub async fn tags(&self) -> Result<Vec<Tag>, Error> {
        Ok(self.find_tags().await?.unwrap_or_default())
    }

    /// Like [`Self::tags`], but returns `None` if the registry reports that the repository does not
    /// exist.
    pub async fn find_tags(&self) -> Result<Option<Vec<Tag>>, Error> {
        match self.list_tags().await {
            Ok(tags) => {
                if !tags.is_empty() {
                    self.remember_present();
                }
                Ok(Some(tags))
            }
            Err(error) if error.says_unknown() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Like [`Self::tags`], but also fails if the repository does not exist.
    pub async fn list_tags(&self) -> Result<Vec<Tag>, Error> {
        let path = format!("/v2/{}/tags/list", self.path());
        let tags = self.registry.list(&path, self.scope("pull")).await?;
        Ok(tags.iter().filter_map(|tag| tag.parse().ok()).collect())
    }

    /// Reads the tags of a repository for a decision that compares versions. `probes` are the tags
    /// that the decision is about. If the registry serves one of them but does not list it, the
    /// list is late or incomplete: it is read again until the deadline, and then the call fails.
    pub async fn complete_tags(
        &self,
        probes: impl IntoIterator<Item = &Tag>,
    ) -> Result<Vec<Tag>, Error> {
        let list = self.tags().await?;
        self.complete(list, &probes.into_iter().collect()).await
    }

    /// Reads the tags of a repository again, just before the first write. `own` is the tag that is
    /// written first, and `moving` are the others. If the repository had no tags before and still
    /// has none, only `own` is requested again. Fails as [`Self::complete_tags`] does.
    pub async fn complete_tags_again(
        &self,
        own: &Tag,
        moving: impl IntoIterator<Item = &Tag>,
    ) -> Result<Vec<Tag>, Error> {
        let mut probes: BTreeSet<&Tag> = moving.into_iter().collect();
        probes.insert(own);
        let known = self.known_absent();
        let list = self.tags().await?;
        if list.is_empty() && probes.iter().all(|tag| known.contains(*tag)) {
            probes.retain(|tag| *tag == own);
        }
        self.complete(list, &probes).await
    }

    /// Reads the list again until it contains every tag of `probes` that the registry serves.
    async fn complete(
        &self,
        mut list: Vec<Tag>,
        probes: &BTreeSet<&Tag>,
    ) -> Result<Vec<Tag>, Error> {
        let mut polling = self.registry.polling();
        while let Some(lacking) = self.lacking(&list, probes).await? {
            if !polling.again().await {
                return Err(self.incomplete(&lacking));
            }
            list = self.tags().await?;
        }
        if list.is_empty() {
            self.remember_absent(probes.iter().copied().cloned());
        }
        Ok(list)
    }

    /// The first of `probes` that is not in the list although the registry serves it.
    async fn lacking(&self, list: &[Tag], probes: &BTreeSet<&Tag>) -> Result<Option<Tag>, Error> {
        let listed: BTreeSet<&Tag> = list.iter().collect();
        let heads =
            stream::iter(probes.difference(&listed).copied().cloned()).map(|tag| async move {
                let found = self.head(&tag).await?;
                Ok::<_, Error>(found.map(|_| tag))
            });
        let found: Vec<Option<Tag>> = heads.buffered(CONCURRENT_HEADS).try_collect().await?;
        Ok(found.into_iter().flatten().next())
    }

    /// The error for a list of tags that lacks a tag that the registry serves.
    #[must_use]
    pub fn incomplete(&self, tag: &Tag) -> Error {
        let url = self.shown_url("tags/list");
        let message =
            format!("the list of tags is incomplete: it lacks `{tag}`, which can be read");
        Error::new(FailureKind::Incomplete, "GET", &url, message)
    }
}

/// A time limit with its unit.
fn time(limit: Duration) -> String {
    match (limit.as_secs(), limit.as_secs() % 60) {
        (60.., 0) => format!("{} minutes", limit.as_secs() / 60),
        _ => format!("{} s", limit.as_secs_f32()),
    }
}

/// Parses a page. A captive portal answers 200 with an HTML page.
fn read(call: &Call<'_>, fetched: &Fetched) -> Result<ListPage, Error> {
    serde_json::from_slice(&fetched.body).map_err(|error| {
        let page = fetched.body.trim_ascii_start().starts_with(b"<");
        call.malformed(if page {
            "the response is a web page, not a list".to_owned()
        } else {
            format!("the response is not the JSON of a list: {error}")
        })
    })
}

/// The URL of the next page: `Link: </v2/…?last=x&n=1000>; rel="next"` (RFC 8288).
pub(super) fn next_page(headers: &HeaderMap, base: &Url) -> Result<Option<Url>, String> {
    let links: Vec<String> = headers
        .get_all(LINK)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    let mut links = links.iter().flat_map(|link| split_links(link));
    let next = links.find(|(_, parameters)| {
        let mut relations = parameters
            .split(';')
            .filter_map(|parameter| parameter.trim().split_once('='));
        relations.any(|(key, value)| {
            let words = value.trim().trim_matches('"');
            key.trim().eq_ignore_ascii_case("rel")
                && words
                    .split_whitespace()
                    .any(|word| word.eq_ignore_ascii_case("next"))
        })
    });
    let Some((address, _)) = next else {
        return Ok(None);
    };
    base.join(address)
        .map(Some)
        .map_err(|error| format!("the URL of the next page of the list is invalid: {error}"))
}

/// The URLs and parameters of a Link header. A URL may contain a comma.
fn split_links(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split('<').skip(1);
    parts
        .filter_map(|part| part.split_once('>'))
        .map(|(url, rest)| (url.trim(), rest.trim_end_matches([',', ' '])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_link_header_causes_a_panic(text in "([<>;,= /?\"]|rel|next|https?://|[a-z0-9]|\\PC){0,30}") {
            let base = Url::parse("http://h:5000/v2/a/tags/list?n=2").unwrap();
            let mut headers = HeaderMap::new();
            if let Ok(value) = text.parse() {
                headers.insert(LINK, value);
                drop(next_page(&headers, &base));
            }
        }
    }

    #[test]
    fn links_are_parsed_as_in_rfc_8288() {
        let base = Url::parse("http://h:5000/v2/a/tags/list?n=2").unwrap();
        for (header, expected) in [
            (
                "</v2/a/tags/list?last=b&n=2>; rel=\"next\"",
                Some("http://h:5000/v2/a/tags/list?last=b&n=2"),
            ),
            (
                "<?last=b>;rel=next",
                Some("http://h:5000/v2/a/tags/list?last=b"),
            ),
            (
                "<http://h:5000/x,y>; title=\"t\"; REL=\"prev next\"",
                Some("http://h:5000/x,y"),
            ),
            (
                "</p>; rel=\"prev\", </n>; rel=\"next\"",
                Some("http://h:5000/n"),
            ),
            ("</p>; rel=\"prev\"", None),
            ("nonsense", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, header.parse().unwrap());
            let next = next_page(&headers, &base).unwrap();
            assert_eq!(
                next.map(|url| url.to_string()).as_deref(),
                expected,
                "{header}"
            );
        }
        let mut headers = HeaderMap::new();
        headers.insert(LINK, "<http://[>; rel=next".parse().unwrap());
        assert!(
            next_page(&headers, &base).is_err(),
            "an invalid next URL is not the end of the list"
        );
    }

    #[test]
    fn pages_without_a_new_entry_and_endless_lists_are_detected() {
        let page = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let mut pages = Pages::within(Duration::from_mins(1));
        for (entries, expected) in [
            ("a b", true),
            ("b c", true),
            ("", true),
            ("a c", false),
            ("d", true),
        ] {
            assert_eq!(pages.add(page(entries)), Ok(expected), "{entries}");
        }
        let address = |n: usize| Url::parse(&format!("http://h/v2/a/tags/list?last={n}")).unwrap();
        assert_eq!(pages.request(&address(1)), Ok(()));
        assert!(pages.request(&address(1)).is_err());
        for n in 2..=MOST_PAGES {
            assert_eq!(pages.request(&address(n)), Ok(()));
        }
        assert!(pages.request(&address(MOST_PAGES + 1)).is_err());
        for _ in 0..MOST_EMPTY_PAGES {
            assert_eq!(pages.add(Vec::new()), Ok(true));
        }
        assert!(pages.add(Vec::new()).is_err());
    }

    #[test]
    fn a_page_that_is_not_a_list_is_an_error() {
        let entries = |text: &str| serde_json::from_str::<ListPage>(text).unwrap().entries();
        assert_eq!(entries(r#"{"name":"a","tags":null}"#), Ok(Vec::new()));
        assert_eq!(entries(r#"{"name":"a"}"#), Ok(Vec::new()));
        assert_eq!(
            entries(r#"{"repositories":["a"]}"#),
            Ok(vec!["a".to_owned()])
        );
        assert!(entries("{}").is_err());
        assert!(entries(r#"{"name":"a","tags":["1"],"errors":[{"code":"UNKNOWN"}]}"#).is_err());
    }
}
