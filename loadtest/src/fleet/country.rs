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
    },
    Country {
        currency: "USD",
        exponent: 2,
        minor_per_100_cents: 100,
        offset_minutes: -300,
        inclusive: false,
        rates: [rate("sales-tax", "8.25", 825), rate("sales-tax-food", "2", 200)],
    },
    Country {
        currency: "JPY",
        exponent: 0,
        minor_per_100_cents: 160,
        offset_minutes: 540,
        inclusive: true,
        rates: [rate("ct", "10", 1_000), rate("ct-reduced", "8", 800)],
    },
    Country {
        currency: "BHD",
        exponent: 3,
        minor_per_100_cents: 400,
        offset_minutes: 180,
        inclusive: false,
        rates: [rate("vat", "10", 1_000), rate("vat-zero", "0", 0)],
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
    fn no_price_is_nothing() {
        assert_eq!(Country::of_store(3).price(199), 318);
        assert_eq!(Country::of_store(0).price(0), 1);
    }
}
