//! Tries to reach where a sink delivers to, without delivering anything.

use std::time::Duration;

use tillrace_log::explain;
use tillrace_log::explain::{Explained as _, Explanation};
use tokio::time::timeout;

use crate::http::{Backend, BackendError, BackendSettings};
use crate::parquet::{self, PlaceError};
use crate::settings::{SinkSettings, Target};

/// Longest that reaching one place may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a sink would not deliver.
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
    NotLetIn {
        /// Where it is.
        url: String,
        /// The answer's status.
        status: u16,
    },
    /// The place for files cannot be used.
    #[error("cannot use {place}")]
    Place {
        /// The folder or bucket.
        place: String,
        /// What is wrong.
        source: PlaceError,
    },
    /// Nothing was heard for too long.
    #[error("{place} gives no answer within 15s")]
    TimedOut {
        /// What was asked.
        place: String,
    },
}

impl ProbeError {
    fn told_by_source(&self) -> Option<&'static Explanation> {
        match self {
            Self::Place { source, .. } => Some(source.explanation()),
            _ => None,
        }
    }
}

explain!(ProbeError via told_by_source {
    => Backend;
    Unreachable: "probe_unanswered",
        "The backend of a sink gave no answer to `tillrace check --probe`; the words of the system are in the text.",
        "Start the backend, or correct host and port of the sink's `url`, or this machine's DNS, routes and `ca_file`.";
    NotLetIn: "probe_not_let_in",
        "The backend of a sink does not accept its token (401 or 403).",
        "Renew the token in the variable or file that the sink's `token` names, or its rights.";
    Place: "probe_place",
        "The place for a sink's files cannot be used.",
        "See the code in the text.";
    TimedOut: "probe_timed_out",
        "Nothing was heard for 15 seconds from where a sink delivers to.",
        "See whether it is up, and whether a firewall drops what is sent there.";
});

/// Asks a backend for its head, or looks into the place for files, and says what came of it.
///
/// # Errors
/// When it cannot be reached, or does not let us in.
pub async fn probe(sink: &SinkSettings) -> Result<String, ProbeError> {
    let (place, probing) = match &sink.to {
        Target::ErpDocuments(settings) | Target::ErpStockMovements(settings) => {
            (settings.backend.url.clone(), timeout(PATIENCE, backend(&settings.backend)).await)
        }
        Target::CrmPoints(settings) => {
            (settings.backend.url.clone(), timeout(PATIENCE, backend(&settings.backend)).await)
        }
        Target::Parquet(settings) => {
            let place = settings.place.clone();
            let found = timeout(PATIENCE, parquet::probe(settings)).await;
            let said = found.map(|found| {
                found
                    .map(|()| format!("{place} can be used"))
                    .map_err(|source| ProbeError::Place { place: place.clone(), source })
            });
            (place.clone(), said)
        }
    };
    probing.map_err(|_elapsed| ProbeError::TimedOut { place })?
}

async fn backend(settings: &BackendSettings) -> Result<String, ProbeError> {
    let url = settings.url.clone();
    match Backend::new(settings)?.head().await {
        Ok(status @ (401 | 403)) => Err(ProbeError::NotLetIn { url, status }),
        // Many take only POST here; any answer shows that somebody is there.
        Ok(status) => Ok(format!("{url} answers {status} to HEAD")),
        Err(source) => Err(ProbeError::Unreachable { url, source: source.without_url() }),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

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
        assert_eq!(probe(&sink(&to)).await.unwrap(), format!("{url} answers 405 to HEAD"));
        assert_eq!(asked.await.unwrap(), "HEAD /documents HTTP/1.1");
    }

    #[tokio::test]
    async fn a_token_that_is_refused_and_a_port_where_nobody_listens_are_errors() {
        let (url, _asked) = answering("401 Unauthorized").await;
        let to = format!("{{kind: erp_documents, backend: {{url: '{url}', token: t}}}}");
        let error = probe(&sink(&to)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{url} answers 401: correct the token"));
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let to = format!("{{kind: crm_points, backend: {{url: 'http://{free}/'}}}}");
        let error = probe(&sink(&to)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("http://{free}/ gives no answer"));
    }

    #[tokio::test]
    async fn a_place_is_looked_into_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("a/lake");
        let to = format!("{{kind: parquet, source: deltas, place: {}}}", lake.display());
        let said = probe(&sink(&to)).await.unwrap();
        assert_eq!(said, format!("{} can be used", lake.display()));
        assert!(!lake.exists());
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let to = format!("{{kind: parquet, source: deltas, place: {}}}", file.display());
        let error = probe(&sink(&to)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot use {}", file.display()));
    }
}
