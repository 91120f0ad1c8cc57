//! Kinds of event that fleets send, and what their lines do to stock as the person at the till meant it.
//!
//! The table stands here a second time on purpose: the engine has one of its own, and the verifier compares what comes of both.

use super::basket::{Disposition, Line, LineType};
use super::catalogue::Catalogue;
use crate::source::{Movement, StockEffect};

/// Kinds of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
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
    /// A kind of the retailer's own, which no version knows by name.
    ParkingTicket,
}

impl Kind {
    /// Returns the kind's name in an event.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Return => "return",
            Self::Exchange => "exchange",
            Self::Void => "void",
            Self::PostVoid => "post_void",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::NoSale => "no_sale",
            Self::Training => "training",
            Self::Open => "open",
            Self::Close => "close",
            Self::PaidIn => "paid_in",
            Self::PaidOut => "paid_out",
            Self::Loan => "loan",
            Self::Pickup => "pickup",
            Self::InventoryAdjustment => "inventory_adjustment",
            Self::InventoryCount => "inventory_count",
            Self::TransferOut => "transfer_out",
            Self::TransferIn => "transfer_in",
            Self::GoodsReceipt => "goods_receipt",
            Self::VendorReturn => "vendor_return",
            Self::StockMove => "stock_move",
            Self::OrderPlaced => "order_placed",
            Self::OrderPaid => "order_paid",
            Self::OrderPicked => "order_picked",
            Self::OrderHandedOver => "order_handed_over",
            Self::OrderCancelled => "order_cancelled",
            Self::LayawayPlaced => "layaway_placed",
            Self::LayawayPaid => "layaway_paid",
            Self::LayawayHandedOver => "layaway_handed_over",
            Self::LayawayCancelled => "layaway_cancelled",
            Self::TillDeclaration => "till_declaration",
            Self::BankDeposit => "bank_deposit",
            Self::TipAdjustment => "tip_adjustment",
            Self::Correction => "correction",
            Self::ParkingTicket => "x-parking_ticket",
        }
    }

    /// Returns what one line does to the stock of its store.
    fn movement(self, line: &Line) -> Movement {
        let quantity = line.quantity;
        let none = Movement::default();
        if line.void {
            return none;
        }
        let sold = Movement { net: -quantity, sold: quantity, ..none };
        let returned = |disposition| {
            let net = if disposition == Disposition::Restock { quantity } else { 0 };
            Movement { net, returned: quantity, ..none }
        };
        match (self, line.what) {
            (Self::PostVoid, LineType::Sale) => reversed(sold),
            (Self::PostVoid, LineType::Return(disposition)) => reversed(returned(disposition)),
            (kind, LineType::Sale) if kind.hands_over() => sold,
            (kind, LineType::Return(disposition)) if kind.hands_over() => returned(disposition),
            (Self::InventoryAdjustment | Self::Correction, LineType::Adjustment)
            | (Self::TransferIn | Self::GoodsReceipt, LineType::Transfer) => adjusted(quantity),
            (Self::TransferOut | Self::VendorReturn, LineType::Transfer) => adjusted(-quantity),
            _ => none,
        }
    }

    /// Tells whether goods change hands with it, or are said to have done so.
    fn hands_over(self) -> bool {
        matches!(
            self,
            Self::Sale
                | Self::Return
                | Self::Exchange
                | Self::OrderHandedOver
                | Self::LayawayHandedOver
                | Self::Correction
        )
    }
}

fn adjusted(quantity: i64) -> Movement {
    Movement { net: quantity, adjusted: quantity, ..Movement::default() }
}

fn reversed(movement: Movement) -> Movement {
    Movement {
        net: -movement.net,
        sold: -movement.sold,
        returned: -movement.returned,
        adjusted: -movement.adjusted,
    }
}

/// Appends what an event does to stock; a stock move takes from one location what it gives to the other.
pub(super) fn effects(
    kind: Kind,
    lines: &[Line],
    catalogue: &Catalogue,
    out: &mut Vec<StockEffect>,
) {
    for line in lines {
        let mut push = |location, movement: Movement| {
            if !movement.is_zero() {
                let unit = unit(catalogue, line);
                let Line { item: sku, reason, .. } = *line;
                out.push(StockEffect { sku, unit, reason, location, movement });
            }
        };
        if kind == Kind::StockMove {
            push(line.location, adjusted(-line.quantity));
            push(line.to_location, adjusted(line.quantity));
        } else {
            push(line.location, kind.movement(line));
        }
    }
}

fn unit(catalogue: &Catalogue, line: &Line) -> &'static str {
    if catalogue.item(line.item).weighed && line.pieces > 0 { "KGM" } else { "C62" }
}
