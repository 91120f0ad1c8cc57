//! Where a store stands: its currency, clock and taxes.

/// A country's way of pricing and taxing.
#[derive(Debug)]
pub(super) struct Country {
    /// ISO 4217 code.
    pub(super) currency: &'static str,
    /// Digits after the point in that currency.
    pub(super) exponent: u32,
    /// How many minor units a catalogue cent is worth, in hundredths.
    minor_per_100_cents: i64,
    /// Minutes the store's clock is ahead of UTC.
    pub(super) offset_minutes: i32,
    /// Whether prices contain the tax.
    pub(super) inclusive: bool,
    /// The full and the reduced rate.
    pub(super) rates: [Rate; 2],
    /// What sums that are paid in cash are rounded to, in minor units.
    pub(super) cash_step: i64,
    /// The notes of another currency that tills take.
    pub(super) notes: ForeignNotes,
    /// The scheme of the fiscal devices that record every receipt, where the country has one.
    pub(super) fiscal_scheme: Option<&'static str>,
}

/// Notes of another currency.
#[derive(Debug)]
pub(super) struct ForeignNotes {
    pub(super) currency: &'static str,
    /// What one unit of it is worth, as printed.
    pub(super) rate: &'static str,
    /// The same in minor units.
    pub(super) minor_per_unit: i64,
}

const fn notes(currency: &'static str, rate: &'static str, minor_per_unit: i64) -> ForeignNotes {
    ForeignNotes { currency, rate, minor_per_unit }
}

/// A rate of tax.
#[derive(Debug)]
pub(super) struct Rate {
    /// The till's name of it.
    pub(super) code: &'static str,
    /// Per cent, as printed.
    pub(super) percent: &'static str,
    /// Hundredths of a per cent.
    basis_points: i64,
}

const fn rate(code: &'static str, percent: &'static str, basis_points: i64) -> Rate {
    Rate { code, percent, basis_points }
}

/// Two decimals with inclusive and with exclusive taxes, no decimals, three decimals.
const COUNTRIES: [Country; 4] = [
    Country {
        currency: "EUR",
        exponent: 2,
        minor_per_100_cents: 100,
        offset_minutes: 60,
        inclusive: true,
        rates: [rate("vat", "19", 1_900), rate("vat-reduced", "7", 700)],
        cash_step: 5,
        notes: notes("USD", "0.9", 90),
        fiscal_scheme: Some("kassensichv"),
    },
    Country {
        currency: "USD",
        exponent: 2,
        minor_per_100_cents: 100,
        offset_minutes: -300,
        inclusive: false,
        rates: [rate("sales-tax", "8.25", 825), rate("sales-tax-food", "2", 200)],
        cash_step: 1,
        notes: notes("CAD", "0.7", 70),
        fiscal_scheme: None,
    },
    Country {
        currency: "JPY",
        exponent: 0,
        minor_per_100_cents: 160,
        offset_minutes: 540,
        inclusive: true,
        rates: [rate("ct", "10", 1_000), rate("ct-reduced", "8", 800)],
        cash_step: 1,
        notes: notes("USD", "150", 150),
        fiscal_scheme: None,
    },
    Country {
        currency: "BHD",
        exponent: 3,
        minor_per_100_cents: 400,
        offset_minutes: 180,
        inclusive: false,
        rates: [rate("vat", "10", 1_000), rate("vat-zero", "0", 0)],
        cash_step: 5,
        notes: notes("SAR", "0.1", 100),
        fiscal_scheme: None,
    },
];

impl Country {
    /// Returns the country of a store: of twenty stores twelve price in euros, six in dollars, one
    /// each in yen and Bahraini dinars.
    pub(super) fn of_store(store: u32) -> &'static Self {
        match store % 20 {
            3 => &COUNTRIES[2],
            7 => &COUNTRIES[3],
            place if place % 3 == 1 => &COUNTRIES[1],
            _ => &COUNTRIES[0],
        }
    }

    /// Converts catalogue cents to minor units, never to nothing.
    pub(super) fn price(&self, cents: i64) -> i64 {
        (cents * self.minor_per_100_cents / 100).max(1)
    }

    /// Returns what rounding adds to a sum that is paid in cash.
    pub(super) fn cash_rounding(&self, sum: i64) -> i64 {
        let over = sum.rem_euclid(self.cash_step);
        if over * 2 < self.cash_step { -over } else { self.cash_step - over }
    }

    /// Computes the tax on an amount after discounts, half a minor unit rounded up.
    pub(super) fn tax(&self, amount: i64, rate: &Rate) -> i64 {
        let (part, whole) = if self.inclusive {
            (amount * rate.basis_points, 10_000 + rate.basis_points)
        } else {
            (amount * rate.basis_points, 10_000)
        };
        (part + whole / 2) / whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taxes_are_contained_or_added_as_the_country_has_it() {
        let euro = Country::of_store(0);
        assert_eq!((euro.currency, euro.tax(1_190, &euro.rates[0])), ("EUR", 190));
        let dollar = Country::of_store(1);
        assert_eq!((dollar.currency, dollar.tax(1_000, &dollar.rates[0])), ("USD", 83));
    }

    #[test]
    fn of_twenty_stores_each_currency_has_its_share() {
        let count = |currency| {
            (0..20).filter(|&store| Country::of_store(store).currency == currency).count()
        };
        assert_eq!(["EUR", "USD", "JPY", "BHD"].map(count), [12, 6, 1, 1]);
    }

    #[test]
    fn cash_is_rounded_to_the_nearest_coin() {
        let euro = Country::of_store(0);
        let rounded = |sum| sum + euro.cash_rounding(sum);
        assert_eq!(
            [998, 1_002, 1_003, -998, 1_000].map(rounded),
            [1_000, 1_000, 1_005, -1_000, 1_000]
        );
        assert_eq!(Country::of_store(1).cash_rounding(998), 0);
    }

    #[test]
    fn no_price_is_nothing() {
        assert_eq!(Country::of_store(3).price(199), 318);
        assert_eq!(Country::of_store(0).price(0), 1);
    }
}
