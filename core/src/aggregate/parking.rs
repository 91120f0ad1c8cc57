//! Parked events: what the aggregator does with an event whose text breaks a rule, until it is settled.
//!
//! It counts nowhere. Its number is held, so that it is not missing, and a copy of it goes to `pos.parked`, where it stays until
//! a good event takes its identity, it is readmitted ([`super::readmission`]), or an operator dismisses it
//! ([`super::dismissal`]). A first outranks a parked event, which outranks a refused one.

use bytes::{Bytes, BytesMut};
use tillrace_log::{ConsumerRecord, Offset};
use xxhash_rust::xxh3::xxh3_128;

use super::days::is_sealed;
use super::fold::{EventContext, OutputContext, insert_source};
use super::hashes::ShortHash;
use super::parked_events::{ParkedEvent, id_identity, number_identity};
use super::partition::Partition;
use super::records::ConflictRecord;
use super::sequence_set::OpenReason;
use super::state;
use super::store::{DayChange, identity_hash, part_of};
use super::unreadable::UnreadableReason;
use super::verdict::{QuarantineReason, Verdict};
use crate::envelope::{Envelope, Scope};
use crate::text::{Date, percent_encode};
use crate::topics;

/// Days by which a business date may be ahead of the append to count on its day.
const DAYS_AHEAD: i32 = 2;

/// Returns `terminal/epoch/identity` of an event, percent-encoded; `None` if it names no identity.
pub(super) fn identity_name(envelope: &Envelope<'_>) -> Option<String> {
    let epoch = envelope.epoch.as_deref().unwrap_or("");
    let mut name = topics::key(&[envelope.terminal.as_deref()?, epoch]);
    name.push('/');
    match (envelope.sequence, envelope.event_id.as_deref()) {
        (Some(sequence), _) => name.push_str(itoa::Buffer::new().format(sequence)),
        (None, Some(id)) => {
            name.push_str("id:");
            percent_encode(id, &mut name);
        }
        (None, None) => return None,
    }
    Some(name)
}

/// Returns the name of a parked event, given its identity.
pub(super) fn parked_name(identity: &str, text_hash: u128) -> String {
    format!("{identity}/{text_hash:032x}")
}

impl Partition {
    /// Folds a parked event in.
    ///
    /// # Errors
    /// When it names no rule or no identity.
    pub(super) fn park(
        &mut self,
        store: u32,
        entry: &ConsumerRecord,
        envelope: &Envelope<'_>,
        output: &mut OutputContext<'_>,
    ) -> Result<(), UnreadableReason> {
        let identity = identity_name(envelope).filter(|_| envelope.parked.is_some());
        let identity = identity.ok_or(UnreadableReason::Parked)?;
        let text_hash = envelope.data_hash.unwrap_or_else(|| xxh3_128(envelope.data));
        let name = parked_name(&identity, text_hash);
        self.tick(entry.appended_ms);
        match self.known_before(store, envelope, &name) {
            None if self.stores[store as usize].parked.len() < self.rules.parked_per_store => {
                self.checkpoint.totals.parked += 1;
                self.hold(store, entry, envelope, name, output);
            }
            known => {
                let full = Verdict::Quarantined(QuarantineReason::TooManyParked);
                let verdict = known.unwrap_or(full);
                self.checkpoint.totals.count(verdict);
                if verdict != Verdict::Duplicate {
                    self.set_aside(store, entry.offset, envelope, text_hash, verdict, output);
                }
            }
        }
        Ok(())
    }

    /// Decides on a parked event whose text or identity is known. It never steps towards a suspected reset: nobody knows yet
    /// what it says.
    fn known_before(&mut self, store: u32, envelope: &Envelope<'_>, name: &str) -> Option<Verdict> {
        let (now_ms, horizon_ms) = (self.checkpoint.clock_ms, self.rules.conflict_horizon_ms);
        let is_unsettled = self.stores[store as usize].parked.find(name).is_some();
        if is_unsettled || self.was_settled(store, name) {
            return Some(Verdict::Duplicate);
        }
        let (terminal, epoch) =
            (envelope.terminal.as_deref()?, envelope.epoch.as_deref().unwrap_or(""));
        let owner = &mut self.stores[store as usize];
        let known = if let Some(sequence) = envelope.sequence {
            let terminal = owner.terminal(terminal, epoch)?;
            let ledger = &owner.terminals[terminal as usize].ledger;
            let number = ledger.known_number(sequence, envelope.scope)?;
            ledger.hashes.get(number, now_ms, horizon_ms)
        } else {
            let id = identity_hash(terminal, epoch, envelope.event_id.as_deref()?);
            let keep_ms = self.rules.event_ids_kept_ms();
            Some(owner.ids.get_kept(id, now_ms, keep_ms)?)
        };
        let Some(known) = known else { return Some(Verdict::DuplicateUnverified) };
        // A rule that was set after the event was accepted parks its retry, which was decoded and so has its content's hash.
        let is_retry = envelope.content_hash.map(ShortHash::of) == Some(known);
        Some(if is_retry { Verdict::Duplicate } else { Verdict::Conflict(known) })
    }

