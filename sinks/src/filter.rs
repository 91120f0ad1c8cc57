//! The declared filter of a sink: which records are none of its business.
//!
//! What a filter leaves out is audited as `filtered`, so that leaving out is never losing.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::record::{Head, Source};

/// What passes. An empty list lets everything pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Kinds of event, by their wire names; for transactions only.
    pub kinds: BTreeSet<String>,
    /// Tenants.
    pub tenants: BTreeSet<String>,
    /// Stores, by their ids within the tenant.
    pub stores: BTreeSet<String>,
}

const KINDS: [&str; 19] = [
    "sale",
    "return",
    "exchange",
    "void",
    "post_void",
    "suspend",
    "resume",
    "no_sale",
    "training",
    "open",
    "close",
    "paid_in",
    "paid_out",
    "loan",
    "pickup",
    "inventory_adjustment",
    "inventory_count",
    "transfer_out",
    "transfer_in",
];

impl Filter {
    /// Tells whether a record passes.
    pub(crate) fn passes(&self, head: &Head<'_>) -> bool {
        let within = |set: &BTreeSet<String>, id: &str| set.is_empty() || set.contains(id);
        within(&self.tenants, &head.tenant)
            && within(&self.stores, &head.store)
            && head.kind.as_ref().is_none_or(|kind| within(&self.kinds, kind))
    }

    pub(crate) fn validate(&self, source: Source) -> Result<(), (&'static str, &'static str)> {
        if source == Source::Deltas && !self.kinds.is_empty() {
            return Err(("filter.kinds", "remove it: deltas have no kind"));
        }
        if self.kinds.iter().any(|kind| !KINDS.contains(&kind.as_str())) {
            return Err(("filter.kinds", "use the kinds of the event's schema, such as `sale`"));
        }
        Ok(())
    }
}

/// Tells whether this version knows a kind of event.
pub(crate) fn is_known_kind(kind: &str) -> bool {
    KINDS.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: Option<&str>) -> Head<'static> {
        Head { tenant: "acme".into(), store: "12".into(), kind: kind.map(str::to_owned) }
    }

    fn filter(kinds: &[&str], tenants: &[&str], stores: &[&str]) -> Filter {
        let set = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect();
        Filter { kinds: set(kinds), tenants: set(tenants), stores: set(stores) }
    }

    #[test]
    fn an_empty_list_lets_everything_pass_and_a_filled_one_only_its_own() {
        assert!(filter(&[], &[], &[]).passes(&head(Some("sale"))));
        assert!(filter(&["sale"], &["acme"], &["12"]).passes(&head(Some("sale"))));
        assert!(!filter(&["return"], &[], &[]).passes(&head(Some("sale"))));
        assert!(!filter(&[], &["other"], &[]).passes(&head(Some("sale"))));
        assert!(!filter(&[], &[], &["13"]).passes(&head(Some("sale"))));
        assert!(filter(&[], &["acme"], &[]).passes(&head(None)));
    }

    #[test]
    fn kinds_that_do_not_exist_or_do_not_apply_are_refused() {
        assert!(filter(&["sales"], &[], &[]).validate(Source::Transactions).is_err());
        assert!(filter(&["sale"], &[], &[]).validate(Source::Deltas).is_err());
        assert!(filter(&["sale"], &[], &[]).validate(Source::Transactions).is_ok());
    }
}
