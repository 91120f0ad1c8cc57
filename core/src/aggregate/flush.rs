//! The records of a flush: everything that a partition writes in one transaction.
//!
//! Sums become records here, and are marked as written before the transaction is committed. That is safe: if the transaction
//! is aborted, [`super::engine`] drops the partition and restores it from the log.

mod balances;
mod devices;

use bytes::{Bytes, BytesMut};
use tillrace_log::{ProducerRecord, Topic};

use super::arena::RecordArena;
use super::day_records;
use super::days::Day;
use super::deltas::{self, DeltaWriter};
use super::flush_buffer::FlushSize;
use super::json_text::put;
use super::partition::Partition;
use super::state;
use super::store::Terminal;
use super::terminals::{self, RecordOrigin};
use super::windows::Delta;
use crate::text::Date;
use crate::topics::Topics;

/// Most bytes of a checkpoint, which is not part of the estimate.
const CHECKPOINT_BYTES: usize = 1_024;

/// Keys and values of a partition's rows.
fn bytes_of(rows: &[ProducerRecord], partition: tillrace_log::Partition) -> usize {
    let own = rows.iter().filter(|row| row.partition == partition);
    own.map(|row| row.key.len() + row.value.as_ref().map_or(0, Bytes::len)).sum()
}

impl Partition {
    /// Tells whether there is anything to commit.
    pub(super) fn is_dirty(&self) -> bool {
        self.checkpoint.next_offset != self.flushed_to
            || self.buffer.size.records > 0
            || self.is_checkpoint_due
    }

    /// Appends the records of the next flush, the checkpoint last.
    pub(super) fn write(
        &mut self,
        topics: &Topics,
        arena: &mut RecordArena,
        rows: &mut Vec<ProducerRecord>,
    ) {
        self.checkpoint.flush += 1;
        rows.append(&mut self.buffer.rows);
        self.write_deltas(topics, arena, rows);
        self.write_balances(topics, arena, rows);
        self.write_days(topics, arena, rows);
        self.write_amendments(topics, arena, rows);
        self.write_devices(topics, arena, rows);
        self.write_terminals(topics, arena, rows);
        self.write_stores(topics, arena, rows);
        self.is_checkpoint_due = false;
        let key = state::checkpoint_key(self.checkpoint.flush);
        rows.push(self.row(&topics.state, key, Some(arena.json(&self.checkpoint))));
        debug_assert!(
            bytes_of(rows, self.number) <= self.buffer.size.bytes + CHECKPOINT_BYTES,
            "{} bytes were estimated as {:?}",
            bytes_of(rows, self.number),
            self.buffer.size,
        );
    }

    /// Begins the next flush after the last one was committed, with what a sweep finds.
    /// Those stay within `limit`, except for one day or one terminal.
    pub(super) fn written(&mut self, topics: &Topics, arena: &mut RecordArena, limit: FlushSize) {
        self.flushed_to = self.checkpoint.next_offset;
        self.buffer.clear();
        self.sweep(topics, arena, limit);
    }

    pub(super) fn row(&self, topic: &Topic, key: Bytes, value: Option<Bytes>) -> ProducerRecord {
        ProducerRecord { topic: topic.clone(), partition: self.number, key, value }
    }

    fn write_deltas(
        &self,
        topics: &Topics,
        arena: &mut RecordArena,
        rows: &mut Vec<ProducerRecord>,
    ) {
        let mut writer = DeltaWriter::new(deltas::FlushRange {
            generation: &self.checkpoint.generation,
            partition: self.number,
            from_offset: self.flushed_to,
            to_offset: self.checkpoint.next_offset,
            window_seconds: self.rules.window_seconds,
        });
        let write = |text: &mut BytesMut, (delta, sku): (&Delta, &str)| {
            let cell = self.buffer.windows.cell_of(delta);
            writer.write(text, &self.stores[delta.store as usize], delta, cell, sku)
        };
        arena.keyed(self.buffer.windows.iter(), write, |key, value| {
            rows.push(self.row(&topics.deltas, key, Some(value)));
        });
    }

