//! Starts the roles in this process, watches over them, and ends them in order.
//!
//! Ingest goes first when draining: what it acknowledged is in the log. The aggregator then flushes what it folded, and the
//! sinks finish the calls under way. Nothing here knows how a role works.

mod aggregator;
mod books;
mod clusters;
pub(crate) mod domain;
mod error;
pub(crate) mod local_log;
mod planned;
pub(crate) mod policy_follower;
pub(crate) mod starting;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prometheus_client::registry::Registry;
use tillrace_ingest::{
    ConnectionLayers, Gateway, GatewaySettings, ServedDomain, TenantSettings, Tenants,
};
use tillrace_log::health::{Health, Impact, Phase, Readiness};
use tillrace_log::kafka::KafkaLog;
use tillrace_log::local;
use tillrace_log::{Log, LogView, WritableLog};
use tokio::task::JoinSet;
use tracing::Instrument as _;

pub(crate) use self::books::plan as plan_books;
use self::clusters::Clusters;
use self::domain::RunningDomain;
pub(crate) use self::error::RoleError;
use self::planned::{PlannedDomain, readiness_of};
use crate::config::{Domain, Settings};
use crate::status::Status;

/// How often the roles are asked whether they still work.
const LOOK_AROUND: Duration = Duration::from_millis(250);

/// Which roles a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "any combination is a process")]
pub(crate) struct Roles {
    pub(crate) ingest: bool,
    pub(crate) aggregate: bool,
    pub(crate) deliver: bool,
    pub(crate) books: bool,
}

impl Roles {
    const NONE: Self = Self { ingest: false, aggregate: false, deliver: false, books: false };
    pub(crate) const ALL: Self = Self { ingest: true, aggregate: true, deliver: true, books: true };
    pub(crate) const INGEST: Self = Self { ingest: true, ..Self::NONE };
    pub(crate) const AGGREGATE: Self = Self { aggregate: true, ..Self::NONE };
    pub(crate) const DELIVER: Self = Self { deliver: true, ..Self::NONE };
    pub(crate) const BOOKS: Self = Self { books: true, ..Self::NONE };

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
            Self { books: true, .. } => 8084,
            _ => 8083,
        };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }
}

/// The roles of this process, at work.
pub(crate) struct Running {
    process: Health,
    status: Status,
    /// What the gateway is made of, until there is a domain that it can serve.
    planned: Option<PlannedGateway>,
    gateway: Option<Gateway>,
    /// The tenants of the gateway; its clients change as the policy sets of the domains say.
    tenants: Option<Tenants>,
    domains: Vec<RunningDomain>,
    /// The health of every domain of the process, in their order.
    healths: Vec<Health>,
    /// Domains that are not there yet.
    starting: JoinSet<(usize, anyhow::Result<(RunningDomain, Registry)>)>,
    /// Domains that can do nothing more, and why the last of them cannot.
    stopped: BTreeSet<usize>,
    last_error: Option<anyhow::Error>,
    /// Whether domains are told apart; if not, the only one is the process.
    is_named: bool,
}

/// The gateway to be.
struct PlannedGateway {
    settings: GatewaySettings,
    tenants: Vec<Vec<TenantSettings>>,
    served: Vec<ServedDomain>,
}

impl Running {
    /// Opens the log of each domain, makes the topics, and starts the roles. The status listener comes first, so that a long
    /// start can be seen, and the gateway when there is a domain that it can serve; the other domains come when they can.
    ///
    /// # Errors
    /// When no domain can start, as its log cannot be opened or a role cannot start; when an address is taken.
    pub(crate) async fn start(
        settings: &Settings,
        domains: Vec<Domain>,
        roles: Roles,
    ) -> anyhow::Result<Self> {
        let mut registry = Registry::default();
        let process = Health::register(&mut registry);
        process.enter(Phase::Starting);
        let is_named = domains.iter().any(|domain| domain.is_named);
        let planned: Vec<PlannedDomain> =
            domains.into_iter().map(|domain| PlannedDomain::new(domain, &process)).collect();
        let served: Vec<ServedDomain> =
            planned.iter().filter(|_| is_named).map(PlannedDomain::served).collect();
        let status_address = settings.status.unwrap_or(roles.default_status());
        let starting = readiness_of(process.clone(), served.clone());
        let status = start_status(settings, status_address, &process, &mut registry, starting)?;
        let tenants = planned.iter().map(|planned| planned.domain.tenants.clone()).collect();
        let gateway =
            PlannedGateway { settings: settings.ingest.clone(), tenants, served: served.clone() };
        let mut running = Self {
            process,
            status,
            planned: roles.ingest.then_some(gateway),
            gateway: None,
            tenants: None,
            domains: Vec::new(),
            healths: planned.iter().map(|planned| planned.health.clone()).collect(),
            starting: JoinSet::new(),
            stopped: BTreeSet::new(),
            last_error: None,
            is_named,
        };
        let clusters = Clusters::default();
        for (index, planned) in planned.into_iter().enumerate() {
            let (aggregate, clusters) = (settings.aggregate.clone(), clusters.clone());
            running.starting.spawn(planned.start(index, aggregate, roles, clusters));
        }
        running.await_first(registry, served).await?;
        Ok(running)
    }

