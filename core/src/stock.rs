//! The one table that says what an event does to stock.
//!
//! Kind × line type → sign of the effect on stock and on each column of a delta. The engine folds
//! by it, the documentation prints it. A pair that is not in the table moves nothing.

use crate::event::{Disposition, Kind, Line, LineType};

/// What one line does, in millionths of its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effect {
    /// Change of stock on hand.
    pub stock: i64,
    /// Quantity sold; negative when a sale is reversed.
    pub sold: i64,
    /// Quantity returned; negative when a return is reversed.
    pub returned: i64,
    /// Quantity adjusted or transferred.
    pub adjusted: i64,
}

/// A row of the table: the signs applied to a line's quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
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

const fn rule(kind: Kind, line_type: LineType, signs: [i64; 4]) -> Rule {
    let [stock, sold, returned, adjusted] = signs;
    Rule { kind, line_type, stock, sold, returned, adjusted }
}

/// Every pair that moves stock: signs for stock, sold, returned, adjusted.
pub const TABLE: [Rule; 11] = [
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
];

/// Returns what a line does to the stock of its store.
///
/// Quantities are bounded by the decoder, so the products cannot overflow.
pub fn effect(kind: Kind, line: &Line<'_>) -> Effect {
    if line.void {
        return Effect::default();
    }
    let Some(rule) =
        TABLE.iter().find(|rule| rule.kind == kind && rule.line_type == line.line_type)
    else {
        return Effect::default();
    };
    let quantity = line.quantity.0;
    let restocked = line.line_type != LineType::Return || line.disposition == Disposition::Restock;
    Effect {
        stock: if restocked { rule.stock * quantity } else { 0 },
        sold: rule.sold * quantity,
        returned: rule.returned * quantity,
        adjusted: rule.adjusted * quantity,
    }
}

/// Tells whether a line is an absolute count, which no delta may contain.
pub fn is_count(kind: Kind, line: &Line<'_>) -> bool {
    kind == Kind::InventoryCount && line.line_type == LineType::Count && !line.void
}
