//! The ERP connector: sales documents and stock movements as JSON over HTTP.
//!
//! Documents are the transactions whose amounts count in the store-day ([`tillrace_core::money`]): sales and what takes them
//! back, payments on orders and layaways, changes of tips. So documents add up to the totals of their store-days. Left out
//! are the store's own handling of cash (floats, pickups, declarations, deposits at the bank), baskets that came to nothing, a
//! sender's own kinds, and what moves only goods: movements, which are the aggregated deltas, have all goods.
//!
//! Every item carries an id that is the same whenever it is sent, so a backend that keeps the ids it has booked books nothing
//! twice. Nothing is mapped or rounded: the event is sent as the terminal sent it, the delta as its topic has it.
//!
//! Bodies: `docs/schemas/erp-documents.v1.schema.json` and `erp-stock-movements.v1.schema.json`.

mod body;
mod config;
mod connector;
mod settings;

pub use connector::Erp;
pub use settings::{DocumentSettings, Form, MovementSettings};

#[cfg(test)]
mod tests;
