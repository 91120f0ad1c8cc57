//! The table of what an event does to stock.
//!
//! Kind × line type → sign of the effect on stock and on each column of a delta. The fold and the documentation use it. A pair
//! that is not in the table moves nothing. A `stock_move` nets to nothing in its store: [`relocation`] says what it does to
//! the stock of the two locations. What the amounts count as is [`crate::money`]'s.

use crate::event::{Disposition, Kind, Line, LineType};

/// What one line does, in millionths of its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StockEffect {
    /// Change of stock on hand.
    pub stock: i64,
    /// Quantity sold; negative when a sale is reversed.
    pub sold: i64,
    /// Quantity returned; negative when a return is reversed.
    pub returned: i64,
    /// Quantity adjusted, transferred, received or returned to a vendor.
    pub adjusted: i64,
}

/// A row of the table: the signs applied to a line's quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockRule {
    /// Kind of event.
    pub kind: Kind,
    /// Type of line.
    pub line_type: LineType,
    /// Sign of the effect on stock; on return lines it holds only for `restock`.
    pub stock: i64,
    /// Sign in the sold column.
    pub sold: i64,
    /// Sign in the returned column.
    pub returned: i64,
    /// Sign in the adjusted column.
    pub adjusted: i64,
}

const fn rule(kind: Kind, line_type: LineType, signs: [i64; 4]) -> StockRule {
    let [stock, sold, returned, adjusted] = signs;
    StockRule { kind, line_type, stock, sold, returned, adjusted }
}

/// Every pair that moves stock: signs for stock, sold, returned, adjusted.
pub const TABLE: [StockRule; 21] = [
    rule(Kind::Sale, LineType::Sale, [-1, 1, 0, 0]),
    rule(Kind::Sale, LineType::Return, [1, 0, 1, 0]),
    rule(Kind::Return, LineType::Return, [1, 0, 1, 0]),
    rule(Kind::Exchange, LineType::Sale, [-1, 1, 0, 0]),
    rule(Kind::Exchange, LineType::Return, [1, 0, 1, 0]),
    rule(Kind::PostVoid, LineType::Sale, [1, -1, 0, 0]),
    rule(Kind::PostVoid, LineType::Return, [-1, 0, -1, 0]),
    rule(Kind::InventoryAdjustment, LineType::Adjustment, [1, 0, 0, 1]),
    rule(Kind::TransferOut, LineType::Transfer, [-1, 0, 0, -1]),
    rule(Kind::TransferIn, LineType::Transfer, [1, 0, 0, 1]),
    rule(Kind::InventoryCount, LineType::Count, [0, 0, 0, 0]),
    rule(Kind::GoodsReceipt, LineType::Transfer, [1, 0, 0, 1]),
    rule(Kind::VendorReturn, LineType::Transfer, [-1, 0, 0, -1]),
    rule(Kind::StockMove, LineType::Transfer, [0, 0, 0, 0]),
    rule(Kind::OrderHandedOver, LineType::Sale, [-1, 1, 0, 0]),
    rule(Kind::OrderHandedOver, LineType::Return, [1, 0, 1, 0]),
    rule(Kind::LayawayHandedOver, LineType::Sale, [-1, 1, 0, 0]),
    rule(Kind::LayawayHandedOver, LineType::Return, [1, 0, 1, 0]),
    rule(Kind::Correction, LineType::Sale, [-1, 1, 0, 0]),
    rule(Kind::Correction, LineType::Return, [1, 0, 1, 0]),
    rule(Kind::Correction, LineType::Adjustment, [1, 0, 0, 1]),
];

/// The table by kind and type of line.
const BY_KIND: [[Option<StockRule>; LineType::ALL.len()]; Kind::ALL.len()] = {
    let mut by_kind = [[None; LineType::ALL.len()]; Kind::ALL.len()];
    let mut row = 0;
    while row < TABLE.len() {
        by_kind[TABLE[row].kind as usize][TABLE[row].line_type as usize] = Some(TABLE[row]);
        row += 1;
    }
    by_kind
};

