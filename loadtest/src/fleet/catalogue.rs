//! What the stores sell: items with barcodes, prices and tax classes, and how often each is bought.
//!
//! Barcodes have the shapes and the check digits of real ones (GTIN-8, 12, 13 and 14 under common
//! GS1 prefixes), so that a gateway which looks for card numbers meets what it would meet in trade.

use rand::RngExt as _;

use super::FleetRng;
use super::line_class::LineClass;
use crate::json;

/// All items: the goods, and behind them one for each class of money that is no goods.
#[derive(Debug)]
pub(super) struct Catalogue {
    items: Vec<Item>,
    goods: usize,
}

/// One item of the catalogue.
#[derive(Debug)]
pub(super) struct Item {
    /// The members `sku`, `gtin` and `description` as JSON text.
    pub(super) members: Vec<u8>,
    /// Regular price of one unit in hundredths of a euro or dollar.
    pub(super) price_cents: i64,
    /// Sold by weight: the quantity is in kilograms, pieces are given beside it.
    pub(super) weighed: bool,
    /// Taxed at the reduced rate.
    pub(super) reduced_tax: bool,
}

/// Prices in cents at these quantiles of the items; measured on a real grocer's baskets.
const PRICE_QUANTILES: [(f64, f64); 9] = [
    (0.0, 19.0),
    (0.05, 59.0),
    (0.1, 88.0),
    (0.25, 127.0),
    (0.5, 200.0),
    (0.75, 340.0),
    (0.9, 549.0),
    (0.99, 1_498.0),
    (1.0, 24_900.0),
];

const WORDS: [&str; 12] = [
    "Apples",
    "Espresso",
    "Oat milk",
    "Rye bread",
    "Gouda",
    "Tomatoes",
    "Batteries",
    "Shampoo",
    "Müsli",
    "Crème brûlée",
    "Socks 3-pack",
    "Olive oil",
];

impl Catalogue {
    /// Draws `count` items (at least one).
    pub(super) fn draw(count: u32, rng: &mut FleetRng) -> Self {
        let mut items: Vec<Item> =
            (0..count.max(1)).map(|number| Item::draw(number, rng)).collect();
        let goods = items.len();
        items.extend(LineClass::ALL.map(Item::of_class));
        Self { items, goods }
    }

    /// Returns the index of the item that stands for a class of money.
    pub(super) fn class_item(&self, class: LineClass) -> u32 {
        u32::try_from(self.goods + class as usize).unwrap_or(u32::MAX)
    }

    /// Names the SKUs of all items.
    pub(super) fn sku_names(&self) -> Vec<String> {
        let goods = (0..u32::try_from(self.goods).unwrap_or(u32::MAX)).map(sku);
        goods.chain(LineClass::ALL.map(|class| class.sku().to_owned())).collect()
    }

    /// Returns the item of an index.
    pub(super) fn item(&self, index: u32) -> &Item {
        &self.items[index as usize]
    }

    /// Picks an item as customers do: a few very often, most seldom.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below a u32")]
    #[expect(clippy::cast_precision_loss, reason = "a catalogue is small")]
    pub(super) fn pick(&self, rng: &mut FleetRng) -> u32 {
        let uniform: f64 = rng.random();
        ((uniform * uniform * uniform * self.goods as f64) as u32).min(self.goods as u32 - 1)
    }
}

impl Item {
    fn draw(number: u32, rng: &mut FleetRng) -> Self {
        let weighed = number % 12 == 5;
        let mut members = Vec::with_capacity(96);
        json::text_member(&mut members, "sku", &sku(number));
        let gtin = gtin(number, rng);
        if !weighed {
            json::text_member(&mut members, "gtin", &gtin);
        }
        if rng.random_bool(0.6) {
            let word = WORDS[rng.random_range(0..WORDS.len())];
            json::text_member(&mut members, "description", &format!("{word} No. {number}"));
        }
        members.remove(0);
        let price_cents = quantile(&PRICE_QUANTILES, rng.random());
        Self { members, price_cents, weighed, reduced_tax: number % 5 < 3 }
    }

