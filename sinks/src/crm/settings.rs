//! Settings of the CRM connector.

use serde::Deserialize;

use crate::http::BackendSettings;

/// Where the CRM is and what a purchase is worth.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsSettings {
    /// URL, token, timeout.
    pub backend: BackendSettings,
    /// What a purchase is worth.
    #[serde(default)]
    pub rule: PointsRule,
}

/// So many points for so many major units of the currency, in whole points, rounded towards zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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
    pub(crate) fn validate(&self) -> Result<(), (&'static str, &'static str)> {
        if self.rule.points == 0 || self.rule.per_major_units == 0 {
            return Err(("to.rule", "use at least 1 point for at least 1 major unit"));
        }
        self.backend.validate()
    }
}
