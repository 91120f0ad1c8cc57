//! The gateway's two clocks: one that tells the time and one that never goes back.
//!
//! Everything that depends on time asks here, once a chunk of events, so that tests can set it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicI64, Ordering};

/// When a test's clock begins: 2026-11-27T08:00:00Z.
#[cfg(test)]
pub(crate) const MANUAL_ORIGIN_MS: i64 = 1_795_766_400_000;

/// Where time comes from.
#[derive(Debug, Clone)]
pub(crate) enum Clock {
    /// The machine's clocks.
    System {
        /// Origin of the steady clock.
        origin: Instant,
    },
    /// A clock that stands still until a test moves it, in milliseconds since the Unix epoch.
    #[cfg(test)]
    Manual(Arc<AtomicI64>),
}

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CurrentTime {
    /// Milliseconds since the Unix epoch.
    pub(crate) wall_ms: i64,
    /// Nanoseconds since the clock was made; never goes back.
    pub(crate) steady_ns: u64,
}

impl Clock {
    /// Takes the machine's clocks.
    pub(crate) fn system() -> Self {
        Self::System { origin: Instant::now() }
    }

    /// Reads both clocks.
    pub(crate) fn now(&self) -> CurrentTime {
        match self {
            Self::System { origin } => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                CurrentTime {
                    wall_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
                    steady_ns: u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX),
                }
            }
            #[cfg(test)]
            Self::Manual(wall_ms) => {
                let wall_ms = wall_ms.load(Ordering::Relaxed);
                let since_ms = wall_ms.abs_diff(MANUAL_ORIGIN_MS);
                CurrentTime { wall_ms, steady_ns: since_ms * 1_000_000 }
            }
        }
    }
}
