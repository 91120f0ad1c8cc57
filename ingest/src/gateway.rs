//! The gateway as a whole: started on a log, drained without losing a reply.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use prometheus_client::registry::Registry;
use tillrace_core::topics::Topics;
use tillrace_log::explain;
use tillrace_log::explain::Explanation;
use tillrace_log::health::{self, Phase, Readiness};
use tillrace_log::setting::SettingErrors;
use tillrace_log::{Log, LogError};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use crate::clock::Clock;
use crate::domain::{DomainPlace, DomainState, ServedDomain};
use crate::health::GatewayHealth;
use crate::layers::ConnectionLayers;
use crate::listen::{self, DrainStage, ListenError, Listener};
use crate::log_watch::LogWatch;
use crate::metrics::Metrics;
use crate::route::GatewayState;
use crate::settings::GatewaySettings;
use crate::tenant::Tenants;
use crate::tls::TlsError;

/// A gateway that is listening.
pub struct Gateway {
    local_addr: SocketAddr,
    state: Arc<GatewayState>,
    process: health::Health,
    settings: GatewaySettings,
    clock: Clock,
    drain_stage: watch::Sender<DrainStage>,
    /// Until a domain is open: what lets connections in.
    first_open: Option<oneshot::Sender<()>>,
    acceptor: JoinHandle<GracefulShutdown>,
    watching: Vec<AbortHandle>,
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
    /// The certificate cannot be used.
    #[error("failed to prepare TLS for the gateway")]
    Tls(#[from] TlsError),
    /// The log did not give a producer.
    #[error("failed to open a producer on the log")]
    Log(#[from] LogError),
}

explain!(GatewayError {
    => Listen, Tls, Log;
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
    /// Starts a gateway of one domain on the current runtime: when this returns, it accepts connections.
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
        let mut gateway =
            Self::bind_at(settings, tenants, Vec::new(), process.clone(), metrics, clock)?;
        gateway.open(0, log, topics, process)?;
        Ok(gateway)
    }

    /// Takes the address of a gateway of several domains, in the order of the tenants' domains; without any, of the one that
    /// the process is. It accepts connections from the first [`Gateway::open`] on.
    ///
    /// # Errors
    /// [`GatewayError`] when a setting cannot be used or the address is taken.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn bind(
        settings: GatewaySettings,
        tenants: Tenants,
        domains: Vec<ServedDomain>,
        process: health::Health,
        metrics: &mut Registry,
    ) -> Result<Self, GatewayError> {
        Self::bind_at(settings, tenants, domains, process, metrics, Clock::system())
    }

    fn bind_at(
        settings: GatewaySettings,
        tenants: Tenants,
        domains: Vec<ServedDomain>,
        process: health::Health,
        metrics: &mut Registry,
        clock: Clock,
    ) -> Result<Self, GatewayError> {
        settings.part_of(tenants.domains()).validate()?;
        tenants.set_clock(clock.clone());
        let layers = ConnectionLayers::of_gateway(&settings, process.clone(), metrics)?;
        let listener = Listener::bind(settings.listen, process.clone(), "gateway")?;
        let local_addr = listener.local_addr();
        let of_gateway = Metrics::of_gateway(metrics);
        let mut places = Vec::with_capacity(domains.len().max(1));
        if domains.is_empty() {
            let health = GatewayHealth::new(process.clone(), settings.durability, clock.clone());
            places.push(DomainPlace::whole(health, &of_gateway, metrics));
        }
        for domain in domains {
            places.push(DomainPlace::named(domain, &settings, &clock, metrics));
        }
        let state = GatewayState::new(
            &settings,
            layers,
            (tenants, clock.clone()),
            places,
            process.clone(),
            of_gateway,
        );
        let state = Arc::new(state);
        let (drain_stage, reached) = watch::channel(DrainStage::Open);
        let (first_open, opened) = oneshot::channel();
        let (accepting, limits) = (Arc::clone(&state), settings.clone());
        let acceptor = tokio::spawn(async move {
            // The other end is dropped without a word if no log could be opened.
            if opened.await.is_err() {
                return GracefulShutdown::new();
            }
            listen::accept(listener, accepting, &limits, reached).await
        });
        Ok(Self {
            local_addr,
            state,
            process,
            settings,
            clock,
            drain_stage,
            first_open: Some(first_open),
            acceptor,
            watching: Vec::new(),
        })
    }

    /// Lets the callers of a domain in, whose log is open now, and watches its log; once for each domain. `health` is that of
    /// the domain.
    ///
    /// # Errors
    /// [`GatewayError`] when the log gives no producer.
    pub fn open(
        &mut self,
        domain: usize,
        log: Arc<dyn Log>,
        topics: Topics,
        health: health::Health,
    ) -> Result<(), GatewayError> {
        let Some(place) = self.state.domains.get(domain) else { return Ok(()) };
        let (events, tenants) = (topics.events.clone(), (&self.state.tenants, domain));
        let clock = self.clock.clone();
        let state = DomainState::new(&self.settings, log.as_ref(), topics, tenants, place, clock)?;
        let log_watch = LogWatch::new(Arc::clone(&state.publisher.log), health);
        place.fill(state);
        let watch = log_watch.run(log, events).in_current_span();
        self.watching.push(tokio::spawn(watch).abort_handle());
        if let Some(first) = self.first_open.take() {
            // Who waits for it ends with this gateway.
            first.send(()).ok();
        }
        // Each domain says it in lines of its own, when its callers are let in.
        tracing::info!(address = %self.local_addr, "gateway listening");
        Ok(())
    }

    /// Returns the address it listens on, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the health of a domain's log at the gateway, for reports of weak settings.
    pub fn health(&self, domain: usize) -> Option<Arc<GatewayHealth>> {
        self.state.domains.get(domain).map(|place| Arc::clone(&place.health))
    }

    /// Returns a function that reports the readiness of the process, including this gateway's, even after
    /// a drain.
    pub fn readiness(&self) -> impl Fn() -> Readiness + Send + Sync + 'static {
        let state = Arc::clone(&self.state);
        move || state.readiness()
    }

