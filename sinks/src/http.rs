//! Calls to HTTP backends, and the meaning of their statuses.
//!
//! One rule comes first: a mistake of configuration, such as a wrong URL or an expired token, must
//! not turn records into dead letters. So only statuses about the content refuse it; every other
//! error is an outage of the backend, and is retried.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, StatusCode, Url, redirect};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tillrace_log::explain;
use tillrace_log::setting::{DurationText, Inspection, Secret};

use crate::connector::{CallError, MAX_RETRY_AFTER, RecordOutcome};
use crate::dead_letter::truncate;
use crate::failure::FailureCode;
use crate::flow::LONGEST_SETTING;

/// The header that makes a repeated call the same call (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const MAX_REPLY_BYTES: usize = 8 * 1_024 * 1_024;
/// Longest part of a refusal that goes into logs and dead letters, in characters.
const MAX_DETAIL_CHARS: usize = 400;
/// Longest time to connect, so that a host that is down is distinguished from a slow one.
const MAX_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// URL and credentials of a backend.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendSettings {
    /// URL that calls are posted to.
    pub url: String,
    /// Bearer token, as `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// PEM file with certificate authorities to trust beside the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Longest that one call may take.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

/// Why the client of a backend cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The token is still the name of a variable, or is not valid in a header.
    #[error("token cannot be sent: name a variable that is set and holds one line of text")]
    Token,
    /// The URL is invalid.
    #[error("URL is invalid: use http://… or https://…")]
    Url,
    /// A secret that signs webhooks is still the name of a variable, or does not have the standard's form.
    #[error("secret cannot sign: use `whsec_` and 24 to 64 bytes in base64")]
    SigningSecret,
    /// The file of certificate authorities cannot be read.
    #[error("failed to read the certificate authorities in {path}; name a PEM file as `ca_file`")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The client refuses the certificates, or TLS is unusable.
    #[error("failed to create an HTTP client; check that `ca_file` holds certificates in PEM")]
    Client(#[from] reqwest::Error),
}

explain!(BackendError {
    Token: "backend_token",
        "The token of a sink cannot be sent in a header: it is empty, holds a line break, or is still the name of a variable.",
        "Name a variable or file as the sink's `token` that holds one line of text.";
    Url: "backend_url",
        "The `url` of a sink is not a URL.",
        "Write it with its scheme, host and path: `https://erp.example/documents`.";
    SigningSecret: "webhook_secret",
        "A secret that signs webhooks is not `whsec_` and 24 to 64 bytes in base64, or is still the name of a variable.",
        "Make one with `echo whsec_$(openssl rand -base64 32)`, give it to the receiver, and name its variable or file.";
    CaFile: "backend_ca_file",
        "The file of certificate authorities that a sink names cannot be read.",
        "Put a PEM file there and let this process's user read it, or correct the sink's `ca_file`.";
    Client: "backend_client",
        "The client of a sink's backend cannot be created: `ca_file` holds no certificates, or TLS cannot be used on this machine.",
        "Check that the sink's `ca_file` holds certificates in PEM.";
});

/// A client of one backend.
#[derive(Debug)]
pub(crate) struct Backend {
    client: Client,
    url: Url,
}

/// A reply whose status is about the content.
#[derive(Debug)]
pub(crate) struct HttpReply {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    /// Whether its `Content-Type` is `application/json` or ends in `+json`.
    is_json: bool,
}

impl BackendSettings {
    /// Makes settings with the defaults.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), token: None, ca_file: None, timeout: default_timeout() }
    }

    pub(crate) fn secrets(&mut self) -> Vec<(String, &mut Secret)> {
        self.token.iter_mut().map(|token| ("backend.token".to_owned(), token)).collect()
    }

    /// Reports invalid settings.
    pub(crate) fn inspect(&self, found: &mut Inspection) {
        let url = Url::parse(&self.url).ok();
        found.require(
            url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()),
            "url",
            "is not an HTTP URL",
            "use http://… or https://…",
        );
        found.range("timeout", self.timeout, Duration::from_millis(1)..=LONGEST_SETTING);
        if let Some(token) = &self.token {
            found.secret("token", token);
            found.require(
                token.expose().is_ascii(),
                "token",
                "holds non-ASCII characters, which no header can",
                "issue another token",
            );
        }
        if let Some(path) = &self.ca_file {
            inspect_ca_file(path, found);
        }
    }
}

/// Reports a file of certificate authorities that would prevent the start.
fn inspect_ca_file(path: &Path, found: &mut Inspection) {
    let fault = match std::fs::read(path) {
        Err(error) => format!("cannot read {}: {error}", path.display()),
        Ok(pem) => match Certificate::from_pem_bundle(&pem) {
            Ok(certificates) if !certificates.is_empty() => return,
            _ => format!("{} holds no certificate in PEM", path.display()),
        },
    };
    found.error("ca_file", fault, "name a readable PEM file, or remove it to trust the system's");
}

