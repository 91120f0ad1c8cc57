//! Starts the roles in this process, watches over them, and ends them in order.
//!
//! Ingest goes first when draining: what it acknowledged is in the log. The aggregator then flushes what it folded, and the
//! sinks finish the calls under way. Nothing here knows how a role works.

mod aggregator;
mod error;
pub(crate) mod local_log;
pub(crate) mod starting;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prometheus_client::registry::Registry;
use tillrace_ingest::{Gateway, Tenants, WEAK_SETTINGS};
use tillrace_log::health::{Health, Impact, Phase, Readiness};
use tillrace_log::kafka::KafkaLog;
use tillrace_log::local::{self, LocalLog, Serving};
use tillrace_log::{Log, LogView, TopicSpec, Weaknesses};
use tillrace_sinks::Delivery;
use tokio::task::JoinSet;

use self::aggregator::Aggregator;
pub(crate) use self::error::RoleError;
use self::starting::Comparing;
use crate::config::Settings;
use crate::status::Status;

/// How often the roles are asked whether they still work.
const LOOK_AROUND: Duration = Duration::from_millis(250);

/// Which roles a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) ingest: bool,
    pub(crate) aggregate: bool,
    pub(crate) deliver: bool,
}

impl Roles {
    pub(crate) const ALL: Self = Self { ingest: true, aggregate: true, deliver: true };
    pub(crate) const INGEST: Self = Self { ingest: true, aggregate: false, deliver: false };
    pub(crate) const AGGREGATE: Self = Self { ingest: false, aggregate: true, deliver: false };
    pub(crate) const DELIVER: Self = Self { ingest: false, aggregate: false, deliver: true };

    /// What it means for the process when another role than the gateway stands still: tills keep their way to a gateway, as
    /// what it accepts is durable.
    fn impact(self) -> Impact {
        if self.ingest { Impact::Degraded } else { Impact::NotReady }
    }

    /// Where the status listener is unless configured otherwise: one process of each kind fits on a host.
    pub(crate) fn default_status(self) -> SocketAddr {
        let port = match self {
            Self { ingest: true, .. } => 8081,
            Self { aggregate: true, .. } => 8082,
            _ => 8083,
        };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }
}

/// The roles of this process, at work.
pub(crate) struct Running {
    pub(crate) log: Arc<dyn Log>,
    health: Health,
    status: Status,
    gateway: Option<Gateway>,
    aggregator: Option<Aggregator>,
    delivery: Option<Delivery>,
    /// Looks again at what could not be found out at the start.
    comparing: JoinSet<()>,
    /// Lets `tap` and `verify` read a local log while this process owns it.
    _serving: Option<Serving>,
}

impl Running {
    /// Opens the log, makes the topics, and starts the roles; the status listener comes first, so that a long start can be
    /// seen, and the gateway last, so that what it accepts has somewhere to go.
    ///
    /// # Errors
    /// When the log cannot be opened or a role cannot start.
    pub(crate) async fn start(settings: &Settings, roles: Roles) -> anyhow::Result<Self> {
        let topics = settings.topics();
        let mut registry = Registry::default();
        let health = Health::register(&mut registry);
        health.enter(Phase::Starting);
        let status_address = settings.status.unwrap_or(roles.default_status());
        let status = Status::start(status_address, health.clone())?;
        let (log, serving) = open_log(settings, &mut registry, &health).await?;
        let sinks: Vec<&str> = settings.sinks.iter().map(|sink| sink.name.as_str()).collect();
        let specs = topics.specs(&sinks, settings.log.retention_days);
        let weaknesses = ensure_topics(settings, &log, specs.clone(), &health).await?;
        let mut folding = settings.aggregate.clone();
        if settings.log.kafka.is_none() {
            folding = folding.within(settings.log.local.frame_limits())?;
        }
        // Last of what waits: a start that is given up here has nothing at work.
        let delivery = if roles.deliver {
            let log = Arc::clone(&log);
            let delivery =
                Delivery::start(&settings.sinks, log, &topics, &mut registry, &health).await;
            Some(delivery.context("start the sinks")?)
        } else {
            None
        };
        let aggregator = roles
            .aggregate
            .then(|| {
                let (log, topics) = (Arc::clone(&log), topics.clone());
                let impact = roles.impact();
                Aggregator::start(log, topics, folding, impact, &mut registry, health.clone())
            })
            .transpose()?;
        let mut running = Self {
            log,
            health: health.clone(),
            status,
            gateway: None,
            aggregator,
            delivery,
            comparing: JoinSet::new(),
            _serving: serving,
        };
        if roles.ingest {
            running.start_gateway(settings, weaknesses.found.clone(), registry)?;
        } else {
            let health = health.clone();
            running.expose(registry, move || health.readiness());
        }
        if !weaknesses.unknown.is_empty() {
            running.compare_again(weaknesses, specs);
        }
        Ok(running)
    }

    /// Asks again, until it is known, what nobody said about the log's settings.
    fn compare_again(&mut self, weaknesses: Weaknesses, specs: Vec<TopicSpec>) {
        let gateway = self.gateway.as_ref().map(Gateway::health);
        let note = move |found| {
            if let Some(gateway) = &gateway {
                gateway.note_weaknesses(found);
            }
        };
        let comparing = Comparing::new(weaknesses, self.health.clone(), note);
        let log = Arc::clone(&self.log);
        self.comparing.spawn(comparing.run(move || log.compare_topics(&specs)));
    }

