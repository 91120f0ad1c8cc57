//! No fault but a forger's: `tillrace verify` must detect what was doctored in a copy of the books.

use std::time::Duration;

use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::site::Site;
use crate::stage::Stage;

/// Long enough for several segments and files.
const TRADES_FOR: Duration = Duration::from_secs(6);

/// Trades undisturbed; the judgement doctors copies.
pub(super) struct Doctored;

impl Scenario for Doctored {
    fn name(&self) -> &'static str {
        "doctored"
    }

    fn about(&self) -> &'static str {
        "no fault; copies of the books are doctored (a record, a segment, a file, a sink): `verify` detects each"
    }

    fn is_short(&self) -> bool {
        true
    }

    fn set_up(&self, _site: &Site, plan: &mut Plan) -> anyhow::Result<()> {
        plan.doctored_copies = true;
        plan.use_small_segments();
        Ok(())
    }

    fn inject(&self, _stage: &mut Stage<'_>) -> anyhow::Result<()> {
        std::thread::sleep(TRADES_FOR);
        Ok(())
    }
}
