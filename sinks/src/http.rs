//! Calls to HTTP backends, and what their answers mean before anyone reads the body.
//!
//! One rule stands above the others: a mistake of ours, such as a wrong URL or an expired token,
//! must not turn records into dead letters. So only the statuses that speak about content refuse
//! it; everything else is trouble with the backend, and is waited for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, StatusCode, Url, redirect};
use serde::Deserialize;
use tillrace_core::text::Timestamp;

use crate::connector::{CallError, Verdict};
use crate::dead::cut;
use crate::secret::Secret;

/// The header that makes a repeated call the same call (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const LARGEST_REPLY_BYTES: usize = 8 * 1_024 * 1_024;
/// How much of a refusal goes into logs and dead letters, in characters.
const LONGEST_DETAIL: usize = 400;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Where a backend is, and how to be let in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendSettings {
    /// URL that calls are posted to.
    pub url: String,
    /// Bearer token, as `env:NAME`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// PEM file with certificate authorities to trust beside the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Longest that one call may take.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    pub timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

/// Why the client of a backend cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The token still is the name of a variable, or cannot stand in a header.
    #[error("the token cannot be sent: name a variable that is set and holds one line of text")]
    Token,
    /// The URL is none.
    #[error("the URL cannot be read")]
    Url,
    /// The file of certificate authorities cannot be read.
    #[error("read {path}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The client refuses the certificates, or TLS is unusable.
    #[error("make an HTTP client")]
    Client(#[from] reqwest::Error),
}

/// A client of one backend.
#[derive(Debug)]
pub(crate) struct Backend {
    client: Client,
    url: Url,
}

/// An answer that says something about the content.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl BackendSettings {
    /// Makes settings with the defaults.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), token: None, ca_file: None, timeout: default_timeout() }
    }

    pub(crate) fn validate(&self) -> Result<(), (&'static str, &'static str)> {
        let url = Url::parse(&self.url).ok();
        if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return Err(("to.backend.url", "use http://… or https://…"));
        }
        if self.timeout.is_zero() {
            return Err(("to.backend.timeout", "use more than zero"));
        }
        Ok(())
    }
}

impl Reply {
    /// Reads the status of a call that carried one item. 424: what it refers to is not there yet.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.status == StatusCode::FAILED_DEPENDENCY.as_u16() {
            Verdict::DependencyMissing
        } else {
            Verdict::Delivered
        }
    }
}

impl Backend {
    pub(crate) fn new(settings: &BackendSettings) -> Result<Self, BackendError> {
        let url = Url::parse(&settings.url).map_err(|_unreadable| BackendError::Url)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &settings.token {
            if token.is_unresolved() {
                return Err(BackendError::Token);
            }
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_not_a_header| BackendError::Token)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = Client::builder()
            .default_headers(headers)
            .timeout(settings.timeout)
            // A redirected POST may lose its body or its token: it is an error to look at.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("tillrace/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &settings.ca_file {
            let pem = std::fs::read(path)
                .map_err(|source| BackendError::CaFile { path: path.clone(), source })?;
            for certificate in Certificate::from_pem_bundle(&pem)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Self { client: builder.build()?, url })
    }

    /// Posts JSON under an idempotency key.
    pub(crate) async fn post(&self, body: Vec<u8>, key: &str) -> Result<Reply, CallError> {
        let request = self.client.post(self.url.clone()).header(IDEMPOTENCY_KEY, key).body(body);
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let after = response.headers().get(RETRY_AFTER).and_then(retry_after);
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST_REPLY_BYTES {
                return Err(trouble("reply_too_large", status, None));
            }
            body.extend_from_slice(&chunk);
        }
        judge(status, after, body.freeze())
    }
}

fn judge(status: StatusCode, after: Option<Duration>, body: Bytes) -> Result<Reply, CallError> {
    match status {
        status if status.is_success() => Ok(Reply { status: status.as_u16(), body }),
        StatusCode::FAILED_DEPENDENCY => Ok(Reply { status: status.as_u16(), body }),
        StatusCode::TOO_MANY_REQUESTS => Err(CallError::Throttled { after }),
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => {
            let detail = cut(&String::from_utf8_lossy(&body), LONGEST_DETAIL).to_owned();
            Err(CallError::Refused { status: status.as_u16(), detail })
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(trouble("not_let_in", status, after))
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            Err(trouble("wrong_url", status, after))
        }
        status if status.is_server_error() => Err(trouble("server_error", status, after)),
        status => Err(trouble("unexpected_status", status, after)),
    }
}

fn trouble(code: &'static str, status: StatusCode, after: Option<Duration>) -> CallError {
    CallError::Unavailable { code, status: Some(status.as_u16()), after, source: None }
}

fn unreachable(error: reqwest::Error) -> CallError {
    let code = if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else {
        "transport"
    };
    let source = Some(Arc::new(error.without_url()) as _);
    CallError::Unavailable { code, status: None, after: None, source }
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3) counted from now.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = http_date(text)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(at.saturating_sub(now))
}

/// Reads an IMF-fixdate (RFC 9110, section 5.6.7), the one form that senders may generate.
fn http_date(text: &str) -> Option<Duration> {
    let (_, text) = text.split_once(", ")?;
    let [day, month, year, time, "GMT"] = text.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let month = 1 + MONTHS.iter().position(|name| *name == month)?;
    let time = Timestamp::parse(format!("{year}-{month:02}-{day}T{time}Z").as_bytes())?;
    Some(Duration::from_micros(u64::try_from(time.micros).ok()?))
}

#[cfg(test)]
mod tests;
