//! The till balance of a store's day, worked out from the events themselves: what should lie in each drawer, what was counted, and
//! what went to and from the safe.
//!
//! As with [`super::books`], the rules are those that `docs/samples/README.md` tells, written down a second time. Amounts are
//! ten-thousandths of their currency.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::books::{Receipt, Sums, add, amount, sums, ten_thousandths};
use crate::kinds::{ADVANCE, TRADE};

/// Terminal, epoch and session.
type DrawerName = (String, String, String);
/// Currency and type of tender.
type TenderName = (String, String);

/// The drawers and the safe of a day.
#[derive(Debug, Clone, Default)]
pub(super) struct Tills {
    drawers: BTreeMap<DrawerName, BTreeMap<TenderName, Tender>>,
    /// Loans, pickups and deposits, by currency and name.
    safe: Sums,
}

/// One tender of a drawer; statements come with the number of their event.
#[derive(Debug, Clone, Default)]
struct Tender {
    moved: i128,
    /// The first opening amount.
    opened: Option<(u64, i128)>,
    /// The last closing amount, and the last declaration, which goes before it.
    closed: Option<(u64, i128)>,
    declared: Option<(u64, i128)>,
}

/// What the tills need of an event besides the [`Receipt`]. Members that are not named are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct TillPart<'a> {
    #[serde(borrow)]
    terminal: Cow<'a, str>,
    #[serde(borrow)]
    epoch: Option<Cow<'a, str>>,
    #[serde(default)]
    sequence: u64,
    #[serde(borrow)]
    session: Option<Session<'a>>,
    #[serde(borrow)]
    declarations: Option<Vec<Declaration<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Session<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct Declaration<'a> {
    #[serde(borrow)]
    tender: Cow<'a, str>,
    #[serde(borrow)]
    amount: Cow<'a, str>,
}

impl Tills {
    /// Adds an event.
    pub(super) fn add(&mut self, receipt: &Receipt<'_>, part: &TillPart<'_>) {
        let (kind, Some(currency)) = (&*receipt.kind, &receipt.currency) else { return };
        let text = |text: Option<&Cow<'_, str>>| text.map_or(String::new(), ToString::to_string);
        let session = part.session.as_ref().map(|session| &session.id);
        let name = (part.terminal.to_string(), text(part.epoch.as_ref()), text(session));
        let cash = (currency.to_string(), "cash".to_owned());
        let stated = receipt
            .amount
            .as_ref()
            .map(|amount| (part.sequence, ten_thousandths(amount).unwrap_or_default()));
        if TRADE.contains(&kind) || ADVANCE.contains(&kind) || kind == "tip_adjustment" {
            self.add_tenders(&name, currency, receipt);
            return;
        }
        let moved = stated.map_or(0, |(_, amount)| amount);
        let mut safe =
            |what: &str| add(&mut self.safe, (currency.to_string(), what.to_owned()), moved);
        match kind {
            "loan" => safe("loans"),
            "pickup" => safe("pickups"),
            "bank_deposit" => safe("bank"),
            _ => {}
        }
        match (kind, stated) {
            ("paid_in" | "loan", Some(_)) => self.tender(name, cash).moved += moved,
            ("paid_out" | "pickup", Some(_)) => self.tender(name, cash).moved -= moved,
            ("open", Some(stated)) => {
                let opened = &mut self.tender(name, cash).opened;
                *opened = Some(opened.map_or(stated, |first| first.min(stated)));
            }
            ("close" | "till_declaration", stated) => {
                if let Some(stated) = stated.filter(|_| kind == "close") {
                    let closed = &mut self.tender(name.clone(), cash).closed;
                    *closed = (*closed).max(Some(stated));
                }
                self.declare(&name, currency, part);
            }
            _ => {}
        }
    }

    fn tender(&mut self, drawer: DrawerName, tender: TenderName) -> &mut Tender {
        self.drawers.entry(drawer).or_default().entry(tender).or_default()
    }

    fn add_tenders(&mut self, name: &DrawerName, currency: &str, receipt: &Receipt<'_>) {
        for tender in receipt.tenders.iter().flatten() {
            let what = match &*tender.tender_type {
                "prepaid" | "rounding" => continue,
                "change" => "cash",
                other => other,
            };
            let (currency, value) = match &tender.foreign {
                Some(foreign) => (&*foreign.currency, &foreign.amount),
                None => (currency, &tender.amount),
            };
            let key = (currency.to_owned(), what.to_owned());
            self.tender(name.clone(), key).moved += amount(Some(value));
        }
    }

    /// Puts what an event declares in the place of what an earlier one did, each tender by itself.
    fn declare(&mut self, name: &DrawerName, currency: &str, part: &TillPart<'_>) {
        let mut counted: Sums = BTreeMap::new();
        for declaration in part.declarations.iter().flatten() {
            let key = (currency.to_owned(), declaration.tender.to_string());
            *counted.entry(key).or_default() += amount(Some(&declaration.amount));
        }
        for (key, amount) in counted {
            let declared = &mut self.tender(name.clone(), key).declared;
            *declared = (*declared).max(Some((part.sequence, amount)));
        }
    }

    /// Returns the sums of a store-day's till balance, by currency and name; what is zero is left out.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = self.safe.clone();
        for ((currency, what), value) in &self.safe {
            let sign = if what == "pickups" { 1 } else { -1 };
            add(&mut sums, (currency.clone(), "safe".to_owned()), sign * value);
        }
        for ((currency, what), tender) in self.drawers.values().flatten() {
            let expected = tender.moved + tender.opened.map_or(0, |(_, amount)| amount);
            let mut sum =
                |name: &str, value| add(&mut sums, (currency.clone(), name.to_owned()), value);
            match tender.declared.or(tender.closed) {
                Some((_, counted)) => {
                    sum("expected", expected);
                    sum("declared", counted);
                    sum("over", (counted - expected).max(0));
                    sum("short", (expected - counted).max(0));
                }
                None if what == "cash" => sum("undeclared", expected),
                None => {}
            }
        }
        sums
    }
}

/// The till balance of a store-day's record.
#[derive(Debug, Deserialize)]
pub(super) struct BalanceRecord {
    currencies: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether the aggregator had no room for all of it.
    truncated: bool,
}

impl BalanceRecord {
    /// Returns its sums; nothing where it says that it is not whole.
    ///
    /// # Errors
    /// The first amount that is no decimal.
    pub(super) fn sums(&self) -> Result<Option<Sums>, String> {
        if self.truncated { Ok(None) } else { sums(&self.currencies).map(Some) }
    }
}
