//! Mappings: how the text of a parked event is mended before it is readmitted.
//!
//! A mapping is a list of steps, each a rename, a constant or a table, at a JSON pointer (RFC 6901) in which `*` stands for every
//! element of a list. What identifies an event is out of its reach: a mended event is the same event. It knows neither files nor
//! the log; the command line reads it and records what it did.
//!
//! What no step names is written again as it stands in the text, digit by digit.

mod node;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::node::{Members, Node};

/// Most steps of a mapping.
const MAX_STEPS: usize = 256;
/// Most bytes of a mapping as JSON: it is a record on the journal of each store that it mends.
const MAX_BYTES: usize = 64 * 1024;
/// Members that say which event it is, and the loyalty id, which a tenant may have hashed before anything stores it.
const OUT_OF_REACH: [&str; 8] =
    ["tenant", "store", "terminal", "epoch", "sequence", "event_id", "business_date", "loyalty_id"];

/// A list of steps, done in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mapping {
    steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    /// Gives a member another name, in the object where it stands. Where the object has a member of that name the event then
    /// names it twice, which breaks a rule: nothing is overwritten.
    Rename { at: String, to: String },
    /// Gives a member a value where it is absent or null, or always.
    Set {
        at: String,
        to: Value,
        #[serde(default)]
        always: bool,
    },
    /// Replaces a text by what the table has for it; texts that it does not have stay.
    Replace { at: String, table: BTreeMap<String, Value> },
    /// Takes a member out.
    Remove { at: String },
}

/// Why a mapping cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// It has no step, or too many.
    #[error("a mapping has 1 to {MAX_STEPS} steps, this one has {0}")]
    Length(usize),
    /// Its constants and tables are too large.
    #[error("a mapping has at most {MAX_BYTES} bytes as JSON, this one has {0}")]
    Size(usize),
    /// A step's pointer is none, or names the whole event.
    #[error("step {step}: `{at}` is no JSON pointer to a member; write it as /lines/*/type")]
    Pointer {
        /// Its number, from 1.
        step: usize,
        /// The pointer.
        at: String,
    },
    /// A step would change which event it is.
    #[error(
        "step {step}: `{at}` is part of the event's identity, or the loyalty id, which no mapping changes"
    )]
    Identity {
        /// Its number, from 1.
        step: usize,
        /// The pointer.
        at: String,
    },
}

impl Step {
    fn at(&self) -> &str {
        match self {
            Self::Rename { at, .. }
            | Self::Set { at, .. }
            | Self::Replace { at, .. }
            | Self::Remove { at } => at,
        }
    }

    /// Names of the event's own members that it changes.
    fn is_about_identity(&self, path: &[String]) -> bool {
        let renamed = match self {
            Self::Rename { to, .. } => Some(to.as_str()),
            Self::Set { .. } | Self::Replace { .. } | Self::Remove { .. } => None,
        };
        let first = path.first().map(String::as_str);
        let named = first.into_iter().chain(renamed.filter(|_| path.len() == 1));
        named.into_iter().any(|name| OUT_OF_REACH.contains(&name) || name == "*")
    }

    fn apply(&self, object: &mut Members<'_>, name: &str) {
        match self {
            Self::Rename { to, .. } => object.rename(name, to),
            Self::Set { to, always, .. } => match object.get_mut(name) {
                None => object.push(name, Node::Given(to.clone())),
                Some(value) if *always || value.is_null() => *value = Node::Given(to.clone()),
                Some(_) => {}
            },
            Self::Replace { table, .. } => {
                if let Some(value) = object.get_mut(name)
                    && let Some(other) = value.string().and_then(|text| table.get(&text))
                {
                    *value = Node::Given(other.clone());
                }
            }
            Self::Remove { .. } => object.remove(name),
        }
    }
}

