//! One record of the journal in, its verdict and its outputs noted.
//!
//! The one place where the rules meet: `judge` gives the verdict, by dates first, then by the ledger or the event ids; then comes
//! what the verdict calls for. A record is decoded before anything is changed, so that one which can not be
//! read moves nothing; it is kept aside like an event of which nothing can be counted.

mod judge;

use super::archive::Archive;
use super::days::{Control, is_sealed};
use super::ledger::Ruling;
use super::outputs::write_json;
use super::paper::Paper;
use super::partition::Partition;
use super::records::{ConflictRecord, CountRecord};
use super::unreadable::{self, Unreadable};
use super::verdict::{Quarantine, Verdict};
use super::windows::{Setting, window_start};
use crate::decode::Decoder;
use crate::envelope::{Envelope, Scope, TYPE_REFUSED, TYPE_RELEASE};
use crate::event::Event;
use crate::log::{Entry, LogError, Offset};
use crate::stock::{Effect, effect, is_count};
use crate::topics::Topics;

/// What stands between the envelope's attributes and the event.
const BEFORE_DATA: usize = br#","data":"#.len();
/// Bytes that a delta takes beyond its names, at most.
const DELTA_BYTES: usize = 640;
/// Bytes that an amendment takes at first beyond its names, at most.
const AMENDMENT_BYTES: usize = 2_048;

/// Adds an event to control totals; returns by how many bytes at most they are longer then.
fn grow(control: &mut Control, event: &Event<'_>) -> usize {
    let before = control.written_bytes();
    control.add(event);
    control.written_bytes() - before
}

/// Decodes the event of an envelope, which mostly has its content hash.
fn decode<'d>(decoder: &'d mut Decoder, envelope: &Envelope<'d>) -> Result<Event<'d>, Unreadable> {
    let event = match envelope.content_hash {
        Some(_known) => decoder.decode_unhashed(envelope.data),
        None => decoder.decode(envelope.data),
    };
    event.map_err(Unreadable::Event)
}

/// Why a record is not folded in.
#[derive(Debug)]
pub(super) enum FoldError {
    Unreadable(Unreadable),
    Log(LogError),
}

impl<E: Into<Unreadable>> From<E> for FoldError {
    fn from(cause: E) -> Self {
        Self::Unreadable(cause.into())
    }
}

/// What folding needs from around.
#[derive(Debug)]
pub(super) struct Workbench<'a> {
    pub(super) decoder: &'a mut Decoder,
    pub(super) archive: Archive<'a>,
    pub(super) desk: Desk<'a>,
}

/// What writing a record needs.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub(super) topics: &'a Topics,
    pub(super) paper: &'a mut Paper,
}

/// What operators want to hear of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Noticed {
    pub(super) jumps: u64,
    pub(super) resets: u64,
}

/// An event on its way through the rules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) store: u32,
    pub(super) offset: Offset,
    pub(super) envelope: &'a Envelope<'a>,
    pub(super) event: &'a Event<'a>,
    pub(super) value: &'a [u8],
}

impl Subject<'_> {
    fn epoch(&self) -> &str {
        self.envelope.epoch.as_deref().unwrap_or("")
    }

    fn hash(&self) -> u128 {
        self.envelope.content_hash.unwrap_or(self.event.hash)
    }
}

impl Partition {
    /// Folds the next record in. One that can not be read is kept aside, and nothing else comes of it.
    ///
    /// # Errors
    /// When the log fails while looking a release up. The partition is then as it was before.
    pub(super) fn fold(
        &mut self,
        entry: &Entry,
        bench: &mut Workbench<'_>,
    ) -> Result<Noticed, LogError> {
        let noticed = match self.fold_readable(entry, bench) {
            Ok(noticed) => noticed,
            Err(FoldError::Log(error)) => return Err(error),
            Err(FoldError::Unreadable(cause)) => {
                self.keep_unreadable(entry, cause, &mut bench.desk);
                Noticed::default()
            }
        };
        self.checkpoint.next_offset = entry.offset + 1;
        Ok(noticed)
    }

