//! Back ends that lie, hang, throttle, and ask for the impossible.

use std::time::Duration;

use crate::backend::{Behavior, Kind};
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::site::Site;
use crate::stage::Stage;

/// How a back end is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadBackend {
    /// It stores and says it did not, and the like.
    Lies,
    /// It takes every call and never answers.
    Hangs,
    /// It asks to wait for ever.
    EndlessRetryAfter,
}

/// All ways.
pub(super) const ALL: [BadBackend; 3] =
    [BadBackend::Lies, BadBackend::Hangs, BadBackend::EndlessRetryAfter];

/// Stuck keys are parked after so long, where a back end asks to wait for ever.
const PARK_AFTER: &str = "3s";
const PARKED_BY: Duration = Duration::from_secs(8);

/// Long enough for several sales with a loyalty account, and for `delivery_stalled`, which comes after 15 s.
const LOOKS_FOR: Duration = Duration::from_secs(17);

/// A whole sink that waits because its back end asked it to must say so.
fn must_tell_of_its_wait(stage: &mut Stage<'_>) {
    let before = stage.backends.ledger(Kind::Points).len();
    std::thread::sleep(LOOKS_FOR);
    let stands = stage.backends.ledger(Kind::Points).len() == before;
    if stands && !stage.watch.conditions().iter().any(|named| named.starts_with("sink/crm")) {
        stage.silent_halt("sink crm makes no call for as long as its back end asked");
    }
}

impl Scenario for BadBackend {
    fn name(&self) -> &'static str {
        match self {
            Self::Lies => "backend-lies",
            Self::Hangs => "backend-hangs",
            Self::EndlessRetryAfter => "backend-endless-retry-after",
        }
    }

    fn about(&self) -> &'static str {
        match self {
            Self::Lies => {
                "500 and resets after storing, half batches, 429, a login page with 200, on half of the calls"
            }
            Self::Hangs => "back ends take every call and answer none for 8 s",
            Self::EndlessRetryAfter => {
                "every third call is told to wait longer than the universe: parked, and sent again by `redrive`"
            }
        }
    }

    fn is_short(&self) -> bool {
        *self == Self::Lies
    }

    fn set_up(&self, _site: &Site, plan: &mut Plan) -> anyhow::Result<()> {
        if *self == Self::EndlessRetryAfter {
            plan.dead_letters = true;
            for sink in 0..3 {
                let name = format!("TILLRACE__SINKS__{sink}__FLOW__PARK_AFTER");
                plan.variables.push((name, PARK_AFTER.to_owned()));
            }
        }
        Ok(())
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        match self {
            Self::Lies => {
                for behavior in [
                    Behavior::StoreThenFail,
                    Behavior::StoreThenReset,
                    Behavior::HalfABatch,
                    Behavior::Throttle,
                    Behavior::Html,
                    Behavior::Reset,
                ] {
                    stage.backends.set(behavior, 0.5);
                    stage.pause(800..1_500);
                }
                stage.backends.set(Behavior::Honest, 0.0);
            }
            Self::Hangs => {
                let since = stage.watch.now();
                stage.backends.set(Behavior::Hang, 1.0);
                std::thread::sleep(Duration::from_secs(8));
                stage.backends.set(Behavior::Honest, 0.0);
                stage.must_have_been_seen(since, "back ends that never answer");
            }
            Self::EndlessRetryAfter => {
                stage.backends.set(Behavior::EndlessRetryAfter, 0.33);
                stage.pause(3_000..5_000);
                stage.backends.set(Behavior::Honest, 0.0);
                std::thread::sleep(PARKED_BY);
                must_tell_of_its_wait(stage);
            }
        }
        stage.await_service("the back ends are honest again")
    }
}