    /// Keeps a parked event: in the state, on `pos.parked`, under its number and on its day.
    fn hold(
        &mut self,
        store: u32,
        entry: &ConsumerRecord,
        envelope: &Envelope<'_>,
        name: String,
        output: &mut OutputContext<'_>,
    ) {
        let date = envelope.business_date.as_deref().and_then(|date| Date::parse(date.as_bytes()));
        let date = date.filter(|&date| self.is_open_day(date));
        let number = envelope
            .sequence
            .and_then(|sequence| self.hold_number(store, envelope, sequence, date));
        // An event with a number belongs to the days of its number.
        let own_date = date.filter(|_| envelope.sequence.is_none());
        if let Some(date) = own_date {
            self.stores[store as usize].days.entry(date).or_default().parked += 1;
            self.mark_day(store, date);
        }
        let event = ParkedEvent { name: name.into(), number, date: own_date };
        let owner = &mut self.stores[store as usize];
        let key = parked_key(&owner.key, &event.name);
        let state = output.arena.json(&state::parked_value(entry.offset, &event));
        owner.parked.add(entry.offset, event);
        let value = entry.value.as_deref().unwrap_or_default();
        let text = format!(
            r#","verdict":"parked","sourcepartition":{},"sourceoffset":{}"#,
            self.number, entry.offset
        );
        let copy = insert_source(value, envelope.data.len(), text.as_bytes(), output.arena);
        self.buffer.push_row(&output.topics.state, state::parked_key(&key), Some(state));
        self.buffer.push_row(&output.topics.parked, key, Some(copy));
    }

    /// Tells whether a date has a day to count on: neither sealed nor far ahead.
    fn is_open_day(&self, date: Date) -> bool {
        let today = self.today();
        !is_sealed(date, today) && date.0 <= today.0.saturating_add(DAYS_AHEAD)
    }

    /// Holds a number in its terminal's ledger, and lets the terminal take part in the event's day. `None` if the ledger can not
    /// take the number: the event is kept all the same.
    fn hold_number(
        &mut self,
        store: u32,
        envelope: &Envelope<'_>,
        sequence: u64,
        date: Option<Date>,
    ) -> Option<u64> {
        let by_date = envelope.scope == Scope::BusinessDate;
        if by_date && date.is_none() {
            return None;
        }
        let epoch = envelope.epoch.as_deref().unwrap_or("");
        let terminal =
            self.terminal(store, envelope.terminal.as_deref()?, epoch, envelope.scope)?;
        let entry = &mut self.stores[store as usize].terminals[terminal as usize];
        if entry.ledger.scope != envelope.scope {
            return None;
        }
        if by_date {
            entry.expires = entry.expires.max(date);
        }
        let pending = entry.ledger.pending();
        let number = entry.ledger.park(sequence)?;
        self.mark_ledger(store, terminal, pending);
        self.mark_days_of(store, terminal, number);
        if let Some(date) = date {
            let owner = &mut self.stores[store as usize];
            let day = owner.days.entry(date).or_default();
            let next = day.next_index();
            let index = owner.terminals[terminal as usize].days.reach(date, next, number);
            let is_new = index == next;
            if is_new {
                day.add_terminal(terminal);
            }
            self.mark_day(store, date);
            self.mark_part(store, date, DayChange { is_new, part: part_of(index), moved: None });
        }
        Some(number)
    }

    /// Writes a parked event to `pos.conflicts`.
    fn set_aside(
        &mut self,
        store: u32,
        offset: Offset,
        envelope: &Envelope<'_>,
        text_hash: u128,
        verdict: Verdict,
        output: &mut OutputContext<'_>,
    ) {
        let mut record = ConflictRecord::of(verdict, (self.number, offset), envelope);
        record.datahash = Some(format!("x3:{text_hash:032x}"));
        if matches!(verdict, Verdict::Conflict(_)) {
            record.detail = "parked_text";
        }
        let key = self.stores[store as usize].key.clone();
        self.write_conflict(&key, &record, envelope.data, output);
    }

