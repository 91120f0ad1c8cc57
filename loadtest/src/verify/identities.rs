//! Identities of the sender's events, as found on the topics: one bit each.

use std::collections::HashMap;

use crate::source::{Directory, TerminalIndex};

/// A set of identities.
#[derive(Debug, Default)]
pub(super) struct IdentitySet {
    terminals: HashMap<TerminalIndex, Vec<u64>>,
}

impl IdentitySet {
    /// Adds an identity; returns whether it is new.
    pub(super) fn insert(&mut self, (terminal, sequence): Identity) -> bool {
        let Ok(word) = usize::try_from(sequence / 64) else { return false };
        let words = self.terminals.entry(terminal).or_default();
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        let bit = 1 << (sequence % 64);
        let new = words[word] & bit == 0;
        words[word] |= bit;
        new
    }

    /// Tells whether the set holds an identity.
    pub(super) fn contains(&self, (terminal, sequence): Identity) -> bool {
        let word = usize::try_from(sequence / 64).ok();
        word.zip(self.terminals.get(&terminal))
            .and_then(|(word, words)| words.get(word))
            .is_some_and(|bits| bits & (1 << (sequence % 64)) != 0)
    }
}

/// A terminal of the directory, and one of its numbers.
pub(super) type Identity = (TerminalIndex, u64);

/// Finds the sender's terminals by their names on the topics.
#[derive(Debug)]
pub(super) struct TerminalLookup {
    stores: HashMap<String, HashMap<String, TerminalIndex>>,
    epoch: Option<String>,
}

impl TerminalLookup {
    pub(super) fn new(directory: &Directory) -> Self {
        let mut stores: HashMap<String, HashMap<String, TerminalIndex>> = HashMap::new();
        for (index, terminal) in (0..).zip(&directory.terminals) {
            let store = directory.stores[terminal.store as usize].clone();
            stores.entry(store).or_default().insert(terminal.name.clone(), index);
        }
        Self { stores, epoch: directory.epoch.clone() }
    }

    /// Tells whether the sender has such a store.
    pub(super) fn has_store(&self, store: &str) -> bool {
        self.stores.contains_key(store)
    }

    /// Finds a terminal; returns `None` if it is not the sender's or has another epoch. The epoch ends
    /// with the date for a tenant whose numbers start anew every day.
    pub(super) fn find(
        &self,
        store: &str,
        terminal: &str,
        epoch: Option<&str>,
    ) -> Option<TerminalIndex> {
        let epoch = epoch.filter(|epoch| !epoch.is_empty());
        let same = match (self.epoch.as_deref(), epoch) {
            (None, None) => true,
            (None, Some(theirs)) => is_date(theirs),
            (Some(ours), Some(theirs)) => theirs
                .strip_prefix(ours)
                .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('@').is_some_and(is_date)),
            (Some(_), None) => false,
        };
        same.then(|| self.stores.get(store)?.get(terminal).copied()).flatten()
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Terminal;

    #[test]
    fn an_identity_is_new_once() {
        let mut seen = IdentitySet::default();
        assert!(seen.insert((2, 64)) && !seen.insert((2, 64)));
        assert!(seen.contains((2, 64)) && !seen.contains((2, 65)) && !seen.contains((1, 64)));
    }

    #[test]
    fn terminals_are_found_by_store_name_and_epoch() {
        let directory = Directory {
            stores: vec!["s1".into(), "s2".into()],
            terminals: [0, 1].map(|store| Terminal { store, name: "t1".into() }).into(),
            skus: Vec::new(),
            epoch: Some("e".into()),
        };
        let terminals = TerminalLookup::new(&directory);
        assert_eq!(terminals.find("s2", "t1", Some("e")), Some(1));
        assert_eq!(terminals.find("s2", "t1", Some("e@2026-11-27")), Some(1));
        assert_eq!(terminals.find("s2", "t1", Some("e2")), None);
        assert_eq!(terminals.find("s2", "t1", None), None);
        assert_eq!(terminals.find("s2", "t2", Some("e")), None);
        let plain = TerminalLookup::new(&Directory { epoch: None, ..directory });
        assert_eq!(plain.find("s1", "t1", None), Some(0));
        assert_eq!(plain.find("s1", "t1", Some("2026-11-27")), Some(0));
        assert_eq!(plain.find("s1", "t1", Some("other")), None);
    }
}
