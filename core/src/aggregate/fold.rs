//! Folds one record of the journal into its partition: the verdict, and what follows from it.
//!
//! `decide` gives the verdict, by dates first, then by the ledger or the event ids. A record is decoded before anything
//! changes, so that an unreadable one changes nothing; it is quarantined.

mod decide;
mod fiscal;
mod movements;
mod till;
mod unreadable;

use bytes::Bytes;
use tillrace_log::{ConsumerRecord, LogError, Offset};

use super::arena::RecordArena;
use super::days::{ControlTotals, is_sealed};
use super::json_text::write_json;
use super::ledger::Decision;
use super::partition::Partition;
use super::quarantine::QuarantineLookup;
use super::records::ConflictRecord;
use super::unreadable::{UnreadableReason, newer_type, read};
use super::verdict::{QuarantineReason, Verdict};
use crate::decode::Decoder;
use crate::envelope::{
    Envelope, Scope, TYPE_DISMISS, TYPE_PARKED, TYPE_READMIT, TYPE_REFUSED, TYPE_REGISTER,
    TYPE_RELEASE, TYPE_TICK,
};
use crate::event::Event;
use crate::topics::Topics;

/// The text between the attributes of the envelope and the event.
const BEFORE_DATA: usize = br#","data":"#.len();
/// Most bytes of a new amendment besides its names.
const AMENDMENT_BYTES: usize = 2_048;

/// Adds an event to control totals; returns by how many bytes at most that makes them longer.
fn grow(control: &mut ControlTotals, event: &Event<'_>) -> usize {
    let before = control.written_bytes();
    control.add(event);
    control.written_bytes() - before
}

/// Splits a record before its data.
fn split_before_data(value: &[u8], data_bytes: usize) -> (&[u8], &[u8]) {
    value.split_at(value.len() - 1 - data_bytes - BEFORE_DATA)
}

/// Copies a record with its verdict and source inserted before its data.
pub(super) fn insert_source(
    value: &[u8],
    data_bytes: usize,
    source: &[u8],
    arena: &mut RecordArena,
) -> Bytes {
    let (attributes, data) = split_before_data(value, data_bytes);
    arena.write(&[attributes, source, data])
}

/// Decodes the event of an envelope, which mostly has its content hash.
fn decode<'d>(
    decoder: &'d mut Decoder,
    envelope: &Envelope<'d>,
) -> Result<Event<'d>, UnreadableReason> {
    let event = match envelope.content_hash {
        Some(_known) => decoder.decode_unhashed(envelope.data),
        None => decoder.decode(envelope.data),
    };
    event.map_err(UnreadableReason::Event)
}

/// Why a record was not folded in.
#[derive(Debug)]
pub(super) enum FoldError {
    Unreadable(UnreadableReason),
    /// Of a type that a later version writes: its partition waits for that version.
    NewerType(Box<str>),
    Log(LogError),
}

/// Why a partition can not go on to the next record; it is unchanged.
#[derive(Debug)]
pub(super) enum FoldStop {
    NewerType(Box<str>),
    Log(LogError),
}

impl<E: Into<UnreadableReason>> From<E> for FoldError {
    fn from(cause: E) -> Self {
        Self::Unreadable(cause.into())
    }
}

/// What folding needs besides the partition.
#[derive(Debug)]
pub(super) struct FoldContext<'a> {
    pub(super) decoder: &'a mut Decoder,
    pub(super) quarantine: QuarantineLookup<'a>,
    pub(super) output: OutputContext<'a>,
}

/// What writing a finished record needs.
#[derive(Debug)]
pub(super) struct OutputContext<'a> {
    pub(super) topics: &'a Topics,
    pub(super) arena: &'a mut RecordArena,
}

/// Anomalies that are counted for operators.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Anomalies {
    pub(super) jumps: u64,
    pub(super) resets: u64,
}

/// An event and where it came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventContext<'a> {
    pub(super) store: u32,
    pub(super) offset: Offset,
    pub(super) envelope: &'a Envelope<'a>,
    pub(super) event: &'a Event<'a>,
    pub(super) value: &'a [u8],
}

impl EventContext<'_> {
    fn epoch(&self) -> &str {
        self.envelope.epoch.as_deref().unwrap_or("")
    }

    fn hash(&self) -> u128 {
        self.envelope.content_hash.unwrap_or(self.event.hash)
    }
}

