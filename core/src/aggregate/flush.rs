//! The records of a flush: everything a partition has to write, for one transaction.
//!
//! Here sums become records. Whether the transaction that carries them stands or falls is decided in
//! [`super::engine`]; if it falls, the partition they came from is dropped, so that marking things as
//! written here is safe.

use bytes::{Bytes, BytesMut};

use super::day_records;
use super::days::{Status, is_sealed};
use super::deltas::{self, DeltaWriter};
use super::json_text::put;
use super::paper::Paper;
use super::partition::Partition;
use super::state;
use super::store::Terminal;
use super::terminals::{self, Source};
use super::windows::Delta;
use crate::log::{Row, Topic};
use crate::text::Date;
use crate::topics::Topics;

/// How often the parts that only time changes are looked through, by the partition's clock.
const SWEEP_EVERY_MS: i64 = 3_600_000;
/// Stores that one sweep looks at, and records it may make; the rest waits for the next flush.
const SWEEP_STORES: usize = 256;
const SWEEP_RECORDS: usize = 2_000;

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
    }

    /// Begins the next flush after the last one was committed.
    pub(super) fn written(&mut self, topics: &Topics, paper: &mut Paper) {
        self.flushed_to = self.checkpoint.next_offset;
        self.outputs.clear();
        self.sweep(topics, paper);
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
            let missing = self.stores[slot as usize].missing_on(date);
            let Some(day) = self.stores[slot as usize].days.get_mut(&date) else { continue };
            day.changed = false;
            day.status = day.judged(missing.iter().sum(), date, today);
            let store = &self.stores[slot as usize];
            let Some(day) = store.days.get(&date) else { continue };
            let [state_key, state, totals] = paper.pieces(|text| {
                state::write_day_key(text, store, date);
                let key = text.len();
                day_records::write_state(text, store, (date, day));
                let state = text.len();
                day_records::write_totals(text, store, (date, day), &missing, source);
                [key, state, text.len()]
            });
            let key = state_key.slice(state::DAY.len()..);
            rows.push(self.row(&topics.days, key, Some(totals)));
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
            let released = std::mem::take(&mut store.released_changed);
            let mut blocks = Vec::with_capacity(store.ids.changed());
            store.ids.take_changed(|block, bytes| blocks.push((block, bytes)));
            let store = &self.stores[slot as usize];
            for (block, bytes) in blocks {
                let value = bytes.map(|bytes| paper.write(&[&bytes]));
                rows.push(self.row(&topics.state, state::ids_key(store, block), value));
            }
            if released {
                let value = paper.json(&state::released_value(store));
                rows.push(self.row(&topics.state, state::released_key(store), Some(value)));
            }
        }
    }

    /// Looks through the parts that only time changes, a bounded piece after each flush: days that
    /// are over or to be sealed, hashes, ids and epochs past their time. What it makes goes out with
    /// the next flush. Nothing that is counted depends on when this runs.
    fn sweep(&mut self, topics: &Topics, paper: &mut Paper) {
        let clock_ms = self.checkpoint.clock_ms;
        if self.sweep_from == 0 && clock_ms.saturating_sub(self.swept_ms) < SWEEP_EVERY_MS {
            return;
        }
        let Ok(stores) = u32::try_from(self.stores.len()) else { return };
        for _ in 0..SWEEP_STORES {
            let room = SWEEP_RECORDS.saturating_sub(self.outputs.weight.records);
            if room == 0 || self.sweep_from >= stores {
                break;
            }
            self.sweep_store(self.sweep_from, room, topics, paper);
            self.sweep_from += 1;
        }
        if self.sweep_from < stores {
            return;
        }
        self.sweep_from = 0;
        self.swept_ms = clock_ms;
    }

    fn sweep_store(&mut self, slot: u32, room: usize, topics: &Topics, paper: &mut Paper) {
        let today = self.today();
        let days = self.stores[slot as usize].days.iter();
        let due: Vec<(Date, bool)> = days
            .filter(|(date, day)| day.is_overdue(**date, today))
            .map(|(&date, _)| (date, is_sealed(date, today)))
            .collect();
        for (date, sealed) in due {
            if sealed {
                self.seal(slot, date, topics, paper);
            } else {
                self.mark_day(slot, date);
            }
        }
        self.retire(slot, today, topics);
        let (clock_ms, horizon_ms) = (self.checkpoint.clock_ms, self.rules.conflict_horizon_ms);
        let mut room = room;
        for terminal in 0..self.stores[slot as usize].terminals.len() {
            let hashes = &mut self.stores[slot as usize].terminals[terminal].ledger.hashes;
            let gone = hashes.expire(clock_ms, horizon_ms, room);
            room -= gone;
            if gone > 0 {
                self.outputs.weight.add(gone, gone * 512);
                self.mark_terminal(slot, u32::try_from(terminal).unwrap_or(u32::MAX));
            }
        }
        let keep_ms = self.rules.event_ids_kept_ms();
        let gone = self.stores[slot as usize].ids.expire(clock_ms, keep_ms);
        if gone > 0 {
            self.outputs.weight.add(gone, gone * 512);
            self.mark_store(slot);
        }
    }

    /// Writes a day for the last time and forgets it.
    fn seal(&mut self, slot: u32, date: Date, topics: &Topics, paper: &mut Paper) {
        let missing = self.stores[slot as usize].missing_on(date);
        let Some(mut day) = self.stores[slot as usize].days.remove(&date) else { return };
        day.status = Status::Sealed;
        let store = &self.stores[slot as usize];
        let source = self.source();
        let [state_key, totals] = paper.pieces(|text| {
            state::write_day_key(text, store, date);
            let key = text.len();
            day_records::write_totals(text, store, (date, &day), &missing, source);
            [key, text.len()]
        });
        let key = state_key.slice(state::DAY.len()..);
        self.outputs.push_row(&topics.days, key, Some(totals));
        self.outputs.push_row(&topics.state, state_key, None);
    }

    /// Forgets the epochs of business dates that are sealed.
    fn retire(&mut self, slot: u32, today: Date, topics: &Topics) {
        let retired = self.stores[slot as usize].retire(|date| is_sealed(date, today));
        for terminal in &retired {
            let blocks = terminal.ledger.hashes.blocks();
            let keys = blocks.map(|block| state::hashes_key(terminal, block));
            for key in keys.chain([state::terminal_key(terminal)]) {
                self.outputs.push_row(&topics.state, key, None);
            }
        }
    }
}
