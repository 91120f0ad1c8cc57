//! What the demo says at the end: the tills', the log's and the backends' accounts side by side.

use std::fmt;

use serde::Serialize;
use tillrace_core::verify;
use tillrace_loadtest::client::Outcome;
use tillrace_loadtest::figures;
use tillrace_loadtest::report::Report as SenderReport;
use tillrace_loadtest::text::{paragraph, row};
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
    /// Parked events that the mapping let in.
    readmitted: u64,
    /// Whether sinks and backends say the same.
    #[serde(skip)]
    backends_agree: bool,
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
        readmitted: u64,
    ) -> Self {
        // The process is sender, gateway and backends in one: its CPU time is no sender's.
        let sender = SenderReport { sender_cpu_s: None, ..SenderReport::new(outcome, Some(seen)) };
        let backends_agree = conservation.sinks.iter().all(|sink| {
            let audited = sender.delivered.get(&sink.sink).copied().unwrap_or_default();
            let backend = backends.iter().find(|backend| backend.sink == sink.sink);
            audited == sink.delivered && backend.is_none_or(|backend| backend.agrees(sink))
        });
        let counted = sender.verification.as_ref().map_or(0, |seen| seen.readmitted);
        let holds =
            sender.holds() && conservation.holds() && backends_agree && counted == readmitted;
        Self { sender, conservation, backends, readmitted, backends_agree, holds }
    }
}

impl BackendReport {
    /// Tells whether the backend has what the audit says it was given.
    fn agrees(&self, sink: &verify::SinkCounts) -> bool {
        self.booked == sink.delivered && self.stock_differing.unwrap_or_default() == 0
    }
}

/// The verdict first, then the accounts, within the load test's columns.
impl fmt::Display for DemoReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_verdict(formatter)?;
        writeln!(formatter, "\nTHE TILLS: what they sent, and what they find in the log\n")?;
        write!(formatter, "{}", self.sender.details())?;
        writeln!(formatter, "\nTHE SINKS: by the audit, and as the backends booked it\n")?;
        self.write_sinks(formatter)?;
        writeln!(formatter, "\nTHE LOG: recounted from its records alone\n")?;
        self.write_checks(formatter)
    }
}

impl DemoReport {
    /// The demo is about what is counted, so a machine that is too slow for it does not fail it, but is told.
    fn write_verdict(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.holds {
            writeln!(formatter, "PASSED: nothing was lost, nothing was counted twice.")?;
        } else {
            writeln!(formatter, "FAILED: {}.", self.wrong().join(", "))?;
        }
        let SenderReport { asked_events_per_s, reached_events_per_s, .. } = self.sender;
        if let Some(asked) = asked_events_per_s {
            let (reached, asked) = (figures::rate(reached_events_per_s), figures::rate(asked));
            let pace = if self.sender.is_rate_missed {
                format!(
                    "This machine was slower than planned: {reached} of {asked} events a second."
                )
            } else {
                format!("As planned: {reached} of {asked} events a second.")
            };
            paragraph(formatter, 2, pace)?;
        }
        let readmitted = figures::count(self.readmitted);
        paragraph(
            formatter,
            2,
            format_args!(
                "{readmitted} sales of a new release were parked, and let in by a mapping."
            ),
        )?;
        if let Some(aborted) = &self.sender.aborted {
            paragraph(formatter, 2, format_args!("The tills ended early: {aborted}."))?;
        }
        Ok(())
    }

    /// Names the accounts that are wrong, or disagree.
    fn wrong(&self) -> Vec<&'static str> {
        [
            (!self.sender.holds(), "the tills miss something"),
            (!self.conservation.holds(), "the log does not add up"),
            (!self.backends_agree, "sinks and backends disagree"),
        ]
        .into_iter()
        .filter_map(|(is_wrong, account)| is_wrong.then_some(account))
        .collect()
    }

    fn write_sinks(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for sink in &self.conservation.sinks {
            let backend = self.backends.iter().find(|backend| backend.sink == sink.sink);
            writeln!(formatter, "{}", sink.sink)?;
            let is_booked = backend.is_none_or(|backend| backend.booked == sink.delivered);
            row(formatter, "delivered", figures::count(sink.delivered), !is_booked)?;
            row(formatter, "dead letters", figures::count(sink.dead + sink.parked), false)?;
            row(formatter, "filtered", figures::count(sink.filtered), false)?;
            let Some(backend) = backend else {
                row(formatter, "written to", "files", false)?;
                continue;
            };
            row(formatter, "booked by the backend", figures::count(backend.booked), !is_booked)?;
            row(formatter, "come again after that", figures::count(backend.repeated), false)?;
            row(formatter, "calls", figures::count(backend.calls), false)?;
            if let Some(differing) = backend.stock_differing {
                row(formatter, "stock sums wrong", figures::count(differing), differing > 0)?;
            }
        }
        Ok(())
    }

    /// What tills have too much and too little, below the check that recounted it.
    fn write_over_short(formatter: &mut fmt::Formatter<'_>, check: &verify::Check) -> fmt::Result {
        if check.name != verify::TILLS {
            return Ok(());
        }
        for figure in
            check.figures.iter().filter(|figure| figure.recorded != verify::Amount::Unknown)
        {
            row(formatter, &figure.what, figure.recorded, false)?;
        }
        Ok(())
    }

    /// A line for each check that holds, all of those that do not.
    fn write_checks(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.conservation.checks {
            if check.holds() {
                row(formatter, &check.name, "holds", false)?;
                Self::write_over_short(formatter, check)?;
            } else {
                writeln!(formatter, "{check}")?;
            }
        }
        Ok(())
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
