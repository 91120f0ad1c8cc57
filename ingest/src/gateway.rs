//! The gateway as a whole: started on a log, drained without losing a reply.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use prometheus_client::registry::Registry;
use tillrace_core::topics::Topics;
use tillrace_log::explain;
use tillrace_log::explain::Explanation;
use tillrace_log::health::{self, Phase, Readiness};
use tillrace_log::setting::SettingErrors;
use tillrace_log::{Log, LogError};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::health::GatewayHealth;
use crate::listen::{self, DrainStage, ListenError, Listener};
use crate::log_watch::LogWatch;
use crate::metrics::Metrics;
use crate::route::GatewayState;
use crate::settings::GatewaySettings;
use crate::tenant::Tenants;

/// A gateway that is listening.
pub struct Gateway {
    local_addr: SocketAddr,
    state: Arc<GatewayState>,
    process: health::Health,
    drain_stage: watch::Sender<DrainStage>,
    acceptor: JoinHandle<GracefulShutdown>,
    watching: AbortHandle,
    drain_delay: Duration,
    drain_timeout: Duration,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Gateway")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}

/// Connections were cut at the end.
pub const CONNECTIONS_CUT: Explanation = Explanation {
    code: "connections_cut",
    meaning: "The process was told to end, and after `ingest.drain_timeout` clients still held connections open, which were cut. \
              What was not answered was not acknowledged, and is sent again.",
    remedy: "Nothing, if clients were slow or gone. To wait longer, raise `ingest.drain_timeout`.",
};

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingErrors),
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The log did not give a producer.
    #[error("failed to open a producer on the log")]
    Log(#[from] LogError),
}

explain!(GatewayError {
    => Listen, Log;
    Settings: "gateway_settings",
        "A value below `ingest` cannot be used. Nothing was started.",
        "Set each key that the text names as it says; `tillrace check` names its line.";
});

/// Why a gateway did not end cleanly.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The log did not take in time what it was given. None of it was acknowledged to its sender.
    #[error("rows were still on their way to the log")]
    Unanswered(#[from] LogError),
}

explain!(DrainError {
    Unanswered: "drain_unanswered",
        "The process ended before the log had answered for all events that it was given. None of them was acknowledged, so their          senders send them again; what did reach the log is told as a duplicate then.",
        "Look at the brokers, or the disk of a local log: see the code of the log's error in the text. If they are well and only          slow, raise `ingest.drain_timeout`.";
});

impl Gateway {
    /// Starts a gateway on the current runtime: when this returns, it accepts connections.
    ///
    /// The topics must exist; see [`Log::ensure_topics`], and [`GatewayHealth::note_weaknesses`] for what
    /// it returns. `process` is the health that `/readyz` reports beside the gateway's own conditions.
    ///
    /// # Errors
    /// [`GatewayError`] when a setting cannot be used, the address is taken, or the log is away.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        settings: GatewaySettings,
        log: Arc<dyn Log>,
        topics: Topics,
        tenants: Tenants,
        process: health::Health,
        metrics: &mut Registry,
    ) -> Result<Self, GatewayError> {
        Self::start_at(settings, log, topics, tenants, process, metrics, Clock::system())
    }

    pub(crate) fn start_at(
        settings: GatewaySettings,
        log: Arc<dyn Log>,
        topics: Topics,
        tenants: Tenants,
        process: health::Health,
        metrics: &mut Registry,
        clock: Clock,
    ) -> Result<Self, GatewayError> {
        settings.validate()?;
        let address = settings.listen;
        let listener = Listener::bind(address, process.clone(), "gateway")?;
        let local_addr = listener.local_addr();
        let metrics = Metrics::register(metrics);
        let health =
            Arc::new(GatewayHealth::new(process.clone(), settings.durability, clock.clone()));
        let events = topics.events.clone();
        let state =
            GatewayState::new(&settings, log.as_ref(), topics, tenants, health, metrics, clock)?;
        let state = Arc::new(state);
        let log_watch = LogWatch::new(Arc::clone(&state.publisher.log), process.clone());
        let watching = tokio::spawn(log_watch.run(log, events)).abort_handle();
        let (drain_stage, reached) = watch::channel(DrainStage::Open);
        let (drain_delay, drain_timeout) = (settings.drain_delay, settings.drain_timeout);
        let accepting = Arc::clone(&state);
        let acceptor =
            tokio::spawn(
                async move { listen::accept(listener, accepting, &settings, reached).await },
            );
        tracing::info!(address = %local_addr, "gateway listening");
        Ok(Self {
            local_addr,
            state,
            process,
            drain_stage,
            acceptor,
            watching,
            drain_delay,
            drain_timeout,
        })
    }

    /// Returns the address it listens on, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the gateway's health, for reports of weak settings.
    pub fn health(&self) -> Arc<GatewayHealth> {
        Arc::clone(&self.state.health)
    }

    /// Returns a function that reports the readiness of the process, including this gateway's, even after
    /// a drain.
    pub fn readiness(&self) -> impl Fn() -> Readiness + Send + Sync + 'static {
        let health = Arc::clone(&self.state.health);
        move || health.readiness()
    }

    /// Reports at `/readyz` that the gateway will drain, and serves for another `drain_delay`, so that
    /// load balancers stop sending before the gateway stops accepting.
    pub async fn announce_drain(&self) {
        self.process.enter(Phase::Draining);
        sleep(self.drain_delay).await;
    }

    /// Tells whether an essential task has ended by itself: the one that accepts connections, or the one
    /// that watches the log.
    pub fn has_stopped(&self) -> bool {
        self.acceptor.is_finished() || self.watching.is_finished()
    }

    /// Ends the task that watches the log, as a panic would.
    #[cfg(test)]
    pub(crate) fn end_watching(&self) {
        self.watching.abort();
    }

    /// Stops accepting, lets requests in progress finish, tells clients to go elsewhere
    /// (`Connection: close`, GOAWAY), and waits until the log has everything it was given.
    ///
    /// Connections that are still open after `drain_timeout` are cut, whatever they wait for: what
    /// was not answered was not acknowledged. Returns how many there were.
    ///
    /// # Errors
    /// [`DrainError`] when the log is not done within as much time again.
    pub async fn drain(self) -> Result<u64, DrainError> {
        self.watching.abort();
        self.process.enter(Phase::Draining);
        self.drain_stage.send_replace(DrainStage::Draining);
        let mut cut = 0;
        if let Ok(graceful) = self.acceptor.await {
            let mut finished = Box::pin(graceful.shutdown());
            if timeout(self.drain_timeout, &mut finished).await.is_err() {
                cut = u64::try_from(self.state.metrics.connections.get()).unwrap_or_default();
                self.drain_stage.send_replace(DrainStage::Cut);
                finished.await;
                let (code, waited) = (CONNECTIONS_CUT.code, self.drain_timeout);
                tracing::warn!(code, cut, ?waited, "cut connections still open");
            }
        }
        let (state, wait) = (self.state, self.drain_timeout);
        let flush = tokio::task::spawn_blocking(move || state.publisher.producer.flush(wait));
        flush.await.unwrap_or(Err(LogError::TimedOut { action: "flush the producer" }))?;
        tracing::info!(cut, "gateway drained");
        Ok(cut)
    }
}
