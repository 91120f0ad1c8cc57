//! The roles of one domain in this process: its log opened, its topics made, its aggregator and sinks at work.
//!
//! Domains start, fail and end by themselves; [`super::Running`] has all of them, and the gateway that they share.

use std::sync::Arc;

use anyhow::Context;
use prometheus_client::registry::Registry;
use tillrace_core::aggregate::{AggregateError, AggregateSettings};
use tillrace_core::topics::Topics;
use tillrace_ingest::{GatewayHealth, Tenants, WEAK_SETTINGS};
use tillrace_log::explain::{Explained as _, Explanation};
use tillrace_log::health::{Condition, Health, Impact, Phase};
use tillrace_log::kafka::KafkaLog;
use tillrace_log::local::{self, Serving};
use tillrace_log::{Log, LogError, LogView as _, TopicSpec, Weaknesses};
use tillrace_sinks::{Delivery, StartError};
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};

use super::aggregator::Aggregator;
use super::books::Books;
use super::clusters::Clusters;
use super::error::RoleError;
use super::policy_follower::PolicyFollower;
use super::starting::Comparing;
use super::{Roles, local_log, starting};
use crate::config::Domain;

const COMPONENT: &str = "domain";

/// A domain that can do nothing more, or could not start, while others of the process go on.
pub(crate) const DOMAIN_STOPPED: Explanation = Explanation {
    code: "domain_stopped",
    meaning: "This domain could not start, or has met what no restart of its roles helps. Its callers are answered 503 with \
              Retry-After and keep their events; what it acknowledged is in its log. The other domains of the process go on.",
    remedy: "Do what the code in the cause asks for (docs/errors.md), then start the process again.",
};

/// What a start needs to know beside the domain itself.
#[derive(Clone)]
pub(super) struct DomainStart {
    /// Its index among the domains of the process.
    pub(super) index: usize,
    pub(super) aggregate: AggregateSettings,
    pub(super) roles: Roles,
    pub(super) health: Health,
    pub(super) span: Span,
    pub(super) clusters: Clusters,
}

/// A domain at work.
pub(super) struct RunningDomain {
    pub(super) index: usize,
    pub(super) log: Arc<dyn Log>,
    pub(super) topics: Topics,
    pub(super) health: Health,
    pub(super) span: Span,
    specs: Vec<TopicSpec>,
    weaknesses: Weaknesses,
    aggregator: Option<Aggregator>,
    delivery: Option<Delivery>,
    books: Option<Books>,
    /// Keeps the gateway's clients as the policy set says.
    policy: Option<PolicyFollower>,
    /// Looks again at what could not be found out at the start.
    comparing: JoinSet<()>,
    /// Lets `tap` and `verify` read a local log while this process owns it.
    _serving: Option<Serving>,
}

