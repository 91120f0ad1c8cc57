//! The declared filter of a sink: which records it delivers.
//!
//! Filtered records are audited as `filtered`, so that a filtered record is never taken for a lost one.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use tillrace_core::event::Kind;
use tillrace_core::text::check_id;
use tillrace_log::setting::Inspection;

use crate::omit::OMITTABLE;
use crate::record::{RecordHeader, SourceTopic};

/// The records that pass. An empty list lets everything pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Kinds of event, by their wire names; for transactions only.
    pub kinds: BTreeSet<String>,
    /// Tenants.
    pub tenants: BTreeSet<String>,
    /// Stores, by their ids within the tenant.
    pub stores: BTreeSet<String>,
    /// Members of the event that the sink does not get, such as `loyalty_id`; for transactions only.
    pub omit: BTreeSet<String>,
}

impl Filter {
    /// Tells whether a record passes.
    pub(crate) fn passes(&self, header: &RecordHeader<'_>) -> bool {
        let within = |set: &BTreeSet<String>, id: &str| set.is_empty() || set.contains(id);
        within(&self.tenants, &header.tenant)
            && within(&self.stores, &header.store)
            && header.kind.is_none_or(|kind| within(&self.kinds, kind.as_str()))
    }

    /// Reports invalid settings.
    ///
    /// `needs` are the members that the connector cannot do without.
    pub(crate) fn inspect(&self, source: SourceTopic, needs: &[&str], found: &mut Inspection) {
        found.require(
            source != SourceTopic::Deltas || self.omit.is_empty(),
            "omit",
            "has no effect here: deltas hold no event",
            "remove it",
        );
        for name in self.omit.iter().map(String::as_str) {
            if needs.contains(&name) {
                found.error(
                    "omit",
                    format!("the connector needs `{name}`"),
                    "remove it from the list",
                );
            } else if !OMITTABLE.contains(&name) {
                let remedy = format!("use some of {}", OMITTABLE.join(", "));
                found.error("omit", format!("`{name}` cannot be left out"), remedy);
            }
        }
        found.require(
            source != SourceTopic::Deltas || self.kinds.is_empty(),
            "kinds",
            "has no effect here: deltas have no kind",
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

    fn header(kind: Option<Kind>) -> RecordHeader<'static> {
        RecordHeader { tenant: "acme".into(), store: "12".into(), kind }
    }

    fn filter(kinds: &[&str], tenants: &[&str], stores: &[&str]) -> Filter {
        let set = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect();
        Filter {
            kinds: set(kinds),
            tenants: set(tenants),
            stores: set(stores),
            ..Filter::default()
        }
    }

    #[test]
    fn an_empty_list_lets_everything_pass_and_a_filled_one_only_its_own() {
        assert!(filter(&[], &[], &[]).passes(&header(Some(Kind::Sale))));
        assert!(filter(&["sale"], &["acme"], &["12"]).passes(&header(Some(Kind::Sale))));
        assert!(!filter(&["return"], &[], &[]).passes(&header(Some(Kind::Sale))));
        assert!(!filter(&[], &["other"], &[]).passes(&header(Some(Kind::Sale))));
        assert!(!filter(&[], &[], &["13"]).passes(&header(Some(Kind::Sale))));
        assert!(filter(&[], &["acme"], &[]).passes(&header(None)));
    }

    #[test]
    fn kinds_that_do_not_exist_or_do_not_apply_are_refused() {
        let faults = |filter: Filter, source| {
            let mut found = Inspection::default();
            filter.inspect(source, &["person"], &mut found);
            found.errors().len()
        };
        assert_eq!(faults(filter(&["sales", "x-own"], &[], &[]), SourceTopic::Transactions), 2);
        assert_eq!(faults(filter(&["sale"], &[], &[]), SourceTopic::Deltas), 1);
        assert_eq!(faults(filter(&["sale"], &[], &[]), SourceTopic::Transactions), 0);
        assert_eq!(faults(filter(&[], &["a\n"], &[""]), SourceTopic::Deltas), 2);
        let omitting =
            |name: &str| Filter { omit: BTreeSet::from([name.to_owned()]), ..Filter::default() };
        for (name, source, count) in [
            ("loyalty_id", SourceTopic::Transactions, 0),
            ("loyalty_id", SourceTopic::Deltas, 1),
            ("loyaltyid", SourceTopic::Transactions, 1),
            ("amount", SourceTopic::Transactions, 1),
            ("person", SourceTopic::Transactions, 1),
        ] {
            assert_eq!(faults(omitting(name), source), count, "{name}");
        }
    }
}
