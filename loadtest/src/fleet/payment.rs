//! How a bill is paid at a till of the full mix: tenders, tip and rounding, which agree with the lines.
//!
//! The tenders add up to the bill's total, the tip and what rounding of cash added.

use rand::RngExt as _;

use super::FleetRng;
use super::country::Country;
use super::receipt::{open_element, write_card, write_money};
use super::terminal::Drawer;
use crate::json;

/// No quantity of an event is larger.
const MOST_POINTS: i64 = 1_000_000;

/// How a bill is paid.
#[derive(Debug, Default)]
pub(super) struct Payment {
    tenders: Vec<Tender>,
    /// Given beside the total.
    pub(super) tip: i64,
    /// What rounding of cash added, where the totals say so.
    pub(super) rounding: i64,
}

/// One tender; its amount is negative where it is paid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tender {
    means: Means,
    amount: i64,
}

/// What is paid with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Cash,
    /// So many units of another currency.
    ForeignNotes(i64),
    Change,
    Card,
    GiftCard,
    Points,
    /// Paid before, on the same order or layaway.
    Prepaid,
    /// No money: what rounding left out.
    Rounding,
}

impl Means {
    fn name(self) -> &'static str {
        match self {
            Self::Cash | Self::ForeignNotes(_) => "cash",
            Self::Change => "change",
            Self::Card => "card",
            Self::GiftCard => "gift_card",
            Self::Points => "points",
            Self::Prepaid => "prepaid",
            Self::Rounding => "rounding",
        }
    }
}

impl Payment {
    /// Draws how a total is paid, or paid back if it is negative, of which `prepaid` was paid before: a third in cash, most by
    /// card, a few with a gift card or points first, some with a tip. A till that `takes_notes` is paid with foreign ones now and
    /// then.
    pub(super) fn draw(
        total: i64,
        prepaid: i64,
        takes_notes: bool,
        country: &Country,
        rng: &mut FleetRng,
    ) -> Self {
        let mut payment = Self::default();
        payment.add(Means::Prepaid, prepaid);
        let mut rest = total - prepaid;
        if rest < 0 {
            match rng.random_range(0..100_u32) {
                0..6 => payment.add(Means::GiftCard, rest),
                6..45 => payment.pay_in_cash(rest, takes_notes, country, rng),
                _ => payment.add(Means::Card, rest),
            }
            return payment;
        }
        for (means, likely, share) in [(Means::GiftCard, 0.04, 2), (Means::Points, 0.01, 4)] {
            if rng.random_bool(likely) {
                payment.add(means, rest / share);
                rest -= rest / share;
            }
        }
        if rng.random_bool(0.33) {
            payment.pay_in_cash(rest, takes_notes, country, rng);
        } else if rest > 0 {
            if rng.random_bool(0.02) {
                payment.tip = (rest / 10).max(1);
            }
            payment.add(Means::Card, rest + payment.tip);
        }
        payment
    }

    /// Pays all of it by card.
    pub(super) fn by_card(total: i64) -> Self {
        let mut payment = Self::default();
        payment.add(Means::Card, total);
        payment
    }

    /// Returns what it puts into the drawer, foreign notes by their number: they are counted in their own currency.
    pub(super) fn drawer(&self) -> Drawer {
        let mut drawer = Drawer::default();
        for tender in &self.tenders {
            match tender.means {
                Means::Cash | Means::Change => drawer.cash += tender.amount,
                Means::Card => drawer.card += tender.amount,
                Means::ForeignNotes(units) => drawer.notes += units,
                Means::GiftCard | Means::Points | Means::Prepaid | Means::Rounding => {}
            }
        }
        drawer
    }

