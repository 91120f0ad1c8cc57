//! The loss of a quorum: two brokers of three are gone, and nothing may be acknowledged.

use std::time::Duration;

use crate::cli::LogKind;
use crate::scenario::Scenario;
use crate::stage::Stage;

/// How long two brokers are gone; within that, it must be seen.
const GONE: Duration = Duration::from_secs(20);

/// Kills two brokers.
pub(super) struct QuorumLoss;

impl Scenario for QuorumLoss {
    fn name(&self) -> &'static str {
        "quorum-loss"
    }

    fn about(&self) -> &'static str {
        "SIGKILL to two brokers of three for 20 s"
    }

    fn log(&self) -> Option<LogKind> {
        Some(LogKind::Kafka)
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        let Some(cluster) = stage.cluster else { return Ok(()) };
        let since = stage.watch.now();
        cluster.kill(1)?;
        cluster.kill(2)?;
        std::thread::sleep(GONE);
        stage.must_have_been_seen(since, "the loss of a quorum");
        cluster.heal()?;
        stage.await_service("the quorum is back")
    }
}
