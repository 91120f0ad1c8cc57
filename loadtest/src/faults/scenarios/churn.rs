//! Two processes of each role, one of all of them always coming or going.

use std::time::{Duration, Instant};

use crate::cli::LogKind;
use crate::plan::Plan;
use crate::process::Role;
use crate::scenario::Scenario;
use crate::site::Site;
use crate::stage::Stage;

const LASTS: Duration = Duration::from_secs(40);

/// Longest that a process may drain.
const ENDS_WITHIN: Duration = Duration::from_mins(1);

/// Kills, stops and starts at random.
pub(super) struct Churn;

impl Scenario for Churn {
    fn name(&self) -> &'static str {
        "churn"
    }

    fn about(&self) -> &'static str {
        "two processes of each role, for 40 s one after the other is killed or stopped and started again"
    }

    fn log(&self) -> Option<LogKind> {
        Some(LogKind::Kafka)
    }

    fn set_up(&self, _site: &Site, plan: &mut Plan) -> anyhow::Result<()> {
        let roles = [Role::Ingest, Role::Aggregate, Role::Deliver];
        plan.processes = roles.iter().flat_map(|&role| [role, role]).collect();
        Ok(())
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < LASTS {
            let place = stage.pick(stage.processes.len());
            if stage.pick(2) == 0 {
                stage.processes[place].kill()?;
            } else {
                let ended = stage.processes[place].terminate(ENDS_WITHIN)?;
                if !ended.is_some_and(|status| status.success()) {
                    let name = stage.processes[place].name.clone();
                    stage.fault(format!("{name} drained badly amid churn: {ended:?}"));
                }
            }
            stage.pause(0..1_500);
            stage.processes[place].start()?;
            stage.await_service("a role came and went")?;
            stage.pause(0..2_000);
        }
        Ok(())
    }
}
