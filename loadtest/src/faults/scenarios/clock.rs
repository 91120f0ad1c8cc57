//! The wall clock jumps, forwards and back.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use anyhow::Context as _;

use crate::plan::Plan;
use crate::scenario::{Scenario, Tool};
use crate::shim;
use crate::site::Site;
use crate::stage::Stage;

/// Jumps in seconds against the true time; none so far that trade would lie in another week.
const JUMPS_S: [i64; 5] = [2_700, -2_700, 80_000, -80_000, 0];

/// Makes the clock jump.
pub(super) struct ClockJumps;

impl Scenario for ClockJumps {
    fn name(&self) -> &'static str {
        "clock-jumps"
    }

    fn about(&self) -> &'static str {
        "the wall clock jumps by 45 minutes and 22 hours, forwards and back"
    }

    fn is_short(&self) -> bool {
        true
    }

    fn tools(&self) -> &'static [Tool] {
        &[Tool::Compiler]
    }

    fn set_up(&self, site: &Site, plan: &mut Plan) -> anyhow::Result<()> {
        plan.preload.push(shim::CLOCK.compile(&site.folder)?);
        set(site, 0)?;
        let file = site.folder.join("clock.offset").display().to_string();
        plan.variables.push(("FAULTS_CLOCK".to_owned(), file));
        Ok(())
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        for jump_s in JUMPS_S {
            set(&stage.site, jump_s)?;
            stage.await_service(&format!("a jump of the clock to {jump_s:+} s"))?;
            stage.pause(500..1_500);
        }
        Ok(())
    }
}

/// Sets how far the clock is off. The file is never shorter than it is, since it is mapped.
fn set(site: &Site, offset_s: i64) -> anyhow::Result<()> {
    let path = site.folder.join("clock.offset");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.context("open how far the clock is off")?;
    file.write_all_at(&offset_s.to_ne_bytes(), 0).context("write how far the clock is off")
}
