//! What a fleet sends: how often each kind of event comes, and why.
//!
//! A till follows a day of its own besides: it opens, takes its float, resumes what was put aside, takes orders and layaways a step
//! further, declares what is in its drawer, and closes.

use rand::RngExt as _;

use super::FleetRng;
use super::kind::Kind;

/// Which kinds a fleet sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mix {
    /// Every kind and class of money that the event knows, tills and a back office in each store.
    #[default]
    Full,
    /// Sales, returns, voids, suspended baskets, cash, counts and transfers, all from any till: what fleets sent before there was
    /// a full mix, byte for byte, so that figures stay comparable.
    Basic,
}

/// A kind and how often it comes in a thousand draws.
pub(super) type Share = (Kind, u32);

/// Any terminal of the basic mix.
pub(super) const BASIC: [Share; 16] = [
    (Kind::Sale, 815),
    (Kind::Return, 42),
    (Kind::Exchange, 9),
    (Kind::Void, 22),
    (Kind::PostVoid, 8),
    (Kind::Suspend, 12),
    (Kind::NoSale, 28),
    (Kind::Training, 8),
    (Kind::PaidIn, 4),
    (Kind::PaidOut, 6),
    (Kind::Loan, 4),
    (Kind::Pickup, 10),
    (Kind::InventoryAdjustment, 14),
    (Kind::InventoryCount, 8),
    (Kind::TransferOut, 10),
    (Kind::TransferIn, 0),
];

/// A till of the full mix.
pub(super) const TILL: [Share; 16] = [
    // What a shop is for; about one in eight carries money that is no sale: deposits, levies, gift cards, donations, tips.
    (Kind::Sale, 822),
    // A grocer takes back one receipt in twenty-five, a fashion shop far more.
    (Kind::Return, 40),
    (Kind::Exchange, 8),
    // Struck at the till, or taken back after it was paid.
    (Kind::Void, 22),
    (Kind::PostVoid, 8),
    // A basket waits while the customer fetches something.
    (Kind::Suspend, 12),
    // Change for a customer, a drawer that is checked.
    (Kind::NoSale, 26),
    (Kind::Training, 8),
    (Kind::PaidIn, 3),
    (Kind::PaidOut, 5),
    // More change for the drawer beside the float of the morning, and notes to the safe.
    (Kind::Loan, 3),
    (Kind::Pickup, 8),
    // Each is followed by some three steps more: paid, picked, handed over or cancelled.
    (Kind::OrderPlaced, 12),
    (Kind::LayawayPlaced, 5),
    // A tip that is written on the slip after the card was charged, as in a restaurant.
    (Kind::TipAdjustment, 8),
    // What the retailer's own software adds: kept and delivered, counted as `x`.
    (Kind::ParkingTicket, 10),
];

/// A step of an order or a layaway is taken in so many draws of a store that has one.
pub(super) const ORDER_STEP: f64 = 0.07;

/// The back office of a store.
pub(super) const OFFICE: [Share; 8] = [
    // Deliveries come all day, and what is delivered is brought to the floor.
    (Kind::GoodsReceipt, 280),
    (Kind::StockMove, 260),
    (Kind::InventoryAdjustment, 170),
    (Kind::InventoryCount, 100),
    (Kind::TransferOut, 90),
    (Kind::VendorReturn, 40),
    // One a day or two, of a few dozen events.
    (Kind::BankDeposit, 30),
    (Kind::Correction, 30),
];

/// The back office sends so much of what its store sends.
pub(super) const OFFICE_SHARE: f64 = 0.06;

/// Draws a kind.
pub(super) fn draw(shares: &[Share], rng: &mut FleetRng) -> Kind {
    let mut ticket = rng.random_range(0..shares.iter().map(|(_, weight)| weight).sum::<u32>());
    for &(kind, weight) in shares {
        if ticket < weight {
            return kind;
        }
        ticket -= weight;
    }
    Kind::Sale
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn shares_are_in_a_thousand_and_drawn_so_often() {
        for shares in [&BASIC[..], &TILL, &OFFICE] {
            assert_eq!(shares.iter().map(|(_, weight)| weight).sum::<u32>(), 1_000);
        }
        let mut rng = FleetRng::seed_from_u64(1);
        let sales = (0..100_000).filter(|_| draw(&TILL, &mut rng) == Kind::Sale).count();
        assert!((81_500..83_000).contains(&sales), "{sales}");
    }
}
