//! Stock effects folded into event-time windows, for one flush.
//!
//! Store, SKU, unit, window start and business date identify a delta, and reason and stock location where a line has them. It does not outlive the flush: a late event is part of
//! a later delta for its old window. The SKUs of all deltas are in one buffer that is cleared, not freed, so that after
//! warm-up a line costs one lookup and no allocation. [`crate::stock`] says what a line does to stock.

use std::collections::HashMap;

use tillrace_log::Offset;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::slot_index::SlotIndex;
use crate::stock::StockEffect;
use crate::text::{Date, Timestamp, shorter};

/// The sum at which a flush is due, so that no later line can overflow it: one event moves at most 2,000 lines of 10^12
/// millionths.
const LARGEST_SUM: u64 = 1 << 62;
/// Cells at which a flush is due, so that no later event can bring more than 16 bits can tell: it has at most 2,000 lines, each of
/// two.
const MANY_CELLS: usize = 60_000;

/// What one SKU did in one window, within one flush.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delta {
    pub(super) store: u32,
    sku_at: u32,
    sku_bytes: u8,
    pub(super) cell: u16,
    pub(super) unit: Unit,
    pub(super) date: Date,
    /// Seconds since the Unix epoch.
    pub(super) window_start: i64,
    pub(super) effect: StockEffect,
    pub(super) events: u32,
    last_source: Offset,
}

/// A unit's letters, zeros behind them.
pub(super) type Unit = [u8; 4];

/// Why and where stock moved, within its store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Cell {
    pub(super) reason: Box<str>,
    pub(super) location: Box<str>,
}

/// The window that a line falls into.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowKey {
    pub(super) store: u32,
    pub(super) date: Date,
    pub(super) window_start: i64,
    /// Offset of the event; tells lines of one event from those of the next.
    pub(super) source: Offset,
    /// Number of its reason and location; 0 where it has neither.
    pub(super) cell: u16,
}

/// The deltas of one partition and flush.
#[derive(Debug)]
pub(super) struct Windows {
    index: SlotIndex,
    deltas: Vec<Delta>,
    skus: String,
    /// Reasons and locations of this flush, the first being none.
    cells: Vec<Cell>,
    cell_numbers: HashMap<Cell, u16>,
    full: bool,
}

impl Windows {
    pub(super) fn new() -> Self {
        Self {
            index: SlotIndex::default(),
            deltas: Vec::new(),
            skus: String::new(),
            cells: vec![Cell::default()],
            cell_numbers: HashMap::new(),
            full: false,
        }
    }

    /// Returns the number of a line's reason and of the location that it names.
    #[cold]
    pub(super) fn cell(&mut self, reason: Option<&str>, location: Option<&str>) -> u16 {
        if reason.is_none() && location.is_none() {
            return 0;
        }
        let [reason, location] = [reason, location].map(|text| text.unwrap_or_default().into());
        let cell = Cell { reason, location };
        if let Some(known) = self.cell_numbers.get(&cell) {
            return *known;
        }
        let number = u16::try_from(self.cells.len()).unwrap_or(u16::MAX);
        self.cells.push(cell.clone());
        self.cell_numbers.insert(cell, number);
        self.full |= self.cells.len() >= MANY_CELLS;
        number
    }

    /// Returns the reason and location of a delta.
    pub(super) fn cell_of(&self, delta: &Delta) -> &Cell {
        // Cells are numbered as they come, and live as long as the deltas.
        &self.cells[usize::from(delta.cell)]
    }

    /// Adds a line's effect; returns whether that is a new delta.
    pub(super) fn add(
        &mut self,
        key: WindowKey,
        sku: &str,
        unit: &str,
        effect: StockEffect,
    ) -> bool {
        let (deltas, skus) = (&self.deltas, &self.skus);
        let unit = pack(unit);
        let next = u32::try_from(deltas.len()).unwrap_or(u32::MAX - 1);
        let (slot, new) = self.index.find_or_insert(hash(key, sku, unit), next, |slot| {
            let delta = &deltas[slot as usize];
            delta.store == key.store
                && delta.window_start == key.window_start
                && delta.date == key.date
                && delta.unit == unit
                && delta.cell == key.cell
                && delta.sku(skus) == sku
        });
        if new {
            self.deltas.push(Delta::empty(key, self.skus.len(), sku, unit));
            self.skus.push_str(sku);
        }
        let delta = &mut self.deltas[slot as usize];
        delta.add(key.source, effect);
        self.full |= delta.largest() >= LARGEST_SUM;
        new
    }

