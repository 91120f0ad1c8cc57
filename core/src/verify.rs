//! Verifies the conservation law with a recount of the log alone: nothing lost, nothing counted twice.
//!
//! Six checks, each against an oracle of its own:
//! - (b) *verdicts*: every record of the journal has exactly one verdict, every first is on
//!   `pos.transactions` once, and the aggregator's totals agree;
//! - (c) *stock*: the effects of all firsts and released events add up to the committed deltas,
//!   per store, SKU and unit, and every counted line is on `stock.counts`;
//! - (d) *sinks*: every record below a sink's committed offset is delivered, dead, parked or
//!   filtered;
//! - (e) *ledgers*: numbers with a first, refused ones and missing ones fill every terminal's range, and the counters
//!   of fiscal devices are those of their events;
//! - (f) *tills*: the movements and declarations of all firsts and released events make the published drawers, over and short,
//!   safe and bank.
//! - (g) *store-days*: status, expected and silent terminals, and events in another currency, by the registers of the journal.
//!
//! Check (a), that every acknowledged event is in the log, belongs to the sender, which keeps its
//! acknowledgements.
//!
//! The recount shares no fold with the stages that it checks, only the parsing of decimals, dates
//! and times, and the decoder, which defines the content hash. It reads the published records with
//! `serde_json`, and has a table of stock effects of its own. It works while everything runs: its
//! coverage ends at the aggregator's committed offset, read once. Memory follows the keys of stock,
//! the ranges of numbers and the repeats of one partition at a time, not the events.
//!
//! It reads only the checkpoints of the aggregator's private state. Of the amounts of store-days it compares the till balances alone:
//! the other sums are for people, made from the same firsts.

mod ranges;

mod scan;

mod record;

mod totals;

mod coverage;

mod flush_boundaries;

mod sourced_records;

mod journal_record;

mod journal;

mod registers;

mod day_recount;

mod store_days;

mod outputs;

mod repeats;

mod terminals;

mod stock;

mod tills;

mod ledger;

mod fiscal;

mod chains;

mod sinks;

mod check;

mod report;

pub use check::{Amount, Check, Difference, Figure};
pub use report::{CoveredOffsets, Gaps, Report, SinkCounts, VerdictCounts};
pub use sinks::{SinkUnderTest, audited_sinks};
use tillrace_log::{LogError, LogView, Offset, Partition};

use crate::topics::Topics;

use journal::{Checks, Journal};
use ledger::{Comparison, LedgerTotals, Ledgers};
use scan::Scan;
use sinks::SinkRecount;
use stock::{Stock, StockTotals};
use store_days::{DayTotals, StoreDays};
use tills::{PublishedTills, TillTotals};
use totals::Checkpoints;

/// Name of the check that recounts drawers, over and short.
pub const TILLS: &str = "(f) tills";

/// Progress of a recount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being recounted.
    pub step: Step,
    /// Partition at work.
    pub partition: Partition,
    /// Number of partitions.
    pub partitions: Partition,
    /// Records of the journal recounted in this partition so far.
    pub records: u64,
}

/// A step of a recount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Scans the journal, for (b), (c) and (e).
    Journal,
    /// Scans the audit and the sinks' topics, for (d).
    Sinks,
}