impl Mapping {
    /// Checks a mapping before its first use.
    ///
    /// # Errors
    /// The first step that cannot be done.
    pub fn validate(&self) -> Result<(), MappingError> {
        if !(1..=MAX_STEPS).contains(&self.steps.len()) {
            return Err(MappingError::Length(self.steps.len()));
        }
        let bytes = serde_json::to_vec(self).map_or(0, |json| json.len());
        if bytes > MAX_BYTES {
            return Err(MappingError::Size(bytes));
        }
        for (step, done) in (1..).zip(&self.steps) {
            let at = done.at().to_owned();
            let Some(path) = path_of(&at) else { return Err(MappingError::Pointer { step, at }) };
            if done.is_about_identity(&path) {
                return Err(MappingError::Identity { step, at });
            }
        }
        Ok(())
    }

    /// Mends the text of an event; returns it as it was if it is no JSON object.
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let Some(mut event) = Node::read(text) else { return text.to_vec() };
        for step in &self.steps {
            let path = path_of(step.at()).unwrap_or_default();
            follow(&mut event, &path, step);
        }
        serde_json::to_vec(&event).unwrap_or_else(|_| text.to_vec())
    }
}

/// Splits a pointer to a member; `None` if it is none.
fn path_of(pointer: &str) -> Option<Vec<String>> {
    let path: Vec<String> = pointer
        .strip_prefix('/')?
        .split('/')
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    path.iter().all(|part| !part.is_empty()).then_some(path)
}

