//! Domains before their start: the health, the registry and the span of each.
//!
//! They are there from the beginning, so that `/readyz` and log lines name a domain that is still on its way.

use prometheus_client::registry::Registry;
use tillrace_core::aggregate::AggregateSettings;
use tillrace_ingest::ServedDomain;
use tillrace_log::health::{DomainReadiness, Health, Phase, Readiness, domain_span};
use tracing::{Instrument as _, Span};

use super::Roles;
use super::clusters::Clusters;
use super::domain::{DomainStart, RunningDomain};
use crate::config::Domain;

/// A domain before its start.
pub(super) struct PlannedDomain {
    pub(super) domain: Domain,
    pub(super) health: Health,
    span: Span,
    registry: Registry,
}

impl PlannedDomain {
    /// Plans a domain. The only one of a process has the health of the process; of several, each has its own, with its name on
    /// metrics and lines.
    pub(super) fn new(domain: Domain, process: &Health) -> Self {
        if !domain.is_named {
            let (health, registry) = (process.clone(), Registry::default());
            return Self { domain, health, span: Span::none(), registry };
        }
        let label = ("domain".into(), domain.name.clone().into());
        let mut registry = Registry::with_labels([label].into_iter());
        let span = domain_span(&domain.name);
        let health = Health::of_domain(&mut registry, span.clone());
        health.enter(Phase::Starting);
        Self { domain, health, span, registry }
    }

    /// Describes it to the gateway, and to `/readyz`.
    pub(super) fn served(&self) -> ServedDomain {
        let Domain { name, region, .. } = &self.domain;
        ServedDomain { name: name.clone(), region: region.clone(), health: self.health.clone() }
    }

    /// Starts it. The future has the index too, which tells whose start failed.
    pub(super) fn start(
        self,
        index: usize,
        aggregate: AggregateSettings,
        roles: Roles,
        clusters: Clusters,
    ) -> impl Future<Output = (usize, anyhow::Result<(RunningDomain, Registry)>)> {
        let Self { domain, health, span, registry } = self;
        let around = span.clone();
        let start = DomainStart { index, aggregate, roles, health, span, clusters };
        async move { (index, RunningDomain::start(domain, start, registry).await) }
            .instrument(around)
    }
}

/// Returns what tells the readiness of a process without a gateway, or before there is one.
pub(super) fn readiness_of(
    process: Health,
    domains: Vec<ServedDomain>,
) -> impl Fn() -> Readiness + Send + Sync + 'static {
    move || {
        let of_domain = |domain: &ServedDomain| DomainReadiness {
            name: domain.name.clone(),
            region: domain.region.clone(),
            readiness: domain.health.readiness(),
        };
        match domains.as_slice() {
            [] => process.readiness(),
            domains => process.readiness().with_domains(domains.iter().map(of_domain).collect()),
        }
    }
}
