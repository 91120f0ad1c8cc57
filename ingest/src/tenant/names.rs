//! The registry of a tenant's store and terminal names, within caps.
//!
//! Only accepted events register their names. Caps per key and per store apply before the tenant's, so that no key can use
//! up the names of the others. Over a cap an event is deferred, not refused: a sale of a new terminal must not be lost
//! because of another sender.
//!
//! A refused event of an unregistered terminal may still leave a marker, or its number would be missing. Such guests have a
//! table of their own, the only one that refused names can fill.

use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;
use tillrace_core::intern::Interner;

use super::settings::TenantSettings;

/// Part of a tenant's caps that one key for all stores may use while there are other keys, percent.
const KEY_PERCENT: u32 = 75;
/// Guests, as a part of the terminals: one in so many; and of a key, one in so many of those.
const GUESTS_PART: u32 = 10;
const KEY_GUESTS_PART: u32 = 4;

/// Kind of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    Stores,
    Terminals,
}

impl NameKind {
    /// Returns its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stores => "stores",
            Self::Terminals => "terminals",
        }
    }
}

/// Scope of a cap on names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CapScope {
    Key,
    Store,
    Tenant,
}

/// A cap on names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameCap {
    pub(crate) named: NameKind,
    pub(crate) of: CapScope,
}

impl NameCap {
    /// Returns the setting that it follows from.
    pub(crate) fn setting(self) -> &'static str {
        match (self.named, self.of) {
            (NameKind::Stores, _) => "max_stores",
            (NameKind::Terminals, CapScope::Store) => "max_terminals_per_store",
            (NameKind::Terminals, CapScope::Key | CapScope::Tenant) => "max_terminals",
        }
    }

    fn bit(self) -> u8 {
        1 << (self.of as u8 + if self.named == NameKind::Stores { 0 } else { 3 })
    }
}

/// The names of one tenant.
#[derive(Debug)]
pub(super) struct NameRegistry {
    stores: Interner,
    terminals: Interner,
    guests: Interner,
    max_stores: u32,
    max_terminals: u32,
    terminals_per_store: u32,
    guests_per_key: u32,
    /// Locked while a new name is registered; registered ones are found without it.
    counts: Mutex<NameCounts>,
    /// Caps that were reached, a bit each.
    met: AtomicU8,
}

#[derive(Debug)]
struct NameCounts {
    /// Terminals of each store, by its id.
    by_store: Vec<u32>,
    by_key: Vec<KeyCounts>,
}

/// Names that a client has registered, and how many stores it may send for; `None` for all.
#[derive(Debug, Default)]
struct KeyCounts {
    stores: u32,
    terminals: u32,
    guests: u32,
    allowed_stores: Option<u32>,
}

impl NameRegistry {
    pub(super) fn new(settings: &TenantSettings) -> Self {
        let guests = settings.max_terminals.div_ceil(GUESTS_PART);
        Self {
            stores: Interner::new(settings.max_stores),
            terminals: Interner::new(settings.max_terminals),
            guests: Interner::new(guests),
            max_stores: settings.max_stores,
            max_terminals: settings.max_terminals,
            terminals_per_store: settings.max_terminals_per_store,
            guests_per_key: guests.div_ceil(KEY_GUESTS_PART),
            counts: Mutex::new(NameCounts { by_store: Vec::new(), by_key: Vec::new() }),
            met: AtomicU8::new(0),
        }
    }

    /// Counts the names of a client from now on; one that is known keeps its counts. `allowed_stores` is `None` for all.
    pub(super) fn set_client(&self, slot: usize, allowed_stores: Option<u32>) {
        let by_key = &mut self.counts.lock().by_key;
        if by_key.len() <= slot {
            by_key.resize_with(slot + 1, KeyCounts::default);
        }
        if let Some(of_key) = by_key.get_mut(slot) {
            of_key.allowed_stores = allowed_stores;
        }
    }

    /// Returns how many stores and terminals a client may register, of so many clients. One for all stores leaves a part to others.
    fn caps(&self, allowed_stores: Option<u32>, clients: usize) -> (u32, u32) {
        let part = |cap: u32| {
            if clients == 1 { cap } else { cap - cap / 100 * (100 - KEY_PERCENT) }
        };
        match allowed_stores {
            Some(stores) => (stores, stores.saturating_mul(self.terminals_per_store)),
            None => (part(self.max_stores), part(self.max_terminals)),
        }
    }

    /// Returns the dense id of a store, if it and its terminal are registered.
    pub(super) fn find(&self, store: &str, terminal: &str) -> Option<u32> {
        let store = self.stores.find(0, store)?;
        self.terminals.find(store, terminal).map(|_terminal| store)
    }

