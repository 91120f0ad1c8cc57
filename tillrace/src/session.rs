//! The log that a command works on: to look at it, or to write orders to it and wait until they are followed.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tillrace_core::topics::Topics;
use tillrace_log::{Log, LogView, Offset, Partition, Producer, ProducerRecord, WritableLog};

use crate::cli::{Consent, LogSource};
use crate::config::{Domain, Settings};
use crate::confirm::confirm;
use crate::terminal::printable;
use crate::{control, roles};

/// Orders that are written and waited for together.
const ORDERS_AT_ONCE: usize = 500;
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The log and what the operator consents to.
pub(crate) struct Session {
    pub(crate) domain: Domain,
    pub(crate) topics: Topics,
    pub(crate) consent: Consent,
    view: Arc<dyn LogView>,
    /// Absent in a dry run.
    log: Option<Arc<dyn WritableLog>>,
}

impl Session {
    /// Opens the log: to be written to, except for a dry run.
    pub(crate) fn open(source: &LogSource, consent: Consent) -> anyhow::Result<Self> {
        let domain = Settings::load_domain(source)?;
        let topics = domain.topics();
        if consent.dry_run {
            let view = roles::open_view(&domain)?;
            return Ok(Self { domain, topics, consent, view, log: None });
        }
        let log = roles::open_to_write(&domain)?;
        let view: Arc<dyn LogView> = Arc::<dyn WritableLog>::clone(&log);
        Ok(Self { domain, topics, consent, view, log: Some(log) })
    }

    /// Takes a log that this process has open already; nothing is asked.
    pub(crate) fn on(domain: Domain, log: Arc<dyn Log>) -> Self {
        let topics = domain.topics();
        let view: Arc<dyn LogView> = Arc::<dyn Log>::clone(&log);
        let consent = Consent { dry_run: false, yes: true };
        Self { domain, topics, consent, view, log: Some(log) }
    }

    pub(crate) fn view(&self) -> &dyn LogView {
        self.view.as_ref()
    }

    /// Returns what writes to the log; `None` in a dry run.
    pub(crate) fn producer(&self) -> anyhow::Result<Option<Box<dyn Producer>>> {
        let log = self.log.as_deref();
        log.map(|log| log.producer().context("open a producer")).transpose()
    }

    /// Returns the log to write to; `None` in a dry run.
    pub(crate) fn writable(&self) -> Option<&dyn WritableLog> {
        self.log.as_deref()
    }

    /// Asks, writes the orders that `write` gives, and waits until they are followed where somebody may be at work.
    pub(crate) fn order(
        &self,
        (count, done): (usize, &str),
        question: &str,
        wait: Duration,
        write: impl FnOnce(&mut Orders<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        let producer = self.producer()?.filter(|_| count > 0);
        let Some(producer) = producer else {
            say(&format!("{count} would be {done}; nothing was written"))?;
            return Ok(ExitCode::SUCCESS);
        };
        if !confirm(question, self.consent.yes)? {
            return Ok(ExitCode::FAILURE);
        }
        let (rows, last) = (Vec::new(), BTreeMap::new());
        let mut orders = Orders { producer: producer.as_ref(), rows, written: 0, last };
        write(&mut orders)?;
        orders.flush()?;
        say(&format!("{} ordered", orders.written))?;
        self.wait_until_followed(&orders.last, wait)
    }

    /// Waits until the aggregator is past the last record of each partition.
    pub(crate) fn wait_until_followed(
        &self,
        last: &BTreeMap<Partition, Offset>,
        wait: Duration,
    ) -> anyhow::Result<ExitCode> {
        if !roles::may_be_at_work(&self.domain) {
            say("the aggregator follows when it is started next")?;
            return Ok(ExitCode::SUCCESS);
        }
        let (group, until) = (self.topics.group("aggregate"), Instant::now() + wait);
        for (&partition, &offset) in last {
            loop {
                let committed = self.view.committed(&group, &self.topics.events, partition)?;
                if committed.is_some_and(|place| place.offset > offset) {
                    break;
                }
                if Instant::now() >= until {
                    say("the aggregator has not come to all of it yet")?;
                    return Ok(ExitCode::FAILURE);
                }
                std::thread::sleep(LOOK_AGAIN);
            }
        }
        say("the aggregator has followed")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints a line.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{}", printable(line)).context("print")
}

/// Orders that are written some at a time, however many there are.
pub(crate) struct Orders<'a> {
    producer: &'a dyn Producer,
    rows: Vec<ProducerRecord>,
    written: usize,
    last: BTreeMap<Partition, Offset>,
}

impl Orders<'_> {
    pub(crate) fn add(&mut self, row: ProducerRecord) -> anyhow::Result<()> {
        self.rows.push(row);
        if self.rows.len() >= ORDERS_AT_ONCE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let partitions: Vec<Partition> = rows.iter().map(|row| row.partition).collect();
        let offsets = control::publish(self.producer, rows)?;
        self.written += offsets.len();
        self.last.extend(partitions.into_iter().zip(offsets));
        Ok(())
    }
}
