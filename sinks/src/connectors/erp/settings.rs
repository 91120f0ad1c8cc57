//! Settings of the ERP connector.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::BackendSettings;

/// The settings of a sink of sales documents.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentSettings {
    /// URL, token, timeout.
    pub backend: BackendSettings,
    /// Shape of a call.
    #[serde(default)]
    pub form: Form,
}

/// The settings of a sink of stock movements.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MovementSettings {
    /// URL, token, timeout.
    pub backend: BackendSettings,
    /// Shape of a call.
    #[serde(default)]
    pub form: Form,
}

/// Shape of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Many items in one call, answered one by one in the body.
    #[default]
    Batch,
    /// One item a call, answered by the status alone; its id is the call's `Idempotency-Key`.
    Single,
}
