//! A back end's books.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Examples kept of each kind of fault.
const EXAMPLES: usize = 5;

/// What a back end has stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    /// Texts by their ids.
    records: BTreeMap<String, String>,
    /// Offset of the newest record first stored, by tenant and store.
    newest: BTreeMap<(String, String), i64>,
    /// Records that came again.
    pub(crate) repeats: u64,
    /// Ids that came again with another text.
    pub(crate) altered: Vec<String>,
    /// Ids that were first stored after a later one of their store.
    pub(crate) disordered: Vec<String>,
    /// Calls whose idempotency key was not the id of the one record in them, or absent.
    pub(crate) wrong_keys: Vec<String>,
    /// Bodies that are not what the contract says.
    pub(crate) unreadable: u64,
}

/// What a back end looks at in a record of any shape.
#[derive(Debug, Deserialize)]
pub(crate) struct Head {
    pub(crate) id: String,
    tenant: String,
    store: String,
    offset: Option<i64>,
}

impl Ledger {
    /// Stores a record under its id; returns whether it is new.
    pub(crate) fn store(&mut self, head: &Head, text: &RawValue) -> bool {
        if let Some(stored) = self.records.get(&head.id) {
            self.repeats += 1;
            if stored != text.get() {
                example(&mut self.altered, &head.id);
            }
            return false;
        }
        self.records.insert(head.id.clone(), text.get().to_owned());
        if let Some(offset) = head.offset {
            let newest = self.newest.entry((head.tenant.clone(), head.store.clone())).or_insert(-1);
            if offset <= *newest {
                example(&mut self.disordered, &head.id);
            }
            *newest = (*newest).max(offset);
        }
        true
    }

    /// Notes a call with a wrong idempotency key.
    pub(crate) fn note_wrong_key(&mut self, key: &str) {
        example(&mut self.wrong_keys, key);
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Lists ids and texts.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&str, &str)> {
        self.records.iter().map(|(id, text)| (id.as_str(), text.as_str()))
    }
}

fn example(examples: &mut Vec<String>, id: &str) {
    if examples.len() < EXAMPLES {
        examples.push(id.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(ledger: &mut Ledger, text: &str) -> bool {
        let head: Head = serde_json::from_str(text).unwrap();
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        ledger.store(&head, raw)
    }

    #[test]
    fn a_record_is_new_once_and_faults_are_noted() {
        let mut ledger = Ledger::default();
        let five = r#"{"id":"a","tenant":"t","store":"s","offset":5}"#;
        assert!(store(&mut ledger, five) && !store(&mut ledger, five));
        assert_eq!((ledger.len(), ledger.repeats, ledger.altered.len()), (1, 1, 0));
        assert!(!store(&mut ledger, r#"{"id":"a","tenant":"t","store":"s","offset":6}"#));
        assert_eq!(ledger.altered, ["a"]);
        assert!(store(&mut ledger, r#"{"id":"b","tenant":"t","store":"s","offset":4}"#));
        assert!(store(&mut ledger, r#"{"id":"c","tenant":"t","store":"other","offset":1}"#));
        assert_eq!(ledger.disordered, ["b"]);
    }
}