    /// Rounds a sum to the coins there are, and pays it with notes of five, or in one case in forty with foreign ones; one till
    /// in five says the rounding as a tender.
    fn pay_in_cash(&mut self, sum: i64, takes_notes: bool, country: &Country, rng: &mut FleetRng) {
        let rounding = country.cash_rounding(sum);
        let due = sum + rounding;
        let foreign = due > 0 && rng.random_bool(0.025) && takes_notes;
        let (means, given) = if foreign {
            let units = due.div_euclid(country.notes.minor_per_unit) + 1;
            (Means::ForeignNotes(units), units * country.notes.minor_per_unit)
        } else if due > 0 {
            let note = 10_i64.pow(country.exponent) * 5;
            (Means::Cash, (due + note - 1) / note * note)
        } else {
            (Means::Cash, due)
        };
        self.add(means, given);
        self.add(Means::Change, due - given);
        if rounding != 0 && rng.random_bool(0.2) {
            self.add(Means::Rounding, -rounding);
        } else {
            self.rounding = rounding;
        }
    }

    fn add(&mut self, means: Means, amount: i64) {
        if amount != 0 {
            self.tenders.push(Tender { means, amount });
        }
    }

    /// Appends the member `tenders`.
    pub(super) fn write(&self, out: &mut Vec<u8>, country: &Country, rng: &mut FleetRng) {
        json::member(out, "tenders");
        out.push(b'[');
        for tender in &self.tenders {
            if tender.means == Means::Card {
                write_card(out, tender.amount, country, rng);
            } else {
                tender.write(out, country, rng);
            }
        }
        out.push(b']');
    }
}

impl Tender {
    fn write(self, out: &mut Vec<u8>, country: &Country, rng: &mut FleetRng) {
        open_element(out);
        json::text_member(out, "type", self.means.name());
        write_money(out, "amount", self.amount, country);
        match self.means {
            Means::ForeignNotes(units) => {
                json::member(out, "foreign");
                out.push(b'{');
                json::text_member(out, "currency", country.notes.currency);
                json::member(out, "amount");
                json::fixed(out, units, 0);
                json::text_member(out, "rate", country.notes.rate);
                out.push(b'}');
            }
            Means::GiftCard => {
                json::member(out, "stored_value");
                out.extend_from_slice(b"{\"account\":\"gc_");
                json::unsigned(out, rng.random_range(1..100_000));
                out.extend_from_slice(b"\"}");
            }
            Means::Points => {
                json::member(out, "points");
                json::fixed(out, self.amount.min(MOST_POINTS), 0);
            }
            Means::Cash | Means::Change | Means::Card | Means::Prepaid | Means::Rounding => {}
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn tenders_add_up_to_the_total_with_tip_and_rounding() {
        let mut rng = FleetRng::seed_from_u64(4);
        let mut seen = std::collections::BTreeSet::new();
        for store in [0, 1, 3, 7] {
            let country = Country::of_store(store);
            for (total, prepaid) in [(1_998, 0), (2, 0), (0, 0), (-1_002, 0), (5_003, 1_000)] {
                for _ in 0..2_000 {
                    let payment = Payment::draw(total, prepaid, true, country, &mut rng);
                    let sum: i64 = payment.tenders.iter().map(|tender| tender.amount).sum();
                    assert_eq!(sum, total + payment.tip + payment.rounding, "{payment:?}");
                    let cash = payment.drawer().cash;
                    let is_foreign =
                        |tender: &Tender| matches!(tender.means, Means::ForeignNotes(_));
                    if !payment.tenders.iter().any(is_foreign) {
                        assert_eq!(cash % country.cash_step, 0, "{payment:?}");
                    }
                    assert_eq!(payment.drawer().notes > 0, payment.tenders.iter().any(is_foreign));
                    let plain = Payment::draw(total, prepaid, false, country, &mut rng);
                    assert!(!plain.tenders.iter().any(is_foreign), "{plain:?}");
                    seen.extend(payment.tenders.iter().map(|tender| tender.means.name()));
                }
            }
        }
        assert_eq!(seen.len(), 7, "{seen:?}");
    }
}
