//! The log of a policy set, opened to be looked at or to be changed.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tillrace_core::topics::Topics;
use tillrace_log::{LogView, WritableLog};
use tillrace_policy::{Follower, PolicySet};

use super::error::PolicyError;
use crate::cli::{LogSource, PolicyOrder};
use crate::config::Settings;
use crate::{control, roles};

pub(super) struct Opened {
    pub(super) topics: Topics,
    view: Arc<dyn LogView>,
    /// Absent where it is only looked at.
    log: Option<Arc<dyn WritableLog>>,
}

impl Opened {
    /// Opens it to be looked at.
    pub(super) fn to_look(source: &LogSource) -> anyhow::Result<Self> {
        let domain = Settings::load_domain(source)?;
        Ok(Self { topics: domain.topics(), view: roles::open_view(&domain)?, log: None })
    }

    /// Opens it to be changed, unless it is a dry run.
    pub(super) fn to_change(order: &PolicyOrder) -> anyhow::Result<Self> {
        control::hold(&order.operator, Some(&order.reason))?;
        if order.consent.dry_run {
            return Self::to_look(&order.look.log);
        }
        let domain = Settings::load_domain(&order.look.log)?;
        let log = roles::open_to_write(&domain)?;
        let view: Arc<dyn LogView> = Arc::<dyn WritableLog>::clone(&log);
        Ok(Self { topics: domain.topics(), view, log: Some(log) })
    }

    /// Returns the log to write to; `None` where it is only looked at.
    pub(super) fn log(&self) -> Option<&dyn WritableLog> {
        self.log.as_deref()
    }

    /// How a command ends that changed nothing: well if it was to change nothing.
    pub(super) fn not_done(&self) -> ExitCode {
        if self.log.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Reads to the end.
    pub(super) fn read(&self) -> anyhow::Result<Follower> {
        let reading = "read the policy set";
        let mut follower =
            Follower::open(self.view.as_ref(), &self.topics.policy).context(reading)?;
        follower.catch_up(self.view.as_ref(), |_, _| {}).context(reading)?;
        Ok(follower)
    }

    /// Reads to the end, and refuses what cannot be followed to there.
    pub(super) fn newest(&self) -> anyhow::Result<Follower> {
        let follower = self.read()?;
        match follower.chain().broken() {
            Some(cause) => Err(PolicyError::NotFollowed { cause }.into()),
            None => Ok(follower),
        }
    }

    /// Returns the set at a revision, or the newest.
    pub(super) fn set_at(
        &self,
        follower: &Follower,
        revision: Option<u64>,
    ) -> anyhow::Result<PolicySet> {
        let Some(revision) = revision else { return Ok(follower.chain().set().clone()) };
        let set = Follower::set_at(self.view.as_ref(), &self.topics.policy, revision);
        let newest = follower.chain().revision();
        let set = set.context("read the policy set")?;
        Ok(set.ok_or(PolicyError::NoRevision { revision, newest })?)
    }
}
