//! Settings of the CRM connector.

use schemars::JsonSchema;
use serde::Deserialize;
use tillrace_log::setting::Inspection;

use crate::http::BackendSettings;

/// The CRM's backend, and the points of a purchase.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PointsSettings {
    /// URL, token, timeout.
    pub backend: BackendSettings,
    /// The points of a purchase.
    #[serde(default)]
    pub rule: PointsRule,
}

/// So many points for so many major units of the currency, in whole points, rounded towards zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PointsRule {
    /// Points.
    pub points: u32,
    /// Major units (euros, not cents) that earn them.
    pub per_major_units: u32,
}

impl Default for PointsRule {
    fn default() -> Self {
        Self { points: 1, per_major_units: 1 }
    }
}

impl PointsSettings {
    /// Reports invalid settings.
    pub(super) fn inspect_settings(&self, found: &mut Inspection) {
        found.within("rule", |found| {
            found.range("points", self.rule.points, 1..);
            found.range("per_major_units", self.rule.per_major_units, 1..);
        });
        found.within("backend", |found| self.backend.inspect(found));
    }
}
