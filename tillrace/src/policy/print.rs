//! What the commands on the policy set print: lines for people, or one JSON value for programs.

use std::io::{self, Write as _};

use anyhow::Context;
use serde_json::{Value, json};
use tillrace_core::text::Timestamp;
use tillrace_policy::{Change, Commit, PolicySet, Resource, write_document};

use crate::cli::OutputForm;
use crate::session::say;
use crate::terminal::printable;

/// Prints a line that is no part of what a program reads.
pub(super) fn say_aside(line: &str) -> anyhow::Result<()> {
    writeln!(io::stderr().lock(), "{}", printable(line)).context("print")
}

/// Prints changes: `+` new, `~` changed with each member before and after, `-` removed.
pub(super) fn changes(
    before: &PolicySet,
    changes: &[Change],
    output: OutputForm,
) -> anyhow::Result<()> {
    if output == OutputForm::Json {
        let all: Vec<Value> = changes.iter().map(|change| json_of(before, change)).collect();
        return say(&Value::Array(all).to_string());
    }
    if changes.is_empty() {
        return say("nothing would change");
    }
    for change in changes {
        let (id, known) = (change.id(), before.get(change.id()));
        match (change, known) {
            (Change::Remove(_), _) => say(&format!("- {id}"))?,
            (Change::Set(_), None) => say(&format!("+ {id}"))?,
            (Change::Set(resource), Some(known)) => {
                say(&format!("~ {id}"))?;
                members("spec", &known.spec, &resource.spec)?;
            }
        }
    }
    Ok(())
}

/// Prints the members in which two values differ, each with its path.
fn members(path: &str, before: &Value, after: &Value) -> anyhow::Result<()> {
    if before == after {
        return Ok(());
    }
    let (Value::Object(one), Value::Object(other)) = (before, after) else {
        return say(&format!("    {path}: {before} → {after}"));
    };
    let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    for name in names {
        let path = format!("{path}.{name}");
        match (one.get(name), other.get(name)) {
            (Some(before), Some(after)) => members(&path, before, after)?,
            (Some(before), None) => say(&format!("    {path}: {before} → gone"))?,
            (None, Some(after)) => say(&format!("    {path}: new {after}"))?,
            (None, None) => {}
        }
    }
    Ok(())
}

fn json_of(before: &PolicySet, change: &Change) -> Value {
    let id = change.id();
    let known = before.get(id).map(|resource| resource.spec.clone());
    let after = if let Change::Set(resource) = change { Some(resource.spec.clone()) } else { None };
    json!({"kind": id.kind, "tenant": id.tenant, "name": id.name, "before": known, "after": after})
}

/// Prints the revisions.
pub(super) fn history(commits: &[Commit], output: OutputForm) -> anyhow::Result<()> {
    if output == OutputForm::Json {
        let all: Vec<Value> = commits.iter().map(json_of_commit).collect();
        return say(&Value::Array(all).to_string());
    }
    if commits.is_empty() {
        return say("the policy set is empty and never was changed");
    }
    for commit in commits {
        let Commit { revision, operator, reason, changes, count, whole, .. } = commit;
        let how = if *whole { "restored" } else { "changed" };
        let at = Timestamp::from_millis(commit.at_ms);
        say(&format!("{revision}  {at}  {operator}  {how} {changes}, {count} in all  {reason}"))?;
    }
    Ok(())
}

fn json_of_commit(commit: &Commit) -> Value {
    json!({
        "revision": commit.revision,
        "apply": commit.apply.to_string(),
        "at": Timestamp::from_millis(commit.at_ms).to_string(),
        "operator": commit.operator,
        "reason": commit.reason,
        "whole": commit.whole,
        "changes": commit.changes,
        "count": commit.count,
        "digest": commit.digest,
    })
}

/// Prints documents.
pub(super) fn resources(resources: &[&Resource], output: OutputForm) -> anyhow::Result<()> {
    if output == OutputForm::Json {
        let of = |one: &&Resource| {
            let id = &one.id;
            json!({"kind": id.kind, "tenant": id.tenant, "name": id.name, "spec": one.spec})
        };
        return say(&Value::Array(resources.iter().map(of).collect()).to_string());
    }
    let mut out = io::stdout().lock();
    for (index, resource) in resources.iter().enumerate() {
        let text = write_document(resource);
        let between = if index > 0 { "---\n" } else { "" };
        write!(out, "{between}{text}").context("print")?;
    }
    Ok(())
}
