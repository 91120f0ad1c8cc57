//! SIGKILL at random instants: of the product, of a role, of a broker; during start, recovery and compaction.

use serde_json::json;

use crate::cli::LogKind;
use crate::cluster::BROKERS;
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::site::Site;
use crate::stage::Stage;

/// Kills each process in the middle of its work.
pub(super) struct Kill;

impl Scenario for Kill {
    fn name(&self) -> &'static str {
        "kill"
    }

    fn about(&self) -> &'static str {
        "SIGKILL to every process at random instants, three times"
    }

    fn is_short(&self) -> bool {
        true
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        for _ in 0..3 {
            for place in 0..stage.processes.len() {
                stage.kill_and_start(place)?;
            }
            stage.await_service("SIGKILL")?;
            stage.pause(300..1_500);
        }
        Ok(())
    }
}

/// Kills while it starts and recovers from the kill before.
pub(super) struct KillDuringStart;

impl Scenario for KillDuringStart {
    fn name(&self) -> &'static str {
        "kill-during-start"
    }

    fn about(&self) -> &'static str {
        "SIGKILL within half a second of each start, eight times: recovery itself is cut short"
    }

    fn is_short(&self) -> bool {
        true
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        for _ in 0..8 {
            let place = stage.pick(stage.processes.len());
            stage.kill_and_start(place)?;
            stage.pause(0..500);
        }
        for place in 0..stage.processes.len() {
            stage.kill_and_start(place)?;
        }
        stage.await_service("kills during start")
    }
}

/// Kills while small segments are sealed, merged and forgotten all the time.
pub(super) struct KillDuringCompaction;

impl Scenario for KillDuringCompaction {
    fn name(&self) -> &'static str {
        "kill-during-compaction"
    }

    fn about(&self) -> &'static str {
        "SIGKILL while segments of 64 KiB are sealed, compacted and merged ten times a second, six times"
    }

    fn log(&self) -> Option<LogKind> {
        Some(LogKind::Local)
    }

    fn set_up(&self, _site: &Site, plan: &mut Plan) -> anyhow::Result<()> {
        let local =
            json!({"segment_bytes": "64KiB", "upkeep_every": "100ms", "seal_after": "50ms"});
        plan.set(json!({"log": {"local": local}, "aggregate": {"flush_interval": "100ms"}}));
        Ok(())
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        for _ in 0..6 {
            stage.pause(500..2_000);
            stage.kill_and_start(0)?;
            stage.await_service("SIGKILL during compaction")?;
        }
        Ok(())
    }
}

/// Kills one role while the others go on.
pub(super) struct KillRole;

impl Scenario for KillRole {
    fn name(&self) -> &'static str {
        "kill-role"
    }

    fn about(&self) -> &'static str {
        "SIGKILL to one role at a time, six times, the others going on"
    }

    fn log(&self) -> Option<LogKind> {
        Some(LogKind::Kafka)
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        for _ in 0..6 {
            let place = stage.pick(stage.processes.len());
            stage.kill_and_start(place)?;
            stage.await_service("SIGKILL to a role")?;
            stage.pause(500..3_000);
        }
        Ok(())
    }
}

/// Kills one broker of three.
pub(super) struct KillBroker;

impl Scenario for KillBroker {
    fn name(&self) -> &'static str {
        "kill-broker"
    }

    fn about(&self) -> &'static str {
        "SIGKILL to one broker of three, twice; the others are a quorum"
    }

    fn log(&self) -> Option<LogKind> {
        Some(LogKind::Kafka)
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        let Some(cluster) = stage.cluster else { return Ok(()) };
        for _ in 0..2 {
            cluster.kill(1 + stage.pick(BROKERS))?;
            stage.await_service("the loss of a broker")?;
            stage.pause(2_000..6_000);
            cluster.heal()?;
            stage.await_service("the return of a broker")?;
        }
        Ok(())
    }
}