/// Returns what a line does to the stock of its store.
///
/// Quantities are bounded by the decoder, so the products cannot overflow.
pub fn effect(kind: Kind, line: &Line<'_>) -> StockEffect {
    if line.void {
        return StockEffect::default();
    }
    let rule = BY_KIND.get(kind as usize).and_then(|rules| rules.get(line.line_type as usize));
    let Some(Some(rule)) = rule else { return StockEffect::default() };
    let quantity = line.quantity.0;
    let restocked = line.line_type != LineType::Return || line.disposition == Disposition::Restock;
    StockEffect {
        stock: if restocked { rule.stock * quantity } else { 0 },
        sold: rule.sold * quantity,
        returned: rule.returned * quantity,
        adjusted: rule.adjusted * quantity,
    }
}

/// Returns what a line of a `stock_move` adds at the location that the goods come to; it takes the same from the one they leave.
/// As everywhere, a line of nothing moves nothing.
pub fn relocation(kind: Kind, line: &Line<'_>) -> Option<StockEffect> {
    let is_move = kind == Kind::StockMove && line.line_type == LineType::Transfer && !line.void;
    let quantity = line.quantity.0;
    (is_move && quantity != 0).then(|| StockEffect {
        stock: quantity,
        adjusted: quantity,
        ..StockEffect::default()
    })
}

