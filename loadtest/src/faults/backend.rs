//! Back ends with books of their own: what they stored, under which key, with what content, in which order.
//!
//! How a back end answers is its [`Behavior`]; whatever it answers, its [`Ledger`] tells what it has.

mod ledger;
mod server;

use std::sync::Arc;

use parking_lot::Mutex;
use rand::SeedableRng as _;
use tokio::runtime::Handle;

pub(crate) use self::ledger::Ledger;
use crate::rng::FaultRng;

/// How a back end answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// As the contract says.
    Honest,
    /// Stores all, then answers 500.
    StoreThenFail,
    /// Stores all, then closes the connection without an answer.
    StoreThenReset,
    /// Stores half of a batch and tells of that half only.
    HalfABatch,
    /// Takes the call and never answers.
    Hang,
    /// Answers 429 with `Retry-After: 1`.
    Throttle,
    /// Answers 200 with a page for people, as a login proxy does.
    Html,
    /// Closes the connection at once.
    Reset,
    /// Asks to wait longer than the universe, in header and body.
    EndlessRetryAfter,
}

/// How a back end answers now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BehaviorMix {
    pub(crate) behavior: Behavior,
    /// Share of calls, 0 to 1, that meet it; the others are answered honestly.
    pub(crate) share: f64,
}

/// The three back ends of a scenario.
#[derive(Debug)]
pub(crate) struct Backends {
    /// Where they listen.
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    documents: Mutex<Ledger>,
    movements: Mutex<Ledger>,
    points: Mutex<Ledger>,
    behavior_mix: Mutex<BehaviorMix>,
    rng: Mutex<FaultRng>,
}

/// A back end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sales documents, in batches.
    Documents,
    /// Stock movements, in batches.
    Movements,
    /// Loyalty points, one a call.
    Points,
}

impl Backends {
    /// Starts them, all honest.
    pub(crate) fn start(runtime: &Handle, seed: u64) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            documents: Mutex::default(),
            movements: Mutex::default(),
            points: Mutex::default(),
            behavior_mix: Mutex::new(BehaviorMix { behavior: Behavior::Honest, share: 0.0 }),
            rng: Mutex::new(FaultRng::seed_from_u64(seed)),
        });
        let port = server::start(runtime, Arc::clone(&shared))?;
        Ok(Self { port, shared })
    }

    /// Changes how they answer.
    pub(crate) fn set(&self, behavior: Behavior, share: f64) {
        *self.shared.behavior_mix.lock() = BehaviorMix { behavior, share };
    }

    /// Reads a back end's books.
    pub(crate) fn ledger(&self, kind: Kind) -> Ledger {
        self.shared.ledger(kind).lock().clone()
    }

    /// Counts what all of them hold.
    pub(crate) fn stored(&self) -> usize {
        let kinds = [Kind::Documents, Kind::Movements, Kind::Points];
        kinds.iter().map(|&kind| self.shared.ledger(kind).lock().len()).sum()
    }
}

impl Shared {
    fn ledger(&self, kind: Kind) -> &Mutex<Ledger> {
        match kind {
            Kind::Documents => &self.documents,
            Kind::Movements => &self.movements,
            Kind::Points => &self.points,
        }
    }
}
