//! Stores and terminals that a thread met lately.
//!
//! Names of a tenant are never forgotten and keep their ids, so what a thread has seen once it need not ask the shared
//! [`Interner`](tillrace_core::intern::Interner) for again: most events find their store without a lock or an allocation.

use tillrace_core::log::Partition;
use tillrace_core::topics::{key, partition_of};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::tenant::{Cap, Tenant};

/// Terminals kept; one that falls on another's place takes it. A power of two.
const PLACES: usize = 1 << 12;

/// A thread's own table of terminals.
#[derive(Default)]
pub(super) struct Known {
    places: Vec<Place>,
}

#[derive(Default, Clone)]
struct Place {
    tenant: u64,
    store: String,
    terminal: String,
    home: Home,
}

/// Where the events of a store belong.
#[derive(Debug, Default, Clone)]
pub(super) struct Home {
    /// Dense id of the store.
    pub(super) store: u32,
    /// Key of its records.
    pub(super) key: String,
    pub(super) partition: Partition,
}

impl Home {
    /// Finds out where a store's records belong, be it known or not.
    pub(super) fn of(tenant: &Tenant, store: &str, partitions: Partition) -> Self {
        let tenant = &tenant.settings.id;
        let partition = partition_of(tenant, store, partitions);
        Self { store: 0, key: key(&[tenant, store]), partition }
    }
}

impl Known {
    /// Returns the home of a terminal's events.
    ///
    /// # Errors
    /// The [`Cap`] that keeps a new name out.
    pub(super) fn home(
        &mut self,
        tenant: &Tenant,
        [store, terminal]: [&str; 2],
        partitions: Partition,
    ) -> Result<&Home, Cap> {
        if self.places.is_empty() {
            self.places.resize(PLACES, Place::default());
        }
        let hash = xxh3_64_with_seed(terminal.as_bytes(), xxh3_64(store.as_bytes()));
        #[expect(clippy::cast_possible_truncation, reason = "the low bits choose a place")]
        let place = &mut self.places[hash as usize % PLACES];
        // No tenant has the serial 0 of an empty place.
        if place.tenant != tenant.serial || place.store != store || place.terminal != terminal {
            let number = tenant.know(store, terminal)?;
            *place = Place {
                tenant: tenant.serial,
                store: store.to_owned(),
                terminal: terminal.to_owned(),
                home: Home { store: number, ..Home::of(tenant, store, partitions) },
            };
        }
        Ok(&place.home)
    }
}
