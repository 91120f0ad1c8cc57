//! The registry of a tenant's store and terminal names, within caps.
//!
//! Only accepted events register their names. Caps per key and per store apply before the tenant's, so that no client can use
//! up the names of the others. Over a cap an event is deferred, not refused: a sale of a new terminal must not be lost
//! because of another sender.
//!
//! A refused event of an unregistered terminal may still leave a marker, or its number would be missing. Such guests have a
//! table of their own, the only one that refused names can fill.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

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
    terminals_per_store: AtomicU32,
    /// Terminals of each store, by its id. Locked while a new name is registered; registered ones are found without it.
    by_store: Mutex<Vec<u32>>,
    /// Caps that were reached, a bit each.
    met: AtomicU8,
}

/// Names that a client has registered.
#[derive(Debug, Default)]
pub(super) struct ClientNames(Mutex<ClientCounts>);

#[derive(Debug, Default)]
struct ClientCounts {
    stores: u32,
    terminals: u32,
    guests: u32,
}

/// Names that a client may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientCaps {
    stores: u32,
    terminals: u32,
}

impl ClientCaps {
    /// Derives the caps of a client from those of its tenant; the only client of a tenant may use up its caps.
    ///
    /// A client for listed stores has none of its own: its list bounds its stores, and the cap of each store its terminals. Counting
    /// would hold stores against it that were on its list before.
    pub(super) fn new(settings: &TenantSettings, is_for_all_stores: bool, is_only: bool) -> Self {
        if !is_for_all_stores {
            return Self { stores: u32::MAX, terminals: u32::MAX };
        }
        let part = |cap: u32| {
            if is_only { cap } else { cap - cap / 100 * (100 - KEY_PERCENT) }
        };
        Self { stores: part(settings.max_stores), terminals: part(settings.max_terminals) }
    }
}

impl NameRegistry {
    pub(super) fn new(settings: &TenantSettings) -> Self {
        Self {
            stores: Interner::new(settings.max_stores),
            terminals: Interner::new(settings.max_terminals),
            guests: Interner::new(guests(settings)),
            terminals_per_store: AtomicU32::new(settings.max_terminals_per_store),
            by_store: Mutex::default(),
            met: AtomicU8::new(0),
        }
    }

    /// Takes the caps of other settings. Names above lower ones stay.
    pub(super) fn set_caps(&self, settings: &TenantSettings) {
        self.stores.set_limit(settings.max_stores);
        self.terminals.set_limit(settings.max_terminals);
        self.guests.set_limit(guests(settings));
        self.terminals_per_store.store(settings.max_terminals_per_store, Ordering::Relaxed);
        self.met.store(0, Ordering::Relaxed);
    }

    /// Returns the dense id of a store, if it and its terminal are registered.
    pub(super) fn find(&self, store: &str, terminal: &str) -> Option<u32> {
        let store = self.stores.find(0, store)?;
        self.terminals.find(store, terminal).map(|_terminal| store)
    }

    /// Returns the dense id of a store, and registers it and its terminal for a client.
    ///
    /// # Errors
    /// The [`NameCap`] that a new name exceeds; nothing is registered then.
    pub(super) fn register(
        &self,
        (client, caps): (&ClientNames, ClientCaps),
        store: &str,
        terminal: &str,
    ) -> Result<u32, NameCap> {
        if let Some(known) = self.find(store, terminal) {
            return Ok(known);
        }
        let mut by_store = self.by_store.lock();
        let mut of_client = client.0.lock();
        let known_store = self.stores.find(0, store);
        let (named, capped) = (NameKind::Stores, |named, of| Err(NameCap { named, of }));
        if known_store.is_none() && of_client.stores >= caps.stores {
            return capped(named, CapScope::Key);
        }
        if known_store.is_none() && self.stores.is_full() {
            return capped(named, CapScope::Tenant);
        }
        let of_store = known_store.and_then(|id| by_store.get(id as usize)).copied().unwrap_or(0);
        let is_new = known_store.is_none_or(|id| self.terminals.find(id, terminal).is_none());
        let named = NameKind::Terminals;
        if is_new && of_client.terminals >= caps.terminals {
            return capped(named, CapScope::Key);
        }
        if is_new && of_store >= self.terminals_per_store.load(Ordering::Relaxed) {
            return capped(named, CapScope::Store);
        }
        let Ok(id) = self.stores.id(0, store) else {
            return capped(NameKind::Stores, CapScope::Tenant);
        };
        if self.terminals.id(id, terminal).is_err() {
            return capped(named, CapScope::Tenant);
        }
        of_client.stores += u32::from(known_store.is_none());
        of_client.terminals += u32::from(is_new);
        if by_store.len() <= id as usize {
            by_store.resize(id as usize + 1, 0);
        }
        if let Some(of_store) = by_store.get_mut(id as usize) {
            *of_store += u32::from(is_new);
        }
        Ok(id)
    }