impl HttpReply {
    /// Returns the outcome of a call with one item. 424 means that the item's dependency is missing.
    ///
    /// A success has no body, or any JSON: login pages of proxies come with status 200 too.
    pub(crate) fn outcome(&self) -> Result<RecordOutcome, CallError> {
        if self.status == StatusCode::FAILED_DEPENDENCY.as_u16() {
            return Ok(RecordOutcome::DependencyMissing);
        }
        let json = || self.is_json && serde_json::from_slice::<IgnoredAny>(&self.body).is_ok();
        if self.body.is_empty() || json() {
            return Ok(RecordOutcome::Delivered);
        }
        let (code, status) = (FailureCode::UnexpectedContent, Some(self.status));
        Err(CallError::Unavailable { code, status, after: None, source: None })
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
            .connect_timeout(MAX_CONNECT_TIMEOUT.min(settings.timeout / 2))
            // A redirected POST may lose its body or its token, so a redirect is an error.
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

    /// Sends HEAD, which changes nothing (RFC 9110, section 9.2.1), and returns the status.
    pub(crate) async fn head(&self) -> Result<u16, reqwest::Error> {
        Ok(self.client.head(self.url.clone()).send().await?.status().as_u16())
    }

    /// Posts JSON under an idempotency key.
    pub(crate) async fn post(&self, body: Vec<u8>, key: &str) -> Result<HttpReply, CallError> {
        self.post_with(body, key, HeaderMap::new()).await
    }

    /// Posts JSON under an idempotency key, with further headers.
    pub(crate) async fn post_with(
        &self,
        body: Vec<u8>,
        key: &str,
        headers: HeaderMap,
    ) -> Result<HttpReply, CallError> {
        let request = self.client.post(self.url.clone()).header(IDEMPOTENCY_KEY, key);
        let request = request.headers(headers).body(body);
        let mut response = request.send().await.map_err(transport_error)?;
        let status = response.status();
        let headers = response.headers();
        let after =
            headers.get(RETRY_AFTER).and_then(|value| retry_after(value, SystemTime::now()));
        let is_json = headers.get(CONTENT_TYPE).is_some_and(is_json);
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
            if body.len() + chunk.len() > MAX_REPLY_BYTES {
                return Err(unavailable(FailureCode::ReplyTooLarge, status, None));
            }
            body.extend_from_slice(&chunk);
        }
        classify(status, after, body.freeze(), is_json)
    }
}

/// Tells whether a `Content-Type` is JSON (RFC 6839, section 3.1), whatever its parameters.
fn is_json(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    media_type == "application/json" || media_type.ends_with("+json")
}

fn classify(
    status: StatusCode,
    after: Option<Duration>,
    body: Bytes,
    is_json: bool,
) -> Result<HttpReply, CallError> {
    match status {
        StatusCode::FAILED_DEPENDENCY => Ok(HttpReply { status: status.as_u16(), body, is_json }),
        status if status.is_success() => Ok(HttpReply { status: status.as_u16(), body, is_json }),
        // 425: the server does not take the call at the start of a connection (RFC 8470).
        StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY => {
            Err(CallError::Throttled { after })
        }
        // 409: another call with this key is under way, or the record is being changed. 423: what it changes is locked.
        StatusCode::CONFLICT | StatusCode::LOCKED => {
            Err(CallError::Busy { status: status.as_u16(), after })
        }
        StatusCode::BAD_REQUEST
        | StatusCode::PRECONDITION_FAILED
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => {
            let detail = truncate(&String::from_utf8_lossy(&body), MAX_DETAIL_CHARS).to_owned();
            Err(CallError::Refused { status: status.as_u16(), detail })
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(unavailable(FailureCode::Unauthorized, status, after))
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            Err(unavailable(FailureCode::WrongUrl, status, after))
        }
        status if status.is_redirection() => {
            Err(unavailable(FailureCode::Redirected, status, after))
        }
        status if status.is_server_error() => {
            Err(unavailable(FailureCode::ServerError, status, after))
        }
        status => Err(unavailable(FailureCode::UnexpectedStatus, status, after)),
    }
}

fn unavailable(code: FailureCode, status: StatusCode, after: Option<Duration>) -> CallError {
    CallError::Unavailable { code, status: Some(status.as_u16()), after, source: None }
}

fn transport_error(error: reqwest::Error) -> CallError {
    let code = match (error.is_connect(), error.is_timeout()) {
        (true, true) => FailureCode::ConnectTimeout,
        (true, false) => FailureCode::of_connection(&error),
        (false, true) => FailureCode::Timeout,
        (false, false) => FailureCode::ConnectionLost,
    };
    let source = Some(Arc::new(error.without_url()) as _);
    CallError::Unavailable { code, status: None, after: None, source }
}

/// Reads `Retry-After`: seconds, or a date of any form (RFC 9110, sections 10.2.3 and 5.6.7) counted from now.
fn retry_after(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number beyond `u64` is a long wait all the same.
        return Some(text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod bad_replies;
#[cfg(test)]
mod tests;
