//! A fleet that sends sales: as a terminal writes them, and as the gateway puts them on the journal.
//!
//! Everything is a function of the event's number, so that every run sees the same bytes. Articles are
//! spread by a hash, as a shop's shelves are; time moves on with the numbers.

use std::fmt::Write as _;

use tillrace_core::envelope::{Admission, Envelope, Scope};
use tillrace_core::text::Timestamp;
use tillrace_core::topics::{Topics, key};
use tillrace_log::ConsumerRecord;

/// 2026-11-27T07:00:00Z.
const OPENING_MS: i64 = 1_795_762_800_000;

/// How large a fleet is, and what it sells.
#[derive(Debug, Clone, Copy)]
pub struct Fleet {
    /// Stores, which take turns.
    pub stores: u64,
    /// Terminals of each store.
    pub terminals: u64,
    /// Articles that each store sells.
    pub skus: u64,
    /// Lines of a sale.
    pub lines: u64,
    /// Events of the whole fleet in a minute of event time.
    pub events_per_minute: u64,
}

impl Fleet {
    /// Sales of 2, 5 or 10 lines for the shapes `s`, `m` and `l`: 515, 912 and 1,429 bytes, roughly.
    pub fn of_shape(shape: &str) -> Self {
        let lines = match shape {
            "s" => 2,
            "l" => 10,
            _ => 5,
        };
        Self { stores: 50, terminals: 8, skus: 2_000, lines, events_per_minute: 400 }
    }

    /// Writes an event as its terminal would.
    pub fn event(&self, number: u64) -> String {
        let (store, terminal, sequence) = self.identity(number);
        let time = Timestamp::from_millis(self.occurred_ms(number));
        let mut text = String::with_capacity(1_600);
        let mut put = |part: std::fmt::Arguments<'_>| {
            text.write_fmt(part).unwrap_or_default();
        };
        put(format_args!(
            r#"{{"store":"{store:05}","terminal":"{terminal:02}","sequence":{sequence},"event_id":"{store:05}.{terminal:02}.{sequence}","kind":"sale","occurred_at":"{time}","business_date":"2026-11-27","currency":"EUR","operator_id":"op-{:03}","lines":["#,
            number % 200
        ));
        let mut total = 0;
        for line in 1..=self.lines {
            let sku = spread(number * 16 + line) % self.skus;
            let cents = 99 + sku % 2_000;
            total += cents;
            let comma = if line > 1 { "," } else { "" };
            let price = format!("{}.{:02}", cents / 100, cents % 100);
            put(format_args!(r#"{comma}{{"line":{line},"type":"sale","sku":"{sku:08}""#));
            if line > 1 {
                put(format_args!(r#","gtin":"{}""#, gtin(sku)));
            }
            put(format_args!(r#","quantity":"1","unit_price":"{price}","amount":"{price}"}}"#));
        }
        let (major, minor) = (total / 100, total % 100);
        put(format_args!(
            r#"],"tenders":[{{"type":"card","amount":"{major}.{minor:02}","last_four":"1881"}}],"totals":{{"total":"{major}.{minor:02}","line_count":{}}}}}"#,
            self.lines
        ));
        text
    }

    /// Makes the journal's record of an event.
    pub fn entry(&self, topics: &Topics, number: u64) -> ConsumerRecord {
        let (store, terminal, sequence) = self.identity(number);
        let (store, terminal) = (format!("{store:05}"), format!("{terminal:02}"));
        let data = self.event(number);
        let occurred_ms = self.occurred_ms(number);
        let mut value = Vec::with_capacity(data.len() + 500);
        Envelope {
            id: sequence.to_string().into(),
            source: format!("/demo/{store}/{terminal}").into(),
            event_type: "tillrace.pos.sale".into(),
            time: Some(Timestamp::from_millis(occurred_ms).to_string().into()),
            tenant: "demo".into(),
            store: store.as_str().into(),
            terminal: Some(terminal.as_str().into()),
            sequence: Some(sequence),
            event_id: Some(format!("{store}.{terminal}.{sequence}").into()),
            business_date: Some("2026-11-27".into()),
            received_time: "2026-11-27T07:15:31.002Z".into(),
            content_hash: Some(u128::from(spread(number)) << 64),
            scope: Scope::Terminal,
            policy_revision: "1".into(),
            admission: Admission::Live,
            gateway: "gw-1".into(),
            data: data.as_bytes(),
            ..Envelope::default()
        }
        .write(&mut value);
        ConsumerRecord {
            topic: topics.events.clone(),
            partition: 0,
            offset: number,
            appended_ms: OPENING_MS + 86_400_000,
            key: key(&["demo", &store]).into(),
            value: Some(value.into()),
        }
    }

    fn identity(&self, number: u64) -> (u64, u64, u64) {
        let sequence = number / (self.stores * self.terminals) + 1;
        (number % self.stores, number / self.stores % self.terminals, sequence)
    }

    /// A day of event time at most, after which it begins again.
    fn occurred_ms(&self, number: u64) -> i64 {
        let minute = number / self.events_per_minute % 1_440;
        OPENING_MS + i64::try_from(minute).unwrap_or_default() * 60_000
    }
}

/// A GTIN-13 with its check digit.
fn gtin(sku: u64) -> String {
    let body = format!("400{:09}", sku % 1_000_000_000);
    let weighted = body.bytes().rev().enumerate();
    let sum: u32 = weighted
        .map(|(place, digit)| u32::from(digit - b'0') * if place % 2 == 0 { 3 } else { 1 })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// The finaliser of `SplitMix64`: neighbours land far apart.
fn spread(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
