//! Sales that a new release of the tills' software writes in a way that no version knows, and the mapping that mends them.
//!
//! Each is a good sale with one thing changed: its kind, the type of a line, or the name of a member. The mapping makes of it the
//! text that it was before, byte for byte, so that its fingerprint is known beforehand.

use rand::RngExt as _;

use super::FleetRng;

/// Mends every event that a fleet sends in a way that no version knows; for `tillrace parked readmit --mapping`.
pub const MAPPING: &str = "\
# What release 9.3 of the tills calls otherwise.
- replace: {at: /kind, table: {drone_delivery: sale}}
- replace: {at: /lines/*/type, table: {locker_sale: sale}}
- rename: {at: /currency_code, to: currency}
";

/// One way in which the new release writes a sale.
#[derive(Debug)]
pub(super) struct Novelty {
    /// The rule that it breaks.
    pub(super) code: &'static str,
    before: &'static str,
    after: &'static str,
    weight: u32,
}

/// The ways, and how often each occurs.
const NOVELTIES: [Novelty; 3] = [
    Novelty {
        code: "unknown_kind",
        before: r#""kind":"sale""#,
        after: r#""kind":"drone_delivery""#,
        weight: 6,
    },
    Novelty {
        code: "unknown_line_type",
        before: r#""type":"sale""#,
        after: r#""type":"locker_sale""#,
        weight: 3,
    },
    Novelty {
        code: "missing_field",
        before: r#""currency":"#,
        after: r#""currency_code":"#,
        weight: 1,
    },
];

impl Novelty {
    /// Draws one that changes the text of a sale; `None` where none does.
    pub(super) fn draw(sale: &[u8], rng: &mut FleetRng) -> Option<&'static Self> {
        let all: u32 = NOVELTIES.iter().map(|novelty| novelty.weight).sum();
        let mut ticket = rng.random_range(0..all);
        let drawn = NOVELTIES.iter().find(|novelty| {
            let is_drawn = ticket < novelty.weight;
            ticket = ticket.saturating_sub(novelty.weight);
            is_drawn
        })?;
        // Every sale has a kind; not every one has a line that sells goods.
        [drawn, &NOVELTIES[0]].into_iter().find(|novelty| position(sale, novelty.before).is_some())
    }

    /// Writes the sale that begins at a place of the text as the new release does.
    pub(super) fn apply(&self, text: &mut Vec<u8>, start: usize) {
        if let Some(at) = position(&text[start..], self.before).map(|at| at + start) {
            text.splice(at..at + self.before.len(), self.after.bytes());
        }
    }
}

fn position(text: &[u8], part: &str) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part.as_bytes())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn one_thing_is_changed_and_the_mapping_names_it() {
        let sale = br#"{"kind":"sale","currency":"EUR","lines":[{"type":"sale"},{"type":"sale"}]}"#;
        let mut rng = FleetRng::seed_from_u64(1);
        let mut codes = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let novelty = Novelty::draw(sale, &mut rng).unwrap();
            let mut text = b"before".to_vec();
            text.extend_from_slice(sale);
            novelty.apply(&mut text, 6);
            let text = String::from_utf8(text).unwrap();
            assert!(
                MAPPING.contains(novelty.after.split('"').rfind(|word| word.len() > 1).unwrap())
            );
            assert_eq!(text.replacen(novelty.after, novelty.before, 1).as_bytes()[6..], *sale);
            codes.insert(novelty.code);
        }
        assert_eq!(codes.len(), 3);
    }

    #[test]
    fn a_sale_without_goods_still_has_a_kind() {
        let sale = br#"{"kind":"sale","lines":[{"type":"service"}]}"#;
        let mut rng = FleetRng::seed_from_u64(1);
        for _ in 0..50 {
            assert_eq!(Novelty::draw(sale, &mut rng).unwrap().code, "unknown_kind");
        }
    }
}
