//! One store-day as it is recounted: who took part, and who is lacking by the register.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::text::Date;

use super::registers::RegisterText;

/// Terminals that a record names of each kind.
const NAMED: usize = 16;

/// What it says of its register.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct CompletenessRecord {
    pub(super) expected: serde_json::Value,
    #[serde(default)]
    pub(super) register: String,
    #[serde(default)]
    pub(super) calendar: String,
    #[serde(default)]
    pub(super) silent_count: u64,
    #[serde(default)]
    pub(super) silent: Vec<String>,
    #[serde(default)]
    pub(super) unclosed_count: u64,
    #[serde(default)]
    pub(super) unclosed: Vec<String>,
    #[serde(default)]
    pub(super) unexpected_count: u64,
    #[serde(default)]
    pub(super) unexpected: Vec<String>,
    #[serde(default)]
    pub(super) currency: String,
    #[serde(default)]
    pub(super) other_currency_count: u64,
    #[serde(default)]
    pub(super) other_currency_truncated: bool,
}

/// What one terminal and epoch did on a date.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Presence {
    pub(super) closed: bool,
    pub(super) close: Option<u64>,
    pub(super) last: Option<u64>,
}

impl Presence {
    /// The close, and the highest number if that is another: each ends numbers of this date.
    pub(super) fn reaches(self) -> impl Iterator<Item = u64> {
        self.close.into_iter().chain(self.last.filter(|_| self.last != self.close))
    }
}

/// One date of a store.
#[derive(Debug, Default)]
pub(super) struct DayRecount {
    /// By the key of the terminal's ledger; with its name.
    pub(super) present: BTreeMap<String, (String, Presence)>,
    pub(super) currencies: BTreeMap<String, u64>,
    /// Parked events without a number.
    pub(super) parked: u64,
    pub(super) counted: u64,
}

/// Who is lacking on a day.
pub(super) struct Lacks {
    pub(super) expected: CompletenessRecord,
    pub(super) closed: u64,
    /// Terminals that the day waits for.
    pub(super) waiting: u64,
}

impl Lacks {
    /// Without a register: nobody knows who is expected, and whoever spoke has to close.
    pub(super) fn of(day: &DayRecount) -> Self {
        let closed = day.present.values().filter(|(_, presence)| presence.closed).count() as u64;
        let nothing = serde_json::json!({"expected": "unknown"});
        let unknown = CompletenessRecord {
            expected: nothing["expected"].clone(),
            register: String::new(),
            calendar: String::new(),
            silent_count: 0,
            silent: Vec::new(),
            unclosed_count: 0,
            unclosed: Vec::new(),
            unexpected_count: 0,
            unexpected: Vec::new(),
            currency: String::new(),
            other_currency_count: 0,
            other_currency_truncated: false,
        };
        Self { expected: unknown, closed, waiting: day.present.len() as u64 - closed }
    }

    /// `named` are terminals that the record names as unclosed; their order is that of the journal, which is not recounted.
    pub(super) fn compare(
        &mut self,
        day: &DayRecount,
        register: &RegisterText,
        date: Date,
        named: &[String],
    ) {
        let is_open = register.is_open(date);
        let spoke: BTreeSet<&str> = day.present.values().map(|(name, _)| name.as_str()).collect();
        let silent: Vec<String> = register
            .terminals
            .keys()
            .filter(|name| is_open && !spoke.contains(name.as_str()))
            .cloned()
            .collect();
        let strangers: Vec<String> = spoke
            .iter()
            .filter(|name| !register.terminals.contains_key(**name))
            .map(|name| (*name).to_owned())
            .collect();
        let waits =
            |name: &str| register.terminals.get(name).is_none_or(|known| known.waits(is_open));
        let unclosed =
            day.present.values().filter(|(name, presence)| !presence.closed && waits(name));
        let unclosed: Vec<&String> = unclosed.map(|(name, _)| name).collect();
        let is_named = named.len() == unclosed.len().min(NAMED)
            && named.iter().all(|name| unclosed.contains(&name));
        let some = |names: Vec<String>| names.into_iter().take(NAMED).collect::<Vec<_>>();
        let other = day.currencies.iter().filter(|(currency, _)| **currency != register.currency);
        self.waiting = unclosed.len() as u64;
        let expected = if is_open { register.terminals.len() } else { 0 };
        self.expected = CompletenessRecord {
            expected: expected.into(),
            register: register.revision.clone(),
            calendar: if is_open { "open" } else { "closed" }.to_owned(),
            silent_count: silent.len() as u64,
            silent: some(silent),
            unclosed_count: self.waiting,
            unclosed: if is_named { named.to_vec() } else { Vec::new() },
            unexpected_count: strangers.len() as u64,
            unexpected: some(strangers),
            currency: register.currency.clone(),
            other_currency_count: other.map(|(_, events)| events).sum(),
            other_currency_truncated: false,
        };
    }
}