    fn fold_readable(
        &mut self,
        entry: &Entry,
        bench: &mut Workbench<'_>,
    ) -> Result<Noticed, FoldError> {
        let mut noticed = Noticed::default();
        let value = entry.value.as_deref().ok_or(Unreadable::Empty)?;
        let envelope = unreadable::read(value)?;
        let store =
            self.store(&entry.key, &envelope.tenant, &envelope.store).ok_or(Unreadable::Key)?;
        match &*envelope.event_type {
            TYPE_REFUSED => {
                self.tick(entry.appended_ms);
                self.refuse(store, &envelope);
            }
            TYPE_RELEASE => self.release(store, entry, &envelope, bench)?,
            _ => {
                let event = decode(bench.decoder, &envelope)?;
                self.tick(entry.appended_ms);
                let offset = entry.offset;
                let subject = Subject { store, offset, envelope: &envelope, event: &event, value };
                noticed = self.event(&subject, &mut bench.desk);
                let buffers = event.into_buffers();
                bench.decoder.reuse(buffers);
            }
        }
        Ok(noticed)
    }

    /// Moves the clock. Append times of one partition may step back when its leader changes.
    pub(super) fn tick(&mut self, appended_ms: i64) {
        self.checkpoint.clock_ms = self.checkpoint.clock_ms.max(appended_ms);
    }

    fn event(&mut self, subject: &Subject<'_>, desk: &mut Desk<'_>) -> Noticed {
        let (ruling, terminal) = self.judge(subject);
        self.checkpoint.totals.count(ruling.verdict);
        match (ruling.verdict, terminal) {
            (Verdict::First, Some(terminal)) => {
                self.send_on(subject, desk);
                self.count(subject, Some((terminal, ruling)), desk);
            }
            (Verdict::First | Verdict::Duplicate, _) => {}
            (verdict, _) => self.keep_aside(subject, verdict, desk),
        }
        Noticed { jumps: u64::from(ruling.jumped), resets: u64::from(ruling.reset) }
    }

    /// Writes a first to `pos.transactions`: its own bytes, verdict and source put in before `data`.
    fn send_on(&mut self, subject: &Subject<'_>, desk: &mut Desk<'_>) {
        let place = subject.value.len() - 1 - subject.envelope.data.len() - BEFORE_DATA;
        let (attributes, data) = subject.value.split_at(place);
        let mut digits = itoa::Buffer::new();
        let offset = digits.format(subject.offset).as_bytes();
        let parts = [attributes, self.outputs.settled.as_bytes(), offset, data];
        let value = desk.paper.write(&parts);
        let key = self.stores[subject.store as usize].key.clone();
        self.outputs.push_row(&desk.topics.transactions, key, Some(value));
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
        // Even if its first event is kept aside: the cap must be the same after a restart.
        self.mark_terminal(store, terminal);
        Some(terminal)
    }

    /// Has the days written that a number counts for.
    pub(super) fn mark_days_of(&mut self, store: u32, terminal: u32, number: u64) {
        self.mark_days(store, terminal, |days| days.of(number).collect());
    }

    /// Counts an event in its day and in stock. A released one has no part in a ledger.
    pub(super) fn count(
        &mut self,
        subject: &Subject<'_>,
        ledger: Option<(u32, Ruling)>,
        desk: &mut Desk<'_>,
    ) {
        let event = subject.event;
        let place = (subject.store, event.business_date);
        if is_sealed(event.business_date, self.today()) {
            let amendment = self.outputs.amendments.entry(place).or_insert_with(|| {
                let names = 3 * self.stores[subject.store as usize].key.len();
                self.outputs.weight.add(1, AMENDMENT_BYTES + names);
                Control::default()
            });
            let grown = grow(amendment, event);
            self.outputs.weight.add(0, grown);
        } else {
            let store = &mut self.stores[subject.store as usize];
            let day = store.days.entry(event.business_date).or_default();
            let grown = grow(&mut day.control, event);
            self.outputs.weight.add(0, 2 * grown);
            self.mark_day(subject.store, event.business_date);
            if let Some((terminal, ruling)) = ledger {
                self.attend(subject, terminal, ruling.number);
            }
        }
        self.move_stock(subject, desk);
    }