    /// Returns the dense id of a store, and registers it and its terminal for a key.
    ///
    /// # Errors
    /// The [`NameCap`] that a new name exceeds; nothing is registered then.
    pub(super) fn register(&self, key: usize, store: &str, terminal: &str) -> Result<u32, NameCap> {
        if let Some(known) = self.find(store, terminal) {
            return Ok(known);
        }
        let mut counts = self.counts.lock();
        let NameCounts { by_store, by_key } = &mut *counts;
        let known_store = self.stores.find(0, store);
        let (named, capped) = (NameKind::Stores, |named, of| Err(NameCap { named, of }));
        let clients = by_key.len();
        let Some(of_key) = by_key.get_mut(key) else { return capped(named, CapScope::Key) };
        let (max_stores, max_terminals) = self.caps(of_key.allowed_stores, clients);
        if known_store.is_none() && of_key.stores >= max_stores {
            return capped(named, CapScope::Key);
        }
        if known_store.is_none() && self.stores.is_full() {
            return capped(named, CapScope::Tenant);
        }
        let of_store = known_store.and_then(|id| by_store.get(id as usize)).copied().unwrap_or(0);
        let is_new = known_store.is_none_or(|id| self.terminals.find(id, terminal).is_none());
        let named = NameKind::Terminals;
        if is_new && of_key.terminals >= max_terminals {
            return capped(named, CapScope::Key);
        }
        if is_new && of_store >= self.terminals_per_store {
            return capped(named, CapScope::Store);
        }
        let Ok(id) = self.stores.id(0, store) else {
            return capped(NameKind::Stores, CapScope::Tenant);
        };
        if self.terminals.id(id, terminal).is_err() {
            return capped(named, CapScope::Tenant);
        }
        of_key.stores += u32::from(known_store.is_none());
        of_key.terminals += u32::from(is_new);
        if by_store.len() <= id as usize {
            by_store.resize(id as usize + 1, 0);
        }
        if let Some(of_store) = by_store.get_mut(id as usize) {
            *of_store += u32::from(is_new);
        }
        Ok(id)
    }

    /// Tells whether a refused event of an unregistered terminal may leave a marker, and keeps it as a guest.
    pub(super) fn admit_guest(&self, key: usize, store: &str, terminal: &str) -> bool {
        // No id has a control character in it.
        let name = format!("{store}\0{terminal}");
        if self.guests.find(0, &name).is_some() {
            return true;
        }
        let mut counts = self.counts.lock();
        let Some(of_key) = counts.by_key.get_mut(key) else { return false };
        if of_key.guests >= self.guests_per_key || self.guests.id(0, &name).is_err() {
            return false;
        }
        of_key.guests += 1;
        true
    }

    /// Records that a cap was reached; returns true the first time.
    pub(super) fn record_cap(&self, cap: NameCap) -> bool {
        self.met.fetch_or(cap.bit(), Ordering::Relaxed) & cap.bit() == 0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STORE_TERMINALS: NameCap = NameCap { named: NameKind::Terminals, of: CapScope::Store };
    const ALL: usize = 0;
    const ONE_STORE: usize = 1;

    fn names(more: &serde_json::Value) -> NameRegistry {
        let mut settings = json!({"id": "t", "keys": []});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let names = NameRegistry::new(&serde_json::from_value(settings).unwrap());
        names.set_client(ALL, None);
        names.set_client(ONE_STORE, Some(1));
        names
    }

    #[test]
    fn a_store_cannot_use_up_the_terminals_of_its_tenant() {
        let names = names(&json!({"max_terminals": 1_000, "max_terminals_per_store": 3}));
        for terminal in ["1", "2", "3", "2"] {
            assert_eq!(names.register(ONE_STORE, "7", terminal), Ok(0));
        }
        assert_eq!(names.register(ONE_STORE, "7", "4").unwrap_err().of, CapScope::Key);
        assert_eq!(names.register(ALL, "7", "4"), Err(STORE_TERMINALS));
        assert_eq!(names.register(ALL, "8", "4"), Ok(1));
        assert_eq!(names.register(ONE_STORE, "7", "3"), Ok(0));
        assert_eq!(names.find("7", "4"), None, "what was put off takes no place");
    }

    #[test]
    fn a_key_for_all_stores_leaves_a_quarter_to_others() {
        let names = names(&json!({"max_stores": 200, "max_terminals": 400}));
        for store in 0..150_u32 {
            assert_eq!(names.register(ALL, &store.to_string(), "1"), Ok(store));
        }
        let too_many = NameCap { named: NameKind::Stores, of: CapScope::Key };
        assert_eq!(names.register(ALL, "new", "1"), Err(too_many));
        for terminal in 0..150 {
            assert_eq!(names.register(ALL, "7", &format!("t{terminal}")), Ok(7));
        }
        let too_many = NameCap { named: NameKind::Terminals, of: CapScope::Key };
        assert_eq!(
            (names.register(ALL, "7", "new"), too_many.setting()),
            (Err(too_many), "max_terminals")
        );
        assert_eq!(names.register(ONE_STORE, "7", "new"), Ok(7));
    }

    #[test]
    fn guests_take_no_place_and_are_few() {
        let names = names(&json!({"max_terminals": 400}));
        let admitted =
            |key| (0..1_000).filter(|n| names.admit_guest(key, "7", &n.to_string())).count();
        assert_eq!((admitted(ALL), admitted(ALL)), (10, 10), "a quarter of forty");
        assert_eq!(admitted(ONE_STORE), 20, "those of the other key, and as many again");
        assert_eq!(names.terminals.len(), 0);
        assert_eq!(names.register(ONE_STORE, "7", "5"), Ok(0));
    }

    #[test]
    fn a_cap_is_told_once() {
        let names = names(&json!({}));
        assert_eq!(
            [names.record_cap(STORE_TERMINALS), names.record_cap(STORE_TERMINALS)],
            [true, false]
        );
        assert!(names.record_cap(NameCap { named: NameKind::Stores, of: CapScope::Tenant }));
    }
}
