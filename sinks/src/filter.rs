//! The declared filter of a sink: which records are none of its business.
//!
//! What a filter leaves out is audited as `filtered`, so that leaving out is never losing.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use tillrace_core::event::Kind;
use tillrace_core::text::check_id;
use tillrace_log::setting::Inspection;

use crate::record::{Head, Source};

/// What passes. An empty list lets everything pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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

    /// Notes what cannot be.
    pub(crate) fn inspect(&self, source: Source, found: &mut Inspection) {
        found.require(
            source != Source::Deltas || self.kinds.is_empty(),
            "kinds",
            "can filter nothing here: deltas have no kind",
            "remove it",
        );
        for kind in self.kinds.iter().filter(|kind| Kind::parse(kind).is_none()) {
            found.error(
                "kinds",
                format!("`{kind}` is no kind of event"),
                "use the kinds of the event's schema, such as `sale`",
            );
        }
        for id in self.tenants.iter().chain(&self.stores).filter(|id| check_id(id).is_err()) {
            let key = if self.tenants.contains(id) { "tenants" } else { "stores" };
            found.error(key, format!("{id:?} is no id"), "write ids of 1 to 64 bytes");
        }
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
        let faults = |filter: Filter, source| {
            let mut found = Inspection::default();
            filter.inspect(source, &mut found);
            found.errors().len()
        };
        assert_eq!(faults(filter(&["sales", "x-own"], &[], &[]), Source::Transactions), 2);
        assert_eq!(faults(filter(&["sale"], &[], &[]), Source::Deltas), 1);
        assert_eq!(faults(filter(&["sale"], &[], &[]), Source::Transactions), 0);
        assert_eq!(faults(filter(&[], &["a\n"], &[""]), Source::Deltas), 2);
    }
}
