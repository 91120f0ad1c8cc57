//! What the demo says at the end: the tills', the log's and the backends' accounts side by side.

use std::fmt;

use serde::Serialize;
use tillrace_core::verify;
use tillrace_loadtest::client::Outcome;
use tillrace_loadtest::report::Report as SenderReport;
use tillrace_loadtest::verify::Verification;

/// The report. Its JSON has the members of the load test's report at the top level.
#[derive(Debug, Serialize)]
pub(crate) struct DemoReport {
    /// What the tills know, and what they found in the log.
    #[serde(flatten)]
    sender: SenderReport,
    /// The recount of the log.
    conservation: verify::Report,
    /// What the backends booked.
    backends: Vec<BackendReport>,
    /// Whether all of it agrees.
    pub(crate) holds: bool,
}

/// What one simulated backend has booked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct BackendReport {
    /// The sink that calls it.
    pub(crate) sink: String,
    /// Items booked, each once.
    pub(crate) booked: u64,
    /// Items that came again after they had been booked.
    pub(crate) repeated: u64,
    /// Items refused for good, each time they came.
    pub(crate) refused: u64,
    /// Calls, the failed ones included.
    pub(crate) calls: u64,
    /// Stores, SKUs and units whose booked movements are not what the tills made.
    pub(crate) stock_differing: Option<u64>,
}

impl DemoReport {
    /// Puts the accounts together.
    pub(crate) fn new(
        outcome: &Outcome,
        seen: Verification,
        conservation: verify::Report,
        backends: Vec<BackendReport>,
    ) -> Self {
        let sender = SenderReport::new(outcome, Some(seen));
        let agree = conservation.sinks.iter().all(|sink| {
            let audited = sender.delivered.get(&sink.sink).copied().unwrap_or_default();
            let backend = backends.iter().find(|backend| backend.sink == sink.sink);
            audited == sink.delivered && backend.is_none_or(|backend| backend.agrees(sink))
        });
        let holds = sender.holds() && conservation.holds() && agree;
        Self { sender, conservation, backends, holds }
    }
}

impl BackendReport {
    /// Tells whether the backend has what the audit says it was given.
    fn agrees(&self, sink: &verify::SinkCounts) -> bool {
        self.booked == sink.delivered && self.stock_differing.unwrap_or_default() == 0
    }
}

impl fmt::Display for DemoReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "THE TILLS: what they sent, and what they find in the log\n\n{}",
            self.sender
        )?;
        writeln!(formatter, "THE SINKS: what the audit says, and what the backends booked\n")?;
        self.write_sinks(formatter)?;
        writeln!(formatter, "\nTHE LOG: recounted from its records alone\n")?;
        self.write_checks(formatter)?;
        let verdict = if self.holds {
            "Nothing was lost, and nothing was counted twice."
        } else {
            "SOMETHING IS WRONG: see above."
        };
        writeln!(formatter, "{verdict}")
    }
}

impl DemoReport {
    fn write_sinks(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "  {:<17}{:>10}{:>8}{:>10}{:>10}{:>10}{:>10}{:>8}",
            "sink", "delivered", "dead", "filtered", "booked", "repeated", "calls", "stock"
        )?;
        for sink in &self.conservation.sinks {
            write!(
                formatter,
                "  {:<17}{:>10}{:>8}{:>10}",
                sink.sink,
                sink.delivered,
                sink.dead + sink.parked,
                sink.filtered
            )?;
            let backend = self.backends.iter().find(|backend| backend.sink == sink.sink);
            let Some(backend) = backend else {
                writeln!(formatter, "  (files)")?;
                continue;
            };
            let BackendReport { booked, repeated, calls, .. } = backend;
            let stock = match backend.stock_differing {
                None => "",
                Some(0) => "agrees",
                Some(_) => "DIFFERS",
            };
            let mark = if backend.agrees(sink) { "" } else { "  <-" };
            writeln!(formatter, "{booked:>10}{repeated:>10}{calls:>10}{stock:>8}{mark}")?;
        }
        Ok(())
    }

    /// All checks; of the sinks', which stand in the table above, no more than the verdict.
    fn write_checks(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sinks, others): (Vec<_>, Vec<_>) =
            self.conservation.checks.iter().partition(|check| check.name.starts_with("(d)"));
        for check in others.into_iter().chain(sinks.iter().copied().filter(|sink| !sink.holds())) {
            writeln!(formatter, "{check}")?;
        }
        for sink in sinks.iter().filter(|sink| sink.holds()) {
            writeln!(formatter, "{:<86}holds", sink.name)?;
        }
        writeln!(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_must_have_booked_what_was_delivered_and_moved() {
        let sink = verify::SinkCounts { delivered: 7, ..verify::SinkCounts::default() };
        let booked = |booked, stock_differing| BackendReport {
            sink: "erp".to_owned(),
            booked,
            repeated: 2,
            refused: 0,
            calls: 9,
            stock_differing,
        };
        assert!(booked(7, None).agrees(&sink));
        assert!(booked(7, Some(0)).agrees(&sink));
        assert!(!booked(6, None).agrees(&sink));
        assert!(!booked(8, None).agrees(&sink));
        assert!(!booked(7, Some(1)).agrees(&sink));
    }
}