    /// Reports at `/readyz` that the gateway will drain, and serves for another `drain_delay`, so that
    /// load balancers stop sending before the gateway stops accepting.
    pub async fn announce_drain(&self) {
        self.process.enter(Phase::Draining);
        sleep(self.settings.drain_delay).await;
    }

    /// Tells whether an essential task has ended by itself: the one that accepts connections, or one
    /// that watches a log.
    pub fn has_stopped(&self) -> bool {
        self.acceptor.is_finished() || self.watching.iter().any(AbortHandle::is_finished)
    }

    /// Ends the task that watches the log, as a panic would.
    #[cfg(test)]
    pub(crate) fn end_watching(&self) {
        self.watching.iter().for_each(AbortHandle::abort);
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
        self.watching.iter().for_each(AbortHandle::abort);
        drop(self.first_open);
        let wait = self.settings.drain_timeout;
        self.process.enter(Phase::Draining);
        self.drain_stage.send_replace(DrainStage::Draining);
        let mut cut = 0;
        if let Ok(graceful) = self.acceptor.await {
            let mut finished = Box::pin(graceful.shutdown());
            if timeout(wait, &mut finished).await.is_err() {
                cut = u64::try_from(self.state.metrics.connections.get()).unwrap_or_default();
                self.drain_stage.send_replace(DrainStage::Cut);
                finished.await;
                let code = CONNECTIONS_CUT.code;
                tracing::warn!(code, cut, waited = ?wait, "cut connections still open");
            }
        }
        let state = self.state;
        let flush = tokio::task::spawn_blocking(move || flush(&state, wait));
        flush.await.unwrap_or(Err(LogError::TimedOut { action: "flush the producer" }))?;
        tracing::info!(cut, "gateway drained");
        Ok(cut)
    }
}

/// Waits until the log of each domain has what it was given, for all at once: a dead one takes no time from the others. Returns
/// the first error.
fn flush(state: &GatewayState, wait: Duration) -> Result<(), LogError> {
    thread::scope(|scope| {
        let open = state.domains.iter().filter_map(DomainPlace::state);
        let flushing: Vec<_> =
            open.map(|domain| scope.spawn(move || domain.publisher.producer.flush(wait))).collect();
        let panicked = LogError::TimedOut { action: "flush the producer" };
        let outcomes: Vec<_> =
            flushing.into_iter().map(|one| one.join().unwrap_or(Err(panicked.clone()))).collect();
        outcomes.into_iter().collect()
    })
}
