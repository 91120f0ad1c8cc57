//! What is counted of TLS.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of one listener; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsMetrics {
    handshakes: Family<OutcomeLabel, Counter>,
    loads: Family<OutcomeLabel, Counter>,
    pub(super) days_left: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl TlsMetrics {
    /// Makes the metrics and registers them below the prefix of a listener.
    pub(super) fn register(part: &mut Registry) -> Self {
        let metrics = Self::default();
        let part = part.sub_registry_with_prefix("tls");
        part.register("handshakes", "TLS handshakes by outcome", metrics.handshakes.clone());
        part.register(
            "certificate_loads",
            "Changes of the files of a certificate by outcome: loaded, or the one before kept",
            metrics.loads.clone(),
        );
        part.register(
            "certificate_days_left",
            "Days until the certificate, or one of its chain, expires",
            metrics.days_left.clone(),
        );
        metrics
    }

    pub(super) fn count_handshake(&self, outcome: &'static str) {
        self.handshakes.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(super) fn count_load(&self, outcome: &'static str) {
        self.loads.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}