    fn start_gateway(
        &mut self,
        settings: &Settings,
        weaknesses: Vec<String>,
        mut registry: Registry,
    ) -> anyhow::Result<()> {
        let gateway = Gateway::start(
            settings.ingest.clone(),
            Arc::clone(&self.log),
            settings.topics(),
            Tenants::new(settings.tenants.clone()).context("read the tenants")?,
            self.health.clone(),
            &mut registry,
        );
        let gateway = gateway.context("start the gateway")?;
        gateway.health().note_weaknesses(weaknesses);
        self.expose(registry, gateway.readiness());
        self.gateway = Some(gateway);
        Ok(())
    }

    /// The process has started: lets it be seen.
    fn expose(
        &self,
        registry: Registry,
        readiness: impl Fn() -> Readiness + Send + Sync + 'static,
    ) {
        self.status.expose(registry, readiness);
        self.health.enter(Phase::Serving);
    }

    /// Returns the address of the gateway, if there is one.
    pub(crate) fn gateway_address(&self) -> Option<SocketAddr> {
        self.gateway.as_ref().map(Gateway::local_addr)
    }

    /// Returns the address of the status listener.
    pub(crate) fn status_address(&self) -> SocketAddr {
        self.status.local_addr()
    }

    /// Waits until no role of this process can work any more. One that stands still while another works is told by the health,
    /// and ends nothing.
    ///
    /// # Errors
    /// Always: says why. What each role met comes from [`Running::drain`].
    pub(crate) async fn stopped(&mut self) -> anyhow::Error {
        loop {
            if let Some(error) = self.log.failure() {
                return anyhow::Error::new(error).context("the log can do nothing more");
            }
            if self.gateway.as_ref().is_some_and(Gateway::has_stopped) {
                return RoleError::GatewayEnded.into();
            }
            let aggregator = self.aggregator.as_ref().is_none_or(Aggregator::has_stopped);
            let delivery = self.delivery.as_ref().is_none_or(has_stopped);
            if self.gateway.is_none() && aggregator && delivery {
                return RoleError::NoneLeft.into();
            }
            tokio::time::sleep(LOOK_AROUND).await;
        }
    }

    /// Lets load balancers see that the gateway will drain, for as long as it is set to.
    pub(crate) async fn announce_drain(&self) {
        self.health.enter(Phase::Draining);
        if let Some(gateway) = &self.gateway {
            gateway.announce_drain().await;
        }
    }

    /// Ends the roles in order: no acknowledged event is lost, no connection cut mid-reply.
    ///
    /// # Errors
    /// The first role that could not end cleanly; the others are ended all the same.
    pub(crate) async fn drain(self) -> anyhow::Result<()> {
        self.health.enter(Phase::Draining);
        let mut first_error = None;
        if let Some(gateway) = self.gateway
            && let Err(error) = gateway.drain().await
        {
            first_error.get_or_insert(anyhow::Error::new(error).context("drain the gateway"));
        }
        if let Some(aggregator) = self.aggregator
            && let Err(error) = aggregator.drain().await
        {
            first_error.get_or_insert(error);
        }
        if let Some(delivery) = self.delivery {
            for (sink, health) in delivery.drain().await {
                if let Some(error) = health.stopped {
                    first_error.get_or_insert(
                        anyhow::Error::new(error).context(format!("drain sink {sink}")),
                    );
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// Opens the log to read it, without becoming its owner where another process is.
///
/// # Errors
/// When there is no log, or it cannot be reached.
pub(crate) fn open_view(settings: &Settings) -> anyhow::Result<Arc<dyn LogView>> {
    Ok(match &settings.log.kafka {
        Some(kafka) => KafkaLog::connect(kafka.clone()).context("connect to Kafka")?,
        None => local_log::open_view(&settings.local_log().dir).context("open the local log")?,
    })
}

/// Opens the log for a command that writes to it.
///
/// # Errors
/// When it cannot be reached, or is a local log that another process owns.
pub(crate) fn open_to_write(settings: &Settings) -> anyhow::Result<Arc<dyn Log>> {
    Ok(match &settings.log.kafka {
        Some(kafka) => KafkaLog::connect(kafka.clone()).context("connect to Kafka")?,
        None => LocalLog::open(settings.local_log())
            .context("open the local log; it has one owner: stop the process that runs on it")?,
    })
}

/// Opens the log; brokers that are away are waited for, and so is who reads a local log for a while.
async fn open_log(
    settings: &Settings,
    registry: &mut Registry,
    health: &Health,
) -> anyhow::Result<(Arc<dyn Log>, Option<Serving>)> {
    if let Some(kafka) = settings.log.kafka.clone() {
        let connect = move || KafkaLog::connect(kafka.clone());
        return Ok((starting::persist(health, "connect to Kafka", connect).await?, None));
    }
    let log = local_log::open(&settings.local_log(), health).await.context("open the local log")?;
    log.register(registry);
    log.report_to(health.clone());
    let serving = local::serve(&log).context("let others read the local log")?;
    Ok((log, Some(serving)))
}

async fn ensure_topics(
    settings: &Settings,
    log: &Arc<dyn Log>,
    specs: Vec<TopicSpec>,
    health: &Health,
) -> anyhow::Result<Weaknesses> {
    const STEP: &str = "make the topics";
    let making = Arc::clone(log);
    let make = move || making.ensure_topics(&specs);
    let weaknesses = match settings.log.kafka {
        Some(_) => starting::persist(health, STEP, make).await?,
        None => make().context(STEP)?,
    };
    for weakness in &weaknesses.found {
        tracing::warn!(code = WEAK_SETTINGS.code, weakness, "the log is weaker than promised");
    }
    Ok(weaknesses)
}

/// Tells whether all sinks have stopped for good; a role without any is idle and has not.
fn has_stopped(delivery: &Delivery) -> bool {
    let sinks = delivery.health();
    !sinks.is_empty() && sinks.iter().all(|(_sink, health)| health.stopped.is_some())
}