    fn of_class(class: LineClass) -> Self {
        let mut members = Vec::new();
        json::text_member(&mut members, "sku", class.sku());
        members.remove(0);
        Self { members, price_cents: 0, weighed: false, reduced_tax: false }
    }
}

/// Names the SKU of an item.
pub(super) fn sku(number: u32) -> String {
    format!("{:06}", 100_000 + u64::from(number))
}

/// Draws a trade item number: GTIN-13 mostly, with its check digit.
fn gtin(number: u32, rng: &mut FleetRng) -> String {
    const PREFIXES: [u64; 8] = [400, 426, 301, 376, 500, 539, 76, 871];
    let company = rng.random_range(10_000..99_999_u64);
    let body = match number % 10 {
        0 => format!("{:07}", 4_000_000 + u64::from(number) % 1_000_000),
        1 | 2 => format!("0{company:05}{:05}", number % 100_000),
        3 => format!("1{:03}{company:05}{:04}", PREFIXES[0], number % 10_000),
        _ => {
            let prefix = PREFIXES[rng.random_range(0..PREFIXES.len())];
            format!("{prefix:03}{company:05}{:04}", number % 10_000)
        }
    };
    let check = check_digit(&body);
    body + &check.to_string()
}

/// Computes the check digit of a number without one.
///
/// Source: GS1 General Specifications, section 7.9.1: from the right, weights 3 and 1 in turn.
pub(super) fn check_digit(body: &str) -> u32 {
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| u32::from(byte - b'0') * if place % 2 == 0 { 3 } else { 1 })
        .sum();
    (10 - sum % 10) % 10
}

/// Reads a value off a piecewise linear quantile function given as (share, value) knots.
#[expect(clippy::cast_possible_truncation, reason = "the knots are small")]
pub(super) fn quantile(knots: &[(f64, f64)], share: f64) -> i64 {
    let above = knots.partition_point(|knot| knot.0 <= share).clamp(1, knots.len() - 1);
    let ((low_share, low), (high_share, high)) = (knots[above - 1], knots[above]);
    (low + (high - low) * (share - low_share) / (high_share - low_share)).floor() as i64
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn check_digits_are_those_of_printed_barcodes() {
        assert_eq!(check_digit("400638133393"), 1, "a GTIN-13 in print");
        assert_eq!(check_digit("03600029145"), 2, "a GTIN-12 in print");
        assert_eq!(check_digit("9638507"), 4, "a GTIN-8 in print");
    }

    #[test]
    fn every_item_is_json_with_a_valid_barcode_of_a_known_length() {
        let catalogue = Catalogue::draw(500, &mut FleetRng::seed_from_u64(3));
        let mut lengths = std::collections::BTreeSet::new();
        for item in &catalogue.items[..catalogue.goods] {
            let text = format!("{{{}}}", String::from_utf8_lossy(&item.members));
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(item.price_cents >= 19, "{text}");
            let Some(gtin) = value["gtin"].as_str() else {
                assert!(item.weighed, "{text}");
                continue;
            };
            let (body, check) = gtin.split_at(gtin.len() - 1);
            assert_eq!(check, check_digit(body).to_string(), "{gtin}");
            lengths.insert(gtin.len());
        }
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [8, 12, 13, 14]);
    }

    #[test]
    fn quantiles_are_read_between_their_knots() {
        let knots = [(0.0, 1.0), (0.5, 5.0), (1.0, 105.0)];
        assert_eq!(quantile(&knots, 0.0), 1);
        assert_eq!(quantile(&knots, 0.25), 3);
        assert_eq!(quantile(&knots, 0.5), 5);
        assert_eq!(quantile(&knots, 0.99), 103);
    }
}
