//! Baskets: how many lines, of what, at what price, and what that comes to.

use rand::RngExt as _;

use super::FleetRng;
use super::catalogue::{Catalogue, quantile};
use super::country::Country;
use super::line_class::LineClass;
use crate::source::ONE;

/// One line of a transaction; amounts in minor units, quantities in millionths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) item: u32,
    pub(super) what: LineType,
    pub(super) quantity: i64,
    pub(super) pieces: u8,
    pub(super) unit_price: i64,
    pub(super) amount: i64,
    pub(super) discount: i64,
    pub(super) tax: i64,
    pub(super) void: bool,
    /// What kind of money the amount is; `None` for goods and services.
    pub(super) class: Option<LineClass>,
    /// Why, as the store's code; empty for none.
    pub(super) reason: &'static str,
    /// Stock location that the goods leave or come to; empty for none.
    pub(super) location: &'static str,
    /// Where a stock move brings them.
    pub(super) to_location: &'static str,
}

/// A line without goods or money, to begin with.
const BLANK: Line = Line {
    item: 0,
    what: LineType::Service,
    quantity: 0,
    pieces: 0,
    unit_price: 0,
    amount: 0,
    discount: 0,
    tax: 0,
    void: false,
    class: None,
    reason: "",
    location: "",
    to_location: "",
};

impl Line {
    /// Tells whether it sells goods, and is not struck.
    pub(super) fn sells_goods(&self) -> bool {
        self.what == LineType::Sale && !self.void
    }
}

/// What a line is; a return says what becomes of the goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineType {
    Sale,
    Return(Disposition),
    Service,
    Adjustment,
    Count,
    Transfer,
}

/// What becomes of goods that are brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    Restock,
    Damaged,
    Vendor,
    None,
}

/// What a set of lines comes to; the signs are those of the customer's bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bill {
    pub(super) lines: i64,
    pub(super) discounts: i64,
    pub(super) taxes: i64,
    pub(super) total: i64,
}

/// Lines of a basket at these shares of all baskets: p50, p90 and p99 are 5, 24 and 59, as
/// measured on 155,848 baskets of a real grocer.
const LINE_QUANTILES: [(f64, f64); 16] = [
    (0.0, 1.0),
    (0.24, 1.99),
    (0.30, 2.0),
    (0.39, 3.0),
    (0.44, 4.0),
    (0.48, 5.0),
    (0.52, 5.9),
    (0.60, 7.0),
    (0.70, 10.0),
    (0.80, 15.0),
    (0.885, 24.0),
    (0.905, 24.9),
    (0.95, 35.0),
    (0.9875, 59.0),
    (0.9905, 59.9),
    (1.0, 161.0),
];

/// Where a draw of lines takes place: what is for sale, and at whose prices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assortment<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) country: &'static Country,
}

impl Assortment<'_> {
    /// Draws the number of lines of a basket.
    pub(super) fn line_count(rng: &mut FleetRng) -> usize {
        usize::try_from(quantile(&LINE_QUANTILES, rng.random())).unwrap_or(1).max(1)
    }

    /// Fills `lines` with a basket of `count` lines as a customer would have it.
    pub(super) fn draw_sale(&self, count: usize, lines: &mut Vec<Line>, rng: &mut FleetRng) {
        for _ in 0..count {
            let mut line = self.draw_goods(rng);
            if rng.random_bool(0.02) {
                line.what = LineType::Service;
            }
            line.void = rng.random_bool(0.015);
            lines.push(line);
        }
    }

    /// Appends goods, none of them struck, as a customer orders them.
    pub(super) fn draw_goods_lines(&self, count: usize, lines: &mut Vec<Line>, rng: &mut FleetRng) {
        lines.extend((0..count).map(|_| self.draw_goods(rng)));
    }

    /// Appends lines brought back by a customer, drawn afresh.
    pub(super) fn draw_return(&self, count: usize, lines: &mut Vec<Line>, rng: &mut FleetRng) {
        for _ in 0..count {
            let line = self.draw_goods(rng);
            lines.push(Line { what: LineType::Return(disposition(rng)), ..line });
        }
    }

    /// Fills `lines` with goods that move or are counted without being sold: no money, and a
    /// quantity below zero only for an adjustment.
    pub(super) fn draw_stock(&self, kind: LineType, lines: &mut Vec<Line>, rng: &mut FleetRng) {
        for _ in 0..rng.random_range(1..=12_u32) {
            let item = self.catalogue.pick(rng);
            let pieces = rng.random_range(0..=48_i64);
            let lost = kind == LineType::Adjustment && rng.random_bool(0.7);
            let quantity = if lost { -ONE * (pieces % 6) } else { ONE * pieces };
            lines.push(Line { item, what: kind, quantity, ..BLANK });
        }
    }

    /// Makes a line of a class of money: so many at a price in catalogue cents, each rung up as a service.
    pub(super) fn class_line(&self, class: LineClass, pieces: i64, cents: i64) -> Line {
        self.class_amount(class, pieces, self.country.price(cents))
    }

    /// Makes a line of a class of money: so many at a price in minor units, each rung up as a service.
    pub(super) fn class_amount(&self, class: LineClass, pieces: i64, minor: i64) -> Line {
        Line {
            item: self.catalogue.class_item(class),
            quantity: ONE * pieces,
            unit_price: minor,
            amount: minor * pieces,
            class: Some(class),
            ..BLANK
        }
    }

    fn draw_goods(&self, rng: &mut FleetRng) -> Line {
        let index = self.catalogue.pick(rng);
        let item = self.catalogue.item(index);
        let (quantity, pieces) = if item.weighed {
            (rng.random_range(50..2_500_i64) * (ONE / 1_000), rng.random_range(1..9_u8))
        } else {
            (ONE * pieces_bought(rng), 0)
        };
        let unit_price = self.country.price(item.price_cents);
        let amount = (unit_price * quantity + ONE / 2) / ONE;
        let discount =
            if rng.random_bool(0.15) { amount * rng.random_range(5..40) / 100 } else { 0 };
        let rate = &self.country.rates[usize::from(item.reduced_tax)];
        let tax = self.country.tax(amount - discount, rate);
        Line {
            item: index,
            what: LineType::Sale,
            quantity,
            pieces,
            unit_price,
            amount,
            discount,
            tax,
            ..BLANK
        }
    }
}