    fn write_days(
        &mut self,
        topics: &Topics,
        arena: &mut RecordArena,
        rows: &mut Vec<ProducerRecord>,
    ) {
        let (today, source) = (self.today(), self.origin());
        for (slot, date) in std::mem::take(&mut self.buffer.days) {
            let summary = self.stores[slot as usize].summary(date);
            let Some(day) = self.stores[slot as usize].days.get_mut(&date) else { continue };
            day.changed = false;
            day.status = summary.status(date, today);
            self.sum_up_day(slot, date, summary);
            let store = &self.stores[slot as usize];
            let Some(day) = store.days.get(&date) else { continue };
            let [state_key, state, totals] = arena.pieces(|text| {
                state::write_day_key(text, store, date);
                let key = text.len();
                day_records::write_state(text, store, (date, day));
                let state = text.len();
                day_records::write_totals(text, store, (date, day), summary, source);
                [key, state, text.len()]
            });
            let key = state_key.slice(state::DAY.len()..);
            self.write_parts(slot, date, &key, topics, arena, rows);
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
        arena: &mut RecordArena,
        rows: &mut Vec<ProducerRecord>,
    ) {
        let (owner, source) = (slot as usize, self.origin());
        let parts = self.stores[owner].days.get(&date).map_or(1, Day::parts);
        for part in 1..parts {
            let day = self.stores[owner].days.get_mut(&date);
            if !day.is_some_and(|day| day.take_part(part)) {
                continue;
            }
            let store = &self.stores[owner];
            let held = (date, &store.days[&date]);
            let [key, published, state_key, state] = arena.pieces(|text| {
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

    /// The origin of the records of the flush that is being written.
    pub(super) fn origin(&self) -> RecordOrigin {
        RecordOrigin {
            partition: self.number,
            offset: self.checkpoint.next_offset,
            flush: self.checkpoint.flush,
        }
    }

    fn write_amendments(
        &self,
        topics: &Topics,
        arena: &mut RecordArena,
        rows: &mut Vec<ProducerRecord>,
    ) {
        let (from, source) = (self.flushed_to, self.origin());
        let to = source.offset;
        for (&(slot, date), control) in &self.buffer.amendments {
            let store = &self.stores[slot as usize];
            let [key, record] = arena.pieces(|text| {
                state::write_totals_key(text, store, date);
                put(text, format_args!("/amendment/{from}-{to}"));
                let key = text.len();
                day_records::write_amendment(text, store, (date, control), from, source);
                [key, text.len()]
            });
            rows.push(self.row(&topics.days, key, Some(record)));
        }
    }

    fn write_terminals(
        &mut self,
        topics: &Topics,
        arena: &mut RecordArena,
        rows: &mut Vec<ProducerRecord>,
    ) {
        let source = self.origin();
        for (store, slot) in std::mem::take(&mut self.buffer.terminals) {
            let terminal = &mut self.stores[store as usize].terminals[slot as usize];
            terminal.changed = false;
            let Terminal { key, ledger, .. } = terminal;
            ledger.hashes.take_changed(|number, block| {
                let [key, value] = arena.pieces(|text| {
                    state::write_hashes_key(text, key, number);
                    let key = text.len();
                    if let Some(block) = block {
                        block.encode(text);
                    }
                    [key, text.len()]
                });
                let (topic, value) = (topics.state.clone(), block.is_some().then_some(value));
                rows.push(ProducerRecord { topic, partition: self.number, key, value });
            });
            if let Some(sequences) = &mut ledger.sequences {
                sequences.take_changed(|number, block| {
                    let [key, value] = arena.pieces(|text| {
                        state::write_numbers_key(text, key, number);
                        let key = text.len();
                        if let Some(block) = block {
                            block.encode(text);
                        }
                        [key, text.len()]
                    });
                    let (topic, value) = (topics.state.clone(), block.is_some().then_some(value));
                    rows.push(ProducerRecord { topic, partition: self.number, key, value });
                });
            }
            let store = &self.stores[store as usize];
            let terminal = &store.terminals[slot as usize];
            let [key, state, ledger] = arena.pieces(|text| {
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

    fn write_stores(
        &mut self,
        topics: &Topics,
        arena: &mut RecordArena,
        rows: &mut Vec<ProducerRecord>,
    ) {
        for slot in std::mem::take(&mut self.buffer.stores) {
            let store = &mut self.stores[slot as usize];
            store.changed = false;
            let released = store.released.take_changed();
            let mut blocks = Vec::with_capacity(store.ids.changed());
            store.ids.take_changed(|block, bytes| blocks.push((block, bytes)));
            let mut settled = Vec::new();
            store.parked.settled.take_changed(|block, bytes| settled.push((block, bytes)));
            let store = &self.stores[slot as usize];
            for (block, bytes) in settled {
                let value = bytes.map(|bytes| arena.write(&[&bytes]));
                rows.push(self.row(&topics.state, state::settled_key(store, block), value));
            }
            for (block, bytes) in blocks {
                let value = bytes.map(|bytes| arena.write(&[&bytes]));
                rows.push(self.row(&topics.state, state::ids_key(store, block), value));
            }
            for part in released {
                let value = arena.json(&state::released_value(store, part));
                rows.push(self.row(&topics.state, state::released_key(store, part), Some(value)));
            }
        }
    }
}
