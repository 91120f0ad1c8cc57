//! The ERP connector: sales documents and stock movements as JSON over HTTP.
//!
//! Documents are the transactions that move goods or money between store and customer; movements
//! are the aggregated deltas. Every item carries an id that is the same whenever it is sent, so a
//! backend that keeps the ids it has booked books nothing twice. Nothing is mapped or rounded: the
//! event is sent as the terminal sent it, the delta as its topic has it.
//!
//! Bodies: `docs/schemas/erp-documents.v1.schema.json` and `erp-stock-movements.v1.schema.json`.

mod body;
mod connector;
mod settings;

pub use connector::Erp;
pub use settings::{ErpSettings, Form};

#[cfg(test)]
mod tests;
