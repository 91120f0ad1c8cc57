//! Changing the set: what is to be changed is shown, asked for and then left to the order of the log.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use tillrace_core::topics::Topics;
use tillrace_log::WritableLog;
use tillrace_policy::{
    Applied, ApplyError, Author, Chain, Change, Horizon, PolicySet, apply, compare, restore,
    revoked_keys, tidy, without_revoked_keys,
};

use super::error::PolicyError;
use super::kinds::KINDS;
use super::opened::Opened;
use super::print::{self, say_aside};
use crate::cli::PolicyOrder;
use crate::confirm::confirm;

/// Makes the set what a folder says, without what `prune` spares.
pub(super) fn apply_folder(
    order: &PolicyOrder,
    prune: bool,
    wanted: &PolicySet,
) -> anyhow::Result<ExitCode> {
    let opened = Opened::to_change(order)?;
    let follower = opened.newest()?;
    change(
        order,
        &opened,
        follower.chain().set(),
        &compare(follower.chain().set(), wanted, |_| prune),
    )
}

/// Makes the set what it was at a revision, without what was revoked since.
pub(super) fn roll_back(order: &PolicyOrder, revision: u64) -> anyhow::Result<ExitCode> {
    let opened = Opened::to_change(order)?;
    let follower = opened.newest()?;
    let (then, revoked) =
        without_revoked_keys(KINDS, follower.chain(), &opened.set_at(&follower, Some(revision))?);
    say_revoked(revoked)?;
    change(
        order,
        &opened,
        follower.chain().set(),
        &compare(follower.chain().set(), &then, |_| true),
    )
}

/// Puts a whole set in the place of the one there is, without what was revoked.
pub(super) fn replace(order: &PolicyOrder, set: &PolicySet) -> anyhow::Result<ExitCode> {
    let opened = Opened::to_change(order)?;
    let follower = opened.read()?;
    let (set, revoked) = without_revoked_keys(KINDS, follower.chain(), set);
    say_revoked(revoked)?;
    let changes = compare(follower.chain().set(), &set, |_| true);
    print::changes(follower.chain().set(), &changes, order.look.output)?;
    let question = format!("Put {} resources in the place of the whole policy set?", set.len());
    let Some(log) = consented(order, &opened, &question)? else { return Ok(opened.not_done()) };
    let resources = set.sorted().into_iter().cloned();
    let applied = restore(log, &opened.topics.policy, &author(order), resources).map_err(told)?;
    finish(log, &opened.topics, &applied)
}

fn change(
    order: &PolicyOrder,
    opened: &Opened,
    before: &PolicySet,
    changes: &[Change],
) -> anyhow::Result<ExitCode> {
    print::changes(before, changes, order.look.output)?;
    if changes.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let question = format!("Change {} resources of the policy set?", changes.len());
    let Some(log) = consented(order, opened, &question)? else { return Ok(opened.not_done()) };
    let plan = |chain: &Chain| planned(chain, before, changes);
    let applied = apply(log, &opened.topics.policy, &author(order), plan).map_err(told)?;
    finish(log, &opened.topics, &applied)
}

/// Returns the log to write to, unless nothing is to be done.
fn consented<'a>(
    order: &PolicyOrder,
    opened: &'a Opened,
    question: &str,
) -> anyhow::Result<Option<&'a dyn WritableLog>> {
    let Some(log) = opened.log() else { return Ok(None) };
    Ok(confirm(question, order.consent.yes)?.then_some(log))
}

fn say_revoked(keys: usize) -> anyhow::Result<()> {
    if keys == 0 { Ok(()) } else { say_aside(&format!("{keys} keys were revoked and stay so")) }
}

/// Returns the changes, if what they touch is still what was looked at, and if they set no key that was revoked.
fn planned(
    chain: &Chain,
    before: &PolicySet,
    changes: &[Change],
) -> Result<Vec<Change>, PolicyError> {
    let differs = |change: &&Change| chain.set().get(change.id()) != before.get(change.id());
    let touched: Vec<String> =
        changes.iter().filter(differs).take(3).map(|change| change.id().to_string()).collect();
    if !touched.is_empty() {
        return Err(PolicyError::Changed { ids: touched.join(", ") });
    }
    for change in changes {
        if let Change::Set(resource) = change
            && let Some(hash) = revoked_keys(KINDS, chain, resource).into_iter().next()
        {
            return Err(PolicyError::Revoked { id: resource.id.to_string(), hash });
        }
    }
    Ok(changes.to_vec())
}

/// Says what came of it, and removes from the log what nobody will ask for any more.
fn finish(log: &dyn WritableLog, topics: &Topics, applied: &Applied) -> anyhow::Result<ExitCode> {
    say_aside(&format!("revision {}: {} changed", applied.revision, applied.changes))?;
    tidy(log, &topics.policy, now_ms(), Horizon::default())
        .context("remove what was superseded long ago; the change itself is in force")?;
    Ok(ExitCode::SUCCESS)
}

fn author(order: &PolicyOrder) -> Author {
    let (operator, reason) = (order.operator.clone(), order.reason.clone());
    Author { operator, reason, at_ms: now_ms() }
}

fn now_ms() -> i64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// Gives an error the explanation that an operator needs.
fn told(error: ApplyError<PolicyError>) -> anyhow::Error {
    match error {
        ApplyError::Plan(error) => error.into(),
        ApplyError::Log(error) => anyhow::Error::new(error).context("change the policy set"),
        ApplyError::NotFollowed(cause) => PolicyError::NotFollowed { cause }.into(),
        ApplyError::TooLarge { .. } => PolicyError::TooLarge { document: error.to_string() }.into(),
        ApplyError::Contended => PolicyError::Contended.into(),
    }
}
