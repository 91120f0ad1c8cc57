//! The records of a flush: everything a partition has to write, for one transaction.
//!
//! Here sums become records. Whether the transaction that carries them stands or falls is decided in
//! [`super::engine`]; if it falls, the partition they came from is dropped, so that marking things as
//! written here is safe.

use bytes::{Bytes, BytesMut};

use super::day_records;
use super::days::{Day, Status, is_sealed};
use super::deltas::{self, DeltaWriter};
use super::json_text::put;
use super::outputs::Weight;
use super::paper::Paper;
use super::partition::Partition;
use super::state;
use super::store::Terminal;
use super::terminals::{self, Source};
use super::windows::Delta;
use crate::log::{self, Row, Topic};
use crate::text::Date;
use crate::topics::Topics;

/// How often the parts that only time changes are looked through, by the partition's clock.
const SWEEP_EVERY_MS: i64 = 3_600_000;
/// Stores that one sweep looks at, and records it may make; the rest waits for the next flush.
const SWEEP_STORES: usize = 256;
const SWEEP_RECORDS: usize = 2_000;

/// Bytes that a checkpoint takes, at most; it is not weighed.
const CHECKPOINT_BYTES: usize = 1_024;

/// Keys and values of a partition's rows.
fn bytes_of(rows: &[Row], partition: log::Partition) -> usize {
    let own = rows.iter().filter(|row| row.partition == partition);
    own.map(|row| row.key.len() + row.value.as_ref().map_or(0, Bytes::len)).sum()
}

impl Partition {
    /// Tells whether there is anything to commit.
    pub(super) fn is_dirty(&self) -> bool {
        self.checkpoint.next_offset != self.flushed_to || self.outputs.weight.records > 0
    }

    /// Appends the records of the next flush, the checkpoint last.
    pub(super) fn write(&mut self, topics: &Topics, paper: &mut Paper, rows: &mut Vec<Row>) {
        self.checkpoint.flush += 1;
        rows.append(&mut self.outputs.rows);
        self.write_deltas(topics, paper, rows);
        self.write_days(topics, paper, rows);
        self.write_amendments(topics, paper, rows);
        self.write_terminals(topics, paper, rows);
        self.write_stores(topics, paper, rows);
        let key = state::checkpoint_key(self.checkpoint.flush);
        rows.push(self.row(&topics.state, key, Some(paper.json(&self.checkpoint))));
        debug_assert!(
            bytes_of(rows, self.number) <= self.outputs.weight.bytes + CHECKPOINT_BYTES,
            "{} bytes were weighed as {:?}",
            bytes_of(rows, self.number),
            self.outputs.weight,
        );
    }

    /// Begins the next flush after the last one was committed.
    /// What a sweep adds to the next flush fits `room`, but for one day or one terminal.
    pub(super) fn written(&mut self, topics: &Topics, paper: &mut Paper, room: Weight) {
        self.flushed_to = self.checkpoint.next_offset;
        self.outputs.clear();
        self.sweep(topics, paper, room);
    }

    pub(super) fn row(&self, topic: &Topic, key: Bytes, value: Option<Bytes>) -> Row {
        Row { topic: topic.clone(), partition: self.number, key, value }
    }

    fn write_deltas(&self, topics: &Topics, paper: &mut Paper, rows: &mut Vec<Row>) {
        let mut writer = DeltaWriter::new(deltas::Flush {
            generation: &self.checkpoint.generation,
            partition: self.number,
            from_offset: self.flushed_to,
            to_offset: self.checkpoint.next_offset,
            window_seconds: self.rules.window_seconds,
        });
        let write = |text: &mut BytesMut, (delta, sku): (&Delta, &str)| {
            writer.write(text, &self.stores[delta.store as usize], delta, sku)
        };
        paper.keyed(self.outputs.windows.iter(), write, |key, value| {
            rows.push(self.row(&topics.deltas, key, Some(value)));
        });
    }

    fn write_days(&mut self, topics: &Topics, paper: &mut Paper, rows: &mut Vec<Row>) {
        let (today, source) = (self.today(), self.source());
        for (slot, date) in std::mem::take(&mut self.outputs.days) {
            let presence = self.stores[slot as usize].presence(date);
            let Some(day) = self.stores[slot as usize].days.get_mut(&date) else { continue };
            day.changed = false;
            day.status = presence.judged(date, today);
            let store = &self.stores[slot as usize];
            let Some(day) = store.days.get(&date) else { continue };
            let [state_key, state, totals] = paper.pieces(|text| {
                state::write_day_key(text, store, date);
                let key = text.len();
                day_records::write_state(text, store, (date, day));
                let state = text.len();
                day_records::write_totals(text, store, (date, day), presence, source);
                [key, state, text.len()]
            });
            let key = state_key.slice(state::DAY.len()..);
            self.write_parts(slot, date, &key, topics, paper, rows);
            rows.push(self.row(&topics.days, key, Some(totals)));
            rows.push(self.row(&topics.state, state_key, Some(state)));
        }
    }

