//! The register of a store: what is known of it besides what it sends.
//!
//! It says from which business date it holds, in which zone the store's day ends, its currency, when it is open, the group it
//! belongs to, and which terminals are expected to speak. An operator keeps it in a file ([`read`]); `tillrace register apply`
//! writes each store's register to the journal in numbered [`part`]s, and the aggregator folds those into store-days
//! (`aggregate::registers`). Nothing here reads a log or a clock.

pub mod calendar;
pub mod part;
pub mod read;
pub mod zone;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use self::calendar::Calendar;
use self::zone::Zone;
use crate::text::{Currency, Date};

/// Most stores in one file.
pub const MAX_STORES: usize = 50_000;
/// Most terminals of a store.
pub const MAX_TERMINALS: usize = 2_000;
/// Most dates on which a calendar differs from its week.
pub const MAX_EXCEPTIONS: usize = 366;
/// Most revisions of a store that are in force or will be, each from another business date on.
pub const MAX_REVISIONS: usize = 32;

/// What kind of terminal is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TerminalKind {
    /// A till with a cashier, or a back office.
    Staffed,
    /// A checkout that customers work.
    SelfCheckout,
    /// A terminal that is carried about.
    Mobile,
}

/// A terminal that is expected to speak on every day on which its store is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedTerminal {
    /// Its id, as its events have it.
    pub terminal: Box<str>,
    /// Its kind.
    pub kind: TerminalKind,
    /// Whether it closes its day; of those that never do, a day only waits for the first event.
    #[serde(default = "closes")]
    pub closes: bool,
}

fn closes() -> bool {
    true
}

/// What holds for a store from a business date on, its terminals apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// Where its days end.
    pub zone: Zone,
    /// What its prices are in.
    pub currency: Currency,
    /// The group it belongs to, such as a region or a franchisee; for those who read the books.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Box<str>>,
    /// When it is open.
    pub calendar: Calendar,
}

/// The register of one store from a business date on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// First business date that it holds for.
    pub valid_from: Date,
    /// All but the terminals.
    pub settings: StoreSettings,
    /// By their ids, rising.
    pub terminals: Vec<ExpectedTerminal>,
}

impl Register {
    /// Returns the name of this revision: the hash of what it says, so that the same register always has the same.
    pub fn revision(&self) -> String {
        let whole = (self.valid_from.to_string(), &self.settings, &self.terminals);
        // Ids, dates and sets always serialise.
        let text = serde_json::to_vec(&whole).unwrap_or_default();
        format!("{:032x}", xxh3_128(&text))
    }

    /// Finds a terminal by its id.
    pub fn position(&self, terminal: &str) -> Option<usize> {
        self.terminals.binary_search_by(|known| (*known.terminal).cmp(terminal)).ok()
    }

    /// Tells whether a day of the store waits for the close of a terminal that spoke: unless it never closes, and unless it is
    /// a self-checkout on a date on which the store is closed.
    pub fn must_close(&self, terminal: &str, date: Date) -> bool {
        let Some(known) = self.position(terminal).and_then(|index| self.terminals.get(index))
        else {
            return true;
        };
        known.closes
            && (known.kind != TerminalKind::SelfCheckout || self.settings.calendar.is_open(date))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn register() -> Register {
        let settings = serde_json::json!({"zone": "Europe/Zurich", "currency": "CHF",
            "calendar": {"weekdays": ["monday", "friday"], "exceptions": {"2026-12-25": "closed"}}});
        let terminal = |terminal: &str, kind, closes| ExpectedTerminal {
            terminal: terminal.into(),
            kind,
            closes,
        };
        Register {
            valid_from: Date::parse(b"2026-11-01").unwrap(),
            settings: serde_json::from_value(settings).unwrap(),
            terminals: vec![
                terminal("1", TerminalKind::Staffed, true),
                terminal("2", TerminalKind::SelfCheckout, true),
                terminal("3", TerminalKind::Mobile, false),
            ],
        }
    }

    #[test]
    fn a_day_waits_for_closes_by_kind_and_calendar() {
        let register = register();
        let (friday, sunday) =
            (Date::parse(b"2026-11-27").unwrap(), Date::parse(b"2026-11-29").unwrap());
        let waits = |date| ["1", "2", "3", "stranger"].map(|name| register.must_close(name, date));
        assert_eq!(waits(friday), [true, true, false, true]);
        assert_eq!(waits(sunday), [true, false, false, true]);
    }

    #[test]
    fn a_revision_is_named_by_what_it_says() {
        let (one, mut other) = (register(), register());
        assert_eq!((one.revision().len(), one.revision()), (32, other.revision()));
        other.settings.group = Some("north".into());
        assert_ne!(one.revision(), other.revision());
    }
}