    /// Waits until one domain works, and lets the process be seen.
    async fn await_first(
        &mut self,
        mut registry: Registry,
        served: Vec<ServedDomain>,
    ) -> anyhow::Result<()> {
        let first = loop {
            let Some(joined) = self.starting.join_next().await else {
                return Err(self.last_error.take().unwrap_or(RoleError::NoneLeft.into()));
            };
            match joined.context("start a domain")? {
                (_, Ok(first)) => break first,
                (index, Err(error)) => self.fail(index, error),
            }
        };
        if let Some(PlannedGateway { settings, tenants, served }) = self.planned.take() {
            let tenants = Tenants::of_domains(tenants).context("read the tenants")?;
            let process = self.process.clone();
            self.tenants = Some(tenants.clone());
            let gateway = Gateway::bind(settings, tenants, served, process, &mut registry);
            let gateway = gateway.context("start the gateway")?;
            self.status.expose(registry, gateway.readiness());
            self.gateway = Some(gateway);
        } else {
            self.status.expose(registry, readiness_of(self.process.clone(), served));
        }
        self.admit(first)?;
        self.process.enter(Phase::Serving);
        Ok(())
    }

    /// Adds a domain that was started, and lets its callers in.
    fn admit(&mut self, (mut domain, registry): (RunningDomain, Registry)) -> anyhow::Result<()> {
        let index = domain.index;
        let span = domain.span.clone();
        let _entered = span.enter();
        self.status.add(registry);
        // Callers of the policy set are known before the first is let in.
        let followed = self.tenants.clone().map_or(Ok(()), |tenants| domain.follow_policy(tenants));
        let opened = self.gateway.as_mut().map_or(Ok(()), |gateway| {
            let (log, topics) = (Arc::clone(&domain.log), domain.topics.clone());
            gateway.open(index, log, topics, domain.health.clone())
        });
        domain.serve(self.gateway.as_ref().and_then(|gateway| gateway.health(index)));
        self.domains.push(domain);
        followed.context("follow the policy set")?;
        opened.context("start the gateway")
    }

    /// Takes the domains that have come, and notes those that cannot.
    fn take_started(&mut self) -> anyhow::Result<()> {
        while let Some(joined) = self.starting.try_join_next() {
            let (index, started) = joined.context("start a domain")?;
            if let Err(error) = started.and_then(|started| self.admit(started)) {
                self.fail(index, error);
            }
        }
        Ok(())
    }

    /// Notes that a domain can do nothing more.
    fn fail(&mut self, index: usize, error: anyhow::Error) {
        if self.is_named
            && let Some(health) = self.healths.get(index)
        {
            domain::tell_stopped(health, &error);
        }
        self.stopped.insert(index);
        self.last_error = Some(error);
    }

    /// Returns the address of the gateway, if there is one.
    pub(crate) fn gateway_address(&self) -> Option<SocketAddr> {
        self.gateway.as_ref().map(Gateway::local_addr)
    }

    /// Returns where the status listener is asked.
    pub(crate) fn status_url(&self) -> String {
        self.status.url()
    }

    /// Returns the log of the domain that came first.
    pub(crate) fn first_log(&self) -> Option<Arc<dyn Log>> {
        self.domains.first().map(|domain| Arc::clone(&domain.log))
    }

