//! The delivery role: any number of sinks, started and stopped together.

use std::collections::BTreeMap;
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
use tillrace_log::{Log, LogError, Partition};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::connector::Connector;
use crate::crm::CrmPoints;
use crate::engine::{Conditions, DeliveryMetrics, Engine, JournalError, SinkError, Wiring};
use crate::erp::Erp;
use crate::failure::ErrorChain;
use crate::http::BackendError;
use crate::parquet::{OwnerError, ParquetFiles, PlaceError};
use crate::settings::{self, SinkSettings, Target};

/// How often a sink at work is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The sinks of this process, at work.
#[derive(Debug)]
pub struct Delivery {
    stop: watch::Sender<bool>,
    sinks: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    name: String,
    health: watch::Receiver<Health>,
    task: JoinHandle<()>,
}

/// How a sink is.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Why it stopped, if it stopped by itself.
    pub stopped: Option<Arc<SinkError>>,
    /// Partitions that it stopped reading, and why; the others go on.
    pub halted: BTreeMap<Partition, Arc<SinkError>>,
}

/// Why delivery cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingErrors),
    /// The log refuses.
    #[error("sink {sink}: join its consumer group")]
    Log {
        /// The sink.
        sink: String,
        /// What the log said.
        source: LogError,
    },
    /// The client for a backend cannot be made.
    #[error("sink {sink}: prepare its backend")]
    Backend {
        /// The sink.
        sink: String,
        /// What is wrong.
        source: BackendError,
    },
    /// The place for files cannot be used.
    #[error("sink {sink}: prepare its place for files")]
    Place {
        /// The sink.
        sink: String,
        /// What is wrong.
        source: PlaceError,
    },
    /// The place for files is another's.
    #[error("sink {sink}: use its place for files")]
    Owner {
        /// The sink.
        sink: String,
        /// Whose it is.
        source: OwnerError,
    },
}

impl StartError {
    fn told_by_source(&self) -> Option<&'static Explanation> {
        match self {
            Self::Log { source, .. } => Some(source.explanation()),
            Self::Place { source, .. } => Some(source.explanation()),
            Self::Owner { source, .. } => Some(source.explanation()),
            Self::Backend { source, .. } => Some(source.explanation()),
            Self::Settings(_) => None,
        }
    }
}

explain!(StartError via told_by_source {
    Settings: "sink_setting",
        "A setting of a sink cannot be used. Nothing was started.",
        "Set the key that the text names as it says; `tillrace check` names all of them.";
    Log: "sink_log",
        "A sink cannot join its consumer group.",
        "See the code of the log's error in the text.";
    Backend: "sink_backend",
        "The client for a sink's backend cannot be made.",
        "Correct `url`, `token` or `ca_file` as the text says.";
    Place: "sink_place",
        "The place for a sink's files cannot be used.",
        "See the code in the text.";
    Owner: "sink_owner",
        "The place for a sink's files belongs to another.",
        "Give each sink of each log a `place` of its own.";
});

impl Health {
    /// Tells whether everything the sink was given is being worked on.
    pub fn is_well(&self) -> bool {
        self.stopped.is_none() && self.halted.is_empty()
    }
}

impl Delivery {
    /// Starts the sinks on their topics, which must exist, dead letters and audit included. What
    /// of them stands still is told to the process's health. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a setting is wrong, a backend's client cannot be made, a place for files is another's, or
    /// the log refuses.
    pub async fn start(
        settings: &[SinkSettings],
        log: Arc<dyn Log>,
        topics: &Topics,
        registry: &mut Registry,
        process: &health::Health,
    ) -> Result<Self, StartError> {
        settings::validate(settings)?;
        let mut wirings = Vec::with_capacity(settings.len());
        for sink in settings {
            wirings.push(Wiring {
                name: sink.name.clone(),
                source: sink.to.source(),
                filter: sink.filter.clone(),
                flow: sink.flow.clone(),
                connector: connect(sink, &log, topics).await?,
            });
        }
        Self::start_wired(wirings, &log, topics, registry, process)
    }

    /// Starts sinks whose connectors are made already.
    ///
    /// # Errors
    /// When the log refuses for good. What may pass is waited out, as after any other end of a sink.
    pub fn start_wired(
        wirings: Vec<Wiring>,
        log: &Arc<dyn Log>,
        topics: &Topics,
        registry: &mut Registry,
        process: &health::Health,
    ) -> Result<Self, StartError> {
        let metrics = DeliveryMetrics::register(registry);
        let (stop, stopped) = watch::channel(false);
        let mut sinks = Vec::with_capacity(wirings.len());
        for wiring in wirings {
            let name = wiring.name.clone();
            let ordering = wiring.connector.ordering();
            let (tell, health) = watch::channel(Health::default());
            let calls = LogCalls::new(component(&name), Impact::Degraded, process.clone());
            let parts = Parts {
                wiring,
                log: calls.watch(Arc::clone(log)),
                topics: topics.clone(),
                metrics: metrics.clone(),
                process: process.clone(),
                tell,
                calls,
            };
            // What passes is waited out by the sink's own policy, as later.
            let engine = match parts.engine() {
                Err(source) if !source.may_pass() => {
                    return Err(StartError::Log { sink: name, source });
                }
                engine => engine,
            };
            let conditions = Conditions::new(&name, topics.dead(&name), ordering, process.clone());
            let watch = watch_over(Arc::new(parts), engine, stopped.clone(), conditions);
            let task = tokio::spawn(watch);
            sinks.push(Running { name, health, task });
        }
        Ok(Self { stop, sinks })
    }