/// Recounts the log and reports whether it is consistent.
///
/// Retention cannot have deleted records appended since `kept_since_ms`, in milliseconds since the Unix epoch: those that
/// are missing are lost.
///
/// # Errors
/// When the log cannot be read. Differences are part of the report instead.
pub fn verify(
    view: &dyn LogView,
    topics: &Topics,
    sinks: &[SinkUnderTest],
    kept_since_ms: i64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, LogError> {
    let mut recount = Recount::open(view, topics, kept_since_ms)?;
    let mut sinks = sinks
        .iter()
        .map(|sink| SinkRecount::open(view, sink))
        .collect::<Result<Vec<_>, LogError>>()?;
    let partitions = view.partitions();
    recount.fix_end()?;
    for partition in 0..partitions {
        recount.partition(partition, &mut |records| {
            progress(Progress { step: Step::Journal, partition, partitions, records });
        })?;
    }
    sinks::recount(view, topics, &mut sinks, kept_since_ms, &mut |partition| {
        progress(Progress { step: Step::Sinks, partition, partitions, records: 0 });
    })?;
    Ok(recount.report(sinks))
}

/// The ledger records and checkpoints that the aggregator published for one partition.
struct AggregatorRecords {
    ledger_scan: Scan,
    ledgers: Ledgers,
    days_scan: Scan,
    tills: PublishedTills,
    state_scan: Scan,
    checkpoints: Checkpoints,
    committed: Option<Offset>,
}

/// A recount in progress.
struct Recount<'a> {
    view: &'a dyn LogView,
    topics: &'a Topics,
    kept_since_ms: i64,
    published: Vec<AggregatorRecords>,
    covered: Vec<CoveredOffsets>,
    counts: VerdictCounts,
    recorded: VerdictCounts,
    stock_totals: StockTotals,
    ledger_totals: LedgerTotals,
    fiscal_devices: u64,
    till_totals: TillTotals,
    verdicts: Check,
    stock: Check,
    ledgers: Check,
    tills: Check,
    day_totals: DayTotals,
    days: Check,
}

impl<'a> Recount<'a> {
    /// Reads what the aggregator has published so far, before its offsets are read: all of it is then
    /// at or below them.
    fn open(
        view: &'a dyn LogView,
        topics: &'a Topics,
        kept_since_ms: i64,
    ) -> Result<Self, LogError> {
        let mut recount = Self {
            view,
            topics,
            kept_since_ms,
            published: Vec::new(),
            covered: Vec::new(),
            counts: VerdictCounts::default(),
            recorded: VerdictCounts::default(),
            stock_totals: StockTotals::default(),
            ledger_totals: LedgerTotals::default(),
            fiscal_devices: 0,
            till_totals: TillTotals::default(),
            verdicts: Check::new("(b) verdicts"),
            stock: Check::new("(c) stock"),
            ledgers: Check::new("(e) ledgers"),
            tills: Check::new(TILLS),
            day_totals: DayTotals::default(),
            days: Check::new("(g) store-days"),
        };
        for partition in 0..view.partitions() {
            let mut published = AggregatorRecords {
                ledger_scan: Scan::whole(view, &topics.ledger, partition)?,
                ledgers: Ledgers::default(),
                days_scan: Scan::whole(view, &topics.days, partition)?,
                tills: PublishedTills::default(),
                state_scan: Scan::whole(view, &topics.state, partition)?,
                checkpoints: Checkpoints::default(),
                committed: None,
            };
            recount.read_published(&mut published, partition, None)?;
            recount.published.push(published);
        }
        Ok(recount)
    }

    /// Reads the aggregator's offsets, which end the coverage, and what it published since.
    fn fix_end(&mut self) -> Result<(), LogError> {
        let group = self.topics.group("aggregate");
        let mut all = std::mem::take(&mut self.published);
        for (partition, published) in (0..).zip(&mut all) {
            let committed = self.view.committed(&group, &self.topics.events, partition)?;
            published.committed = committed.map(|committed| committed.offset);
        }
        for (partition, published) in (0..).zip(&mut all) {
            published.ledger_scan.extend(self.view, &self.topics.ledger, partition)?;
            published.days_scan.extend(self.view, &self.topics.days, partition)?;
            published.state_scan.extend(self.view, &self.topics.state, partition)?;
            let limit = published.committed.unwrap_or(0);
            self.read_published(published, partition, Some(limit))?;
        }
        self.published = all;
        Ok(())
    }

    fn read_published(
        &mut self,
        published: &mut AggregatorRecords,
        partition: Partition,
        limit: Option<Offset>,
    ) -> Result<(), LogError> {
        published.ledgers.read(
            &mut published.ledger_scan,
            limit,
            &self.topics.ledger,
            partition,
            &mut self.ledgers,
        )?;
        published.tills.read(
            &mut published.days_scan,
            limit,
            &self.topics.days,
            partition,
            &mut self.tills,
        )?;
        published.checkpoints.read(
            &mut published.state_scan,
            &self.topics.state,
            partition,
            &mut self.verdicts,
        )
    }

