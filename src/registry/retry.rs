//! How often and when something is tried again.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

use super::env::RetryPolicy;
use super::error::{Error, FailureKind};

/// The attempts of one request.
pub(super) struct Attempts {
    retry_policy: RetryPolicy,
    made: u32,
    waited: Duration,
}

/// All pauses of a request together.
const LONGEST: Duration = Duration::from_mins(3);

impl Attempts {
    pub(super) const fn new(retry_policy: RetryPolicy) -> Self {
        Self {
            retry_policy,
            made: 0,
            waited: Duration::ZERO,
        }
    }

    /// Something moved: what failed before does not count any more.
    pub(super) const fn progressed(&mut self) {
        self.made = 0;
    }

    /// Waits before the next attempt, or gives the error back when there is to be none.
    pub(super) async fn again(&mut self, mut error: Error) -> Result<(), Error> {
        self.made += 1;
        // A name or a port that nobody answers at rarely changes within seconds.
        let most = if error.kind == FailureKind::Connect {
            self.retry_policy.attempts.min(4)
        } else {
            self.retry_policy.attempts
        };
        if !error.is_transient() || self.made >= most {
            error.exhausted |= self.made > 1;
            return Err(error);
        }
        let pause = match error.retry_after {
            Some(wanted) if wanted > self.retry_policy.longest_pause => {
                error.message = format!(
                    "{}; the registry asks to wait {} s",
                    error.message,
                    wanted.as_secs()
                );
                error.exhausted = true;
                return Err(error);
            }
            // Some servers say 0 at once and always.
            Some(wanted) => wanted.max(self.retry_policy.pause),
            None => self.backoff(),
        };
        if self.waited + pause > LONGEST {
            error.exhausted = true;
            return Err(error);
        }
        self.waited += pause;
        let ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(method = error.method, url = error.url, because = %error.message, ms, "trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Exponential with full jitter: many clients that failed together do not come back together.
    fn backoff(&self) -> Duration {
        let doubled = self
            .retry_policy
            .pause
            .saturating_mul(1 << (self.made - 1).min(10));
        doubled
            .min(self.retry_policy.longest_pause)
            .mul_f64(fastrand::f64())
    }
}

/// `Retry-After`, in seconds or as a date; a date is read against the server's own clock.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |value: &HeaderValue| value.to_str().map(|text| text.trim().to_owned()).ok();
    let wanted = headers.get(RETRY_AFTER).and_then(text)?;
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(&wanted).ok()?;
    let server = headers
        .get(DATE)
        .and_then(text)
        .and_then(|date| httpdate::parse_http_date(&date).ok());
    let now = server.unwrap_or_else(here);
    Some(until.duration_since(now).unwrap_or_default())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a server that tells no date leaves only this clock; a pause is all that depends on it"
)]
fn here() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (value, seconds) in [
            ("3", Some(3)),
            (" 0 ", Some(0)),
            ("Wed, 25 Nov 2026 10:00:07 GMT", Some(7)),
            ("Wed, 25 Nov 2026 09:00:00 GMT", Some(0)),
            ("1.889377ms", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            headers.insert(
                DATE,
                HeaderValue::from_static("Wed, 25 Nov 2026 10:00:00 GMT"),
            );
            assert_eq!(
                retry_after(&headers),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
    }

    #[tokio::test]
    async fn what_patience_ended_for_below_is_not_begun_anew_above() {
        let mut error = Error::new(
            FailureKind::Broken,
            "GET",
            "https://token.example.com/",
            "gone",
        );
        error.exhausted = true;
        let back = Attempts::new(RetryPolicy::default())
            .again(error)
            .await
            .unwrap_err();
        assert!(back.exhausted && !back.is_transient());
    }
}
