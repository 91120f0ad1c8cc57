//! What a caller pays for text: before it is looked at, as far as that can be.
//!
//! Whatever a body holds is paid for by its bytes, and each event with a token besides, to the tenant and to the key. That
//! is taken for a whole chunk before any of it is decoded, so that nobody can have more work done than his rates allow.
//! An event that turns out to be a known duplicate, or is put off, gets back its token and three quarters of its bytes:
//! it was looked at and not kept. The store, which is known only then, is charged for what is kept.

use tillrace_core::token_bucket::RateExceeded;

use super::{Caller, Tenant};
use crate::meter::{Account, Cost, Meter, all_can_hold, give_back_all, take_all};
use crate::split::Piece;

/// The part of an event's bytes that looking at it costs: one in so many.
const LOOKING_PART: u64 = 4;

/// What was paid of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paid {
    /// Pieces, from the first.
    pub(crate) pieces: usize,
    /// Why no more.
    pub(crate) exhausted: Option<RateExceeded>,
}

impl Caller {
    /// Pays for a chunk of `bytes` and the pieces found in it, as many of them as there are tokens for.
    pub(crate) fn pay(&self, bytes: u64, pieces: &[Piece], now_ns: u64) -> Paid {
        let accounts = self.accounts();
        let events = pieces.len() as u64;
        let whole = Cost { events, bytes };
        if all_can_hold(&accounts, whole) && take_all(&accounts, whole, now_ns).is_ok() {
            return Paid { pieces: pieces.len(), exhausted: None };
        }
        let in_pieces: u64 = pieces.iter().map(|piece| cost_of(piece).bytes).sum();
        let between = Cost { events: 0, bytes: bytes.saturating_sub(in_pieces) };
        let costs = std::iter::once(between).chain(pieces.iter().map(cost_of));
        for (place, cost) in costs.enumerate() {
            if let Err(exhausted) = take_all(&accounts, cost, now_ns) {
                return Paid { pieces: place.saturating_sub(1), exhausted: Some(exhausted) };
            }
        }
        Paid { pieces: pieces.len(), exhausted: None }
    }

    /// Tells whether it could pay for the least event; a request is not read if it could not.
    ///
    /// # Errors
    /// [`RateExceeded`] says when it can.
    pub(crate) fn can_pay(&self, now_ns: u64) -> Result<(), RateExceeded> {
        let accounts = self.accounts();
        let least = Cost { events: 1, bytes: 1 };
        take_all(&accounts, least, now_ns).map(|()| give_back_all(&accounts, least))
    }

    /// Gives back what was paid for pieces that are not kept, or not even looked at.
    pub(crate) fn refund(&self, cost: Cost) {
        if cost != Cost::default() {
            give_back_all(&self.accounts(), cost);
        }
    }

    /// Takes tokens for one event from its store.
    ///
    /// # Errors
    /// [`RateExceeded`] when it has too few; none is taken then.
    pub(crate) fn charge_store(
        &self,
        store: u32,
        piece: &Piece,
        now_ns: u64,
    ) -> Result<(), RateExceeded> {
        take_all(&[(&self.tenant.store_meter, store)], cost_of(piece), now_ns)
    }

    fn accounts(&self) -> [Account<'_>; 2] {
        let Tenant { meter, key_meters, .. } = &*self.tenant;
        // Every caller has a meter; if it had none, its tenant's would stand in, twice.
        let of_key: &Meter = key_meters.get(self.key as usize).unwrap_or(meter);
        [(meter, 0), (of_key, 0)]
    }
}

/// Returns what a piece costs. Text that was not kept has been paid for as what stands between the pieces.
pub(crate) fn cost_of(piece: &Piece) -> Cost {
    let bytes = match piece {
        Piece::Event(range) => range.len() as u64,
        Piece::TooLarge => 0,
    };
    Cost { events: 1, bytes }
}

/// Returns what a piece gets back that was looked at and not kept.
pub(crate) fn refund_of(piece: &Piece) -> Cost {
    let Cost { events, bytes } = cost_of(piece);
    Cost { events, bytes: bytes - bytes.div_ceil(LOOKING_PART) }
}
