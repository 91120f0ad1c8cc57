//! Two owners of one folder: the second must be refused, and must not harm the first.

use std::fs;
use std::time::Duration;

use crate::cli::LogKind;
use crate::process::{Process, Role};
use crate::scenario::Scenario;
use crate::stage::{Stage, launch};

/// How long a second owner may take until it is refused.
const REFUSED_WITHIN: Duration = Duration::from_secs(20);

/// Starts second owners beside the first.
pub(super) struct TwoOwners;

impl Scenario for TwoOwners {
    fn name(&self) -> &'static str {
        "two-owners"
    }

    fn about(&self) -> &'static str {
        "a second process on the folder of a local log, beside one that works and one that is frozen"
    }

    fn log(&self) -> Option<LogKind> {
        Some(LogKind::Local)
    }

    fn is_short(&self) -> bool {
        true
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        for role in [Role::Up, Role::Aggregate, Role::Deliver] {
            second_owner(stage, role, "beside one that works")?;
        }
        stage.processes[0].freeze()?;
        let refused = second_owner(stage, Role::Up, "beside one that is frozen");
        stage.processes[0].thaw()?;
        refused?;
        stage.await_service("second owners")
    }
}

fn second_owner(stage: &mut Stage<'_>, role: Role, beside: &str) -> anyhow::Result<()> {
    let output = stage.site.folder.join("second-owner.log");
    let launch = launch(&stage.site, role, Vec::new(), output.clone())?;
    let before = fs::read_to_string(&output).unwrap_or_default().len();
    let mut second = Process::new("the second owner".to_owned(), launch);
    second.start()?;
    let ended = second.wait(REFUSED_WITHIN)?;
    second.kill()?;
    let role = role.command();
    if ended.is_none_or(|status| status.success()) {
        stage.fault(format!("`{role}` {beside} was not refused: {ended:?}"));
    }
    let text = fs::read_to_string(&output).unwrap_or_default();
    let folder = stage.site.data().display().to_string();
    if !text.get(before..).unwrap_or_default().contains(&folder) {
        stage.fault(format!("the refusal of `{role}` {beside} does not name the folder"));
    }
    Ok(())
}