    /// Tells whether a refused event of an unregistered terminal may leave a marker, and keeps it as a guest.
    pub(super) fn admit_guest(&self, client: &ClientNames, store: &str, terminal: &str) -> bool {
        // No id has a control character in it.
        let name = format!("{store}\0{terminal}");
        if self.guests.find(0, &name).is_some() {
            return true;
        }
        let mut of_client = client.0.lock();
        let guests_per_client = self.guests.limit().div_ceil(KEY_GUESTS_PART);
        if of_client.guests >= guests_per_client || self.guests.id(0, &name).is_err() {
            return false;
        }
        of_client.guests += 1;
        true
    }

    /// Records that a cap was reached; returns true the first time.
    pub(super) fn record_cap(&self, cap: NameCap) -> bool {
        self.met.fetch_or(cap.bit(), Ordering::Relaxed) & cap.bit() == 0
    }
}

fn guests(settings: &TenantSettings) -> u32 {
    settings.max_terminals.div_ceil(GUESTS_PART)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STORE_TERMINALS: NameCap = NameCap { named: NameKind::Terminals, of: CapScope::Store };

    /// The names of a tenant, with a client for all stores and one for store 7.
    struct Clients {
        names: NameRegistry,
        all: (ClientNames, ClientCaps),
        narrow: (ClientNames, ClientCaps),
    }

    fn clients(more: &serde_json::Value) -> Clients {
        let mut settings = json!({"id": "t", "keys": []});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let settings: TenantSettings = serde_json::from_value(settings).unwrap();
        let of =
            |is_for_all| (ClientNames::default(), ClientCaps::new(&settings, is_for_all, false));
        Clients { names: NameRegistry::new(&settings), all: of(true), narrow: of(false) }
    }

    impl Clients {
        fn all(&self, store: &str, terminal: &str) -> Result<u32, NameCap> {
            self.names.register((&self.all.0, self.all.1), store, terminal)
        }

        fn narrow(&self, store: &str, terminal: &str) -> Result<u32, NameCap> {
            self.names.register((&self.narrow.0, self.narrow.1), store, terminal)
        }
    }

    #[test]
    fn a_store_cannot_use_up_the_terminals_of_its_tenant() {
        let names = clients(&json!({"max_terminals": 1_000, "max_terminals_per_store": 3}));
        for terminal in ["1", "2", "3", "2"] {
            assert_eq!(names.narrow("7", terminal), Ok(0));
        }
        assert_eq!(names.narrow("7", "4"), Err(STORE_TERMINALS));
        assert_eq!(names.all("7", "4"), Err(STORE_TERMINALS));
        assert_eq!(names.all("8", "4"), Ok(1));
        assert_eq!(names.narrow("7", "3"), Ok(0));
        assert_eq!(names.names.find("7", "4"), None, "what was put off takes no place");
    }

    /// Its list was another one before each of them.
    #[test]
    fn stores_that_left_a_clients_list_are_not_held_against_it() {
        let names = clients(&json!({"max_terminals_per_store": 1}));
        for (id, store) in (0..).zip(["13", "12", "11"]) {
            assert_eq!(names.narrow(store, "1"), Ok(id), "{store}");
        }
    }

    #[test]
    fn a_key_for_all_stores_leaves_a_quarter_to_others() {
        let names = clients(&json!({"max_stores": 200, "max_terminals": 400}));
        for store in 0..150_u32 {
            assert_eq!(names.all(&store.to_string(), "1"), Ok(store));
        }
        let too_many = NameCap { named: NameKind::Stores, of: CapScope::Key };
        assert_eq!(names.all("new", "1"), Err(too_many));
        for terminal in 0..150 {
            assert_eq!(names.all("7", &format!("t{terminal}")), Ok(7));
        }
        let too_many = NameCap { named: NameKind::Terminals, of: CapScope::Key };
        assert_eq!((names.all("7", "new"), too_many.setting()), (Err(too_many), "max_terminals"));
        assert_eq!(names.narrow("7", "new"), Ok(7));
    }

    #[test]
    fn guests_take_no_place_and_are_few() {
        let names = clients(&json!({"max_terminals": 400}));
        let admitted = |client: &ClientNames| {
            (0..1_000).filter(|n| names.names.admit_guest(client, "7", &n.to_string())).count()
        };
        let (all, narrow) = (&names.all.0, &names.narrow.0);
        assert_eq!((admitted(all), admitted(all)), (10, 10), "a quarter of forty");
        assert_eq!(admitted(narrow), 20, "those of the other key, and as many again");
        assert_eq!(names.names.terminals.len(), 0);
        assert_eq!(names.narrow("7", "5"), Ok(0));
    }

    #[test]
    fn a_cap_is_told_once() {
        let names = clients(&json!({}));
        assert_eq!(
            [names.names.record_cap(STORE_TERMINALS), names.names.record_cap(STORE_TERMINALS)],
            [true, false]
        );
        assert!(names.names.record_cap(NameCap { named: NameKind::Stores, of: CapScope::Tenant }));
    }
}
