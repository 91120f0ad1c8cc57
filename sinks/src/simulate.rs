//! Simulated ERP and CRM backends, for the demo and for tests. They keep everything in memory only.
//!
//! A [`SimulatedBackend`] listens on loopback and behaves like real ones: slow, rate-limited, failing
//! now and then, and sometimes booking an item but dropping the connection instead of answering. It
//! is idempotent by item id, as a real one must be, and its books can be read. A [`RawServer`] answers as no sound backend
//! does: half a body, a hundred megabytes, a page of HTML.

mod books;
mod faults;
mod replies;
mod server;

pub use books::{Books, StockKey, StockTotals};
pub use faults::Faults;
pub use replies::{RawReply, RawRequest, RawServer};
pub use server::SimulatedBackend;
