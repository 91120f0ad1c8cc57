//! The registers of a store as the recount reads them from the journal, with types and a calendar of its own.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::text::Date;

/// Days of the week from 1970-01-04 on, a Sunday.
const WEEK: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
/// Registers of a store that are kept.
const KEPT: usize = 32;
const SEALED_AFTER: i32 = 35;

#[derive(Debug, Deserialize)]
struct PartText {
    revision: String,
    part: usize,
    parts: usize,
    valid_from: String,
    #[serde(default)]
    settings: Option<SettingsText>,
    terminals: Vec<TerminalText>,
}

#[derive(Debug, Clone, Deserialize)]
struct SettingsText {
    currency: String,
    calendar: CalendarText,
}

#[derive(Debug, Clone, Deserialize)]
struct CalendarText {
    weekdays: Vec<String>,
    #[serde(default)]
    exceptions: BTreeMap<String, String>,
}

/// An expected terminal.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TerminalText {
    terminal: String,
    kind: String,
    #[serde(default)]
    closes: Option<bool>,
}

impl TerminalText {
    /// Tells whether a day waits for its close once it spoke.
    pub(super) fn waits(&self, is_open: bool) -> bool {
        self.closes != Some(false) && (is_open || self.kind != "self_checkout")
    }
}

/// A register, whole.
#[derive(Debug)]
pub(super) struct RegisterText {
    pub(super) revision: String,
    pub(super) currency: String,
    calendar: CalendarText,
    pub(super) terminals: BTreeMap<String, TerminalText>,
}

impl RegisterText {
    /// Tells whether the store is open on a date.
    pub(super) fn is_open(&self, date: Date) -> bool {
        if let Some(opening) = self.calendar.exceptions.get(&date.to_string()) {
            return opening == "open";
        }
        let weekday = usize::try_from((i64::from(date.0) - 3).rem_euclid(7)).unwrap_or_default();
        WEEK.get(weekday).is_some_and(|name| self.calendar.weekdays.iter().any(|open| open == name))
    }
}

/// The registers of one store.
#[derive(Debug, Default)]
pub(super) struct Registers {
    by_date: BTreeMap<Date, RegisterText>,
    coming: BTreeMap<usize, PartText>,
}

impl Registers {
    /// Returns the register that holds for a date.
    pub(super) fn on(&self, date: Date) -> Option<&RegisterText> {
        self.by_date.iter().rfind(|(from, _)| **from <= date).map(|(_, register)| register)
    }

    /// Takes a part of the journal; `None` if it cannot be read.
    pub(super) fn take(&mut self, data: &str, today: Date) -> Option<()> {
        let part: PartText = serde_json::from_str(data).ok()?;
        let from = Date::parse(part.valid_from.as_bytes())?;
        let parts = part.parts;
        let belongs = |known: &PartText| known.revision == part.revision && known.parts == parts;
        if !self.coming.values().all(belongs) {
            self.coming.clear();
        }
        self.coming.insert(part.part, part);
        if self.coming.len() < parts {
            return Some(());
        }
        let whole = std::mem::take(&mut self.coming);
        let first = whole.get(&0)?;
        let SettingsText { currency, calendar } = first.settings.clone()?;
        let revision = first.revision.clone();
        let terminals = whole.into_values().flat_map(|part| part.terminals);
        let terminals = terminals.map(|known| (known.terminal.clone(), known)).collect();
        self.by_date.insert(from, RegisterText { revision, currency, calendar, terminals });
        while let Some(next) = self.by_date.keys().nth(1)
            && (self.by_date.len() > KEPT || today.0.saturating_sub(next.0) >= SEALED_AFTER)
        {
            self.by_date.pop_first();
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_whole_with_its_last_part_and_opens_by_date_and_week() {
        let mut registers = Registers::default();
        let part = |part: usize, terminal: &str| {
            let mut value = serde_json::json!({"revision": "r", "part": part, "parts": 2, "valid_from": "2026-11-01",
                "terminals": [{"terminal": terminal, "kind": "staffed"}]});
            if part == 0 {
                value["settings"] = serde_json::json!({"currency": "EUR",
                    "calendar": {"weekdays": ["friday"], "exceptions": {"2026-11-29": "open"}}});
            }
            value.to_string()
        };
        let date = |text: &str| Date::parse(text.as_bytes()).unwrap();
        registers.take(&part(1, "b"), date("2026-11-01")).unwrap();
        assert!(registers.on(date("2026-11-27")).is_none());
        registers.take(&part(0, "a"), date("2026-11-01")).unwrap();
        let register = registers.on(date("2026-11-27")).unwrap();
        assert_eq!(register.terminals.len(), 2);
        let open = ["2026-11-26", "2026-11-27", "2026-11-28", "2026-11-29"]
            .map(|day| register.is_open(date(day)));
        assert_eq!(open, [false, true, false, true]);
        assert!(registers.on(date("2026-10-31")).is_none());
    }
}
