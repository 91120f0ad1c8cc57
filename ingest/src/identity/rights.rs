//! Rights of a client, ready to be asked for each event: scopes, stores, terminals.

use std::collections::{HashMap, HashSet};

use super::client_settings::ClientSettings;
use super::scope::Scope;
use super::source::source_of;

/// What a client may do, and for whom.
#[derive(Debug)]
pub(crate) struct Rights {
    scopes: Vec<Scope>,
    /// `None` stands for all stores.
    stores: Option<HashSet<String>>,
    /// By store; `None` stands for all terminals of its stores.
    terminals: Option<HashMap<String, HashSet<String>>>,
}

impl Rights {
    pub(crate) fn of(settings: &ClientSettings) -> Self {
        let stores = (!settings.is_for_all_stores()).then(|| settings.stores.iter().cloned());
        let mut terminals: HashMap<String, HashSet<String>> = HashMap::new();
        for (store, terminal) in settings.terminals.iter().filter_map(|named| source_of(named)) {
            terminals.entry(store).or_default().insert(terminal);
        }
        Self {
            scopes: settings.scopes.clone(),
            stores: stores.map(Iterator::collect),
            terminals: (!settings.terminals.is_empty()).then_some(terminals),
        }
    }

    /// Tells whether a scope was granted.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Tells whether it may send for a store.
    pub(crate) fn holds_store(&self, store: &str) -> bool {
        self.stores.as_ref().is_none_or(|stores| stores.contains(store))
    }

    /// Tells whether it may send for a terminal of a store that it may send for.
    pub(crate) fn holds_terminal(&self, store: &str, terminal: &str) -> bool {
        let Some(terminals) = &self.terminals else { return true };
        terminals.get(store).is_some_and(|of_store| of_store.contains(terminal))
    }

    /// Tells whether it may send for any store.
    pub(crate) fn is_for_all_stores(&self) -> bool {
        self.stores.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_what_is_listed_and_no_more() {
        let of = |value| Rights::of(&serde_json::from_value(value).unwrap());
        let narrow = of(serde_json::json!({
            "name": "c", "keys": [], "stores": ["7", "8"], "terminals": ["7/1", "8/2"], "scopes": ["query:read"],
        }));
        assert!(narrow.has(Scope::QueryRead) && !narrow.has(Scope::EventsWrite));
        assert!(narrow.holds_store("8") && !narrow.holds_store("9") && !narrow.holds_store("*"));
        assert!(narrow.holds_terminal("8", "2") && !narrow.holds_terminal("8", "1"));
        assert!(!narrow.is_for_all_stores());
        let wide = of(serde_json::json!({"name": "c", "keys": [], "stores": ["*"]}));
        assert!(wide.holds_store("9") && wide.holds_terminal("9", "1") && wide.is_for_all_stores());
        assert!(wide.has(Scope::EventsWrite) && !wide.has(Scope::Admin));
    }
}