    /// Tells whether a sum is so large that the flush is due.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The deltas in the order they began, each with its SKU.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Delta, &str)> {
        self.deltas.iter().map(|delta| (delta, delta.sku(&self.skus)))
    }

    /// Clears it for the next flush.
    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.deltas.clear();
        self.skus.clear();
        self.cells.truncate(1);
        self.cell_numbers.clear();
        self.full = false;
    }
}

impl Delta {
    #[expect(clippy::cast_possible_truncation, reason = "ids have at most 64 bytes")]
    fn empty(key: WindowKey, sku_at: usize, sku: &str, unit: Unit) -> Self {
        Self {
            store: key.store,
            sku_at: u32::try_from(sku_at).unwrap_or(u32::MAX),
            sku_bytes: sku.len() as u8,
            cell: key.cell,
            unit,
            date: key.date,
            window_start: key.window_start,
            effect: StockEffect::default(),
            events: 0,
            last_source: Offset::MAX,
        }
    }

    /// A delta as a flush would find it.
    #[cfg(test)]
    pub(super) fn sample(
        store: u32,
        window_start: i64,
        date: Date,
        unit: Unit,
        effect: StockEffect,
        events: u32,
    ) -> Self {
        let key = WindowKey { store, date, window_start, source: 0, cell: 0 };
        Self { effect, events, ..Self::empty(key, 0, "", unit) }
    }

    /// The letters and digits of its unit.
    pub(super) fn unit(&self) -> &[u8] {
        let letters = self.unit.iter().take_while(|letter| **letter != 0).count();
        &self.unit[..letters]
    }

    fn sku<'a>(&self, skus: &'a str) -> &'a str {
        let from = self.sku_at as usize;
        skus.get(from..from + usize::from(self.sku_bytes)).unwrap_or_default()
    }

    fn add(&mut self, source: Offset, effect: StockEffect) {
        self.effect.stock += effect.stock;
        self.effect.sold += effect.sold;
        self.effect.returned += effect.returned;
        self.effect.adjusted += effect.adjusted;
        self.events += u32::from(self.last_source != source);
        self.last_source = source;
    }

    fn largest(&self) -> u64 {
        let StockEffect { stock, sold, returned, adjusted } = self.effect;
        [stock, sold, returned, adjusted].map(i64::unsigned_abs).into_iter().max().unwrap_or(0)
    }
}

/// Start of the tumbling window a time falls into, seconds since the Unix epoch.
pub(super) fn window_start(at: Timestamp, window_seconds: u32) -> i64 {
    let seconds = at.micros.div_euclid(1_000_000);
    seconds - seconds.rem_euclid(i64::from(window_seconds))
}

/// Units have at most three letters.
fn pack(unit: &str) -> Unit {
    let [a, b, c, d, ..] = shorter(unit.as_bytes()).to_le_bytes();
    [a, b, c, d]
}