    /// Settles all parked events of an identity that a first has taken.
    pub(super) fn settle_identity(
        &mut self,
        context: &EventContext<'_>,
        number: Option<u64>,
        output: &mut OutputContext<'_>,
    ) {
        let store = context.store;
        if self.stores[store as usize].parked.len() == 0 {
            return;
        }
        let Some(name) = identity_name(context.envelope) else { return };
        let (terminal, _identity) = name.rsplit_once('/').unwrap_or_default();
        let identity = match number {
            Some(number) => number_identity(terminal, number),
            None => id_identity(&name),
        };
        let settled: Vec<Offset> = self.stores[store as usize].parked.of(identity).collect();
        for offset in settled {
            self.settle(store, offset, output);
        }
    }

    /// Settles one parked event: removes it everywhere, and gives its number up if no other text holds it.
    pub(super) fn settle(&mut self, store: u32, offset: Offset, output: &mut OutputContext<'_>) {
        let owner = &mut self.stores[store as usize];
        let Some((event, is_last)) = owner.parked.remove(offset) else { return };
        let key = parked_key(&owner.key, &event.name);
        if let Some(date) = event.date
            && let Some(day) = owner.days.get_mut(&date)
        {
            day.parked = day.parked.saturating_sub(1);
            self.mark_day(store, date);
        }
        if let (Some(number), true) = (event.number, is_last) {
            self.give_up(store, &event.name, number);
        }
        self.remember_settled(store, &event.name);
        self.buffer.push_row(&output.topics.state, state::parked_key(&key), None);
        self.buffer.push_row(&output.topics.parked, key, None);
    }

    /// A number that no event holds any more, and that no first took, is dismissed.
    fn give_up(&mut self, store: u32, name: &str, number: u64) {
        let owner = &mut self.stores[store as usize];
        let terminal = state::terminal_of(name)
            .and_then(|[terminal, epoch]| owner.terminal(&terminal, &epoch));
        let Some(terminal) = terminal else { return };
        self.dismiss_number(store, terminal, number, OpenReason::Parked);
    }

    /// Dismisses a number that is open for a reason; returns whether it was.
    pub(super) fn dismiss_number(
        &mut self,
        store: u32,
        terminal: u32,
        number: u64,
        reason: OpenReason,
    ) -> bool {
        let ledger = &mut self.stores[store as usize].terminals[terminal as usize].ledger;
        let pending = ledger.pending();
        let sequences = ledger.sequences.as_mut();
        if !sequences.is_some_and(|sequences| sequences.dismiss(number, reason)) {
            return false;
        }
        self.mark_ledger(store, terminal, pending);
        self.mark_days_of(store, terminal, number);
        true
    }

    fn was_settled(&mut self, store: u32, name: &str) -> bool {
        let (now_ms, keep_ms) = (self.checkpoint.clock_ms, self.rules.conflict_horizon_ms);
        let parked = &mut self.stores[store as usize].parked;
        let before = parked.settled.changed();
        let was_settled = parked.was_settled(name, now_ms, keep_ms);
        self.mark_settled(store, before);
        was_settled
    }

    fn remember_settled(&mut self, store: u32, name: &str) {
        let (now_ms, keep_ms) = (self.checkpoint.clock_ms, self.rules.conflict_horizon_ms);
        let most = self.rules.parked_per_store;
        let parked = &mut self.stores[store as usize].parked;
        let before = parked.settled.changed();
        parked.remember(name, now_ms, keep_ms, most);
        self.mark_settled(store, before);
    }

    /// Marks what changed of the settled names; `before` is how many blocks the next flush would have written.
    fn mark_settled(&mut self, store: u32, before: usize) {
        let owner = &self.stores[store as usize];
        let changed = owner.parked.settled.changed();
        let blocks = changed.saturating_sub(before);
        self.buffer.size.add(blocks, blocks * (2_048 + 2 * owner.key.len()));
        if changed > 0 {
            self.mark_store(store);
        }
    }
}

/// Key of a record of `pos.parked`.
fn parked_key(store: &[u8], name: &str) -> Bytes {
    let mut key = BytesMut::with_capacity(store.len() + 1 + name.len());
    key.extend_from_slice(store);
    key.extend_from_slice(b"/");
    key.extend_from_slice(name.as_bytes());
    key.freeze()
}
