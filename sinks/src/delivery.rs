//! The delivery role: any number of sinks, started and stopped together.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use tillrace_core::log_calls::LogCalls;
use tillrace_core::restart::{PANICKED, RestartPolicy, RoleExit};
use tillrace_core::topics::Topics;
use tillrace_log::explain;
use tillrace_log::explain::{Explained as _, Explanation};
use tillrace_log::health::{self, Impact};
use tillrace_log::setting::SettingErrors;
use tillrace_log::{Log, LogError, LogView};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{Instrument as _, Span};

use crate::connector::Connector;
use crate::connector_config::{ConnectorError, SinkIdentity};
use crate::engine::{
    AuditWriterError, Conditions, DeliveryMetrics, Engine, SinkError, SinkHealth, SinkSpec,
};
use crate::failure::ErrorChain;
use crate::omit::Omitting;
use crate::settings::{self, SinkSettings};

/// How often a running sink is observed.
const OBSERVE_INTERVAL: Duration = Duration::from_secs(1);

/// The sinks of this process, at work.
#[derive(Debug)]
pub struct Delivery {
    stop: watch::Sender<bool>,
    sinks: Vec<RunningSink>,
}

#[derive(Debug)]
struct RunningSink {
    name: String,
    health: watch::Receiver<SinkHealth>,
    task: JoinHandle<()>,
}

/// Why delivery cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingErrors),
    /// The log refuses.
    #[error("failed to join the consumer group of sink {sink}")]
    Log {
        /// The sink.
        sink: String,
        /// The log's error.
        source: LogError,
    },
    /// The connector cannot be made.
    #[error("failed to start the connector of sink {sink}")]
    Connector {
        /// The sink.
        sink: String,
        /// What is wrong.
        source: ConnectorError,
    },
}

impl StartError {
    fn source_explanation(&self) -> Option<&'static Explanation> {
        match self {
            Self::Log { source, .. } => Some(source.explanation()),
            Self::Connector { source, .. } => Some(source.explanation()),
            Self::Settings(_) => None,
        }
    }
}

explain!(StartError via source_explanation {
    Settings: "sink_setting",
        "A setting of a sink cannot be used. Nothing was started.",
        "Set the key that the text names as it says; `tillrace check` names all of them.";
    Log: "sink_log",
        "A sink cannot join its consumer group.",
        "See the code of the log's error in the text.";
    Connector: "sink_connector",
        "The connector of a sink cannot be made: its client, or its place.",
        "See the code of its cause in the text.";
});

impl SinkHealth {
    /// Tells whether the sink works on all its partitions.
    pub fn is_healthy(&self) -> bool {
        self.stopped.is_none() && self.halted.is_empty()
    }
}

impl Delivery {
    /// Starts the sinks on their topics, which must exist, dead letters and audit included. Stalls are
    /// reported to the process's health. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a setting is wrong, a backend's client cannot be made, a location belongs to another sink, or
    /// the log refuses.
    pub async fn start(
        settings: &[SinkSettings],
        log: Arc<dyn Log>,
        topics: &Topics,
        registry: &mut Registry,
        process: &health::Health,
    ) -> Result<Self, StartError> {
        settings::validate(settings)?;
        let mut specs = Vec::with_capacity(settings.len());
        for sink in settings {
            specs.push(SinkSpec {
                name: sink.name.clone(),
                source: sink.to.config().source(),
                filter: sink.filter.clone(),
                flow: sink.flow.clone(),
                connector: connect(sink, Arc::<dyn Log>::clone(&log), topics).await?,
            });
        }
        Self::start_sinks(specs, &log, topics, registry, process)
    }

    /// Starts sinks from specifications with ready connectors.
    ///
    /// # Errors
    /// When the log fails for good. The sink itself retries after any other error.
    pub fn start_sinks(
        specs: Vec<SinkSpec>,
        log: &Arc<dyn Log>,
        topics: &Topics,
        registry: &mut Registry,
        process: &health::Health,
    ) -> Result<Self, StartError> {
        let metrics = DeliveryMetrics::register(registry);
        let (stop, stopped) = watch::channel(false);
        let mut sinks = Vec::with_capacity(specs.len());
        for spec in specs {
            let name = spec.name.clone();
            let ordering = spec.connector.ordering();
            let (tell, health) = watch::channel(SinkHealth::default());
            let calls = LogCalls::new(component(&name), Impact::Degraded, process.clone());
            let parts = EngineParts {
                spec,
                log: calls.watch(Arc::clone(log)),
                topics: topics.clone(),
                metrics: metrics.clone(),
                process: process.clone(),
                tell,
                calls,
            };
            // The restart policy of the sink retries errors that may pass.
            let engine = match parts.engine() {
                Err(source) if !source.may_pass() => {
                    return Err(StartError::Log { sink: name, source });
                }
                engine => engine,
            };
            let conditions = Conditions::new(&name, topics.dead(&name), ordering, process.clone());
            let watch = supervise(Arc::new(parts), engine, stopped.clone(), conditions);
            let task = tokio::spawn(watch.in_current_span());
            sinks.push(RunningSink { name, health, task });
        }
        Ok(Self { stop, sinks })
    }

    /// Returns the health of each sink.
    pub fn health(&self) -> Vec<(&str, SinkHealth)> {
        self.sinks.iter().map(|sink| (sink.name.as_str(), sink.health.borrow().clone())).collect()
    }

