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
        | Kind::TransferIn => Presence::Required,
        Kind::Void | Kind::Suspend | Kind::Training => Presence::Optional,
        Kind::Resume
        | Kind::NoSale
        | Kind::Open
        | Kind::Close
        | Kind::PaidIn
        | Kind::PaidOut
        | Kind::Loan
        | Kind::Pickup => Presence::Forbidden,
    }
}

/// Tells whether an event of a kind may have a line of a type.
pub(super) fn allows(kind: Kind, line_type: LineType) -> bool {
    match kind {
        Kind::Sale | Kind::Exchange | Kind::PostVoid => {
            matches!(line_type, LineType::Sale | LineType::Return | LineType::Service)
        }
        Kind::Return => matches!(line_type, LineType::Return | LineType::Service),
        Kind::InventoryAdjustment => line_type == LineType::Adjustment,
        Kind::InventoryCount => line_type == LineType::Count,
        Kind::TransferOut | Kind::TransferIn => line_type == LineType::Transfer,
        Kind::Void | Kind::Suspend | Kind::Training => true,
        Kind::Resume
        | Kind::NoSale
        | Kind::Open
        | Kind::Close
        | Kind::PaidIn
        | Kind::PaidOut
        | Kind::Loan
        | Kind::Pickup => false,
    }
}

/// Tells whether a quantity may be negative: on corrections of stock, and where it moves none.
pub(super) fn allows_negative(kind: Kind, line_type: LineType, is_void_line: bool) -> bool {
    is_void_line
        || line_type == LineType::Adjustment
        || matches!(kind, Kind::Void | Kind::Training | Kind::Suspend)
}

/// Tells whether an event of a kind must state its amount.
pub(super) fn needs_amount(kind: Kind) -> bool {
    matches!(kind, Kind::PaidIn | Kind::PaidOut | Kind::Loan | Kind::Pickup)
}

/// Tells whether an event of a kind is one half of a transfer.
pub(super) fn is_transfer(kind: Kind) -> bool {
    matches!(kind, Kind::TransferOut | Kind::TransferIn)
}

/// Tells whether an event must name the transaction that it refers to.
pub(super) fn needs_reference(kind: Kind, blind: bool) -> bool {
    kind == Kind::PostVoid || is_transfer(kind) || (kind == Kind::Return && !blind)
}
