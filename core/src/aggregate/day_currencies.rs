//! How many events with customers' money a day has in which currency, so that a register can say which of them are in another than the store's.
//!
//! They are counted whatever a register says, because one that comes later restates the day. The first event of each currency
//! is kept as an example. Room is for [`CURRENCIES`]; events in further ones are counted together and said to be so.

use bytes::{BufMut as _, BytesMut};
use serde::{Deserialize, Serialize};

use super::json_text::{integer, optional};
use crate::event::Event;
use crate::money;
use crate::text::{Currency, escape};

/// Currencies that a day tells apart.
pub(super) const CURRENCIES: usize = 16;

/// The events of a day by currency, in the order in which the currencies came.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct DayCurrencies {
    known: Vec<CurrencyEvents>,
    /// Events in currencies for which there was no room.
    further: u64,
}

/// The events in one currency: how many, and terminal and number of the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CurrencyEvents(Currency, u64, Box<str>, Option<u64>);

impl DayCurrencies {
    /// Counts an event with money of customers, if it names a currency. Foreign notes are counted and banked in their own.
    pub(super) fn add(&mut self, event: &Event<'_>) {
        let Some(currency) = event.currency.filter(|_| money::sign(event.kind) != 0) else {
            return;
        };
        if let Some(known) = self.known.iter_mut().find(|known| known.0 == currency) {
            known.1 += 1;
        } else if self.known.len() < CURRENCIES {
            self.known.push(CurrencyEvents(currency, 1, event.terminal.into(), event.sequence));
        } else {
            self.further += 1;
        }
    }

    /// Returns its most bytes in a record.
    pub(super) fn written_bytes(&self) -> usize {
        64 + 256 * self.known.len()
    }

    /// Writes how many events were in another currency than the store's, and the first of them, behind other members.
    pub(super) fn write_others(&self, text: &mut BytesMut, own: Currency) {
        text.extend_from_slice(br#","currency":""#);
        text.extend_from_slice(own.code().as_bytes());
        text.extend_from_slice(br#"","other_currency_count":"#);
        let others = || self.known.iter().filter(|known| known.0 != own);
        integer(text, others().fold(self.further, |sum, known| sum.saturating_add(known.1)));
        if let Some(CurrencyEvents(currency, _, terminal, sequence)) = others().next() {
            text.extend_from_slice(br#","other_currency":{"currency":""#);
            text.extend_from_slice(currency.code().as_bytes());
            text.extend_from_slice(br#"","terminal":""#);
            escape(text, terminal);
            text.extend_from_slice(br#"","sequence":"#);
            optional(text, *sequence);
            text.put_u8(b'}');
        }
        if self.further > 0 {
            text.extend_from_slice(br#","other_currency_truncated":true"#);
        }
    }

    /// Writes the state on `state.v1`.
    pub(super) fn write_state(&self, text: &mut BytesMut) {
        text.extend_from_slice(br#"{"known":["#);
        for (index, CurrencyEvents(currency, events, terminal, sequence)) in
            self.known.iter().enumerate()
        {
            text.extend_from_slice(if index == 0 { b"[\"" } else { b",[\"" });
            text.extend_from_slice(currency.code().as_bytes());
            text.extend_from_slice(b"\",");
            integer(text, *events);
            text.extend_from_slice(b",\"");
            escape(text, terminal);
            text.extend_from_slice(b"\",");
            optional(text, *sequence);
            text.put_u8(b']');
        }
        text.extend_from_slice(br#"],"further":"#);
        integer(text, self.further);
        text.put_u8(b'}');
    }

    /// Counts events of a currency by hand.
    #[cfg(test)]
    pub(super) fn push(
        &mut self,
        currency: Currency,
        events: u64,
        terminal: &str,
        sequence: Option<u64>,
    ) {
        self.known.push(CurrencyEvents(currency, events, terminal.into(), sequence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_what_serde_writes_and_reads() {
        let mut currencies = DayCurrencies::default();
        for (code, terminal, sequence) in [(b"EUR", "a\"b", Some(7)), (b"USD", "2", None)] {
            currencies.push(Currency::parse(code).unwrap(), 3, terminal, sequence);
        }
        currencies.further = 9;
        let mut text = BytesMut::new();
        currencies.write_state(&mut text);
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            serde_json::to_string(&currencies).unwrap()
        );
        assert_eq!(serde_json::from_slice::<DayCurrencies>(&text).unwrap(), currencies);
        text.clear();
        text.extend_from_slice(b"{\"x\":0");
        currencies.write_others(&mut text, Currency::parse(b"EUR").unwrap());
        text.put_u8(b'}');
        let others: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let expected = serde_json::json!({"x": 0, "currency": "EUR", "other_currency_count": 12,
            "other_currency": {"currency": "USD", "terminal": "2", "sequence": null}, "other_currency_truncated": true});
        assert_eq!(others, expected);
    }
}
