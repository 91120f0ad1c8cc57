//! Sends HTTP requests: one event or a batch of lines, over a pooled connection.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::reply::{ReplyAction, read_batch, read_single};
use super::{ClientError, ClientSettings};

/// Longest reply that is read.
const MAX_REPLY_BYTES: usize = 1 << 20;

/// Sends requests; a clone shares the pool of connections.
#[derive(Debug, Clone)]
pub(super) struct EventPoster {
    http: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    authorization: HeaderValue,
    batched: bool,
    timeout: Duration,
}

impl EventPoster {
    /// Prepares requests to the gateway that the settings name.
    ///
    /// # Errors
    /// When the target is not a plain `http` address, or the key is not valid in a header.
    pub(super) fn new(settings: &ClientSettings) -> Result<Self, ClientError> {
        let batched = settings.batch > 1;
        let path = if batched { "/v1/events:batch" } else { "/v1/events" };
        let base = settings.target.trim_end_matches('/');
        let uri: Uri = format!("{base}{path}")
            .parse()
            .map_err(|source| ClientError::Target { target: settings.target.clone(), source })?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(ClientError::Scheme { target: settings.target.clone() });
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", settings.key))
            .map_err(|source| ClientError::Key { source })?;
        authorization.set_sensitive(true);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(settings.timeout));
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(settings.connections)
            .http2_only(settings.http2)
            .build(connector);
        Ok(Self { http, uri, authorization, batched, timeout: settings.timeout })
    }

    /// Sends `count` events and reads the reply; a broken connection or a timeout settles nothing, and
    /// has no status.
    pub(super) async fn send(
        &self,
        body: Bytes,
        count: usize,
    ) -> (Option<StatusCode>, ReplyAction) {
        match tokio::time::timeout(self.timeout, self.exchange(body, count)).await {
            Ok(Some((status, action))) => (Some(status), action),
            Ok(None) | Err(_) => (None, ReplyAction::Retry { retry_after: None }),
        }
    }

    async fn exchange(&self, body: Bytes, count: usize) -> Option<(StatusCode, ReplyAction)> {
        let content_type = if self.batched { "application/x-ndjson" } else { "application/json" };
        let request = Request::post(self.uri.clone())
            .header(header::CONTENT_TYPE, content_type)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .body(Full::new(body))
            .ok()?;
        let response = match self.http.request(request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%error, "request failed");
                return None;
            }
        };
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_REPLY_BYTES).collect().await.ok()?.to_bytes();
        let action = if self.batched {
            read_batch(head.status, &head.headers, &body, count)
        } else {
            read_single(head.status, &head.headers, &body)
        };
        Some((head.status, action))
    }
}
