//! What no section can say by itself of its settings: how they go together, and what the process needs.

use std::net::SocketAddr;
use std::str::FromStr;

use tillrace_core::aggregate::AggregateSettings;
use tillrace_ingest::{TenantSettings, inspect_tenants};
use tillrace_log::kafka::PARTITIONS;
use tillrace_log::setting::Inspection;
use tillrace_sinks::{SinkSettings, settings as sinks};
use tracing_subscriber::filter::{Directive, LevelFilter};

use super::{DomainSettings, LogSettings, Settings, Telemetry, apart};

/// Notes all that is wrong with settings.
pub(super) fn inspect(settings: &Settings, found: &mut Inspection) {
    inspect_namespace(&settings.namespace, found);
    found.within("log", |found| settings.log.inspect(found));
    // Each domain has its part of what a gateway holds.
    let ingest = settings.ingest.part_of(settings.domains.len());
    found.within("ingest", |found| ingest.inspect(found));
    found.within("aggregate", |found| settings.aggregate.inspect(found));
    sinks::inspect(&settings.sinks, found);
    inspect_tenants(&settings.tenants, found);
    found.within("telemetry", |found| settings.telemetry.inspect(found));
    found.within("status_listener", |found| settings.status_listener.inspect(found));
    inspect_addresses(settings, found);
    if settings.domains.is_empty() && !settings.development {
        inspect_senders(&settings.tenants, &settings.sinks, found);
    }
    found.each("domains", &settings.domains, |found, domain| domain.inspect(found));
    inspect_bindings(settings, found);
    apart::inspect(settings, found);
}

fn inspect_namespace(namespace: &str, found: &mut Inspection) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    found.require(
        namespace.len() <= 64 && namespace.bytes().all(plain),
        "namespace",
        "cannot stand before the name of a topic",
        "use at most 64 of a-z, A-Z, 0-9, '.', '_' and '-', as Kafka's topic names allow",
    );
}

impl DomainSettings {
    fn inspect(&self, found: &mut Inspection) {
        inspect_namespace(&self.namespace, found);
        if let Some(log) = &self.log {
            found.within("log", |found| log.inspect(found));
        }
        found.range_of("retention_days", self.retention_days, 1..);
        sinks::inspect(&self.sinks, found);
        inspect_tenants(&self.tenants, found);
        inspect_senders(&self.tenants, &self.sinks, found);
    }
}

impl LogSettings {
    fn inspect(&self, found: &mut Inspection) {
        found.range("partitions", self.partitions, PARTITIONS);
        found.range("retention_days", self.retention_days, 1..);
        found.within("local", |found| self.local.inspect(found));
        match &self.kafka {
            Some(kafka) => found.within("kafka", |found| kafka.inspect(found)),
            None => found.within("local", |found| {
                AggregateSettings::inspect_frames(self.local.frame_limits(), found);
            }),
        }
    }
}

impl Telemetry {
    /// `EnvFilter` takes any word for the name of a part: a misspelt level would silence the log.
    fn inspect(&self, found: &mut Inspection) {
        for directive in self.level.split(',').map(str::trim) {
            let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
            let is_sound =
                LevelFilter::from_str(level).is_ok() && Directive::from_str(directive).is_ok();
            found.require(
                is_sound,
                "level",
                "is no level",
                "use error, warn, info, debug or trace, or PART=LEVEL, commas between",
            );
        }
    }
}

fn inspect_addresses(settings: &Settings, found: &mut Inspection) {
    let meets = |one: SocketAddr, other: SocketAddr| {
        let same_ip =
            one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
        one.port() != 0 && one.port() == other.port() && same_ip
    };
    found.require(
        settings.status.is_none_or(|status| !meets(status, settings.ingest.listen)),
        "status",
        "is the address that the gateway listens on, `ingest.listen`",
        "use another port",
    );
}

/// A key that is bound to a client certificate is of no use where none is asked for.
fn inspect_bindings(settings: &Settings, found: &mut Inspection) {
    if settings.ingest.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()) {
        return;
    }
    inspect_unbound(&settings.tenants, found);
    found.each("domains", &settings.domains, |found, domain| {
        inspect_unbound(&domain.tenants, found);
    });
}

fn inspect_unbound(tenants: &[TenantSettings], found: &mut Inspection) {
    found.each("tenants", tenants, |found, tenant| {
        let require_none = |found: &mut Inspection, is_none| {
            found.require(
                is_none,
                "client_certificate",
                "is set, and the gateway asks nobody for a client certificate",
                "name the authorities of clients in ingest.tls.client_ca",
            );
        };
        found.each("keys", &tenant.keys, |found, key| {
            require_none(found, key.client_certificate.is_none());
        });
        found.each("clients", &tenant.clients, |found, client| {
            require_none(found, client.client_certificate.is_none());
        });
    });
}

/// A file may be meant for a role that needs no tenants, so what is odd about them is a warning.
fn inspect_senders(tenants: &[TenantSettings], sinks: &[SinkSettings], found: &mut Inspection) {
    if tenants.is_empty() {
        found.warning("tenants", "is empty: a gateway lets nobody in", "add a tenant with a key");
        return;
    }
    let has_nobody = |tenant: &TenantSettings| {
        tenant.keys.is_empty() && tenant.clients.iter().all(|client| client.keys.is_empty())
    };
    for tenant in tenants.iter().enumerate().filter(|(_, tenant)| has_nobody(tenant)) {
        let path = format!("tenants[{}].keys", tenant.0);
        found.warning(&path, "is empty: nobody can send for this tenant", "add a key");
    }
    found.each("sinks", sinks, |found, sink| {
        let is_unknown = |id: &&String| tenants.iter().all(|tenant| tenant.id != **id);
        for id in sink.filter.tenants.iter().filter(is_unknown) {
            let fault = format!("{id:?} is no tenant of this configuration");
            found.warning("filter.tenants", fault, "correct the id, or remove it");
        }
    });
}