impl Partition {
    /// Folds the next record in. A record that can not be read is quarantined and has no other effect.
    ///
    /// # Errors
    /// When the log fails during the lookup of a release, or the record waits for a later version. The partition is then unchanged.
    pub(super) fn fold(
        &mut self,
        entry: &ConsumerRecord,
        fold_context: &mut FoldContext<'_>,
    ) -> Result<Anomalies, FoldStop> {
        let anomalies = match self.fold_readable(entry, fold_context) {
            Ok(anomalies) => anomalies,
            Err(FoldError::Log(error)) => return Err(FoldStop::Log(error)),
            Err(FoldError::NewerType(name)) => return Err(FoldStop::NewerType(name)),
            Err(FoldError::Unreadable(cause)) => {
                self.quarantine_unreadable(entry, cause, &mut fold_context.output);
                Anomalies::default()
            }
        };
        self.checkpoint.next_offset = entry.offset + 1;
        Ok(anomalies)
    }

    fn fold_readable(
        &mut self,
        entry: &ConsumerRecord,
        fold_context: &mut FoldContext<'_>,
    ) -> Result<Anomalies, FoldError> {
        let mut anomalies = Anomalies::default();
        self.ends_with_tick = false;
        let value = entry.value.as_deref().ok_or(UnreadableReason::Empty)?;
        let envelope = read(value)?;
        let store = self
            .store(&entry.key, &envelope.tenant, &envelope.store)
            .ok_or(UnreadableReason::Key)?;
        match &*envelope.event_type {
            TYPE_REFUSED => {
                self.tick(entry.appended_ms);
                self.record_rejection(store, &envelope);
            }
            TYPE_RELEASE => self.release(store, entry, &envelope, fold_context)?,
            TYPE_PARKED => self.park(store, entry, &envelope, &mut fold_context.output)?,
            TYPE_DISMISS => self.dismiss(store, entry, &envelope, &mut fold_context.output)?,
            TYPE_REGISTER => {
                self.take_register(store, entry, &envelope, &mut fold_context.output)?;
            }
            TYPE_TICK => {
                self.tick(entry.appended_ms);
                self.checkpoint.totals.control += 1;
                self.ends_with_tick = true;
            }
            TYPE_READMIT => {
                self.tick(entry.appended_ms);
                self.checkpoint.totals.control += 1;
            }
            _ => {
                let event = decode(fold_context.decoder, &envelope).map_err(|cause| {
                    match newer_type(&envelope.event_type) {
                        Some(name) => FoldError::NewerType(name.into()),
                        None => cause.into(),
                    }
                })?;
                self.tick(entry.appended_ms);
                let offset = entry.offset;
                let context =
                    EventContext { store, offset, envelope: &envelope, event: &event, value };
                let output = &mut fold_context.output;
                anomalies = match envelope.readmission {
                    None => self.event(&context, output),
                    Some(readmission) => self.readmit(&context, readmission, output),
                };
                let buffers = event.into_buffers();
                fold_context.decoder.reuse(buffers);
            }
        }
        Ok(anomalies)
    }

    /// Moves the clock. Append times of one partition may step back when its leader changes.
    pub(super) fn tick(&mut self, appended_ms: i64) {
        if self.checkpoint.clock_ms == 0 {
            // The first record of a partition begins the time that a sweep has to look at.
            self.swept_ms = appended_ms;
        }
        self.checkpoint.clock_ms = self.checkpoint.clock_ms.max(appended_ms);
    }

    fn event(&mut self, context: &EventContext<'_>, output: &mut OutputContext<'_>) -> Anomalies {
        let (decision, terminal) = self.decide(context);
        self.checkpoint.totals.count(decision.verdict);
        match (decision.verdict, terminal) {
            (Verdict::First, Some(terminal)) => {
                self.forward(context, output);
                self.count(context, Some((terminal, decision)), output);
                if decision.filled || decision.number.is_none() {
                    self.settle_identity(context, decision.number, output);
                }
            }
            (Verdict::First | Verdict::Duplicate, _) => {}
            (verdict, _) => self.quarantine_event(context, verdict, output),
        }
        Anomalies { jumps: u64::from(decision.jumped), resets: u64::from(decision.reset) }
    }

    /// Writes a first to `pos.transactions`: its own bytes, with verdict and source inserted before `data`.
    pub(super) fn forward(&mut self, context: &EventContext<'_>, output: &mut OutputContext<'_>) {
        let (attributes, data) = split_before_data(context.value, context.envelope.data.len());
        let mut digits = itoa::Buffer::new();
        let offset = digits.format(context.offset).as_bytes();
        let parts = [attributes, self.buffer.verdict_text.as_bytes(), offset, data];
        let value = output.arena.write(&parts);
        let key = self.stores[context.store as usize].key.clone();
        self.buffer.push_row(&output.topics.transactions, key, Some(value));
    }

