//! What each kind of event demands and allows.

use crate::event::{Kind, LineType};

/// Whether an event of a kind has lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
    Forbidden,
}

/// Says whether events of a kind have lines.
pub(super) fn lines(kind: Kind) -> Presence {
    match kind {
        Kind::Sale
        | Kind::Return
        | Kind::Exchange
        | Kind::PostVoid
        | Kind::InventoryAdjustment
        | Kind::InventoryCount
        | Kind::TransferOut
        | Kind::TransferIn
        | Kind::GoodsReceipt
        | Kind::VendorReturn
        | Kind::StockMove
        | Kind::OrderPlaced
        | Kind::OrderHandedOver
        | Kind::LayawayPlaced
        | Kind::LayawayHandedOver
        | Kind::Correction => Presence::Required,
        Kind::Void
        | Kind::Suspend
        | Kind::Training
        | Kind::OrderPaid
        | Kind::OrderPicked
        | Kind::OrderCancelled
        | Kind::LayawayPaid
        | Kind::LayawayCancelled
        | Kind::X => Presence::Optional,
        Kind::Resume
        | Kind::NoSale
        | Kind::Open
        | Kind::Close
        | Kind::PaidIn
        | Kind::PaidOut
        | Kind::Loan
        | Kind::Pickup
        | Kind::TillDeclaration
        | Kind::BankDeposit
        | Kind::TipAdjustment => Presence::Forbidden,
    }
}

/// Tells whether an event of a kind may have a line of a type.
pub(super) fn allows(kind: Kind, line_type: LineType) -> bool {
    let is_trade = matches!(line_type, LineType::Sale | LineType::Return | LineType::Service);
    match kind {
        Kind::Sale
        | Kind::Exchange
        | Kind::PostVoid
        | Kind::OrderPlaced
        | Kind::OrderPaid
        | Kind::OrderPicked
        | Kind::OrderHandedOver
        | Kind::OrderCancelled
        | Kind::LayawayPlaced
        | Kind::LayawayPaid
        | Kind::LayawayHandedOver
        | Kind::LayawayCancelled => is_trade,
        Kind::Return => matches!(line_type, LineType::Return | LineType::Service),
        Kind::Correction => is_trade || line_type == LineType::Adjustment,
        Kind::InventoryAdjustment => line_type == LineType::Adjustment,
        Kind::InventoryCount => line_type == LineType::Count,
        Kind::TransferOut
        | Kind::TransferIn
        | Kind::GoodsReceipt
        | Kind::VendorReturn
        | Kind::StockMove => line_type == LineType::Transfer,
        Kind::Void | Kind::Suspend | Kind::Training | Kind::X => true,
        Kind::Resume
        | Kind::NoSale
        | Kind::Open
        | Kind::Close
        | Kind::PaidIn
        | Kind::PaidOut
        | Kind::Loan
        | Kind::Pickup
        | Kind::TillDeclaration
        | Kind::BankDeposit
        | Kind::TipAdjustment => false,
    }
}

/// Tells whether a quantity may be negative: on corrections, and where it moves none.
pub(super) fn allows_negative(kind: Kind, line_type: LineType, is_void_line: bool) -> bool {
    is_void_line
        || line_type == LineType::Adjustment
        || matches!(kind, Kind::Void | Kind::Training | Kind::Suspend | Kind::Correction | Kind::X)
}

/// Tells whether an event of a kind must state its amount.
pub(super) fn needs_amount(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::PaidIn
            | Kind::PaidOut
            | Kind::Loan
            | Kind::Pickup
            | Kind::BankDeposit
            | Kind::TipAdjustment
    )
}

/// Tells whether an event of a kind is one half of a transfer.
pub(super) fn is_transfer(kind: Kind) -> bool {
    matches!(kind, Kind::TransferOut | Kind::TransferIn)
}

/// Tells whether an event must name the transaction that it refers to.
pub(super) fn needs_reference(kind: Kind, blind: bool) -> bool {
    matches!(kind, Kind::PostVoid | Kind::TipAdjustment | Kind::Correction)
        || is_transfer(kind)
        || (kind == Kind::Return && !blind)
}

/// Tells whether an event must name the order or layaway that it belongs to.
pub(super) fn needs_order(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::OrderPlaced
            | Kind::OrderPaid
            | Kind::OrderPicked
            | Kind::OrderHandedOver
            | Kind::OrderCancelled
            | Kind::LayawayPlaced
            | Kind::LayawayPaid
            | Kind::LayawayHandedOver
            | Kind::LayawayCancelled
    )
}

/// Tells whether an event of a kind must have some of the details that few events have.
pub(super) fn needs_details(kind: Kind) -> bool {
    kind == Kind::TillDeclaration || needs_order(kind)
}
