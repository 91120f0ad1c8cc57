//! The CRM connector: loyalty points as JSON over HTTP, one event a call.
//!
//! Only events with a loyalty account concern it. Points are computed in integers, with the
//! currency's own exponent; what was returned or reversed takes points away. The account's balance
//! is the CRM's: this connector reports changes, each under an id of its own, and never a total.
//!
//! Body: `docs/schemas/crm-points.v1.schema.json`.

mod body;
mod config;
mod connector;
mod settings;

pub use connector::CrmPoints;
pub use settings::{PointsRule, PointsSettings};

#[cfg(test)]
mod tests;