    /// Notes in the day that a terminal took part, and has written what changes by it.
    fn attend(&mut self, subject: &Subject<'_>, terminal: u32, number: Option<u64>) {
        let (store, date) = (subject.store, subject.event.business_date);
        let attended =
            self.stores[store as usize].attend(terminal, date, subject.event.kind, number);
        self.mark_part(store, date, attended);
        if let Some(moved) = attended.moved {
            self.mark_days(store, terminal, |days| days.behind(moved).collect());
        }
    }

    fn move_stock(&mut self, subject: &Subject<'_>, desk: &mut Desk<'_>) {
        let Subject { store, event, .. } = *subject;
        let at = Setting {
            store,
            date: event.business_date,
            window_start: window_start(event.occurred_at, self.rules.window_seconds),
            source: subject.offset,
        };
        let names = {
            let store = &self.stores[store as usize];
            3 * store.key.len() + 2 * (store.tenant.len() + store.name.len())
        };
        for line in &event.lines {
            let effect = effect(event.kind, line);
            if effect != Effect::default()
                && self.outputs.windows.add(at, line.sku, line.unit, effect)
            {
                self.outputs.weight.add(1, DELTA_BYTES + names + 9 * line.sku.len());
            }
            if is_count(event.kind, line) {
                let owner = &self.stores[store as usize];
                let record = CountRecord {
                    partition: self.number,
                    offset: subject.offset,
                    line: line.line,
                    tenant: &owner.tenant,
                    store: &owner.name,
                    sku: line.sku,
                    unit: line.unit,
                    quantity: line.quantity,
                    counted_at: subject.envelope.time.as_deref().unwrap_or_default(),
                    business_date: event.business_date,
                };
                let key = crate::topics::key(&[&owner.tenant, &owner.name, line.sku]);
                let value = desk.paper.json(&record);
                self.outputs.push_row(&desk.topics.counts, key.into(), Some(value));
            }
        }
    }

    /// Keeps an event on `pos.conflicts`, with the reason and its own text.
    fn keep_aside(&mut self, subject: &Subject<'_>, verdict: Verdict, desk: &mut Desk<'_>) {
        let (reason, detail, known) = match verdict {
            Verdict::Conflict(known) => ("conflict", "other_content", Some(known)),
            Verdict::Quarantined(reason) => ("quarantined", reason.as_str(), None),
            _ => ("duplicate_unverified", "past_horizon", None),
        };
        let store = &self.stores[subject.store as usize];
        let record = ConflictRecord {
            reason,
            detail,
            partition: self.number,
            offset: subject.offset,
            tenant: &store.tenant,
            store: &store.name,
            terminal: subject.event.terminal,
            epoch: subject.envelope.epoch.as_deref(),
            sequence: subject.event.sequence,
            eventid: subject.event.event_id,
            contenthash: format!("h1:{:032x}", subject.hash()),
            known_hash: known.map(|known| format!("h1:{:08x}", known.0)),
            receivedtime: &subject.envelope.received_time,
        };
        let mut attributes = Vec::new();
        write_json(&mut attributes, &record);
        attributes.pop();
        let key = store.key.clone();
        let parts = [&attributes[..], br#","data":"#, subject.envelope.data, b"}"];
        self.outputs.push(desk.paper, &desk.topics.conflicts, &key, &parts);
        if verdict != Verdict::Quarantined(Quarantine::TimeImplausible) {
            self.outputs.kept.push(subject.offset);
        }
    }
}
