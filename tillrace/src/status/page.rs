//! The page of metrics, written once for everybody who asks within a second.
//!
//! A page of a large installation takes milliseconds to write and hundreds of kilobytes to keep. Readers share one copy,
//! so neither asking often nor reading slowly costs more than that. Each domain has a registry of its own, and what several
//! have of one name stands together, under one head: a page of `OpenMetrics` 1.0 has a family once.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::lines::DEFECT;

/// How long a page is good for.
const FRESH: Duration = Duration::from_secs(1);
/// How a family begins.
const HELP: &str = "# HELP ";
const END: &str = "# EOF\n";

/// The metrics of registries, written out.
pub(super) struct MetricsPage {
    registries: Mutex<Vec<Registry>>,
    written: Mutex<Option<(Instant, Bytes)>>,
}

impl MetricsPage {
    pub(super) fn new(registry: Registry) -> Self {
        Self { registries: Mutex::new(vec![registry]), written: Mutex::new(None) }
    }

    /// Adds the metrics of another registry.
    pub(super) fn add(&self, registry: Registry) {
        self.registries.lock().push(registry);
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
        for registry in self.registries.lock().iter() {
            if let Err(error) = text::encode_registry(&mut text, registry) {
                tracing::warn!(code = DEFECT.code, %error, "cannot write the metrics");
            }
        }
        let page = Bytes::from(grouped(&text));
        *written = Some((now, page.clone()));
        page
    }
}

/// Puts the series of each family together, in the order of the families' first lines.
fn grouped(text: &str) -> String {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut families: Vec<Vec<&str>> = Vec::new();
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(help) = lines.next() {
        let name = help.strip_prefix(HELP).and_then(|rest| rest.split(' ').next());
        let place = *places.entry(name.unwrap_or_default()).or_insert(families.len());
        let is_new = place == families.len();
        if is_new {
            families.push(vec![help]);
        }
        while let Some(line) = lines.next_if(|line| !line.starts_with(HELP)) {
            if let Some(family) = families.get_mut(place)
                && (is_new || !line.starts_with('#'))
            {
                family.push(line);
            }
        }
    }
    let mut page = String::with_capacity(text.len() + END.len());
    families.iter().flatten().for_each(|line| page.push_str(line));
    page.push_str(END);
    page
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

    #[test]
    fn a_family_of_several_domains_has_one_head() {
        let registry = |domain: &'static str, names: &[&str]| {
            let mut registry =
                Registry::with_labels([("domain".into(), domain.into())].into_iter());
            for name in names {
                registry.register(*name, "Of a domain", Counter::<u64>::default());
            }
            registry
        };
        let page = MetricsPage::new(registry("north", &["sales", "gaps"]));
        page.add(registry("south", &["gaps", "sales", "parked"]));
        let mut expected = Vec::new();
        for (name, domains) in [
            ("sales", &["north", "south"][..]),
            ("gaps", &["north", "south"]),
            ("parked", &["south"]),
        ] {
            expected.push(format!("# HELP {name} Of a domain.\n# TYPE {name} counter\n"));
            for domain in domains {
                expected.push(format!("{name}_total{{domain=\"{domain}\"}} 0\n"));
            }
        }
        assert_eq!(page.at(Instant::now()), expected.concat() + END);
    }
}