/// Turns sold lines into the same lines brought back.
pub(super) fn bring_back(lines: &mut [Line], rng: &mut FleetRng) {
    for line in lines {
        line.what = LineType::Return(disposition(rng));
    }
}

/// Adds up a bill; `reversed` for a post-void, which gives everything back.
pub(super) fn bill(lines: &[Line], country: &Country, reversed: bool) -> Bill {
    let mut bill = Bill::default();
    for line in lines.iter().filter(|line| !line.void) {
        let brought_back = matches!(line.what, LineType::Return(_));
        let sign = if brought_back == reversed { 1 } else { -1 };
        let added_tax = if country.inclusive { 0 } else { line.tax };
        bill.lines += sign * line.amount;
        bill.discounts += sign * line.discount;
        bill.taxes += sign * line.tax;
        bill.total += sign * (line.amount - line.discount + added_tax);
    }
    bill
}

fn pieces_bought(rng: &mut FleetRng) -> i64 {
    match rng.random_range(0..100_u32) {
        0..75 => 1,
        75..90 => 2,
        90..95 => 3,
        95..99 => rng.random_range(4..=5),
        _ => rng.random_range(6..=24),
    }
}

fn disposition(rng: &mut FleetRng) -> Disposition {
    match rng.random_range(0..100_u32) {
        0..80 => Disposition::Restock,
        80..92 => Disposition::Damaged,
        92..97 => Disposition::Vendor,
        _ => Disposition::None,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn basket_sizes_are_those_of_a_real_grocer() {
        let mut rng = FleetRng::seed_from_u64(11);
        let mut counts: Vec<usize> =
            (0..200_000).map(|_| Assortment::line_count(&mut rng)).collect();
        counts.sort_unstable();
        let at = |share: usize| counts[counts.len() * share / 100];
        assert_eq!((at(50), at(90), at(99)), (5, 24, 59));
        assert_eq!(counts[0], 1);
        assert!(counts[counts.len() - 1] <= 161);
    }

    #[test]
    fn a_bill_gives_back_what_a_sale_took() {
        let mut rng = FleetRng::seed_from_u64(5);
        let catalogue = Catalogue::draw(200, &mut rng);
        let country = Country::of_store(1);
        let shelf = Assortment { catalogue: &catalogue, country };
        let mut lines = Vec::new();
        shelf.draw_sale(40, &mut lines, &mut rng);
        let sale = bill(&lines, country, false);
        assert!(sale.total > 0);
        assert_eq!(sale.total, sale.lines - sale.discounts + sale.taxes, "taxes come on top");
        assert_eq!(bill(&lines, country, true).total, -sale.total);
        lines.retain(|line| line.what == LineType::Sale);
        let goods = bill(&lines, country, false);
        bring_back(&mut lines, &mut rng);
        assert_eq!(bill(&lines, country, false).total, -goods.total);
    }

    #[test]
    fn only_adjustments_go_below_zero() {
        let mut rng = FleetRng::seed_from_u64(5);
        let catalogue = Catalogue::draw(50, &mut rng);
        let shelf = Assortment { catalogue: &catalogue, country: Country::of_store(0) };
        let mut lowest = |kind| {
            let mut lines = Vec::new();
            for _ in 0..100 {
                shelf.draw_stock(kind, &mut lines, &mut rng);
            }
            lines.iter().map(|line| line.quantity).min().unwrap()
        };
        assert_eq!(lowest(LineType::Count), 0);
        assert_eq!(lowest(LineType::Transfer), 0);
        assert_eq!(lowest(LineType::Adjustment), -5 * ONE);
    }
}
