//! One drawer session as recounted, with a table of its own of what moves money where.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::text::{Currency, format_minor, parse_scaled};
use crate::verify::record::{EventText, TenderText};

/// Tenders of a drawer that the aggregator has room for.
const ROOM: usize = 16;

/// Which statement is the later: number, time, hash.
pub(super) type Rank = (u64, i64, u64);

/// What an event does to its drawer, as far as its kind says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Tenders,
    /// Cash into the drawer, into the safe, to the bank.
    Moves([i128; 3]),
    Opens,
    Closes,
    Declares,
}

/// Tells whether an event of a kind takes money of customers, or gives it to them.
pub(in crate::verify) fn is_with_customers(kind: &str) -> bool {
    matches!(Act::of(kind), Some(Act::Tenders))
}

impl Act {
    pub(super) fn of(kind: &str) -> Option<Self> {
        Some(match kind {
            "sale"
            | "return"
            | "exchange"
            | "post_void"
            | "correction"
            | "tip_adjustment"
            | "order_placed"
            | "order_paid"
            | "order_picked"
            | "order_handed_over"
            | "order_cancelled"
            | "layaway_placed"
            | "layaway_paid"
            | "layaway_handed_over"
            | "layaway_cancelled" => Self::Tenders,
            "paid_in" => Self::Moves([1, 0, 0]),
            "paid_out" => Self::Moves([-1, 0, 0]),
            "loan" => Self::Moves([1, -1, 0]),
            "pickup" => Self::Moves([-1, 1, 0]),
            "bank_deposit" => Self::Moves([0, -1, 1]),
            "open" => Self::Opens,
            "close" => Self::Closes,
            "till_declaration" => Self::Declares,
            _ => return None,
        })
    }
}

/// One tender of a drawer: what moved, what the statements say.
#[derive(Debug, Default)]
pub(super) struct TenderCount {
    moved: i128,
    opened: BTreeMap<Rank, i128>,
    closed: BTreeMap<Rank, i128>,
    declared: BTreeMap<Rank, i128>,
}

impl TenderCount {
    pub(super) fn expected(&self) -> i128 {
        self.moved + self.opened.first_key_value().map_or(0, |(_, amount)| *amount)
    }

    pub(super) fn counted(&self) -> Option<i128> {
        let last = self.declared.last_key_value().or_else(|| self.closed.last_key_value());
        last.map(|(_, amount)| *amount)
    }
}

/// A drawer session. It keeps every statement, of which there are few.
#[derive(Debug, Default)]
pub(super) struct DrawerCount {
    pub(super) terminal: String,
    pub(super) epoch: String,
    session: Option<String>,
    operators: BTreeMap<Rank, String>,
    pub(super) tenders: BTreeMap<(Currency, String), TenderCount>,
}

impl DrawerCount {
    pub(super) fn new(terminal: &str, epoch: &str, session: Option<&str>) -> Self {
        let session = session.map(str::to_owned);
        Self { terminal: terminal.into(), epoch: epoch.into(), session, ..Self::default() }
    }

    pub(super) fn is_declared(&self) -> bool {
        self.tenders.values().any(|tender| tender.counted().is_some())
    }

    /// Tells whether the aggregator had no room for all of it.
    pub(super) fn is_too_much(&self) -> bool {
        self.tenders.len() > ROOM
    }

    fn cash(&mut self, currency: Currency) -> &mut TenderCount {
        self.tenders.entry((currency, "cash".into())).or_default()
    }

    /// Adds an event; `None` if its amounts cannot be read.
    pub(super) fn add(&mut self, event: &EventText<'_>, act: Act, rank: Rank) -> Option<()> {
        let currency = currency_of(event)?;
        let amount = match &event.amount {
            Some(text) => Some(i128::from(parse_scaled(text.as_bytes(), currency.exponent())?)),
            None => None,
        };
        match (act, amount) {
            (Act::Tenders, _) => {
                for tender in event.tenders.iter().flatten() {
                    let Some((currency, name, text)) = placed(currency, tender)? else { continue };
                    let minor = parse_scaled(text.as_bytes(), currency.exponent())?;
                    self.tenders.entry((currency, name.into())).or_default().moved +=
                        i128::from(minor);
                }
            }
            (Act::Moves([drawer, ..]), Some(amount)) if drawer != 0 => {
                self.cash(currency).moved += drawer * amount;
            }
            (Act::Opens, Some(amount)) => drop(self.cash(currency).opened.insert(rank, amount)),
            (Act::Closes, Some(amount)) => drop(self.cash(currency).closed.insert(rank, amount)),
            _ => {}
        }
        if matches!(act, Act::Closes | Act::Declares) {
            self.declare(event, currency, rank)?;
            if let Some(operator) = &event.operator_id {
                self.operators.insert(rank, operator.as_ref().to_owned());
            }
        }
        Some(())
    }

    fn declare(&mut self, event: &EventText<'_>, currency: Currency, rank: Rank) -> Option<()> {
        for declaration in event.declarations.iter().flatten() {
            let minor = parse_scaled(declaration.amount.as_bytes(), currency.exponent())?;
            let key = (currency, declaration.tender.as_ref().to_owned());
            *self.tenders.entry(key).or_default().declared.entry(rank).or_default() +=
                i128::from(minor);
        }
        Some(())
    }

    /// The drawer as it has to be published.
    pub(super) fn published(&self) -> Value {
        let mut tenders: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
        for ((currency, name), tender) in &self.tenders {
            let text = |minor: i128| format_minor(minor, currency.exponent());
            let counted = tender.counted();
            let value = json!({
                "expected": text(tender.expected()),
                "declared": counted.map(text),
                "over_short": counted.map(|counted| text(counted - tender.expected())),
            });
            tenders.entry(currency.code()).or_default().insert(name, value);
        }
        json!({
            "terminal": self.terminal, "epoch": self.epoch, "session": self.session,
            "operator": self.operators.last_key_value().map(|(_, operator)| operator),
            "tenders": tenders, "truncated": false,
        })
    }
}

/// The currency of an event's amounts.
pub(super) fn currency_of(event: &EventText<'_>) -> Option<Currency> {
    Currency::parse(event.currency.as_deref()?.as_bytes())
}

/// Where a tender lies: currency, name, amount. The outer `None` if that cannot be read, the inner one if it lies nowhere.
type Place<'t> = Option<(Currency, &'t str, &'t str)>;

fn placed<'t>(currency: Currency, tender: &'t TenderText<'_>) -> Option<Place<'t>> {
    let name = match tender.tender_type.as_ref() {
        "prepaid" | "rounding" => return Some(None),
        "change" => "cash",
        other => other,
    };
    Some(Some(match &tender.foreign {
        Some(foreign) => (Currency::parse(foreign.currency.as_bytes())?, name, &foreign.amount),
        None => (currency, name, &tender.amount),
    }))
}

/// Tells whether an event moves or states anything of its drawer.
pub(super) fn concerns_drawer(event: &EventText<'_>, act: Act) -> bool {
    let apart = BTreeSet::from(["prepaid", "rounding"]);
    let declares = event.declarations.as_ref().is_some_and(|list| !list.is_empty());
    match act {
        Act::Tenders => {
            let mut tenders = event.tenders.iter().flatten();
            tenders.any(|tender| !apart.contains(tender.tender_type.as_ref()))
        }
        Act::Moves([drawer, ..]) => drawer != 0 && event.amount.is_some(),
        Act::Opens => event.amount.is_some(),
        Act::Closes => event.amount.is_some() || declares,
        Act::Declares => declares,
    }
}
