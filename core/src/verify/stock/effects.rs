//! The recount's own reading of what a line does to stock.
//!
//! The table is written anew from the documentation, on purpose: a slip in the engine's own would otherwise confirm itself.

use super::super::record::LineText;
use crate::text::Decimal;

/// The effect of a quantity of 1, in this order: stock, sold, returned, adjusted.
pub(super) type StockEffect = [i64; 4];

/// The recount's own table of stock effects.
///
/// Counts are absolute and move nothing; neither do services, voided lines and all other kinds.
pub(super) fn stock_effect(
    kind: &str,
    line_type: &str,
    disposition: Option<&str>,
    void: bool,
) -> StockEffect {
    let restocked = i64::from(disposition.unwrap_or("restock") == "restock");
    match (void, kind, line_type) {
        (
            false,
            "sale" | "exchange" | "correction" | "order_handed_over" | "layaway_handed_over",
            "sale",
        ) => [-1, 1, 0, 0],
        (
            false,
            "sale"
            | "exchange"
            | "return"
            | "correction"
            | "order_handed_over"
            | "layaway_handed_over",
            "return",
        ) => [restocked, 0, 1, 0],
        (false, "post_void", "sale") => [1, -1, 0, 0],
        (false, "post_void", "return") => [-restocked, 0, -1, 0],
        (false, "inventory_adjustment" | "correction", "adjustment")
        | (false, "transfer_in" | "goods_receipt", "transfer") => [1, 0, 0, 1],
        (false, "transfer_out" | "vendor_return", "transfer") => [-1, 0, 0, -1],
        _ => [0; 4],
    }
}

/// Returns what a line moves and where, in the order of [`StockEffect`]; `None` if it cannot be read.
pub(super) fn movements<'l>(
    kind: &str,
    line: &'l LineText<'_>,
) -> Option<[(Option<&'l str>, StockEffect); 2]> {
    let void = line.void.unwrap_or(false);
    let quantity = Decimal::parse(line.quantity.as_bytes())?.0;
    let location = line.location.as_deref();
    if kind == "stock_move" {
        let moved = if void || line.line_type != "transfer" { 0 } else { quantity };
        let [leaving, arriving] = [-moved, moved].map(|moved| [moved, 0, 0, moved]);
        return Some([(location, leaving), (line.to_location.as_deref(), arriving)]);
    }
    let effect = stock_effect(kind, &line.line_type, line.disposition.as_deref(), void);
    Some([(location, effect.map(|sign| sign * quantity)), (None, [0; 4])])
}