    /// Recounts one partition.
    fn partition(
        &mut self,
        partition: Partition,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), LogError> {
        let (view, topics) = (self.view, self.topics);
        let Some(published) = self.published.get_mut(partition as usize) else { return Ok(()) };
        let checkpoints = &mut published.checkpoints;
        let committed = published.committed;
        let coverage = flush_boundaries::choose_coverage(
            view,
            topics,
            partition,
            committed,
            self.kept_since_ms,
            checkpoints,
            &mut self.verdicts,
        )?;
        checkpoints.keep_within(coverage);
        let generation = checkpoints.generation();
        let stock =
            Stock::from_deltas(view, topics, partition, coverage, generation, &mut self.stock)?;
        let days = StoreDays::read(view, &topics.days, partition, coverage.to)?;
        let mut journal = Journal::new(view, topics, partition, coverage, stock, days);
        let mut checks =
            Checks { verdicts: &mut self.verdicts, stock: &mut self.stock, tills: &mut self.tills };
        journal.read_parked_sources()?;
        journal.pass(&mut checks, checkpoints, progress)?;
        journal.compare_parked(checks.verdicts)?;
        let firsts_given =
            checkpoints.compare(&topics.state, partition, coverage, &mut self.verdicts);
        let newest_ms = journal.newest_ms;
        self.covered.push(CoveredOffsets {
            partition,
            from: coverage.from,
            to: coverage.to,
            firsts_given,
            newest_ms,
        });
        self.counts.add(&journal.counts);
        self.recorded.add(&checkpoints.since_first(coverage));
        self.stock_totals.add(&journal.stock.compare(&mut self.stock));
        let mut comparison = Comparison {
            topic: &topics.ledger,
            partition,
            coverage,
            check: &mut self.ledgers,
            totals: &mut self.ledger_totals,
        };
        comparison.run(&journal.terminals, &published.ledgers);
        let is_complete = coverage.is_complete();
        let (devices, ledgers) = (&published.ledgers.devices, &mut self.ledgers);
        journal.fiscal.compare(devices, (&topics.ledger, partition), is_complete, ledgers);
        self.fiscal_devices += journal.fiscal.count();
        let (check, totals) = (&mut self.tills, &mut self.till_totals);
        journal.tills.compare(&published.tills, &topics.days, partition, check, totals);
        if is_complete {
            let (terminals, totals) = (&journal.terminals, &mut self.day_totals);
            journal.days.compare(&topics.days, partition, terminals, totals, &mut self.days);
            let until_ms = checkpoints.silent_days_until_ms();
            journal.days.ask_for_silent(&topics.days, partition, until_ms, &mut self.days);
        } else {
            let note =
                "days of partition {partition} are not compared: its journal no longer begins at 0";
            self.days.notes.push(note.replace("{partition}", &partition.to_string()));
        }
        Ok(())
    }

    fn report(mut self, sinks: Vec<SinkRecount<'_>>) -> Report {
        let count = Amount::Count;
        let verdicts = self.counts.named().into_iter().zip(self.recorded.named());
        let records = (self.counts.records(), self.recorded.records());
        self.verdicts.figure("records of pos.events", count(records.0), count(records.1));
        for ((verdict, recounted), (_, recorded)) in verdicts {
            self.verdicts.figure(verdict, count(recounted), count(recorded));
        }
        self.stock_totals.figures(&mut self.stock);
        self.ledger_totals.figures(&mut self.ledgers);
        self.till_totals.figures(&mut self.tills);
        fiscal::figure(self.fiscal_devices, &mut self.ledgers);
        self.day_totals.figures(&mut self.days);
        let mut checks = vec![self.verdicts, self.stock];
        let mut sink_counts = Vec::new();
        for sink in sinks {
            checks.push(sink.check);
            sink_counts.push(sink.counts);
        }
        checks.push(self.ledgers);
        checks.push(self.tills);
        checks.push(self.days);
        Report {
            covered: self.covered,
            verdicts: self.counts,
            sinks: sink_counts,
            gaps: self.ledger_totals.gaps,
            checks,
        }
    }
}

#[cfg(test)]
mod tests;