    /// Waits until no domain of this process can do anything more. One that stands still while another works is told by its
    /// health, and ends nothing; likewise a role of it.
    ///
    /// # Errors
    /// Always: says why. What each role met comes from [`Running::drain`].
    pub(crate) async fn stopped(&mut self) -> anyhow::Error {
        loop {
            if let Err(error) = self.take_started() {
                return error;
            }
            if self.gateway.as_ref().is_some_and(Gateway::has_stopped) {
                return RoleError::GatewayEnded.into();
            }
            let has_gateway = self.gateway.is_some();
            let at_work =
                self.domains.iter().filter(|domain| !self.stopped.contains(&domain.index));
            let failed =
                |domain: &RunningDomain| Some((domain.index, domain.failure(has_gateway)?));
            for (index, error) in at_work.filter_map(failed).collect::<Vec<_>>() {
                self.fail(index, error);
            }
            if self.stopped.len() == self.healths.len()
                && let Some(error) = self.last_error.take()
            {
                return error;
            }
            tokio::time::sleep(LOOK_AROUND).await;
        }
    }

    /// Lets load balancers see that the gateway will drain, for as long as it is set to.
    pub(crate) async fn announce_drain(&self) {
        self.process.enter(Phase::Draining);
        if let Some(gateway) = &self.gateway {
            gateway.announce_drain().await;
        }
    }

    /// Ends the roles in order: no acknowledged event is lost, no connection cut mid-reply.
    ///
    /// # Errors
    /// The first role that could not end cleanly; the others are ended all the same.
    pub(crate) async fn drain(mut self) -> anyhow::Result<()> {
        self.process.enter(Phase::Draining);
        let mut first_error = None;
        if let Some(gateway) = self.gateway
            && let Err(error) = gateway.drain().await
        {
            first_error.get_or_insert(anyhow::Error::new(error).context("drain the gateway"));
        }
        self.starting.abort_all();
        while let Some(joined) = self.starting.join_next().await {
            if let Ok((_index, Ok((domain, _registry)))) = joined {
                self.domains.push(domain);
            }
        }
        let mut draining = JoinSet::new();
        for domain in self.domains {
            domain.health.enter(Phase::Draining);
            let span = domain.span.clone();
            draining.spawn(domain.drain().instrument(span));
        }
        while let Some(joined) = draining.join_next().await {
            if let Err(error) = joined.context("wait for a domain").flatten() {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// Starts the status listener behind what guards it.
fn start_status(
    settings: &Settings,
    address: SocketAddr,
    health: &Health,
    registry: &mut Registry,
    starting: impl Fn() -> Readiness + Send + Sync + 'static,
) -> anyhow::Result<Status> {
    let guard = &settings.status_listener;
    let (tls, addresses) = (guard.tls.as_ref(), &guard.addresses);
    let layers = ConnectionLayers::of_status(tls, addresses, health.clone(), registry);
    let layers = layers.context("prepare TLS for the status listener")?;
    Ok(Status::start(address, layers, health.clone(), starting)?)
}

/// Opens the log to read it, without becoming its owner where another process is.
///
/// # Errors
/// When there is no log, or it cannot be reached.
pub(crate) fn open_view(domain: &Domain) -> anyhow::Result<Arc<dyn LogView>> {
    Ok(match &domain.log.kafka {
        Some(kafka) => KafkaLog::connect(kafka.clone()).context("connect to Kafka")?,
        None => local_log::open_view(&domain.local_log().dir).context("open the local log")?,
    })
}

/// Opens the log for a command that writes to it: a local log through the process that runs on it, where there is one.
///
/// # Errors
/// When it cannot be reached.
pub(crate) fn open_to_write(domain: &Domain) -> anyhow::Result<Arc<dyn WritableLog>> {
    Ok(match &domain.log.kafka {
        Some(kafka) => KafkaLog::connect(kafka.clone()).context("connect to Kafka")?,
        None => local_log::open_to_write(&domain.local_log()).context("open the local log")?,
    })
}

/// Tells whether roles may be at work on the log: on a local one only a process that serves it has any.
pub(crate) fn may_be_at_work(domain: &Domain) -> bool {
    domain.log.kafka.is_some() || local::is_served(&domain.local_log().dir)
}
