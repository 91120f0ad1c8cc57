//! `tillrace parked readmit`: parked events are let in, as they are or mended by a mapping.
//!
//! Each is written to the journal again under its own identity, and names the parked event that it stands for; the aggregator
//! settles that. An event that was settled meanwhile changes nothing, so that the command may be repeated. It works partition by
//! partition, in the order in which the events were parked, and holds a few hundred texts at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tillrace_core::card;
use tillrace_core::decode::Decoder;
use tillrace_core::envelope::{Envelope, Readmission, TYPE_PREFIX, TYPE_READMIT};
use tillrace_core::mapping::Mapping;
use tillrace_core::topics;
use tillrace_log::{Log, Offset, Partition, Producer, ProducerRecord};
use xxhash_rust::xxh3::xxh3_128;

use super::ParkedError;
use super::index::{Selection, Unsettled, each, unsettled};
use super::rules::{self, BrokenRule};
use crate::cli::{ParkedFilter, Place, ReadmitArgs};
use crate::config::Domain;
use crate::confirm::confirm;
use crate::control;
use crate::session::{Session, say};

/// Events that are written and waited for together.
const EVENTS_AT_ONCE: usize = 500;
/// Examples of each code that are shown.
const EXAMPLES: usize = 3;

/// A mapping, and what readmitted events say of it.
#[derive(Serialize)]
struct NamedMapping {
    mapping: Mapping,
    digest: String,
}

/// The order that stands before the events of a store.
#[derive(Serialize)]
struct ReadmitOrder<'a> {
    operator: &'a str,
    #[serde(flatten)]
    mapping: Option<&'a NamedMapping>,
}

/// What an operator orders.
struct Order<'a> {
    operator: &'a str,
    mapping: Option<NamedMapping>,
    /// Most events a second.
    rate: NonZeroU32,
}

/// What becomes of the events.
#[derive(Default)]
struct ReadmissionCounts {
    readmitted: u64,
    /// By the rule that they still break.
    kept: BTreeMap<String, Kept>,
    last: BTreeMap<Partition, Offset>,
}

/// Events that stay parked, and where the first of them stand.
#[derive(Default)]
struct Kept {
    events: u64,
    examples: Vec<Place>,
}

/// Readmits what the operator names.
pub(super) fn run(args: &ReadmitArgs) -> anyhow::Result<ExitCode> {
    control::hold(&args.order.operator, None)?;
    if !args.selected.names_any() {
        return Err(ParkedError::NothingNamed.into());
    }
    let mapping = args.mapping.as_deref().map(read_mapping).transpose()?;
    let session = Session::open(&args.order.log, args.order.consent)?;
    let selection = Selection { filter: &args.selected.filter, places: &args.selected.places };
    let found = find(&session, &selection)?;
    if !args.order.consent.dry_run {
        let events: usize = found.iter().map(|(_, unsettled)| unsettled.len()).sum();
        let question = format!("Readmit {events}? Those that break no rule will count.");
        if !confirm(&question, args.order.consent.yes)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    let order = Order { operator: &args.order.operator, mapping, rate: args.rate };
    let counts = readmit(&session, order, found)?;
    let verb = if args.order.consent.dry_run { "would be readmitted" } else { "readmitted" };
    for (rule, kept) in &counts.kept {
        for place in &kept.examples {
            say(&format!("{place}  stays parked: {rule}"))?;
        }
    }
    let kept: u64 = counts.kept.values().map(|kept| kept.events).sum();
    say(&format!("{} {verb}, {kept} stay parked", counts.readmitted))?;
    for (rule, kept) in &counts.kept {
        say(&format!("{} still break {rule}", kept.events))?;
    }
    if args.order.consent.dry_run || counts.last.is_empty() {
        say("nothing was written")?;
        return Ok(ExitCode::SUCCESS);
    }
    session.wait_until_followed(&counts.last, args.order.wait.into())
}

/// Readmits all that a mapping mends, on a log that this process has open, and says nothing; returns how many.
///
/// # Errors
/// The mapping is none, or the log cannot be read or written.
pub(crate) fn readmit_all(
    domain: Domain,
    log: Arc<dyn Log>,
    mapping: &str,
    rate: NonZeroU32,
) -> anyhow::Result<u64> {
    let mapping = named(serde_saphyr::from_str(mapping).context("read the mapping")?)?;
    let session = Session::on(domain, log);
    let filter = ParkedFilter::default();
    let found = find(&session, &Selection { filter: &filter, places: &[] })?;
    let order = Order { operator: "demo", mapping: Some(mapping), rate };
    Ok(readmit(&session, order, found)?.readmitted)
}

/// Finds the unsettled events that are meant, by partition.
fn find(
    session: &Session,
    selection: &Selection<'_>,
) -> anyhow::Result<Vec<(Partition, Unsettled)>> {
    let view = session.view();
    (0..view.partitions())
        .map(|partition| Ok((partition, unsettled(view, &session.topics, partition, selection)?)))
        .collect()
}

/// Writes the events that break no rule to the journal again, partition by partition.
fn readmit(
    session: &Session,
    order: Order<'_>,
    found: Vec<(Partition, Unsettled)>,
) -> anyhow::Result<ReadmissionCounts> {
    let producer = session.producer()?;
    let mut writer = Writer {
        session,
        order,
        producer: producer.as_deref(),
        rows: Vec::new(),
        stores: BTreeSet::new(),
        counts: ReadmissionCounts::default(),
    };
    let mut decoder = Decoder::new();
    for (partition, unsettled) in found {
        each(session.view(), &session.topics, partition, &unsettled, |envelope, offset| {
            writer.take(&mut decoder, envelope, Place { partition, offset })
        })?;
        writer.flush()?;
    }
    Ok(writer.counts)
}

/// Reads a mapping from a file.
fn read_mapping(path: &std::path::Path) -> anyhow::Result<NamedMapping> {
    let path = path.to_owned();
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("read the mapping {}", path.display()))?;
    let mapping: Mapping = serde_saphyr::from_str(&text).map_err(|error| {
        ParkedError::MappingUnreadable { path: path.clone(), problem: error.to_string() }
    })?;
    mapping
        .validate()
        .map_err(|source| ParkedError::MappingUnusable { path: path.clone(), source })?;
    let named = named(mapping)?;
    if card::holds_card_data(&serde_json::to_string(&named.mapping).context("write the mapping")?) {
        return Err(ParkedError::MappingHoldsCard { path }.into());
    }
    Ok(named)
}

