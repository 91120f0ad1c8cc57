//! SIGSTOP and SIGCONT past every timeout: a process that was away and does not know it.

use std::time::Duration;

use crate::cli::LogKind;
use crate::cluster::BROKERS;
use crate::scenario::Scenario;
use crate::stage::Stage;

/// Longer than a till's timeout (10 s), a group session (6 s), a transaction (10 s), a back end's call (2 s).
const FROZEN: Duration = Duration::from_secs(14);

/// Freezes processes, one after the other.
pub(super) struct Freeze;

impl Scenario for Freeze {
    fn name(&self) -> &'static str {
        "freeze"
    }

    fn about(&self) -> &'static str {
        "SIGSTOP to each process for 14 s, past every timeout, then SIGCONT"
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        for place in 0..stage.processes.len() {
            let since = stage.watch.now();
            stage.processes[place].freeze()?;
            std::thread::sleep(FROZEN);
            stage.processes[place].thaw()?;
            stage.await_service("SIGCONT")?;
            let name = stage.processes[place].name.clone();
            stage.must_have_been_seen(since, &format!("{name} frozen for {FROZEN:?}"));
        }
        Ok(())
    }
}

/// Freezes one broker: its sockets stay open and nothing answers.
pub(super) struct FreezeBroker;

impl Scenario for FreezeBroker {
    fn name(&self) -> &'static str {
        "freeze-broker"
    }

    fn about(&self) -> &'static str {
        "SIGSTOP to one broker for 14 s: connections stand and nothing answers"
    }

    fn log(&self) -> Option<LogKind> {
        Some(LogKind::Kafka)
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        let Some(cluster) = stage.cluster else { return Ok(()) };
        let broker = 1 + stage.pick(BROKERS);
        cluster.signal(broker, "STOP")?;
        std::thread::sleep(FROZEN);
        cluster.signal(broker, "CONT")?;
        stage.await_service("SIGCONT to a broker")
    }
}
