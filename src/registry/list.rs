//! Lists: the catalog and the tags of a repository, all their pages.

use std::collections::BTreeSet;

use reqwest::header::{ACCEPT, HeaderMap, LINK};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Registry;
use super::auth::Need;
use super::error::Error;
use super::exchange::{Call, Fetched};
use crate::reference::{RepositoryPath, Tag};

/// How many entries a page is asked for; registries give fewer, or all.
const PAGE: usize = 1000;
/// A page may be this large: 100,000 of the longest tags at once.
const PAGE_BYTES: usize = 32 * 1024 * 1024;
/// More entries than this are no list that anybody meant.
const MOST: usize = 1_000_000;

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Repositories {
    repositories: Option<Vec<String>>,
}

impl Registry {
    /// `GET /v2/`: whether the registry answers and takes the credentials.
    pub async fn ping(&self) -> Result<(), Error> {
        let call = Call::new(Method::GET, self.url("/v2/")?, Need::default());
        let fetched = self.fetch(&call, PAGE_BYTES).await?;
        let html = fetched.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        if html { Err(call.malformed("the answer is a web page")) } else { Ok(()) }
    }

    /// Every repository, sorted, all pages.
    pub async fn catalog(&self) -> Result<Vec<RepositoryPath>, Error> {
        let url = self.url(&format!("/v2/_catalog?n={PAGE}"))?;
        let entries = |page: Repositories| page.repositories.unwrap_or_default();
        let found = match self.pages(url, Need::catalog(), entries).await {
            // The server's own limit is below ours (PAGINATION_NUMBER_INVALID).
            Err(error) if error.status == Some(400) => {
                self.pages(self.url("/v2/_catalog")?, Need::catalog(), entries).await?
            }
            other => other?,
        };
        Ok(found.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Every tag of a repository, sorted, all pages. A repository that does not exist has none.
    pub async fn tags(&self, repository: &RepositoryPath) -> Result<Vec<Tag>, Error> {
        let path = format!("/v2/{repository}/tags/list");
        let need = Need::repository(repository, "pull");
        let entries = |page: Tags| page.tags.unwrap_or_default();
        let mut found = self.pages(self.url(&format!("{path}?n={PAGE}"))?, need.clone(), entries).await;
        if found.as_ref().is_err_and(|error| error.status == Some(400)) {
            found = self.pages(self.url(&path)?, need, entries).await;
        }
        match found {
            Ok(tags) => Ok(tags.iter().filter_map(|tag| tag.parse().ok()).collect()),
            Err(error) if error.says_unknown() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Follows the pages of a list, and gives its entries sorted and once each.
    async fn pages<P: DeserializeOwned>(
        &self,
        first: Url,
        need: Need,
        entries: impl Fn(P) -> Vec<String>,
    ) -> Result<BTreeSet<String>, Error> {
        let mut all = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut next = Some(first);
        while let Some(url) = next {
            if !seen.insert(url.clone()) {
                break;
            }
            let call = Call::new(Method::GET, url, need.clone()).header(ACCEPT, "application/json");
            let fetched = self.fetch(&call, PAGE_BYTES).await?;
            all.extend(entries(read(&call, &fetched)?));
            if all.len() > MOST || seen.len() > MOST / 10 {
                return Err(call.malformed(format!("the list does not end (more than {MOST} entries)")));
            }
            next = next_page(&fetched.headers, &fetched.url);
            if let Some(next) = &next
                && !self.is_ours(next)?
            {
                return Err(call.malformed("the next page of the list is on another host"));
            }
        }
        Ok(all)
    }
}

/// Reads a page. A captive portal answers 200 with a web page.
fn read<P: DeserializeOwned>(call: &Call<'_>, fetched: &Fetched) -> Result<P, Error> {
    serde_json::from_slice(&fetched.body).map_err(|error| {
        let page = fetched.body.trim_ascii_start().starts_with(b"<");
        call.malformed(if page {
            "the answer is a web page, not a list".to_owned()
        } else {
            format!("the answer is not the JSON of a list: {error}")
        })
    })
}

/// The address of the next page: `Link: </v2/…?last=x&n=1000>; rel="next"` (RFC 8288).
fn next_page(headers: &HeaderMap, base: &Url) -> Option<Url> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let mut links = links.flat_map(split_links);
    let next = links.find(|(_, parameters)| {
        let mut relations = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
        relations.any(|(key, value)| {
            let words = value.trim().trim_matches('"');
            key.trim().eq_ignore_ascii_case("rel")
                && words.split_whitespace().any(|word| word.eq_ignore_ascii_case("next"))
        })
    })?;
    base.join(next.0).ok()
}

/// Addresses and parameters of a Link header. A comma may stand within an address.
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
        fn any_link_header_is_read_to_its_end(text in "([<>;,= /?\"]|rel|next|https?://|[a-z0-9]|\\PC){0,30}") {
            let base = Url::parse("http://h:5000/v2/a/tags/list?n=2").unwrap();
            let mut headers = HeaderMap::new();
            if let Ok(value) = text.parse() {
                headers.insert(LINK, value);
                drop(next_page(&headers, &base));
            }
        }
    }

    #[test]
    fn links_are_read_as_rfc_8288_has_them() {
        let base = Url::parse("http://h:5000/v2/a/tags/list?n=2").unwrap();
        for (header, expected) in [
            ("</v2/a/tags/list?last=b&n=2>; rel=\"next\"", Some("http://h:5000/v2/a/tags/list?last=b&n=2")),
            ("<?last=b>;rel=next", Some("http://h:5000/v2/a/tags/list?last=b")),
            ("<http://h:5000/x,y>; title=\"t\"; REL=\"prev next\"", Some("http://h:5000/x,y")),
            ("</p>; rel=\"prev\", </n>; rel=\"next\"", Some("http://h:5000/n")),
            ("</p>; rel=\"prev\"", None),
            ("nonsense", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, header.parse().unwrap());
            assert_eq!(
                next_page(&headers, &base).map(|url| url.to_string()).as_deref(),
                expected,
                "{header}"
            );
        }
    }
}
