//! Probes the target of a sink without delivering anything.

use std::time::Duration;

use tillrace_log::explain;
use tillrace_log::explain::Explanation;
use tokio::time::timeout;

use crate::connector_config::{ConnectorConfig, ConnectorError};
use crate::http::{Backend, BackendError, BackendSettings};

/// Longest that one probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(15);

/// Why the target of a sink cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The client of the backend cannot be made.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The backend gives no answer.
    #[error("{url} gives no answer")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What the client said.
        source: reqwest::Error,
    },
    /// The backend does not accept the token.
    #[error("{url} answers {status}: correct the token")]
    Denied {
        /// Where it is.
        url: String,
        /// The answer's status.
        status: u16,
    },
    /// The place that the sink writes to cannot be used.
    #[error("cannot use {location}")]
    Unusable {
        /// The folder, the bucket, the database.
        location: String,
        /// What is wrong.
        source: ConnectorError,
    },
    /// The target did not answer in time.
    #[error("{target} gives no answer within 15s")]
    TimedOut {
        /// URL or location.
        target: String,
    },
}

impl ProbeError {
    fn source_explanation(&self) -> Option<&'static Explanation> {
        match self {
            Self::Unusable { source, .. } => Some(source.explanation()),
            _ => None,
        }
    }
}

explain!(ProbeError via source_explanation {
    => Backend;
    Unreachable: "probe_unanswered",
        "The backend of a sink did not answer `tillrace check --probe`; the text ends with the system's message.",
        "Start the backend, or correct host and port of the sink's `url`, or this machine's DNS, routes and `ca_file`.";
    Denied: "probe_denied",
        "The backend of a sink does not accept its token (401 or 403).",
        "Renew the token in the variable or file that the sink's `token` names, or its rights.";
    Unusable: "probe_location",
        "The place that a sink writes to cannot be used.",
        "See the code in the text.";
    TimedOut: "probe_timed_out",
        "The target of a sink did not answer for 15 seconds.",
        "Check whether it is up, and whether a firewall drops what is sent there.";
});

/// Looks whether the target of a sink can be used, without delivering anything, and describes the result.
///
/// # Errors
/// When the target cannot be reached, or refuses access.
pub async fn probe(config: &dyn ConnectorConfig) -> Result<String, ConnectorError> {
    match timeout(PROBE_TIMEOUT, config.probe()).await {
        Ok(found) => found,
        Err(_elapsed) => Err(ProbeError::TimedOut { target: config.target() }.into()),
    }
}

pub(crate) async fn backend(settings: &BackendSettings) -> Result<String, ProbeError> {
    let url = settings.url.clone();
    match Backend::new(settings)?.head().await {
        Ok(status @ (401 | 403)) => Err(ProbeError::Denied { url, status }),
        // Many backends accept only POST here; any other answer shows that one is reachable.
        Ok(status) => Ok(format!("{url} answers {status} to HEAD")),
        Err(source) => Err(ProbeError::Unreachable { url, source: source.without_url() }),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::settings::SinkSettings;

    fn sink(to: &str) -> SinkSettings {
        serde_saphyr::from_str(&format!("name: x\nto: {to}")).unwrap()
    }

    /// Answers one request with a status and returns its first line.
    async fn answering(status: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/documents", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4_096];
            let read = stream.read(&mut request).await.unwrap();
            let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(reply.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..read]).lines().next().unwrap().to_owned()
        });
        (url, asked)
    }

    #[tokio::test]
    async fn a_backend_is_asked_for_its_head_and_nothing_is_posted() {
        let (url, asked) = answering("405 Method Not Allowed").await;
        let to = format!("{{kind: crm_points, backend: {{url: '{url}'}}}}");
        assert_eq!(
            probe(sink(&to).to.config()).await.unwrap(),
            format!("{url} answers 405 to HEAD")
        );
        assert_eq!(asked.await.unwrap(), "HEAD /documents HTTP/1.1");
    }

    #[tokio::test]
    async fn a_token_that_is_refused_and_a_port_where_nobody_listens_are_errors() {
        let (url, _asked) = answering("401 Unauthorized").await;
        let to = format!("{{kind: erp_documents, backend: {{url: '{url}', token: t}}}}");
        let error = probe(sink(&to).to.config()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{url} answers 401: correct the token"));
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let to = format!("{{kind: crm_points, backend: {{url: 'http://{free}/'}}}}");
        let error = probe(sink(&to).to.config()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("http://{free}/ gives no answer"));
    }

    #[tokio::test]
    async fn a_location_is_checked_and_left_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("a/lake");
        let to = format!("{{kind: parquet, source: deltas, location: {}}}", lake.display());
        let result = probe(sink(&to).to.config()).await.unwrap();
        assert_eq!(result, format!("{} can be used", lake.display()));
        assert!(!lake.exists());
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let to = format!("{{kind: parquet, source: deltas, location: {}}}", file.display());
        let error = probe(sink(&to).to.config()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot use {}", file.display()));
    }
}