    /// Returns how each sink is.
    pub fn health(&self) -> Vec<(&str, Health)> {
        self.sinks.iter().map(|sink| (sink.name.as_str(), sink.health.borrow().clone())).collect()
    }

    /// Stops reading, finishes what is in hand within each sink's `drain_within`, commits, and
    /// leaves the groups. Returns how each sink was at the end.
    pub async fn drain(self) -> Vec<(String, Health)> {
        self.stop.send_replace(true);
        let mut ends = Vec::with_capacity(self.sinks.len());
        for sink in self.sinks {
            if let Err(error) = sink.task.await {
                let (code, sink) = (PANICKED.code, &sink.name);
                tracing::error!(code, sink, %error, "watching over a sink failed");
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

/// What a sink's engine is made of, each time it starts.
struct Parts {
    wiring: Wiring,
    log: Arc<dyn Log>,
    topics: Topics,
    metrics: DeliveryMetrics,
    process: health::Health,
    tell: watch::Sender<Health>,
    /// The calls that its engine makes to the log, whose threads can not tell of them while they wait.
    calls: LogCalls,
}

impl Parts {
    fn engine(&self) -> Result<Engine, LogError> {
        let (wiring, metrics) = (self.wiring.clone(), self.metrics.sink(&self.wiring.name));
        Engine::start(wiring, &self.log, &self.topics, metrics, self.tell.clone(), &self.process)
    }
}

/// Runs a sink until it is told to end. After a failure of the log that may pass it starts again, from what is committed;
/// after any other end it stops, and says so.
async fn watch_over(
    parts: Arc<Parts>,
    mut started: Result<Engine, LogError>,
    mut stop: watch::Receiver<bool>,
    conditions: Conditions,
) {
    let (component, process) = (component(&parts.wiring.name), parts.process.clone());
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
        let again = Arc::clone(&parts);
        let starting = tokio::task::spawn_blocking(move || again.engine());
        let panicked = LogError::TimedOut { action: "start a sink again" };
        let looked_at = looking(starting, || calls.observe(Instant::now()));
        started = looked_at.await.unwrap_or(Err(panicked));
        policy.started(Instant::now());
    }
}

/// Runs an engine to its end: `None` where it was told to end, otherwise by an error, a panic, or by itself.
async fn run(
    engine: Engine,
    stop: &watch::Receiver<bool>,
    policy: &mut RestartPolicy,
    calls: &LogCalls,
) -> Option<SinkError> {
    // The engine ends with the set, and the set with this task.
    let mut work = JoinSet::new();
    work.spawn(engine.run(stop.clone()));
    let look = || {
        let now = Instant::now();
        policy.observe(now);
        calls.observe(now);
    };
    match looking(work.join_next(), look).await {
        Some(Ok(Ok(()))) if *stop.borrow() || stop.has_changed().is_err() => None,
        Some(Ok(Ok(()))) | None => Some(SinkError::Ended),
        Some(Ok(Err(error))) => Some(error),
        Some(Err(gone)) => Some(SinkError::Panicked(Arc::new(gone))),
    }
}

/// Waits for work, and looks around meanwhile and after it.
async fn looking<T>(work: impl Future<Output = T>, mut look: impl FnMut()) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                look();
                return done;
            }
            () = tokio::time::sleep(LOOK_EVERY) => look(),
        }
    }
}

/// How long to wait before a sink starts again; `None` where that cannot help. A panic is no such case: the record in hand is
/// its likely cause, and would be again.
fn pause_after(error: &SinkError, policy: &mut RestartPolicy) -> Option<Duration> {
    let (SinkError::Log(log) | SinkError::Journal(JournalError::Log(log))) = error else {
        return None;
    };
    if !log.is_restartable() {
        return None;
    }
    let (cause, explanation) = (ErrorChain(error).to_string(), log.explanation());
    let exit = RoleExit { cause: &cause, explanation, is_restartable: true };
    policy.ended(exit, Instant::now(), rand::random())
}

/// What a sink is called where its process tells of it.
fn component(sink: &str) -> String {
    format!("sink/{sink}")
}

/// Makes the connector of a sink.
pub(crate) async fn connect(
    sink: &SinkSettings,
    log: &Arc<dyn Log>,
    topics: &Topics,
) -> Result<Arc<dyn Connector>, StartError> {
    let backend = |source| StartError::Backend { sink: sink.name.clone(), source };
    Ok(match &sink.to {
        Target::ErpDocuments(settings) => Arc::new(Erp::documents(settings).map_err(backend)?),
        Target::ErpStockMovements(settings) => {
            Arc::new(Erp::stock_movements(settings).map_err(backend)?)
        }
        Target::CrmPoints(settings) => Arc::new(CrmPoints::new(settings).map_err(backend)?),
        Target::Parquet(settings) => {
            let files = ParquetFiles::open(settings, Arc::clone(log), topics, &sink.name)
                .map_err(|source| StartError::Place { sink: sink.name.clone(), source })?;
            let owner = |source| StartError::Owner { sink: sink.name.clone(), source };
            files.claim().await.map_err(owner)?;
            Arc::new(files)
        }
    })
}

impl fmt::Display for Health {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.stopped {
            return write!(formatter, "stopped: {error}");
        }
        if self.halted.is_empty() {
            return formatter.write_str("well");
        }
        let mut separator = "";
        for (partition, error) in &self.halted {
            write!(formatter, "{separator}partition {partition} stopped: {error}")?;
            separator = "; ";
        }
        Ok(())
    }
}
