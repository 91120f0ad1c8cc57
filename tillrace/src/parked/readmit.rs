//! `tillrace parked readmit`: parked events are let in, as they are or mended by a mapping.
//!
//! Each is written to the journal again under its own identity, and names the parked event that it stands for; the aggregator
//! settles that. An event that was settled meanwhile changes nothing, so that the command may be repeated. It works partition by
//! partition, in the order in which the events were parked, and holds a few hundred texts at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tillrace_core::card;
use tillrace_core::decode::Decoder;
use tillrace_core::envelope::{Envelope, Readmission, TYPE_PREFIX, TYPE_READMIT};
use tillrace_core::mapping::Mapping;
use tillrace_core::topics;
use tillrace_log::{Offset, Partition, Producer, Row};
use xxhash_rust::xxh3::xxh3_128;

use super::index::{Selection, each, unsettled};
use super::rules::{self, BrokenRule};
use super::session::Session;
use super::{ParkedError, say};
use crate::cli::{Place, ReadmitArgs};
use crate::confirm::confirm;
use crate::control;

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

/// What becomes of the events.
#[derive(Default)]
struct Tally {
    readmitted: u64,
    /// By the rule that they still break.
    kept: BTreeMap<String, u64>,
    last: BTreeMap<Partition, Offset>,
}

/// Readmits what the operator names.
pub(super) fn run(args: &ReadmitArgs) -> anyhow::Result<ExitCode> {
    control::hold(&args.operator, None)?;
    if !args.selected.names_any() {
        return Err(ParkedError::NothingNamed.into());
    }
    let mapping = args.mapping.as_deref().map(read_mapping).transpose()?;
    let session = Session::open(&args.log, args.consent)?;
    let (view, topics) = (session.view(), &session.topics);
    let selection = Selection { filter: &args.selected.filter, places: &args.selected.places };
    let mut found = Vec::new();
    for partition in 0..view.partitions() {
        found.push((partition, unsettled(view, topics, partition, &selection)?));
    }
    if !args.consent.dry_run {
        let events: usize = found.iter().map(|(_, unsettled)| unsettled.len()).sum();
        let question = format!("Readmit {events}? Those that break no rule will count.");
        if !confirm(&question, args.consent.yes)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    let producer = session.producer()?;
    let mut writer = Writer {
        session: &session,
        args,
        producer: producer.as_deref(),
        mapping,
        rows: Vec::new(),
        stores: BTreeSet::new(),
        tally: Tally::default(),
    };
    let mut decoder = Decoder::new();
    for (partition, unsettled) in found {
        each(view, topics, partition, &unsettled, |envelope, offset| {
            writer.take(&mut decoder, envelope, Place { partition, offset })
        })?;
        writer.flush()?;
    }
    let tally = writer.tally;
    let verb = if args.consent.dry_run { "would be readmitted" } else { "readmitted" };
    let kept: u64 = tally.kept.values().sum();
    say(&format!("{} {verb}, {kept} stay parked", tally.readmitted))?;
    for (rule, events) in &tally.kept {
        say(&format!("{events} still break {rule}"))?;
    }
    if args.consent.dry_run || tally.last.is_empty() {
        say("nothing was written")?;
        return Ok(ExitCode::SUCCESS);
    }
    session.wait_until_followed(&tally.last, args.wait.into())
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
    let json = serde_json::to_string(&mapping).context("write the mapping")?;
    if card::holds_card_data(&json) {
        return Err(ParkedError::MappingHoldsCard { path }.into());
    }
    let digest = Sha256::digest(&json)
        .iter()
        .fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"));
    Ok(NamedMapping { mapping, digest })
}

/// Writes readmissions at a bounded rate.
struct Writer<'a> {
    session: &'a Session,
    args: &'a ReadmitArgs,
    /// Absent in a dry run.
    producer: Option<&'a dyn Producer>,
    mapping: Option<NamedMapping>,
    rows: Vec<Row>,
    /// Keys of the stores whose journal has the order.
    stores: BTreeSet<String>,
    tally: Tally,
}

impl Writer<'_> {
    fn take(
        &mut self,
        decoder: &mut Decoder,
        parked: &Envelope<'_>,
        place: Place,
    ) -> anyhow::Result<()> {
        let mended = self.mapping.as_ref().map(|named| named.mapping.apply(parked.data));
        let text = mended.as_deref().unwrap_or(parked.data);
        let judged = rules::judge(decoder, &self.session.domain.tenants, parked, text);
        let value = match judged {
            Err(broken) => return self.keep(&broken, place),
            Ok((event, flags)) => {
                let mut time = String::new();
                event.occurred_at.push_to(&mut time);
                let flags = match (parked.flags.as_deref(), flags.is_empty()) {
                    (known, true) => known.map(str::to_owned),
                    (None, false) => Some(flags.to_string()),
                    (Some(known), false) => Some(format!("{known},{flags}")),
                };
                let transforms =
                    self.mapping.as_ref().map(|named| format!("mapping:{}", named.digest));
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
        if self.args.consent.dry_run && self.tally.readmitted < EXAMPLES as u64 {
            if mended.is_some() {
                say(&format!("{place}  was  {}", String::from_utf8_lossy(parked.data)))?;
            }
            say(&format!("{place}  is   {}", String::from_utf8_lossy(text)))?;
        }
        self.tally.readmitted += 1;
        self.write_order(parked, place)?;
        self.add(parked, place, value)
    }

    /// Counts an event that stays parked, and shows the first of each rule.
    fn keep(&mut self, broken: &BrokenRule, place: Place) -> anyhow::Result<()> {
        let rule = broken.to_string();
        let kept = self.tally.kept.entry(rule.clone()).or_default();
        *kept += 1;
        if *kept <= EXAMPLES as u64 {
            say(&format!("{place}  stays parked: {rule}"))?;
        }
        Ok(())
    }

    /// Writes the order to the journal of a store, before its first event.
    fn write_order(&mut self, parked: &Envelope<'_>, place: Place) -> anyhow::Result<()> {
        let names = [&*parked.tenant, &*parked.store];
        if !self.stores.insert(topics::key(&names)) {
            return Ok(());
        }
        let order = ReadmitOrder { operator: &self.args.operator, mapping: self.mapping.as_ref() };
        let value = control::record(TYPE_READMIT, "tillrace-readmit", names, &order)?;
        self.add(parked, place, value)
    }

    fn add(&mut self, parked: &Envelope<'_>, place: Place, value: Vec<u8>) -> anyhow::Result<()> {
        self.rows.push(Row {
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
        let due = Duration::from_secs(offsets.len() as u64) / self.args.rate.get();
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        self.tally.last.extend(offsets.last().map(|&offset| (partition, offset)));
        Ok(())
    }
}
