//! A disk that is full, read-only, or fails, for a few seconds; then it is sound again.
//!
//! A process may end over it, since a log that failed to write must be opened anew; it is started again as an
//! orchestrator would. What it may not do is acknowledge what is not durable, or stand still unseen.

use anyhow::Context as _;

use super::power_cut::with_disk;
use crate::cli::LogKind;
use crate::disk::DiskMode;
use crate::plan::Plan;
use crate::scenario::{Scenario, Tool};
use crate::site::Site;
use crate::stage::Stage;

/// One way for a disk to fail.
pub(super) struct DiskFault {
    name: &'static str,
    about: &'static str,
    mode: DiskMode,
    is_short: bool,
}

/// All ways.
pub(super) const ALL: [DiskFault; 7] = [
    DiskFault {
        name: "disk-full",
        about: "ENOSPC for 3 to 6 s",
        mode: DiskMode::Full,
        is_short: true,
    },
    DiskFault {
        name: "disk-read-only",
        about: "EROFS for 3 to 6 s",
        mode: DiskMode::ReadOnly,
        is_short: false,
    },
    DiskFault {
        name: "disk-sync-fails",
        about: "EIO from every sync for 3 to 6 s",
        mode: DiskMode::SyncFails,
        is_short: false,
    },
    DiskFault {
        name: "disk-write-fails",
        about: "EIO from every write for 3 to 6 s",
        mode: DiskMode::WriteFails,
        is_short: false,
    },
    DiskFault {
        name: "disk-torn-writes",
        about: "half of each write arrives, then EIO, for 3 to 6 s",
        mode: DiskMode::TornWrites,
        is_short: false,
    },
    DiskFault {
        name: "disk-read-fails",
        about: "EIO from every read for 3 to 6 s",
        mode: DiskMode::ReadFails,
        is_short: false,
    },
    DiskFault {
        name: "disk-no-descriptors",
        about: "EMFILE from every open for 3 to 6 s, as when descriptors run out",
        mode: DiskMode::NoDescriptors,
        is_short: false,
    },
];

impl Scenario for DiskFault {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn log(&self) -> Option<LogKind> {
        Some(LogKind::Local)
    }

    fn is_short(&self) -> bool {
        self.is_short
    }

    fn tools(&self) -> &'static [Tool] {
        &[Tool::Compiler]
    }

    fn set_up(&self, site: &Site, plan: &mut Plan) -> anyhow::Result<()> {
        // Descriptors that run out must poison nothing; the other faults may end a process.
        plan.role_may_end = self.mode != DiskMode::NoDescriptors;
        with_disk(site, plan)
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        let since = stage.watch.now();
        set(stage, self.mode)?;
        for _ in 0..6 {
            stage.pause(500..1_000);
            stage.supervise()?;
        }
        set(stage, DiskMode::Sound)?;
        stage.await_service("the disk is sound again")?;
        stage.must_have_been_seen(since, self.about);
        Ok(())
    }
}

fn set(stage: &Stage<'_>, mode: DiskMode) -> anyhow::Result<()> {
    stage.plan.disk.as_ref().context("prepare the disk")?.set(mode)
}