    /// Writes the further parts of a day's terminals that changed.
    fn write_parts(
        &mut self,
        slot: u32,
        date: Date,
        day_key: &[u8],
        topics: &Topics,
        paper: &mut Paper,
        rows: &mut Vec<Row>,
    ) {
        let (owner, source) = (slot as usize, self.source());
        let parts = self.stores[owner].days.get(&date).map_or(1, Day::parts);
        for part in 1..parts {
            let day = self.stores[owner].days.get_mut(&date);
            if !day.is_some_and(|day| day.take_part(part)) {
                continue;
            }
            let store = &self.stores[owner];
            let held = (date, &store.days[&date]);
            let [key, published, state_key, state] = paper.pieces(|text| {
                state::write_part_key(text, day_key, part);
                let key = text.len();
                day_records::write_part(text, store, held, part, source);
                let published = text.len();
                state::write_part_state_key(text, day_key, part);
                let state_key = text.len();
                day_records::write_part_state(text, store, held, part);
                [key, published, state_key, text.len()]
            });
            rows.push(self.row(&topics.days, key, Some(published)));
            rows.push(self.row(&topics.state, state_key, Some(state)));
        }
    }

    /// Where the records of the flush that is being written come from.
    fn source(&self) -> Source {
        Source {
            partition: self.number,
            offset: self.checkpoint.next_offset,
            flush: self.checkpoint.flush,
        }
    }

    fn write_amendments(&self, topics: &Topics, paper: &mut Paper, rows: &mut Vec<Row>) {
        let (from, source) = (self.flushed_to, self.source());
        let to = source.offset;
        for (&(slot, date), control) in &self.outputs.amendments {
            let store = &self.stores[slot as usize];
            let [key, record] = paper.pieces(|text| {
                state::write_totals_key(text, store, date);
                put(text, format_args!("/amendment/{from}-{to}"));
                let key = text.len();
                day_records::write_amendment(text, store, (date, control), from, source);
                [key, text.len()]
            });
            rows.push(self.row(&topics.days, key, Some(record)));
        }
    }

    fn write_terminals(&mut self, topics: &Topics, paper: &mut Paper, rows: &mut Vec<Row>) {
        let source = self.source();
        for (store, slot) in std::mem::take(&mut self.outputs.terminals) {
            let terminal = &mut self.stores[store as usize].terminals[slot as usize];
            terminal.changed = false;
            let Terminal { key, ledger, .. } = terminal;
            ledger.hashes.take_changed(|number, block| {
                let [key, value] = paper.pieces(|text| {
                    state::write_hashes_key(text, key, number);
                    let key = text.len();
                    if let Some(block) = block {
                        block.encode(text);
                    }
                    [key, text.len()]
                });
                let (topic, value) = (topics.state.clone(), block.is_some().then_some(value));
                rows.push(Row { topic, partition: self.number, key, value });
            });
            if let Some(sequences) = &mut ledger.sequences {
                sequences.take_changed(|number, block| {
                    let [key, value] = paper.pieces(|text| {
                        state::write_numbers_key(text, key, number);
                        let key = text.len();
                        if let Some(block) = block {
                            block.encode(text);
                        }
                        [key, text.len()]
                    });
                    let (topic, value) = (topics.state.clone(), block.is_some().then_some(value));
                    rows.push(Row { topic, partition: self.number, key, value });
                });
            }
            let store = &self.stores[store as usize];
            let terminal = &store.terminals[slot as usize];
            let [key, state, ledger] = paper.pieces(|text| {
                state::write_terminal_key(text, &terminal.key);
                let key = text.len();
                terminals::write_state(text, store, terminal);
                let state = text.len();
                terminals::write_ledger(text, store, terminal, source);
                [key, state, text.len()]
            });
            rows.push(self.row(&topics.state, key, Some(state)));
            if !ledger.is_empty() {
                rows.push(self.row(&topics.ledger, terminal.key.clone(), Some(ledger)));
            }
        }
    }

    fn write_stores(&mut self, topics: &Topics, paper: &mut Paper, rows: &mut Vec<Row>) {
        for slot in std::mem::take(&mut self.outputs.stores) {
            let store = &mut self.stores[slot as usize];
            store.changed = false;
            let released = store.released.take_changed();
            let mut blocks = Vec::with_capacity(store.ids.changed());
            store.ids.take_changed(|block, bytes| blocks.push((block, bytes)));
            let store = &self.stores[slot as usize];
            for (block, bytes) in blocks {
                let value = bytes.map(|bytes| paper.write(&[&bytes]));
                rows.push(self.row(&topics.state, state::ids_key(store, block), value));
            }
            for part in released {
                let value = paper.json(&state::released_value(store, part));
                rows.push(self.row(&topics.state, state::released_key(store, part), Some(value)));
            }
        }
    }