/// Does a step at every member that a path names.
fn follow(value: &mut Node<'_>, path: &[String], step: &Step) {
    let Some((name, rest)) = path.split_first() else { return };
    value.open();
    match (value, rest) {
        (Node::Array(elements), rest) => {
            if name == "*" {
                for element in elements {
                    follow(element, rest, step);
                }
            } else if let Some(element) =
                name.parse().ok().and_then(|index: usize| elements.get_mut(index))
            {
                follow(element, rest, step);
            }
        }
        (Node::Object(object), []) => step.apply(object, name),
        (Node::Object(object), rest) => {
            if let Some(member) = object.get_mut(name) {
                follow(member, rest, step);
            }
        }
        (Node::Text(_) | Node::Given(_), _) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn mapping(steps: Value) -> Mapping {
        serde_json::from_value(steps).unwrap()
    }

    fn mended(steps: Value, event: &Value) -> Value {
        let mapping = mapping(steps);
        mapping.validate().unwrap();
        serde_json::from_slice(&mapping.apply(&serde_json::to_vec(event).unwrap())).unwrap()
    }

    #[test]
    fn each_step_changes_what_it_names() {
        let event = json!({"kind": "drone", "sum": "5", "lines": [{"type": "a"}, {"type": "b", "x": null}]});
        for (steps, expected) in [
            (
                json!([{"rename": {"at": "/sum", "to": "amount"}}]),
                json!({"kind": "drone", "amount": "5", "lines": [{"type": "a"}, {"type": "b", "x": null}]}),
            ),
            (
                json!([{"replace": {"at": "/kind", "table": {"drone": "sale"}}}, {"remove": {"at": "/lines"}}]),
                json!({"kind": "sale", "sum": "5"}),
            ),
            (
                json!([{"replace": {"at": "/lines/*/type", "table": {"a": "sale"}}}, {"set": {"at": "/lines/*/x", "to": 1}}]),
                json!({"kind": "drone", "sum": "5", "lines": [{"type": "sale", "x": 1}, {"type": "b", "x": 1}]}),
            ),
            (
                json!([{"set": {"at": "/sum", "to": "6"}}, {"set": {"at": "/lines/1/type", "to": "c", "always": true}}]),
                json!({"kind": "drone", "sum": "5", "lines": [{"type": "a"}, {"type": "c", "x": null}]}),
            ),
            (json!([{"remove": {"at": "/nothing/here"}}]), event.clone()),
        ] {
            assert_eq!(mended(steps.clone(), &event), expected, "{steps}");
        }
    }

    #[test]
    fn identity_and_the_whole_event_are_out_of_reach() {
        for (steps, code) in [
            (json!([]), "Length"),
            (json!([{"remove": {"at": "lines"}}]), "Pointer"),
            (json!([{"remove": {"at": ""}}]), "Pointer"),
            (json!([{"remove": {"at": "/lines//type"}}]), "Pointer"),
            (json!([{"set": {"at": "/store", "to": "1"}}]), "Identity"),
            (json!([{"set": {"at": "/*", "to": "1"}}]), "Identity"),
            (json!([{"rename": {"at": "/sum", "to": "sequence"}}]), "Identity"),
            (json!([{"rename": {"at": "/card_no", "to": "loyalty_id"}}]), "Identity"),
        ] {
            let error = mapping(steps.clone()).validate().unwrap_err();
            assert!(format!("{error:?}").starts_with(code), "{steps}: {error:?}");
        }
        let nested = json!([{"set": {"at": "/reference/store", "to": "1"}}]);
        assert_eq!(mapping(nested).validate(), Ok(()));
        assert!(serde_json::from_value::<Mapping>(json!([{"drop": {"at": "/x"}}])).is_err());
    }

    #[test]
    fn what_no_step_names_keeps_its_digits_and_its_place() {
        let steps = json!([
            {"set": {"at": "/z", "to": {}}}, {"set": {"at": "/z/y", "to": [true]}},
            {"replace": {"at": "/lines/*/type", "table": {"\u{e9}": "sale"}}}, {"rename": {"at": "/b", "to": "a"}},
        ]);
        let text = r#"{"b":1.10,"a":0.30000000000000000001,"lines":[{"n":12345678901234567890123,"type":"\u00e9"}, 1e2]}"#;
        let expected = r#"{"a":1.10,"a":0.30000000000000000001,"lines":[{"n":12345678901234567890123,"type":"sale"},1e2],"z":{"y":[true]}}"#;
        let mended = mapping(steps).apply(text.as_bytes());
        assert_eq!(String::from_utf8(mended).unwrap(), expected);
    }

    #[test]
    fn a_table_is_bounded() {
        let mapping = mapping(json!([{"set": {"at": "/note", "to": "x".repeat(MAX_BYTES)}}]));
        assert!(matches!(mapping.validate(), Err(MappingError::Size(_))));
    }

    proptest! {
        #[test]
        fn a_step_that_changes_nothing_leaves_the_value(number in any::<f64>(), text in ".{0,9}") {
            prop_assume!(number.is_finite());
            let event = json!({"lines": [{"a": number, "b": text}, null], "c": {"d": text}});
            let steps = json!([
                {"remove": {"at": "/lines/*/x"}}, {"rename": {"at": "/c/x", "to": "y"}},
                {"set": {"at": "/c/d", "to": 1}},
            ]);
            let text = serde_json::to_vec(&event).unwrap();
            prop_assert_eq!(mapping(steps).apply(&text), text);
        }

        #[test]
        fn a_mapping_keeps_who_it_is_about(
            at in "/(lines|kind|sum)(/(\\*|type|0)){0,2}", to in "[a-z_]{1,9}", number in 0..9_u64,
        ) {
            let event = json!({
                "store": "1", "terminal": "2", "sequence": number, "event_id": "e", "kind": "x",
                "business_date": "2026-11-27", "lines": [{"type": "a"}, 7], "sum": {"type": "t"},
            });
            let mapping = mapping(json!([
                {"rename": {"at": at, "to": to}}, {"set": {"at": at, "to": to, "always": true}},
            ]));
            if mapping.validate().is_ok() {
                let text = mapping.apply(&serde_json::to_vec(&event).unwrap());
                let mended: Value = serde_json::from_slice(&text).unwrap();
                for name in ["store", "terminal", "sequence", "event_id", "business_date"] {
                    prop_assert_eq!(&mended[name], &event[name]);
                }
            }
        }
    }
}