/// Tells whether a line is an absolute count, which no delta may contain.
pub fn is_count(kind: Kind, line: &Line<'_>) -> bool {
    kind == Kind::InventoryCount && line.line_type == LineType::Count && !line.void
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Decoder;

    fn effects(kind: &str, line: &str) -> [i64; 4] {
        let text = format!(
            r#"{{"store":"1","terminal":"2","event_id":"3","kind":"{kind}","occurred_at":"2026-11-27T08:15:30Z",
            "business_date":"2026-11-27","reference":{{"sequence":1,"transfer_id":"t"}},"order":{{"id":"o"}},
            "lines":[{{"line":1,"sku":"a",{line}}}]}}"#
        );
        let mut decoder = Decoder::new();
        let event = decoder.decode(text.as_bytes()).unwrap();
        let effect = effect(event.kind, &event.lines[0]);
        assert_eq!(is_count(event.kind, &event.lines[0]), kind == "inventory_count");
        [effect.stock, effect.sold, effect.returned, effect.adjusted].map(|micros| micros / 1_000)
    }

    #[test]
    fn each_kind_of_line_moves_what_the_trade_expects() {
        let cases = [
            ("sale", r#""type":"sale","quantity":"1.5""#, [-1_500, 1_500, 0, 0]),
            ("sale", r#""type":"return","quantity":"2""#, [2_000, 0, 2_000, 0]),
            ("sale", r#""type":"service","quantity":"2""#, [0; 4]),
            ("sale", r#""type":"sale","quantity":"-2","void":true"#, [0; 4]),
            ("exchange", r#""type":"sale","quantity":"1""#, [-1_000, 1_000, 0, 0]),
            ("exchange", r#""type":"return","quantity":"1""#, [1_000, 0, 1_000, 0]),
            ("return", r#""type":"return","quantity":"1""#, [1_000, 0, 1_000, 0]),
            (
                "return",
                r#""type":"return","quantity":"1","disposition":"damaged""#,
                [0, 0, 1_000, 0],
            ),
            (
                "return",
                r#""type":"return","quantity":"1","disposition":"vendor""#,
                [0, 0, 1_000, 0],
            ),
            ("return", r#""type":"return","quantity":"1","disposition":"none""#, [0, 0, 1_000, 0]),
            ("post_void", r#""type":"sale","quantity":"1""#, [1_000, -1_000, 0, 0]),
            ("post_void", r#""type":"return","quantity":"1""#, [-1_000, 0, -1_000, 0]),
            (
                "post_void",
                r#""type":"return","quantity":"1","disposition":"damaged""#,
                [0, 0, -1_000, 0],
            ),
            ("void", r#""type":"sale","quantity":"-5""#, [0; 4]),
            ("training", r#""type":"sale","quantity":"5""#, [0; 4]),
            ("suspend", r#""type":"return","quantity":"5""#, [0; 4]),
            (
                "inventory_adjustment",
                r#""type":"adjustment","quantity":"-0.25""#,
                [-250, 0, 0, -250],
            ),
            ("inventory_count", r#""type":"count","quantity":"9""#, [0; 4]),
            ("transfer_out", r#""type":"transfer","quantity":"3""#, [-3_000, 0, 0, -3_000]),
            ("transfer_in", r#""type":"transfer","quantity":"3""#, [3_000, 0, 0, 3_000]),
            ("goods_receipt", r#""type":"transfer","quantity":"3""#, [3_000, 0, 0, 3_000]),
            ("vendor_return", r#""type":"transfer","quantity":"3""#, [-3_000, 0, 0, -3_000]),
            (
                "stock_move",
                r#""type":"transfer","quantity":"3","location":"a","to_location":"b""#,
                [0; 4],
            ),
            ("order_placed", r#""type":"sale","quantity":"3""#, [0; 4]),
            ("order_picked", r#""type":"sale","quantity":"3""#, [0; 4]),
            ("order_handed_over", r#""type":"sale","quantity":"3""#, [-3_000, 3_000, 0, 0]),
            ("order_cancelled", r#""type":"return","quantity":"3""#, [0; 4]),
            ("layaway_placed", r#""type":"sale","quantity":"3""#, [0; 4]),
            ("layaway_handed_over", r#""type":"sale","quantity":"3""#, [-3_000, 3_000, 0, 0]),
            ("correction", r#""type":"sale","quantity":"-3""#, [3_000, -3_000, 0, 0]),
            ("correction", r#""type":"return","quantity":"-3""#, [-3_000, 0, -3_000, 0]),
            ("correction", r#""type":"adjustment","quantity":"-3""#, [-3_000, 0, 0, -3_000]),
            ("x-own", r#""type":"sale","quantity":"3""#, [0; 4]),
        ];
        for (kind, line, expected) in cases {
            assert_eq!(effects(kind, line), expected, "{kind} {line}");
        }
    }

    #[test]
    fn a_move_of_nothing_is_no_movement() {
        let moved = |quantity: &str| {
            let text = format!(
                r#"{{"store":"1","terminal":"2","event_id":"3","kind":"stock_move","occurred_at":"2026-11-27T08:15:30Z",
                "business_date":"2026-11-27","lines":[{{"line":1,"type":"transfer","sku":"a","quantity":"{quantity}",
                "location":"back","to_location":"floor"}}]}}"#
            );
            let mut decoder = Decoder::new();
            let event = decoder.decode(text.as_bytes()).unwrap();
            relocation(event.kind, &event.lines[0]).map(|effect| effect.stock)
        };
        assert_eq!((moved("0"), moved("2")), (None, Some(2_000_000)));
    }

    #[test]
    fn a_transfer_takes_from_one_store_what_it_gives_to_the_other() {
        let line = r#""type":"transfer","quantity":"12.000001""#;
        let (out, back) = (effects("transfer_out", line), effects("transfer_in", line));
        assert_eq!(out.map(|micros| -micros), back);
    }

    #[test]
    fn no_pair_is_in_the_table_twice() {
        for (index, rule) in TABLE.iter().enumerate() {
            let same =
                |other: &&StockRule| (other.kind, other.line_type) == (rule.kind, rule.line_type);
            assert_eq!(TABLE.iter().position(|other| same(&other)), Some(index));
        }
        for (index, line_type) in LineType::ALL.into_iter().enumerate() {
            assert_eq!(line_type as usize, index, "the table is indexed by the type");
        }
    }
}