    /// Looks through the parts that only time changes, a bounded piece after each flush: days that
    /// are over or to be sealed, hashes, ids and epochs past their time. What it makes goes out with
    /// the next flush. Nothing that is counted depends on when this runs.
    fn sweep(&mut self, topics: &Topics, paper: &mut Paper, room: Weight) {
        let clock_ms = self.checkpoint.clock_ms;
        if self.sweep_from == 0 && clock_ms.saturating_sub(self.swept_ms) < SWEEP_EVERY_MS {
            return;
        }
        let Ok(stores) = u32::try_from(self.stores.len()) else { return };
        let room = Weight { records: room.records.min(SWEEP_RECORDS), ..room };
        for _ in 0..SWEEP_STORES {
            if self.sweep_from >= stores {
                break;
            }
            // A store with more to do than there is room for is gone on with after the next flush.
            if !self.sweep_store(self.sweep_from, room, topics, paper) {
                return;
            }
            self.sweep_from += 1;
        }
        if self.sweep_from < stores {
            return;
        }
        self.sweep_from = 0;
        self.swept_ms = clock_ms;
    }

    /// Sweeps one store; returns false where there was no room for all of it.
    fn sweep_store(&mut self, slot: u32, room: Weight, topics: &Topics, paper: &mut Paper) -> bool {
        let today = self.today();
        let days = self.stores[slot as usize].days.iter();
        let due: Vec<(Date, bool)> = days
            .filter(|(date, day)| day.is_overdue(**date, today))
            .map(|(&date, _)| (date, is_sealed(date, today)))
            .collect();
        for (date, sealed) in due {
            if self.outputs.weight.fills(room) {
                return false;
            }
            if sealed {
                self.seal(slot, date, topics, paper);
            } else {
                self.mark_day(slot, date);
            }
        }
        if !self.retire(slot, today, room, topics) {
            return false;
        }
        let (clock_ms, horizon_ms) = (self.checkpoint.clock_ms, self.rules.conflict_horizon_ms);
        for terminal in 0..self.stores[slot as usize].terminals.len() {
            if self.outputs.weight.fills(room) {
                return false;
            }
            let most = room.records - self.outputs.weight.records;
            let hashes = &mut self.stores[slot as usize].terminals[terminal].ledger.hashes;
            let gone = hashes.expire(clock_ms, horizon_ms, most);
            if gone > 0 {
                let key_bytes = self.stores[slot as usize].terminals[terminal].key.len();
                self.outputs.weight.add(gone, gone * (32 + key_bytes));
                self.mark_terminal(slot, u32::try_from(terminal).unwrap_or(u32::MAX));
            }
        }
        let keep_ms = self.rules.event_ids_kept_ms();
        let gone = self.stores[slot as usize].ids.expire(clock_ms, keep_ms);
        if gone > 0 {
            let key_bytes = self.stores[slot as usize].key.len();
            self.outputs.weight.add(gone, gone * (32 + key_bytes));
            self.mark_store(slot);
        }
        true
    }

    /// Writes a day for the last time and forgets it.
    fn seal(&mut self, slot: u32, date: Date, topics: &Topics, paper: &mut Paper) {
        let Some(day) = self.stores[slot as usize].days.get_mut(&date) else { return };
        day.status = Status::Sealed;
        let store = &self.stores[slot as usize];
        let (source, presence) = (self.source(), store.presence(date));
        let Some(day) = store.days.get(&date) else { return };
        let [state_key, totals] = paper.pieces(|text| {
            state::write_day_key(text, store, date);
            let key = text.len();
            day_records::write_totals(text, store, (date, day), presence, source);
            [key, text.len()]
        });
        let key = state_key.slice(state::DAY.len()..);
        for part in 1..day.parts() {
            let mut text = BytesMut::new();
            state::write_part_state_key(&mut text, &key, part);
            self.outputs.push_row(&topics.state, text.freeze(), None);
        }
        self.outputs.push_row(&topics.days, key, Some(totals));
        self.outputs.push_row(&topics.state, state_key, None);
        self.stores[slot as usize].forget_day(date);
    }

    /// Forgets the epochs of business dates that are sealed; returns false where there was no room for all.
    fn retire(&mut self, slot: u32, today: Date, room: Weight, topics: &Topics) -> bool {
        let weight = self.outputs.weight;
        let mut left = room.records.saturating_sub(weight.records);
        let mut left_bytes = room.bytes.saturating_sub(weight.bytes);
        let mut all = true;
        let retired = self.stores[slot as usize].retire(|terminal| {
            if !terminal.expires.is_some_and(|date| is_sealed(date, today)) {
                return false;
            }
            let fits = left > 0 && left_bytes > 0;
            all &= fits;
            let rows = state::keys_of(terminal).count();
            left = left.saturating_sub(rows);
            left_bytes = left_bytes.saturating_sub(rows * (96 + terminal.key.len()));
            fits
        });
        for terminal in &retired {
            for key in state::keys_of(terminal) {
                self.outputs.push_row(&topics.state, key, None);
            }
        }
        all
    }
}
