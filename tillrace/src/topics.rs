//! `tillrace topics acl`: the commands that give a domain's roles and its data team what they need on a Kafka cluster, and
//! nothing of any other domain.
//!
//! Nothing is applied here: an administrator of the cluster reads the commands and runs them. What each actor needs is in
//! [`access`].

mod access;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context;

use self::access::{Access, Operation, Resource};
use crate::cli::{AclArgs, Actor};
use crate::config::{Domain, Settings};
use crate::usage::UsageError;

/// Who the roles are, where no user is configured.
const ROLES: &str = "User:tillrace";

/// Prints the commands.
pub(crate) fn acl(args: &AclArgs) -> anyhow::Result<ExitCode> {
    let domain = Settings::load_domain(&args.log)?;
    let text = commands(&domain, args)?;
    io::stdout().lock().write_all(text.as_bytes()).context("print the commands")?;
    Ok(ExitCode::SUCCESS)
}

fn commands(domain: &Domain, args: &AclArgs) -> Result<String, UsageError> {
    let Some(kafka) = &domain.log.kafka else {
        return Err(UsageError::NoAccessLists { name: domain.name.clone() });
    };
    let file = args.command_config.as_ref().map(|file| file.display().to_string());
    let file = file.map(|file| format!(" --command-config {}", quoted(&file))).unwrap_or_default();
    let connect = format!("--bootstrap-server {}{file}", quoted(&kafka.brokers));
    let user = kafka.properties.get("sasl.username").map(|name| format!("User:{}", name.expose()));
    let principal = args.principal.clone().or(user).unwrap_or(ROLES.to_owned());
    let actors = if args.role.is_empty() { Actor::ALL.to_vec() } else { args.role.clone() };
    let names: Vec<&str> = actors.iter().map(|actor| actor.as_str()).collect();
    let needs = actors.iter().flat_map(|&actor| access::needs(domain, actor));
    let mut lines = vec![format!("# Domain {}, {}: {principal}", domain.name, names.join(", "))];
    lines.extend(block(&connect, &principal, needs));
    if let Some(team) = &args.data_team {
        let group = args.data_team_group.clone().unwrap_or_else(|| access::data_team_group(domain));
        lines.push(format!("# Domain {}, its data team, reading only: {team}", domain.name));
        lines.extend(block(&connect, team, access::of_data_team(domain, &group)));
    }
    Ok(lines.join("\n") + "\n")
}

/// What one command is for: how names are meant, and the operations.
type Kind<'a> = (Option<&'a str>, BTreeSet<Operation>);

/// Writes a command for each kind of resource and set of operations: what has the same stands in one.
fn block(connect: &str, principal: &str, needs: impl IntoIterator<Item = Access>) -> Vec<String> {
    let mut operations: BTreeMap<Resource, BTreeSet<Operation>> = BTreeMap::new();
    for Access { resource, operations: more } in needs {
        operations.entry(resource).or_default().extend(more);
    }
    let mut commands: BTreeMap<Kind<'_>, Vec<String>> = BTreeMap::new();
    for (resource, operations) in operations {
        let option = resource.option();
        commands.entry((resource.pattern(), operations)).or_default().push(option);
    }
    let command = |((pattern, operations), resources): (Kind<'_>, Vec<String>)| {
        let begin =
            format!("kafka-acls.sh {connect} --add --allow-principal {}", quoted(principal));
        let name = |operation: Operation| format!("--operation {}", operation.as_str());
        let operations: Vec<String> = operations.into_iter().map(name).collect();
        let mut parts = vec![begin, operations.join(" ")];
        parts.extend(resources);
        parts.extend(pattern.map(str::to_owned));
        parts.join(" \\\n    ")
    };
    commands.into_iter().map(command).collect()
}

/// Quotes a word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests;