/// Gives a mapping the digest by which readmitted events name it.
fn named(mapping: Mapping) -> anyhow::Result<NamedMapping> {
    let json = serde_json::to_string(&mapping).context("write the mapping")?;
    let digest = Sha256::digest(&json)
        .iter()
        .fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"));
    Ok(NamedMapping { mapping, digest })
}

/// Writes readmissions at a bounded rate.
struct Writer<'a> {
    session: &'a Session,
    order: Order<'a>,
    /// Absent in a dry run.
    producer: Option<&'a dyn Producer>,
    rows: Vec<ProducerRecord>,
    /// Keys of the stores whose journal has the order.
    stores: BTreeSet<String>,
    counts: ReadmissionCounts,
}

impl Writer<'_> {
    fn take(
        &mut self,
        decoder: &mut Decoder,
        parked: &Envelope<'_>,
        place: Place,
    ) -> anyhow::Result<()> {
        let mended = self.order.mapping.as_ref().map(|named| named.mapping.apply(parked.data));
        let text = mended.as_deref().unwrap_or(parked.data);
        let judged = rules::judge(decoder, &self.session.domain.tenants, parked, text);
        let value = match judged {
            Err(broken) => {
                self.keep(&broken, place);
                return Ok(());
            }
            Ok((event, flags)) => {
                let mut time = String::new();
                event.occurred_at.push_to(&mut time);
                let flags = match (parked.flags.as_deref(), flags.is_empty()) {
                    (known, true) => known.map(str::to_owned),
                    (None, false) => Some(flags.to_string()),
                    (Some(known), false) => Some(format!("{known},{flags}")),
                };
                let transforms =
                    self.order.mapping.as_ref().map(|named| format!("mapping:{}", named.digest));
                let text_hash = parked.data_hash.unwrap_or_else(|| xxh3_128(parked.data));
                let readmitted = Envelope {
                    event_type: format!("{TYPE_PREFIX}{}", event.kind.as_str()).into(),
                    time: Some(time.into()),
                    business_date: Some(event.business_date.to_string().into()),
                    content_hash: Some(event.hash),
                    data_hash: Some(xxh3_128(text)),
                    flags: flags.map(Into::into),
                    parked: None,
                    readmission: Some(Readmission { offset: place.offset, text_hash }),
                    transforms: transforms.map(Into::into),
                    source_verdict: None,
                    data: text,
                    ..parked.clone()
                };
                let mut value = Vec::with_capacity(text.len() + 1_024);
                readmitted.write(&mut value);
                let buffers = event.into_buffers();
                decoder.reuse(buffers);
                value
            }
        };
        if self.session.consent.dry_run && self.counts.readmitted < EXAMPLES as u64 {
            if mended.is_some() {
                say(&format!("{place}  was  {}", String::from_utf8_lossy(parked.data)))?;
            }
            say(&format!("{place}  is   {}", String::from_utf8_lossy(text)))?;
        }
        self.counts.readmitted += 1;
        self.write_order(parked, place)?;
        self.add(parked, place, value)
    }

    /// Counts an event that stays parked; where the first of each rule stand is shown.
    fn keep(&mut self, broken: &BrokenRule, place: Place) {
        let kept = self.counts.kept.entry(broken.to_string()).or_default();
        kept.events += 1;
        if kept.examples.len() < EXAMPLES {
            kept.examples.push(place);
        }
    }

    /// Writes the order to the journal of a store, before its first event.
    fn write_order(&mut self, parked: &Envelope<'_>, place: Place) -> anyhow::Result<()> {
        let names = [&*parked.tenant, &*parked.store];
        if !self.stores.insert(topics::key(&names)) {
            return Ok(());
        }
        let order =
            ReadmitOrder { operator: self.order.operator, mapping: self.order.mapping.as_ref() };
        let value = control::record(TYPE_READMIT, "tillrace-readmit", names, &order)?;
        self.add(parked, place, value)
    }

    fn add(&mut self, parked: &Envelope<'_>, place: Place, value: Vec<u8>) -> anyhow::Result<()> {
        self.rows.push(ProducerRecord {
            topic: self.session.topics.events.clone(),
            partition: place.partition,
            key: topics::key(&[&parked.tenant, &parked.store]).into(),
            value: Some(value.into()),
        });
        if self.rows.len() >= EVENTS_AT_ONCE { self.flush() } else { Ok(()) }
    }

    /// Writes what was collected, no faster than the operator's rate.
    fn flush(&mut self) -> anyhow::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let (Some(producer), Some(first)) = (self.producer, rows.first()) else { return Ok(()) };
        let (partition, began) = (first.partition, Instant::now());
        let offsets = control::publish(producer, rows)?;
        let due = Duration::from_secs(offsets.len() as u64) / self.order.rate.get();
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        self.counts.last.extend(offsets.last().map(|&offset| (partition, offset)));
        Ok(())
    }
}
