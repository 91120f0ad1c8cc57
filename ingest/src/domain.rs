//! A domain of the gateway: the queue to its log, the memory of its callers, its health and metrics.
//!
//! Nothing here is shared between domains, so one whose log is dead, full or not open yet costs the callers of the others
//! nothing: its own are answered 503 before anything of a body is read. The process opens logs; a caller's domain is known by
//! its tenant ([`crate::tenant`]).

use std::sync::{Arc, OnceLock};

use prometheus_client::registry::Registry;
use tillrace_core::topics::Topics;
use tillrace_log::health::{DomainReadiness, Health};
use tillrace_log::{Log, LogError};

use crate::admission::AdmissionPipeline;
use crate::clock::Clock;
use crate::health::GatewayHealth;
use crate::log_health::LogHealth;
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::publish::Publisher;
use crate::retry_after::Jitter;
use crate::settings::GatewaySettings;
use crate::tenant::Tenants;

/// A domain that a gateway is to serve.
#[derive(Debug, Clone)]
pub struct ServedDomain {
    /// Its name, for people.
    pub name: String,
    /// Where its data is, in its operator's words.
    pub region: Option<String>,
    /// The health of its log and roles.
    pub health: Health,
}

/// The place of a domain in the gateway; empty until its log is open.
pub(crate) struct DomainPlace {
    /// Absent where the process has one domain, which is the whole.
    identity: Option<(String, Option<String>)>,
    pub(crate) health: Arc<GatewayHealth>,
    pub(crate) metrics: Metrics,
    opened: OnceLock<DomainState>,
}

/// What a domain's requests share.
pub(crate) struct DomainState {
    pub(crate) admission: AdmissionPipeline,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: Metrics,
    pub(crate) jitter: Jitter,
    pub(crate) clock: Clock,
    pub(crate) budget: Arc<MemoryBudget>,
}

impl DomainPlace {
    /// Makes the place of the only domain there is: its health and metrics are those of the process.
    pub(crate) fn whole(health: GatewayHealth, gateway: &Metrics, registry: &mut Registry) -> Self {
        Self {
            identity: None,
            health: Arc::new(health),
            metrics: gateway.of_whole(registry),
            opened: OnceLock::new(),
        }
    }

    /// Makes the place of one domain of several, whose metrics have its name as a label.
    pub(crate) fn named(
        domain: ServedDomain,
        settings: &GatewaySettings,
        clock: &Clock,
        registry: &mut Registry,
    ) -> Self {
        let ServedDomain { name, region, health } = domain;
        let labelled = registry.sub_registry_with_label(("domain".into(), name.clone().into()));
        Self {
            metrics: Metrics::of_domain(labelled),
            health: Arc::new(GatewayHealth::new(health, settings.durability, clock.clone())),
            identity: Some((name, region)),
            opened: OnceLock::new(),
        }
    }

    /// Returns what its requests share, if its log is open.
    pub(crate) fn state(&self) -> Option<&DomainState> {
        self.opened.get()
    }

    /// Lets its callers in; once.
    pub(crate) fn fill(&self, state: DomainState) {
        // A second time would mean two logs; the first stays.
        drop(self.opened.set(state));
    }

    /// Returns its readiness under its name; `None` where it is the whole.
    pub(crate) fn readiness(&self) -> Option<DomainReadiness> {
        let (name, region) = self.identity.clone()?;
        Some(DomainReadiness { name, region, readiness: self.health.readiness() })
    }
}

impl DomainState {
    /// Opens a producer on the log, and makes the rest. `domain` is its index among the tenants' domains.
    ///
    /// # Errors
    /// When the log gives no producer.
    pub(crate) fn new(
        settings: &GatewaySettings,
        log: &dyn Log,
        topics: Topics,
        (tenants, domain): (&Tenants, usize),
        place: &DomainPlace,
        clock: Clock,
    ) -> Result<Self, LogError> {
        let settings = settings.part_of(tenants.domains());
        let (health, metrics) = (&place.health, place.metrics.clone());
        let budget = Arc::new(MemoryBudget::new(
            settings.in_flight.as_u64(),
            [settings.tenant_share_percent, settings.key_share_percent],
            metrics.in_flight_bytes.clone(),
        ));
        for tenant in tenants.of_domain(domain) {
            tenant.counters(|id| metrics.of_tenant(id));
        }
        Ok(Self {
            admission: AdmissionPipeline::new(
                &settings,
                topics,
                log.partitions(),
                Arc::clone(&budget),
                Arc::clone(health),
                metrics.flagged.clone(),
            ),
            publisher: Publisher {
                producer: log.producer()?,
                health: Arc::clone(health),
                log: Arc::new(LogHealth::new(log.partitions(), clock.clone())),
                clock: clock.clone(),
                queue_wait: settings.queue_wait,
                publish_timeout: settings.publish_timeout,
            },
            metrics,
            jitter: Jitter::new(),
            clock,
            budget,
        })
    }
}
