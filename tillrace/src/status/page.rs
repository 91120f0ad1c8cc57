//! The page of metrics, written once for everybody who asks within a second.
//!
//! A page of a large installation takes milliseconds to write and hundreds of kilobytes to keep. Readers share one copy,
//! so neither asking often nor reading slowly costs more than that.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::lines::DEFECT;

/// How long a page is good for.
const FRESH: Duration = Duration::from_secs(1);

/// The metrics of a registry, written out.
pub(super) struct MetricsPage {
    registry: Registry,
    written: Mutex<Option<(Instant, Bytes)>>,
}

impl MetricsPage {
    pub(super) fn new(registry: Registry) -> Self {
        Self { registry, written: Mutex::new(None) }
    }

    /// Returns the page as it is at `now`, or was up to a second before.
    pub(super) fn at(&self, now: Instant) -> Bytes {
        let mut written = self.written.lock();
        if let Some((when, page)) = &*written
            && now.saturating_duration_since(*when) < FRESH
        {
            return page.clone();
        }
        let mut text = String::new();
        if let Err(error) = text::encode(&mut text, &self.registry) {
            tracing::warn!(code = DEFECT.code, %error, "cannot write the metrics");
        }
        let page = Bytes::from(text);
        *written = Some((now, page.clone()));
        page
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn the_page_is_written_once_a_second_and_shared() {
        let counter = Counter::<u64>::default();
        let mut registry = Registry::default();
        registry.register("sales", "Sales", counter.clone());
        let page = MetricsPage::new(registry);
        let now = Instant::now();
        let first = page.at(now);
        assert!(first.starts_with(b"# HELP sales Sales.\n"), "{first:?}");
        counter.inc();
        let second = page.at(now + FRESH / 2);
        assert_eq!(second.as_ptr(), first.as_ptr(), "one copy, whoever asks");
        let third = page.at(now + FRESH);
        assert!(third.ends_with(b"sales_total 1\n# EOF\n"), "{third:?}");
    }
}
