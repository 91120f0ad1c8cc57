//! A power cut: the process stops between two instructions, and of what was not synced a random part is left.

use std::fs;

use anyhow::Context as _;

use crate::cli::LogKind;
use crate::disk::{DiskFaults, power_cut};
use crate::plan::Plan;
use crate::scenario::{Scenario, Tool};
use crate::site::Site;
use crate::stage::Stage;

/// Most instants that are tried for one with something to tear.
const MOST_FREEZES: u32 = 100;

/// Cuts the power three times.
pub(super) struct PowerCut;

impl Scenario for PowerCut {
    fn name(&self) -> &'static str {
        "power-cut"
    }

    fn about(&self) -> &'static str {
        "freeze, copy log and files with a random part of what was not synced torn or lost, start from the copy; thrice"
    }

    fn log(&self) -> Option<LogKind> {
        Some(LogKind::Local)
    }

    fn is_short(&self) -> bool {
        true
    }

    fn tools(&self) -> &'static [Tool] {
        &[Tool::Compiler]
    }

    fn set_up(&self, site: &Site, plan: &mut Plan) -> anyhow::Result<()> {
        with_disk(site, plan)
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        let mut at_mercy = 0;
        for _ in 0..3 {
            stage.pause(700..2_500);
            let torn = stage.site.disk();
            freeze_amid_a_write(stage)?;
            let synced = stage.plan.disk.as_ref().context("prepare the disk")?.synced()?;
            let copy = stage.site.folder.join("after-the-cut");
            at_mercy += power_cut(&torn, &copy, &synced, &mut stage.rng)?;
            stage.processes[0].kill()?;
            fs::remove_dir_all(&torn).context("remove the disk before the cut")?;
            fs::rename(&copy, &torn).context("put the copy in its place")?;
            let disk = stage.plan.disk.as_ref().context("prepare the disk")?;
            disk.note_all_synced(&torn)?;
            stage.processes[0].start()?;
            stage.await_service("a power cut")?;
        }
        stage.fact(format!("{at_mercy} bytes were not synced when the power was cut"));
        Ok(())
    }
}

/// Freezes it at a random instant; again and again, until one has something that is not synced yet.
fn freeze_amid_a_write(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for _ in 0..MOST_FREEZES {
        stage.processes[0].freeze()?;
        let disk = stage.plan.disk.as_ref().context("prepare the disk")?;
        if disk.unsynced_bytes(&stage.site.log())? > 0 {
            return Ok(());
        }
        stage.processes[0].thaw()?;
        stage.pause(1..20);
    }
    stage.processes[0].freeze()
}

/// Puts the library of disk faults before the C library.
pub(super) fn with_disk(site: &Site, plan: &mut Plan) -> anyhow::Result<()> {
    fs::create_dir_all(site.disk()).context("make the disk's folder")?;
    let (faults, library, variables) = DiskFaults::prepare(&site.folder, &site.disk())?;
    plan.preload.push(library);
    plan.variables.extend(variables);
    plan.disk = Some(faults);
    Ok(())
}
