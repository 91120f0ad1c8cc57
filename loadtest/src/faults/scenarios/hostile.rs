//! Senders who mean harm beside honest ones: what they can reach must stay theirs.
//!
//! Each attack hits a dummy listener first, which takes everything and does nothing, and then the product. The honest
//! fleet sends through both; its p99 in the second span over that in the first is what the product, and not the machine,
//! makes of the attack.

mod attack;
mod dummy;

use std::time::Duration;

use self::attack::{Attack, Target};
use crate::plan::Plan;
use crate::scenario::{Scenario, Tool};
use crate::site::Site;
use crate::stage::Stage;

/// How long each attack lasts.
const LASTS: Duration = Duration::from_secs(6);

/// Between the two, so that the first does not linger in the second.
const REST: Duration = Duration::from_secs(2);

/// Events a second of the honest fleet: few, so that it keeps up beside the attacker even on a small machine, and its
/// latency is not that of its own backlog.
const RATE: f64 = 40.0;

/// Most memory that a process may ever hold, whatever is sent to it: what the acceptance run holds it to as well.
const MOST_MEMORY_BYTES: u64 = 896 << 20;

/// Connections an attack opens, with room for everything else.
const DESCRIPTORS: u64 = 4_096;

/// A hostile sender.
pub(super) struct HostileSender {
    name: &'static str,
    about: &'static str,
    attack: Attack,
}

/// All of them.
pub(super) const ALL: [HostileSender; 9] = [
    HostileSender {
        name: "hostile-terminals",
        about: "valid sales of one store, each under a new terminal and epoch of 64 bytes",
        attack: Attack::NewTerminals,
    },
    HostileSender {
        name: "hostile-refused-names",
        about: "events that are refused, each under a new terminal name",
        attack: Attack::RefusedNames,
    },
    HostileSender {
        name: "hostile-silence",
        about: "1,010 connections that say nothing",
        attack: Attack::Silence,
    },
    HostileSender {
        name: "hostile-half-heads",
        about: "1,000 connections with half a request head of 60 KB each",
        attack: Attack::HalfHeads,
    },
    HostileSender {
        name: "hostile-blank-lines",
        about: "64 MiB of blank lines as 64 KB of gzip, sixteen at a time",
        attack: Attack::BlankLines,
    },
    HostileSender {
        name: "hostile-chunks",
        about: "256 bodies that come a byte a second",
        attack: Attack::Chunks,
    },
    HostileSender {
        name: "hostile-unread-streams",
        about: "100 HTTP/2 connections of 100 streams each whose answers are never read, on both listeners",
        attack: Attack::UnreadStreams,
    },
    HostileSender {
        name: "hostile-unread-answers",
        about: "200 HTTP/1.1 connections that ask and ask and never read, on both listeners",
        attack: Attack::UnreadAnswers,
    },
    HostileSender {
        name: "hostile-drain",
        about: "SIGTERM while 100 connections never read, never end, or say nothing: it ends in time, with success",
        attack: Attack::Drain,
    },
];

impl Scenario for HostileSender {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn tools(&self) -> &'static [Tool] {
        &[Tool::Descriptors(DESCRIPTORS)]
    }

    fn set_up(&self, _site: &Site, plan: &mut Plan) -> anyhow::Result<()> {
        plan.rate = RATE;
        Ok(())
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        let gateway = stage.processes.iter().position(|process| process.launch.role.has_gateway());
        let gateway = gateway.unwrap_or(0);
        let launch = &stage.processes[gateway].launch;
        let target = Target { gateway: launch.listen, status: launch.status };
        if self.attack == Attack::Drain {
            return drain(stage, gateway, target);
        }
        let dummy = dummy::start(&stage.runtime)?;
        let first = self.strike(stage, Target { gateway: dummy, status: dummy })?;
        std::thread::sleep(REST);
        let second = self.strike(stage, target)?;
        stage.notes.attacks = Some([first, second]);
        stage.await_service("the attack is over")?;
        let most = stage.watch.most_memory_bytes();
        stage.fact(format!("most memory of a process: {} MiB", most >> 20));
        if most > MOST_MEMORY_BYTES {
            stage.fault(format!(
                "a process held {} MiB, more than {} MiB",
                most >> 20,
                MOST_MEMORY_BYTES >> 20
            ));
        }
        Ok(())
    }
}

impl HostileSender {
    /// Attacks a target; returns when that was.
    fn strike(
        &self,
        stage: &mut Stage<'_>,
        target: Target,
    ) -> anyhow::Result<std::ops::Range<Duration>> {
        let from = stage.watch.now();
        let handles = self.attack.start(&stage.runtime, target)?;
        std::thread::sleep(LASTS);
        let until = stage.watch.now();
        drop(handles);
        stage.supervise()?;
        Ok(from..until)
    }
}

/// How long a drain may take, whatever clients do.
const DRAINS_WITHIN: Duration = Duration::from_secs(30);

fn drain(stage: &mut Stage<'_>, gateway: usize, target: Target) -> anyhow::Result<()> {
    let handles = Attack::Drain.start(&stage.runtime, target)?;
    stage.pause(1_000..2_000);
    let ended = stage.processes[gateway].terminate(DRAINS_WITHIN)?;
    drop(handles);
    if !ended.is_some_and(|status| status.success()) {
        stage.fault(format!("SIGTERM beside clients that never end: {ended:?}, asked for success"));
    }
    stage.processes[gateway].start()?;
    stage.await_service("a drain beside hostile clients")
}
