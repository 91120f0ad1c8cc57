//! Stores and terminals that a thread met lately.
//!
//! Names of a tenant are never forgotten and keep their ids, so what a thread has seen once it need not ask the shared
//! [`Interner`](tillrace_core::intern::Interner) for again: most events look their store up without a lock.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::tenant::{Cap, Tenant};

/// Names kept; one that falls on another's place takes it. A power of two.
const PLACES: usize = 1 << 12;

/// A thread's own table of names.
#[derive(Default)]
pub(super) struct Known {
    places: Vec<Place>,
}

#[derive(Default, Clone)]
struct Place {
    tenant: u64,
    store: String,
    terminal: String,
    id: u32,
}

impl Known {
    /// Returns the dense id of a store, as [`Tenant::know`] does.
    ///
    /// # Errors
    /// The [`Cap`] that keeps a new name out.
    pub(super) fn store(
        &mut self,
        tenant: &Tenant,
        store: &str,
        terminal: &str,
    ) -> Result<u32, Cap> {
        if self.places.is_empty() {
            self.places.resize(PLACES, Place::default());
        }
        let hash = xxh3_64_with_seed(terminal.as_bytes(), xxh3_64(store.as_bytes()));
        #[expect(clippy::cast_possible_truncation, reason = "the low bits choose a place")]
        let Some(place) = self.places.get_mut(hash as usize % PLACES) else {
            return tenant.know(store, terminal);
        };
        // No tenant has the serial 0 of an empty place.
        if place.tenant != tenant.serial || place.store != store || place.terminal != terminal {
            place.id = tenant.know(store, terminal)?;
            place.tenant = tenant.serial;
            store.clone_into(&mut place.store);
            terminal.clone_into(&mut place.terminal);
        }
        Ok(place.id)
    }
}