impl RunningDomain {
    /// Opens the log, makes the topics, and starts aggregator and sinks as the roles say. Returns the registry with their
    /// metrics.
    ///
    /// # Errors
    /// When the log cannot be opened or a role cannot start.
    pub(super) async fn start(
        domain: Domain,
        start: DomainStart,
        mut registry: Registry,
    ) -> anyhow::Result<(Self, Registry)> {
        let DomainStart { index, aggregate, roles, health, span, clusters } = start;
        let topics = domain.topics();
        let (log, serving) = open_log(&domain, &clusters, &mut registry, &health).await?;
        let specs = domain.topic_specs();
        let weaknesses = ensure_topics(&domain, &log, specs.clone(), &health).await?;
        let mut folding = aggregate;
        if domain.log.kafka.is_none() {
            folding = folding.within(domain.log.local.frame_limits())?;
        }
        // Last of what waits: a start that is given up here has nothing at work.
        let delivery = if roles.deliver {
            let log = Arc::clone(&log);
            let delivery =
                Delivery::start(&domain.sinks, log, &topics, &mut registry, &health).await;
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
        let books = roles
            .books
            .then(|| {
                let log = Arc::clone(&log);
                Books::start(&domain, log, roles.impact(), &mut registry, &health)
            })
            .transpose()?;
        let comparing = JoinSet::new();
        let running = Self {
            index,
            log,
            topics,
            health,
            span,
            specs,
            weaknesses,
            aggregator,
            delivery,
            books,
            policy: None,
            comparing,
            _serving: serving,
        };
        Ok((running, registry))
    }

    /// Puts the clients of its policy set in force in the gateway, and keeps them as it says.
    ///
    /// # Errors
    /// When the policy set cannot be read.
    pub(super) fn follow_policy(&mut self, tenants: Tenants) -> Result<(), LogError> {
        let (log, health) = (Arc::clone(&self.log), self.health.clone());
        let gateway = (tenants, self.index);
        self.policy = Some(PolicyFollower::start(log, &self.topics, gateway, health)?);
        Ok(())
    }

    /// Tells the gateway, if there is one, what is weak about the log, and asks again, until it is known, what nobody said of
    /// the log's settings. The domain serves from now on.
    pub(super) fn serve(&mut self, gateway: Option<Arc<GatewayHealth>>) {
        if let Some(gateway) = &gateway {
            gateway.note_weaknesses(self.weaknesses.found.clone());
        }
        self.health.enter(Phase::Serving);
        if self.weaknesses.unknown.is_empty() {
            return;
        }
        let note = move |found| {
            if let Some(gateway) = &gateway {
                gateway.note_weaknesses(found);
            }
        };
        let comparing = Comparing::new(self.weaknesses.clone(), self.health.clone(), note);
        let (log, specs) = (Arc::clone(&self.log), self.specs.clone());
        let ask = move || log.compare_topics(&specs);
        self.comparing.spawn(comparing.run(ask).instrument(self.span.clone()));
    }

    /// Returns why it can do nothing more, if it cannot; to be asked now and then, as roles that were started again are seen to
    /// be well by it.
    pub(super) fn failure(&self, has_gateway: bool) -> Option<anyhow::Error> {
        let _entered = self.span.enter();
        if let Some(error) = self.log.failure() {
            return Some(anyhow::Error::new(error).context("the log can do nothing more"));
        }
        if self.policy.as_ref().is_some_and(PolicyFollower::has_stopped) {
            return Some(RoleError::PolicyEnded.into());
        }
        let aggregator = self.aggregator.as_ref().is_none_or(Aggregator::has_stopped);
        let delivery = self.delivery.as_ref().is_none_or(has_stopped);
        let books = self.books.as_ref().is_none_or(Books::has_stopped);
        let is_idle = !has_gateway && aggregator && delivery && books;
        is_idle.then(|| RoleError::NoneLeft.into())
    }

    /// Ends aggregator and sinks: what was folded is flushed, and calls under way are finished.
    ///
    /// # Errors
    /// The first role that could not end cleanly; the others are ended all the same.
    pub(super) async fn drain(self) -> anyhow::Result<()> {
        let mut first_error = None;
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
        if let Some(books) = self.books
            && let Err(error) = books.drain().await
        {
            first_error.get_or_insert(error);
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// Says of a domain that it has stopped, and why.
pub(super) fn tell_stopped(health: &Health, error: &anyhow::Error) {
    let code = code_of(error).map(|code| format!(" ({code})")).unwrap_or_default();
    // Its start is over, if it came so far: the condition says what it is instead.
    health.enter(Phase::Serving);
    health.raise(Condition {
        component: COMPONENT.to_owned(),
        code: DOMAIN_STOPPED.code,
        subject: String::new(),
        impact: Impact::NotReady,
        cause: format!("{error:#}{code}"),
        remedy: DOMAIN_STOPPED.remedy.to_owned(),
    });
}

/// Returns the code of what a start or a role can fail with.
fn code_of(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        let explanation = cause
            .downcast_ref::<LogError>()
            .map(LogError::explanation)
            .or_else(|| cause.downcast_ref::<RoleError>().map(RoleError::explanation))
            .or_else(|| cause.downcast_ref::<StartError>().map(StartError::explanation))
            .or_else(|| cause.downcast_ref::<AggregateError>().map(AggregateError::explanation));
        explanation.map(|explanation| explanation.code)
    })
}

/// Opens the log; brokers that are away are waited for, and so is who reads a local log for a while.
async fn open_log(
    domain: &Domain,
    clusters: &Clusters,
    registry: &mut Registry,
    health: &Health,
) -> anyhow::Result<(Arc<dyn Log>, Option<Serving>)> {
    if let Some(kafka) = domain.log.kafka.clone() {
        let connect = move || KafkaLog::connect(kafka.clone());
        let log = starting::persist(health, "connect to Kafka", connect).await?;
        if domain.is_named {
            let asked = Arc::clone(&log);
            let ask = move || asked.identity();
            let identity = starting::persist(health, "ask which cluster it is", ask).await?;
            clusters.enter(domain, &identity)?;
        }
        return Ok((log, None));
    }
    let log = local_log::open(&domain.local_log(), health).await.context("open the local log")?;
    log.register(registry);
    log.report_to(health.clone());
    let serving = local::serve(&log).context("let others read the local log")?;
    Ok((log, Some(serving)))
}

async fn ensure_topics(
    domain: &Domain,
    log: &Arc<dyn Log>,
    specs: Vec<TopicSpec>,
    health: &Health,
) -> anyhow::Result<Weaknesses> {
    const STEP: &str = "make the topics";
    let making = Arc::clone(log);
    let make = move || making.ensure_topics(&specs);
    let weaknesses = match domain.log.kafka {
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