    /// Finds a terminal or adds it; `None` where the store has too many.
    pub(super) fn terminal(
        &mut self,
        store: u32,
        name: &str,
        epoch: &str,
        scope: Scope,
    ) -> Option<u32> {
        let entry = &mut self.stores[store as usize];
        if let Some(terminal) = entry.terminal(name, epoch) {
            return Some(terminal);
        }
        if entry.terminals.len() >= self.rules.terminals_per_store {
            return None;
        }
        let terminal = entry.add_terminal(name, epoch, scope);
        // Even if its first event is quarantined: the cap must be the same after a restart.
        self.mark_terminal(store, terminal);
        Some(terminal)
    }

    /// Marks the days that a number belongs to as changed.
    pub(super) fn mark_days_of(&mut self, store: u32, terminal: u32, number: u64) {
        self.mark_days(store, terminal, |days| days.of(number).collect());
    }

    /// Counts an event in its day and in stock. A released event has no ledger.
    pub(super) fn count(
        &mut self,
        context: &EventContext<'_>,
        ledger: Option<(u32, Decision)>,
        output: &mut OutputContext<'_>,
    ) {
        self.count_fiscal(context);
        let event = context.event;
        let store_day = (context.store, event.business_date);
        if is_sealed(event.business_date, self.today()) {
            let amendment = self.buffer.amendments.entry(store_day).or_insert_with(|| {
                let names = 3 * self.stores[context.store as usize].key.len();
                self.buffer.size.add(1, AMENDMENT_BYTES + names);
                ControlTotals::default()
            });
            let grown = grow(amendment, event);
            self.buffer.size.add(0, grown);
        } else {
            let store = &mut self.stores[context.store as usize];
            let day = store.days.entry(event.business_date).or_default();
            let before = day.currencies.written_bytes();
            day.currencies.add(event);
            let grown = grow(&mut day.control, event) + day.currencies.written_bytes() - before;
            self.buffer.size.add(0, 2 * grown);
            self.mark_day(context.store, event.business_date);
            self.balance_till(context, ledger.map(|(terminal, _)| terminal));
            if let Some((terminal, decision)) = ledger {
                self.record_attendance(context, terminal, decision.number);
            }
        }
        self.move_stock(context, output);
    }

    /// Records in the day that a terminal took part, and marks what that changed.
    fn record_attendance(
        &mut self,
        context: &EventContext<'_>,
        terminal: u32,
        number: Option<u64>,
    ) {
        let (store, date) = (context.store, context.event.business_date);
        let change = self.stores[store as usize].attend(terminal, date, context.event.kind, number);
        self.mark_part(store, date, change);
        if let Some(moved) = change.moved {
            self.mark_days(store, terminal, |days| days.behind(moved).collect());
        }
    }

    /// Writes an event to `pos.conflicts`, with the reason and its own text.
    pub(super) fn quarantine_event(
        &mut self,
        context: &EventContext<'_>,
        verdict: Verdict,
        output: &mut OutputContext<'_>,
    ) {
        let EventContext { event, envelope, offset, .. } = *context;
        let record = ConflictRecord {
            terminal: event.terminal,
            sequence: event.sequence,
            eventid: Some(event.event_id),
            contenthash: Some(format!("h2:{:032x}", context.hash())),
            ..ConflictRecord::of(verdict, (self.number, offset), envelope)
        };
        let key = self.stores[context.store as usize].key.clone();
        self.write_conflict(&key, &record, context.envelope.data, output);
        if verdict != Verdict::Quarantined(QuarantineReason::TimeImplausible) {
            self.buffer.quarantined.push(context.offset);
        }
    }

    /// Writes a record of `pos.conflicts` with the event's text.
    pub(super) fn write_conflict(
        &mut self,
        key: &Bytes,
        record: &ConflictRecord<'_>,
        data: &[u8],
        output: &mut OutputContext<'_>,
    ) {
        let mut attributes = Vec::new();
        write_json(&mut attributes, record);
        attributes.pop();
        let parts = [&attributes[..], br#","data":"#, data, b"}"];
        self.buffer.push(output.arena, &output.topics.conflicts, key, &parts);
    }
}
