//! Kinds of event: those of the schema, and those of a sender's own.

use serde::{Deserialize, Serialize};

/// Kinds of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants are the words of the trade")]
pub enum Kind {
    Sale,
    Return,
    Exchange,
    Void,
    PostVoid,
    Suspend,
    Resume,
    NoSale,
    Training,
    Open,
    Close,
    PaidIn,
    PaidOut,
    Loan,
    Pickup,
    InventoryAdjustment,
    InventoryCount,
    TransferOut,
    TransferIn,
    GoodsReceipt,
    VendorReturn,
    StockMove,
    OrderPlaced,
    OrderPaid,
    OrderPicked,
    OrderHandedOver,
    OrderCancelled,
    LayawayPlaced,
    LayawayPaid,
    LayawayHandedOver,
    LayawayCancelled,
    TillDeclaration,
    BankDeposit,
    TipAdjustment,
    Correction,
    /// A kind of the sender's own, `x-…`: its name stays in the event.
    X,
}

wire_names!(Kind {
    Sale = "sale",
    Return = "return",
    Exchange = "exchange",
    Void = "void",
    PostVoid = "post_void",
    Suspend = "suspend",
    Resume = "resume",
    NoSale = "no_sale",
    Training = "training",
    Open = "open",
    Close = "close",
    PaidIn = "paid_in",
    PaidOut = "paid_out",
    Loan = "loan",
    Pickup = "pickup",
    InventoryAdjustment = "inventory_adjustment",
    InventoryCount = "inventory_count",
    TransferOut = "transfer_out",
    TransferIn = "transfer_in",
    GoodsReceipt = "goods_receipt",
    VendorReturn = "vendor_return",
    StockMove = "stock_move",
    OrderPlaced = "order_placed",
    OrderPaid = "order_paid",
    OrderPicked = "order_picked",
    OrderHandedOver = "order_handed_over",
    OrderCancelled = "order_cancelled",
    LayawayPlaced = "layaway_placed",
    LayawayPaid = "layaway_paid",
    LayawayHandedOver = "layaway_handed_over",
    LayawayCancelled = "layaway_cancelled",
    TillDeclaration = "till_declaration",
    BankDeposit = "bank_deposit",
    TipAdjustment = "tip_adjustment",
    Correction = "correction",
    X = "x",
});

/// What a kind of the sender's own begins with.
const OWN_KIND: &str = "x-";
/// Longest name of such a kind, bytes.
const MAX_OWN_KIND_BYTES: usize = 64;
/// Most digits in it. A card number has more, so that none is in it.
const MAX_OWN_KIND_DIGITS: usize = 11;

impl Kind {
    /// Reads the kind that a sender gives an event: one of the schema's, or one of its own, `x-` and `a-z`, `0-9`, `_` and `-`,
    /// which is no more than [`Kind::X`] to everything that counts.
    #[inline]
    pub fn parse_sent(name: &str) -> Option<Self> {
        match Self::parse(name) {
            Some(Self::X) | None => is_own(name).then_some(Self::X),
            known => known,
        }
    }
}

#[cold]
fn is_own(name: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    name.len() <= MAX_OWN_KIND_BYTES
        && digits <= MAX_OWN_KIND_DIGITS
        && name
            .strip_prefix(OWN_KIND)
            .is_some_and(|own| !own.is_empty() && own.bytes().all(is_allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_the_senders_own_begins_with_x() {
        for name in ["x-1", "x-loyalty_enrolment", "x--", &format!("x-{}", "a".repeat(62))] {
            assert_eq!(Kind::parse_sent(name), Some(Kind::X), "{name}");
        }
        let long = format!("x-{}", "a".repeat(63));
        for name in ["x", "x-", "X-a", "x-A", "x-\u{e9}", "x a", "sail", "x-411111111111", &long] {
            assert_eq!(Kind::parse_sent(name), None, "{name}");
        }
        assert_eq!(Kind::parse("x"), Some(Kind::X), "an envelope says no more");
        assert_eq!(Kind::parse_sent("sale"), Some(Kind::Sale));
    }
}
