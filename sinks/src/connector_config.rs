//! The interface of a connector's settings: all that the rest of the program asks before and beside deliveries.
//!
//! A kind of connector is one folder below [`crate::connectors`] and one line of its table. Nothing outside of the folder
//! knows the kind: settings are inspected, secrets found, connectors built, targets probed and recounted through this trait.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tillrace_core::topics::Topics;
use tillrace_core::verify::Check;
use tillrace_log::LogView;
use tillrace_log::explain::{Explained, Explanation};
use tillrace_log::setting::{Inspection, Secret};

use crate::connector::{Connector, Ordering};
use crate::record::SourceTopic;

/// A future that a connector's settings return.
pub type ConfigFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The settings of one kind of connector.
pub trait ConnectorConfig: fmt::Debug + Send + Sync {
    /// Returns the topic that the sink reads.
    fn source(&self) -> SourceTopic;

    /// Returns what must stay in order.
    fn ordering(&self) -> Ordering {
        Ordering::Key
    }

    /// Returns the members of the event that the connector cannot do without, of those that a filter can omit.
    fn needs(&self) -> &[&str] {
        &[]
    }

    /// Returns every secret, with its path within these settings.
    fn secrets(&mut self) -> Vec<(String, &mut Secret)>;

    /// Reports invalid settings.
    fn inspect(&self, found: &mut Inspection);

    /// Returns the place that must be this sink's alone, in a form that is equal for equal places, if it writes to one.
    fn location(&self) -> Option<String> {
        None
    }

    /// Returns the folder that it writes files to, if it writes any, and not to a bucket.
    fn folder(&self) -> Option<PathBuf> {
        None
    }

    /// Tells whether the place belongs to another sink or log; `log` is the identity of the log.
    ///
    /// # Errors
    /// Names the owner.
    fn check_owner(&self, sink: &SinkIdentity<'_>, log: &str) -> Result<(), ConnectorError> {
        let _ = (sink, log);
        Ok(())
    }

    /// Makes the connector.
    ///
    /// # Errors
    /// When a client cannot be made, or the target belongs to another sink.
    fn build<'a>(
        &'a self,
        sink: SinkIdentity<'a>,
        log: Arc<dyn LogView>,
    ) -> ConfigFuture<'a, Result<Arc<dyn Connector>, ConnectorError>>;

    /// Returns where deliveries go, for messages: a URL or a location, without secrets.
    fn target(&self) -> String;

    /// Looks whether the target can be used, without delivering anything, and describes the result.
    ///
    /// # Errors
    /// When the target cannot be reached, or refuses access.
    fn probe(&self) -> ConfigFuture<'_, Result<String, ConnectorError>>;

    /// Compares what the target holds with the audit and the log, where the target can be read.
    fn recount<'a>(
        &'a self,
        sink: SinkIdentity<'a>,
        log: Arc<dyn LogView>,
    ) -> Option<ConfigFuture<'a, Result<Check, ConnectorError>>> {
        let _ = (sink, log);
        None
    }
}

/// Which sink it is, among those of one log.
#[derive(Debug, Clone, Copy)]
pub struct SinkIdentity<'a> {
    /// The sink's name.
    pub name: &'a str,
    /// The names of the topics.
    pub topics: &'a Topics,
}

/// An error of a connector's settings or target, of any type that has an explanation.
#[derive(Clone)]
pub struct ConnectorError {
    explanation: &'static Explanation,
    error: Arc<dyn Error + Send + Sync>,
}

impl<E: Explained + Send + Sync + 'static> From<E> for ConnectorError {
    fn from(error: E) -> Self {
        Self { explanation: error.explanation(), error: Arc::new(error) }
    }
}

impl ConnectorError {
    /// Returns code, meaning and remedy.
    pub fn explanation(&self) -> &'static Explanation {
        self.explanation
    }
}

impl Error for ConnectorError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl fmt::Debug for ConnectorError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, formatter)
    }
}

impl fmt::Display for ConnectorError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, formatter)
    }
}
