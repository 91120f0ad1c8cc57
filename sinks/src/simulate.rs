//! Simulated ERP and CRM backends, for the demo and for tests. Not for production: they forget.
//!
//! A [`SimulatedBackend`] listens on loopback and behaves as backends do: slow, limited, failing
//! now and then, and at its worst: it books and then drops the connection instead of answering. It
//! is idempotent by item id, as a real one must be, and it can be asked what it holds.

mod books;
mod faults;
mod server;

pub use books::{Books, StockKey, StockTotals};
pub use faults::Faults;
pub use server::SimulatedBackend;
