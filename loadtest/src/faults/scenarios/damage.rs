//! Files of the local log that are not what they were: flipped, cut, emptied, deleted, replaced.
//!
//! What is derived must be made anew. What was acknowledged must not be missed in silence: a segment that is damaged or
//! gone is refused by name, and once it is back from the operator's copy, all goes on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rand::RngExt as _;

use crate::backend::Behavior;
use crate::cli::LogKind;
use crate::plan::Plan;
use crate::probe;
use crate::rng::FaultRng;
use crate::scenario::Scenario;
use crate::site::{Site, files_below};
use crate::stage::Stage;

/// How long a start on a damaged log may take until it is refused.
const REFUSES_WITHIN: Duration = Duration::from_secs(20);

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flipped,
    Cut,
    Emptied,
    Deleted,
}

const ALL: [Damage; 4] = [Damage::Flipped, Damage::Cut, Damage::Emptied, Damage::Deleted];

impl Damage {
    fn apply(self, path: &Path, rng: &mut FaultRng) -> anyhow::Result<()> {
        let mut bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        match self {
            Self::Flipped => {
                let at = rng.random_range(0..bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.random_range(0..8);
                }
            }
            Self::Cut => bytes.truncate(rng.random_range(1..bytes.len().max(2))),
            Self::Emptied => bytes.clear(),
            Self::Deleted => {
                return fs::remove_file(path).with_context(|| format!("remove {}", path.display()));
            }
        }
        fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
    }
}

/// Damages what is derived from segments.
pub(super) struct Sidecars;

impl Scenario for Sidecars {
    fn name(&self) -> &'static str {
        "damage-sidecars"
    }

    fn about(&self) -> &'static str {
        "sidecars of segments flipped, cut, emptied, deleted while it is down: they are made anew"
    }

    fn log(&self) -> Option<LogKind> {
        Some(LogKind::Local)
    }

    fn set_up(&self, _site: &Site, plan: &mut Plan) -> anyhow::Result<()> {
        plan.use_small_segments();
        Ok(())
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        for damage in ALL {
            // Sinks that are behind read closed segments, by their sidecars, when it starts again.
            stage.backends.set(Behavior::Hang, 1.0);
            stage.pause(1_000..2_000);
            stage.processes[0].kill()?;
            stage.backends.set(Behavior::Honest, 0.0);
            let sidecars = files_below(&stage.site.log(), ".idx")?;
            // Half of them, so that sound ones stand beside damaged ones.
            for path in sidecars.iter().step_by(2) {
                damage.apply(path, &mut stage.rng)?;
            }
            stage.fact(format!("{} sidecars {damage:?}", sidecars.len().div_ceil(2)));
            stage.processes[0].start()?;
            stage.await_service("damaged sidecars")?;
            stage.pause(500..1_000);
        }
        Ok(())
    }
}

/// Damages closed segments.
pub(super) struct Segments;

impl Scenario for Segments {
    fn name(&self) -> &'static str {
        "damage-segments"
    }

    fn about(&self) -> &'static str {
        "a closed segment cut, emptied, deleted while it is down: refused by name, and served once it is back"
    }

    fn log(&self) -> Option<LogKind> {
        Some(LogKind::Local)
    }

    fn set_up(&self, _site: &Site, plan: &mut Plan) -> anyhow::Result<()> {
        plan.use_small_segments();
        Ok(())
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        for damage in [Damage::Cut, Damage::Emptied, Damage::Deleted] {
            stage.processes[0].kill()?;
            let mut segments = files_below(&stage.site.log(), ".log")?;
            // The newest is where damage may look like what a crash tore.
            segments.pop();
            let count = segments.len();
            let Some(path) = segments.get(stage.pick(count)).cloned() else {
                stage.fact("no segment was closed yet");
                stage.processes[0].start()?;
                return stage.await_service("a kill");
            };
            let copy = stage.site.folder.join("segment.copy");
            fs::copy(&path, &copy).context("copy a segment")?;
            damage.apply(&path, &mut stage.rng)?;
            must_refuse(stage, &path, damage)?;
            fs::copy(&copy, &path).context("put a segment back")?;
            stage.processes[0].start()?;
            stage.await_service("a damaged segment is back")?;
            stage.pause(500..1_000);
        }
        Ok(())
    }
}

/// Starts on a damaged log: it must end, or say that it is not ready, and name the file.
fn must_refuse(stage: &mut Stage<'_>, path: &Path, damage: Damage) -> anyhow::Result<()> {
    let output = stage.processes[0].launch.output.clone();
    let before = fs::read_to_string(&output).unwrap_or_default().len();
    stage.processes[0].start()?;
    let ended = stage.processes[0].wait(REFUSES_WITHIN)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match ended {
        Some(status) if status.success() => {
            stage.fault(format!("a start on {name} {damage:?} ended with success"));
        }
        Some(_refused) => {}
        None => {
            let status = stage.processes[0].launch.status;
            let is_ready = probe::get(status, "/readyz").is_some_and(|(code, _)| code == 200);
            if is_ready || stage.processes[0].is_running() {
                stage.fault(format!("a start on {name} {damage:?} was not refused"));
            }
        }
    }
    stage.processes[0].kill()?;
    let text = fs::read_to_string(&output).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    // A segment that is gone is told by the one after it, or by its number.
    let folder = stage.site.log().display().to_string();
    let said = text.get(before..).unwrap_or_default();
    if !said.contains(stem) && !said.contains(&folder) {
        stage.fault(format!("the refusal of {name} {damage:?} names neither it nor its folder"));
    }
    Ok(())
}

/// Damages what is neither segment nor sidecar.
pub(super) struct Leftovers;

impl Scenario for Leftovers {
    fn name(&self) -> &'static str {
        "damage-leftovers"
    }

    fn about(&self) -> &'static str {
        "lock deleted, socket a plain file, drafts and foreign files in the folder: it serves all the same"
    }

    fn log(&self) -> Option<LogKind> {
        Some(LogKind::Local)
    }

    fn is_short(&self) -> bool {
        true
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        stage.processes[0].kill()?;
        let log = stage.site.log();
        for name in ["lock", "socket", "socket.path"] {
            let path = log.join(name);
            if path.exists() {
                fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
            }
        }
        for name in ["socket", "0000000009-0000000009-000009.log.tmp", "notes.txt", ".nfs0001"] {
            fs::write(log.join(name), b"left over").with_context(|| format!("write {name}"))?;
        }
        stage.processes[0].start()?;
        stage.await_service("leftovers in the folder")
    }
}