fn hash(key: WindowKey, sku: &str, unit: Unit) -> u64 {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let seed = key.window_start.cast_unsigned().wrapping_mul(SPREAD)
        ^ u64::from(key.store) << 32
        ^ u64::from(key.date.0.cast_unsigned()) << 24
        ^ u64::from(u32::from_le_bytes(unit))
        ^ u64::from(key.cell) << 40;
    xxh3_64_with_seed(sku.as_bytes(), seed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(store: u32, window_start: i64, source: Offset) -> WindowKey {
        WindowKey { store, date: Date(20_000), window_start, source, cell: 0 }
    }

    fn sold(quantity: i64) -> StockEffect {
        StockEffect { stock: -quantity, sold: quantity, ..StockEffect::default() }
    }

    #[test]
    fn lines_of_one_event_count_as_one_event() {
        let mut windows = Windows::new();
        assert!(windows.add(at(0, 60, 1), "milk", "C62", sold(1)));
        assert!(!windows.add(at(0, 60, 1), "milk", "C62", sold(2)));
        assert!(!windows.add(at(0, 60, 2), "milk", "C62", sold(4)));
        assert!(windows.add(at(0, 60, 2), "milk", "KGM", sold(4)));
        let found: Vec<_> =
            windows.iter().map(|(d, sku)| (sku, d.unit(), d.effect.sold, d.events)).collect();
        assert_eq!(found, [("milk", &b"C62"[..], 7, 2), ("milk", b"KGM", 4, 1)]);
        windows.clear();
        assert_eq!(windows.iter().count(), 0);
        assert!(windows.add(at(0, 60, 2), "milk", "C62", sold(1)));
    }

    #[test]
    fn windows_start_at_multiples_of_their_length_before_the_epoch_too() {
        let start = |text: &str| window_start(Timestamp::parse(text.as_bytes()).unwrap(), 60);
        assert_eq!(start("1970-01-01T00:01:59.999Z"), 60);
        assert_eq!(start("1969-12-31T23:59:59Z"), -60);
        assert_eq!(start("2026-11-27T08:15:30+05:45"), start("2026-11-27T02:30:00Z"));
    }

    #[test]
    fn reason_and_location_tell_deltas_apart() {
        let mut windows = Windows::new();
        let none = windows.cell(None, None);
        let cells = [
            none,
            windows.cell(Some("a"), None),
            windows.cell(None, Some("a")),
            windows.cell(Some("a"), Some("b")),
        ];
        assert_eq!(cells, [0, 1, 2, 3]);
        assert_eq!(windows.cell(Some("a"), None), 1);
        for _ in 0..2 {
            for cell in cells {
                windows.add(WindowKey { cell, ..at(0, 0, 1) }, "milk", "C62", sold(1));
            }
        }
        let found: Vec<_> = windows
            .iter()
            .map(|(delta, _)| {
                let Cell { reason, location } = windows.cell_of(delta);
                (&**reason, &**location, delta.effect.sold)
            })
            .collect();
        assert_eq!(found, [("", "", 2), ("a", "", 2), ("", "a", 2), ("a", "b", 2)]);
        windows.clear();
        assert_eq!(windows.cell(None, Some("z")), 1);
        (1..MANY_CELLS - 2).for_each(|n| assert!(windows.cell(None, Some(&n.to_string())) > 0));
        assert!(!windows.is_full());
        windows.cell(Some("last"), None);
        assert!(windows.is_full());
    }

    #[test]
    fn a_sum_near_its_limit_makes_a_flush_due() {
        let mut windows = Windows::new();
        windows.add(at(0, 0, 1), "milk", "C62", sold((1 << 62) - 1));
        assert!(!windows.is_full());
        windows.add(at(0, 0, 2), "milk", "C62", sold(1));
        assert!(windows.is_full());
    }

    proptest! {
        #[test]
        fn sums_are_those_of_a_map_with_whole_keys(
            lines in prop::collection::vec((0..4_u32, 0..5_i64, "[a-c]{1,2}", 0..3_usize, -9..9_i64), 0..300),
        ) {
            let units = ["C62", "KGM", "C6"];
            let mut windows = Windows::new();
            let mut naive: HashMap<(u32, i64, String, &str), i64> = HashMap::new();
            for (source, (store, window, sku, unit, quantity)) in lines.into_iter().enumerate() {
                let at = at(store, window * 60, source as u64);
                windows.add(at, &sku, units[unit], sold(quantity));
                *naive.entry((store, window * 60, sku, units[unit])).or_default() += quantity;
            }
            let found: HashMap<_, _> = windows
                .iter()
                .map(|(d, sku)| {
                    let key = (d.store, d.window_start, sku.to_owned(), d.unit().to_owned());
                    (key, d.effect.sold)
                })
                .collect();
            prop_assert_eq!(found.len(), naive.len());
            for ((store, window, sku, unit), sum) in naive {
                let key = (store, window, sku, unit.as_bytes().to_owned());
                prop_assert_eq!(found.get(&key), Some(&sum));
            }
        }
    }
}
