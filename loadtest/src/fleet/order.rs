//! Orders and layaways of a store: what was ordered and paid, and the step that comes next.

use rand::RngExt as _;

use super::FleetRng;
use super::basket::{Line, bill};
use super::country::Country;
use super::kind::Kind;

/// Orders and layaways that a store has open at most.
pub(super) const MOST_OPEN: usize = 64;

/// An order or a layaway that is not yet handed over.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: String,
    is_layaway: bool,
    /// The goods.
    pub(super) lines: Vec<Line>,
    /// What they cost.
    due: i64,
    /// What was paid on them so far.
    pub(super) paid: i64,
    pub(super) is_picked: bool,
}

impl Order {
    /// Places an order, of which a part is paid at once.
    pub(super) fn place(
        id: String,
        is_layaway: bool,
        lines: Vec<Line>,
        country: &Country,
        rng: &mut FleetRng,
    ) -> Self {
        let due = bill(&lines, country, false).total;
        let paid = (due * rng.random_range(10..=50) / 100).clamp(1, due.max(1));
        Self { id, is_layaway, lines, due, paid, is_picked: false }
    }

    /// Draws its next step: one in ten is given up; a layaway is handed over when all is paid, an order when it is picked.
    pub(super) fn next_step(&self, rng: &mut FleetRng) -> Kind {
        let is_paid = self.paid >= self.due;
        match (self.is_layaway, rng.random_range(0..30_u32)) {
            (false, 0) => Kind::OrderCancelled,
            (true, 0) => Kind::LayawayCancelled,
            (true, _) if is_paid => Kind::LayawayHandedOver,
            (true, _) => Kind::LayawayPaid,
            (false, 1..10) if !is_paid => Kind::OrderPaid,
            (false, _) if self.is_picked => Kind::OrderHandedOver,
            (false, _) => Kind::OrderPicked,
        }
    }

    /// Draws a payment on it: all that is left, or half of it.
    pub(super) fn pay(&mut self, rng: &mut FleetRng) -> i64 {
        let rest = (self.due - self.paid).max(1);
        let amount = if rng.random_bool(0.5) { rest } else { (rest / 2).max(1) };
        self.paid += amount;
        amount
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::super::basket::Assortment;
    use super::super::catalogue::Catalogue;
    use super::*;

    #[test]
    fn an_order_ends_handed_over_or_cancelled_and_is_never_paid_twice() {
        let mut rng = FleetRng::seed_from_u64(2);
        let catalogue = Catalogue::draw(50, &mut rng);
        let country = Country::of_store(0);
        let mut endings = std::collections::HashMap::new();
        for number in 0..600 {
            let mut lines = Vec::new();
            Assortment { catalogue: &catalogue, country }.draw_goods_lines(2, &mut lines, &mut rng);
            let is_layaway = number % 3 == 0;
            let mut order = Order::place(String::new(), is_layaway, lines, country, &mut rng);
            let ending = loop {
                match order.next_step(&mut rng) {
                    Kind::OrderPaid | Kind::LayawayPaid => drop(order.pay(&mut rng)),
                    Kind::OrderPicked => order.is_picked = true,
                    ending => break ending,
                }
                assert!(order.paid <= order.due);
            };
            *endings.entry(ending).or_insert(0) += 1;
            assert_eq!(
                ending == Kind::LayawayHandedOver || ending == Kind::LayawayCancelled,
                is_layaway
            );
        }
        assert_eq!(endings.len(), 4, "{endings:?}");
    }
}
