//! The declared filter of a sink: which records are none of its business.
//!
//! What a filter leaves out is audited as `filtered`, so that leaving out is never losing.

use std::collections::BTreeSet;

use serde::Deserialize;
use tillrace_core::event::Kind;

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

impl Filter {
    /// Tells whether a record passes.
    pub(crate) fn passes(&self, head: &Head<'_>) -> bool {
        let within = |set: &BTreeSet<String>, id: &str| set.is_empty() || set.contains(id);
        within(&self.tenants, &head.tenant)
            && within(&self.stores, &head.store)
            && head.kind.is_none_or(|kind| within(&self.kinds, kind.as_str()))
    }

    pub(crate) fn validate(&self, source: Source) -> Result<(), (&'static str, &'static str)> {
        if source == Source::Deltas && !self.kinds.is_empty() {
            return Err(("filter.kinds", "remove it: deltas have no kind"));
        }
        if self.kinds.iter().any(|kind| Kind::parse(kind).is_none()) {
            return Err(("filter.kinds", "use the kinds of the event's schema, such as `sale`"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: Option<Kind>) -> Head<'static> {
        Head { tenant: "acme".into(), store: "12".into(), kind }
    }

    fn filter(kinds: &[&str], tenants: &[&str], stores: &[&str]) -> Filter {
        let set = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect();
        Filter { kinds: set(kinds), tenants: set(tenants), stores: set(stores) }
    }

    #[test]
    fn an_empty_list_lets_everything_pass_and_a_filled_one_only_its_own() {
        assert!(filter(&[], &[], &[]).passes(&head(Some(Kind::Sale))));
        assert!(filter(&["sale"], &["acme"], &["12"]).passes(&head(Some(Kind::Sale))));
        assert!(!filter(&["return"], &[], &[]).passes(&head(Some(Kind::Sale))));
        assert!(!filter(&[], &["other"], &[]).passes(&head(Some(Kind::Sale))));
        assert!(!filter(&[], &[], &["13"]).passes(&head(Some(Kind::Sale))));
        assert!(filter(&[], &["acme"], &[]).passes(&head(None)));
    }

    #[test]
    fn kinds_that_do_not_exist_or_do_not_apply_are_refused() {
        assert!(filter(&["sales"], &[], &[]).validate(Source::Transactions).is_err());
        assert!(filter(&["sale"], &[], &[]).validate(Source::Deltas).is_err());
        assert!(filter(&["sale"], &[], &[]).validate(Source::Transactions).is_ok());
    }
}