    /// Stops reading, finishes the records in flight within each sink's `drain_within`, commits, and
    /// leaves the groups. Returns the health of each sink at the end.
    pub async fn drain(self) -> Vec<(String, SinkHealth)> {
        self.stop.send_replace(true);
        let mut ends = Vec::with_capacity(self.sinks.len());
        for sink in self.sinks {
            if let Err(error) = sink.task.await {
                let (code, sink) = (PANICKED.code, &sink.name);
                tracing::error!(code, sink, %error, "supervisor of a sink failed");
            }
            let health = sink.health.borrow().clone();
            ends.push((sink.name, health));
        }
        ends
    }

    /// Stops at once, as a crash would: nothing is finished, nothing committed.
    pub fn abandon(self) {
        for sink in &self.sinks {
            sink.task.abort();
        }
    }
}

/// What each start of a sink's engine needs.
struct EngineParts {
    spec: SinkSpec,
    log: Arc<dyn Log>,
    topics: Topics,
    metrics: DeliveryMetrics,
    process: health::Health,
    tell: watch::Sender<SinkHealth>,
    /// The calls that its engine makes to the log. A thread cannot report one while it waits for it.
    calls: LogCalls,
}

impl EngineParts {
    fn engine(&self) -> Result<Engine, LogError> {
        let (spec, metrics) = (self.spec.clone(), self.metrics.sink(&self.spec.name));
        Engine::start(spec, &self.log, &self.topics, metrics, self.tell.clone(), &self.process)
    }
}

/// Runs a sink until it is stopped. Restarts it from the committed offsets after an error of the log that may pass; reports
/// any other end.
async fn supervise(
    parts: Arc<EngineParts>,
    mut started: Result<Engine, LogError>,
    mut stop: watch::Receiver<bool>,
    conditions: Conditions,
) {
    let (component, process) = (component(&parts.spec.name), parts.process.clone());
    let mut policy = RestartPolicy::new(component, Impact::Degraded, process, Instant::now());
    let calls = &parts.calls;
    loop {
        let error = match started {
            Ok(engine) => match run(engine, &stop, &mut policy, calls).await {
                None => return conditions.engine_ended(),
                Some(error) => error,
            },
            Err(error) => SinkError::Log(error),
        };
        conditions.engine_ended();
        let Some(pause) = pause_after(&error, &mut policy) else {
            policy.give_up();
            conditions.sink_stopped(&error);
            parts.tell.send_modify(|health| health.stopped = Some(Arc::new(error)));
            return;
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _told = stop.wait_for(|&stop| stop) => return,
        }
        parts.tell.send_modify(|health| {
            for (partition, _error) in std::mem::take(&mut health.halted) {
                conditions.partition_left(partition);
            }
        });
        let (again, span) = (Arc::clone(&parts), Span::current());
        let starting = tokio::task::spawn_blocking(move || span.in_scope(|| again.engine()));
        let panicked = LogError::TimedOut { action: "start a sink again" };
        let observed = observing(starting, || calls.observe(Instant::now()));
        started = observed.await.unwrap_or(Err(panicked));
        policy.started(Instant::now());
    }
}

/// Runs an engine to its end. Returns `None` if it was stopped, otherwise the error, the panic, or the unexpected end.
async fn run(
    engine: Engine,
    stop: &watch::Receiver<bool>,
    policy: &mut RestartPolicy,
    calls: &LogCalls,
) -> Option<SinkError> {
    // The engine ends with the set, and the set with this task.
    let mut work = JoinSet::new();
    work.spawn(engine.run(stop.clone()).in_current_span());
    let observe = || {
        let now = Instant::now();
        policy.observe(now);
        calls.observe(now);
    };
    match observing(work.join_next(), observe).await {
        Some(Ok(Ok(()))) if *stop.borrow() || stop.has_changed().is_err() => None,
        Some(Ok(Ok(()))) | None => Some(SinkError::Ended),
        Some(Ok(Err(error))) => Some(error),
        Some(Err(gone)) => Some(SinkError::Panicked(Arc::new(gone))),
    }
}

/// Waits for work, and calls `observe` meanwhile and after it.
async fn observing<T>(work: impl Future<Output = T>, mut observe: impl FnMut()) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                observe();
                return done;
            }
            () = tokio::time::sleep(OBSERVE_INTERVAL) => observe(),
        }
    }
}

/// Returns the pause before a sink restarts, or `None` if a restart cannot help. After a panic it cannot: the record in flight
/// is the likely cause, and would cause it again.
fn pause_after(error: &SinkError, policy: &mut RestartPolicy) -> Option<Duration> {
    let (SinkError::Log(log) | SinkError::AuditWriter(AuditWriterError::Log(log))) = error else {
        return None;
    };
    if !log.is_restartable() {
        return None;
    }
    let (cause, explanation) = (ErrorChain(error).to_string(), log.explanation());
    let exit = RoleExit { cause: &cause, explanation, is_restartable: true };
    policy.ended(exit, Instant::now(), rand::random())
}

/// Returns the name of a sink among the components of its process.
fn component(sink: &str) -> String {
    format!("sink/{sink}")
}

/// Makes the connector of a sink.
pub(crate) async fn connect(
    sink: &SinkSettings,
    log: Arc<dyn LogView>,
    topics: &Topics,
) -> Result<Arc<dyn Connector>, StartError> {
    let identity = SinkIdentity { name: &sink.name, topics };
    let built = sink.to.config().build(identity, log).await;
    let built = built.map(|connector| Omitting::wrap(connector, &sink.filter.omit));
    built.map_err(|source| StartError::Connector { sink: sink.name.clone(), source })
}

impl fmt::Display for SinkHealth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.stopped {
            return write!(formatter, "stopped: {error}");
        }
        if self.halted.is_empty() {
            return formatter.write_str("healthy");
        }
        let mut separator = "";
        for (partition, error) in &self.halted {
            write!(formatter, "{separator}partition {partition} stopped: {error}")?;
            separator = "; ";
        }
        Ok(())
    }
}
