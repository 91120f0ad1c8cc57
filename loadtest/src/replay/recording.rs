//! The interface of a recorded data set to the replay.

use std::collections::HashMap;

use crate::json;
use crate::source::{Directory, StockEffect, Terminal, TerminalIndex};

/// Terminals of a store; the sources know stores only.
pub(super) const TERMINALS_PER_STORE: u32 = 4;

/// The clock of all recorded stores: Eastern Standard Time.
pub(super) const OFFSET_MINUTES: i32 = -300;

/// A recorded data set: events in order of time, by index.
pub(super) trait Recording: Send + std::fmt::Debug {
    /// Counts the events.
    fn len(&self) -> usize;

    /// Appends the event of an index below [`Recording::len`]: its text, and its stock effects, with SKUs
    /// counted from `first_sku`.
    fn write(&self, index: usize, buffers: &mut EventBuffers<'_>) -> EventNumber;

    /// Returns the names of stores, terminals and SKUs.
    fn names(&self) -> &Names;

    /// Lists what the conversion had to decide, and how often.
    fn notes(&self) -> Vec<(&'static str, u64)>;
}

/// The buffers that an event is written to.
#[derive(Debug)]
pub(super) struct EventBuffers<'a> {
    pub(super) text: &'a mut Vec<u8>,
    pub(super) effects: &'a mut Vec<StockEffect>,
    pub(super) first_sku: u32,
    pub(super) epoch: Option<&'a str>,
}

/// The terminal and the sequence number of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventNumber {
    pub(super) terminal: TerminalIndex,
    pub(super) sequence: u64,
}

/// Names and indices of a recording's stores, terminals and SKUs.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) directory: Directory,
    stores: HashMap<String, u32>,
    skus: HashMap<i64, u32>,
    last: Vec<u64>,
}

impl Names {
    /// Returns the index of a store, new ones with their terminals.
    pub(super) fn store(&mut self, name: &str) -> u32 {
        if let Some(&store) = self.stores.get(name) {
            return store;
        }
        let store = u32::try_from(self.directory.stores.len()).unwrap_or(u32::MAX);
        self.directory.stores.push(name.to_owned());
        self.stores.insert(name.to_owned(), store);
        for number in 1..=TERMINALS_PER_STORE {
            self.directory.terminals.push(Terminal { store, name: format!("t{number}") });
            self.last.push(0);
        }
        store
    }

    /// Returns the index of a SKU.
    pub(super) fn sku(&mut self, product: i64) -> u32 {
        let skus = &mut self.directory.skus;
        *self.skus.entry(product).or_insert_with(|| {
            skus.push(product.to_string());
            u32::try_from(skus.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Gives the next number of the terminal that a ticket of a store went through.
    pub(super) fn number(&mut self, store: u32, ticket: i64) -> EventNumber {
        let within = u32::try_from(ticket.rem_euclid(i64::from(TERMINALS_PER_STORE))).unwrap_or(0);
        let terminal = store * TERMINALS_PER_STORE + within;
        let last = &mut self.last[terminal as usize];
        *last += 1;
        EventNumber { terminal, sequence: *last }
    }

    /// Opens an event's object and writes its identity.
    pub(super) fn write_identity(
        &self,
        number: EventNumber,
        buffers: &mut EventBuffers<'_>,
        event_id: &str,
    ) {
        let EventNumber { terminal, sequence } = number;
        let terminal = &self.directory.terminals[terminal as usize];
        let text = &mut *buffers.text;
        text.push(b'{');
        json::text_member(text, "store", &self.directory.stores[terminal.store as usize]);
        json::text_member(text, "terminal", &terminal.name);
        json::member(text, "sequence");
        json::unsigned(text, sequence);
        if let Some(epoch) = buffers.epoch {
            json::text_member(text, "epoch", epoch);
        }
        json::text_member(text, "event_id", event_id);
    }
}

/// Appends a member that is an amount in cents.
pub(super) fn write_cents(text: &mut Vec<u8>, name: &str, cents: i64) {
    json::member(text, name);
    json::fixed(text, cents, 2);
}

/// Appends a tender to an open array.
pub(super) fn write_tender(text: &mut Vec<u8>, name: &str, cents: i64) {
    if text.last() == Some(&b'}') {
        text.push(b',');
    }
    text.push(b'{');
    json::text_member(text, "type", name);
    write_cents(text, "amount", cents);
    text.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_always_goes_through_the_same_terminal() {
        let mut names = Names::default();
        let (one, two) = (names.store("one"), names.store("two"));
        assert_eq!((one, two, names.store("one")), (0, 1, 0));
        assert_eq!(names.number(two, 10), EventNumber { terminal: 6, sequence: 1 });
        assert_eq!(names.number(two, 14), EventNumber { terminal: 6, sequence: 2 });
        assert_eq!(names.number(one, 10), EventNumber { terminal: 2, sequence: 1 });
        assert_eq!(names.directory.terminals.len(), 8);
    }
}
