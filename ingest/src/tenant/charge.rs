//! Charges callers for text, before it is decoded as far as possible.
//!
//! Each byte of a body, and each event, takes tokens from the buckets of the tenant and of the key. They are taken for a
//! whole chunk before any of it is decoded, so that no sender causes more work than its rate limits allow. A duplicate or
//! deferred event gets back its token and three quarters of its bytes, because it was evaluated and not kept. The store is
//! known only after decoding, and is charged for events that are kept.

use tillrace_core::token_bucket::RateExceeded;

use super::Principal;
use crate::rate_limits::{Account, Cost, all_can_hold, give_back_all, take_all};
use crate::split::Piece;

/// Divisor of the part of an event's bytes that its evaluation costs.
const EVALUATION_PART: u64 = 4;

/// The charged part of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkCharge {
    /// Charged pieces, from the first.
    pub(crate) pieces: usize,
    /// The exhausted bucket, if not all were charged.
    pub(crate) exhausted: Option<RateExceeded>,
}

impl Principal {
    /// Charges for a chunk of `bytes` and the pieces in it, as many of them as there are tokens for.
    pub(crate) fn charge(&self, bytes: u64, pieces: &[Piece], now_ns: u64) -> ChunkCharge {
        let accounts = self.accounts();
        let events = pieces.len() as u64;
        let whole = Cost { events, bytes };
        if all_can_hold(&accounts, whole) && take_all(&accounts, whole, now_ns).is_ok() {
            return ChunkCharge { pieces: pieces.len(), exhausted: None };
        }
        let in_pieces: u64 = pieces.iter().map(|piece| cost_of(piece).bytes).sum();
        let between = Cost { events: 0, bytes: bytes.saturating_sub(in_pieces) };
        let costs = std::iter::once(between).chain(pieces.iter().map(cost_of));
        for (index, cost) in costs.enumerate() {
            if let Err(exhausted) = take_all(&accounts, cost, now_ns) {
                return ChunkCharge { pieces: index.saturating_sub(1), exhausted: Some(exhausted) };
            }
        }
        ChunkCharge { pieces: pieces.len(), exhausted: None }
    }

    /// Checks whether there are tokens for the smallest event; otherwise a request is not read.
    ///
    /// # Errors
    /// [`RateExceeded`] with the wait.
    pub(crate) fn can_charge(&self, now_ns: u64) -> Result<(), RateExceeded> {
        let accounts = self.accounts();
        let least = Cost { events: 1, bytes: 1 };
        take_all(&accounts, least, now_ns).map(|()| give_back_all(&accounts, least))
    }

    /// Refunds the charge for pieces that are not kept, or not even evaluated.
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
        take_all(&[(&self.tenant.store_limits, store)], cost_of(piece), now_ns)
    }

    fn accounts(&self) -> [Account<'_>; 2] {
        [(&self.tenant.limits, 0), (&self.client.limits, 0)]
    }
}

/// Returns the cost of a piece. Text that was not kept is charged as text between pieces.
pub(crate) fn cost_of(piece: &Piece) -> Cost {
    let bytes = match piece {
        Piece::Event(range) => range.len() as u64,
        Piece::TooLarge => 0,
    };
    Cost { events: 1, bytes }
}

/// Returns the refund of a piece that was evaluated and not kept.
pub(crate) fn refund_of(piece: &Piece) -> Cost {
    let Cost { events, bytes } = cost_of(piece);
    Cost { events, bytes: bytes - bytes.div_ceil(EVALUATION_PART) }
}
