//! `tillrace policy`: the policy set as people keep it, and as it stands on the log.

mod changes;
mod error;
mod kinds;
mod opened;
mod print;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tillrace_policy::{Kind, PolicySet, Resource, Values, compare, read_folder, write_folder};

pub(crate) use self::error::PolicyError;
use self::kinds::KINDS;
use self::opened::Opened;
use crate::cli::{LogSource, PolicyAction, PolicyFolder, PolicyLook};
use crate::session::say;

/// Does what is asked about the policy set.
pub(crate) fn run(action: &PolicyAction) -> anyhow::Result<ExitCode> {
    match action {
        PolicyAction::Check { folder } => {
            let set = read(folder)?;
            say(&format!("{} resources; nothing is wrong with them", set.len()))?;
        }
        PolicyAction::Diff { folder, prune, look } => {
            let wanted = read(folder)?;
            let follower = Opened::to_look(&look.log)?.newest()?;
            let before = follower.chain().set();
            print::changes(before, &compare(before, &wanted, |_| *prune), look.output)?;
        }
        PolicyAction::Apply { folder, prune, order } => {
            return changes::apply_folder(order, *prune, &read(folder)?);
        }
        PolicyAction::History { look } => {
            let follower = Opened::to_look(&look.log)?.read()?;
            print::history(follower.chain().history(), look.output)?;
        }
        PolicyAction::Show { resource, revision, look } => {
            show(resource.as_deref(), *revision, look)?;
        }
        PolicyAction::Rollback { revision, order } => return changes::roll_back(order, *revision),
        PolicyAction::Restore { folder, order } => return changes::replace(order, &read(folder)?),
        PolicyAction::Export { folder, revision, log } => export(folder, *revision, log)?,
        PolicyAction::Schema { kind } => schema(kind)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read(folder: &PolicyFolder) -> Result<PolicySet, PolicyError> {
    let values = Values::read(&folder.values)?;
    read_folder(&folder.folder, &values, KINDS).map_err(PolicyError::Documents)
}

fn show(resource: Option<&str>, revision: Option<u64>, look: &PolicyLook) -> anyhow::Result<()> {
    let opened = Opened::to_look(&look.log)?;
    let follower = opened.read()?;
    let set = opened.set_at(&follower, revision)?;
    let named = |one: &&Arc<Resource>| resource.is_none_or(|id| one.id.to_string() == id);
    let found: Vec<&Resource> = set.sorted().into_iter().filter(named).map(Arc::as_ref).collect();
    if let (Some(id), true) = (resource, found.is_empty()) {
        let revision = revision.unwrap_or(follower.chain().served_revision());
        return Err(PolicyError::NoResource { id: id.to_owned(), revision }.into());
    }
    print::resources(&found, look.output)
}

fn export(folder: &Path, revision: Option<u64>, source: &LogSource) -> anyhow::Result<()> {
    let opened = Opened::to_look(source)?;
    let set = opened.set_at(&opened.read()?, revision)?;
    let files = write_folder(&set);
    let at = || format!("write to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(at)?;
    if std::fs::read_dir(folder).with_context(at)?.next().is_some() {
        return Err(PolicyError::NotEmpty { folder: folder.to_owned() }.into());
    }
    for (name, text) in &files {
        let path = folder.join(name);
        path.parent().map_or(Ok(()), std::fs::create_dir_all).with_context(at)?;
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    say(&format!("{} resources in {} files below {}", set.len(), files.len(), folder.display()))
}

fn schema(kind: &str) -> anyhow::Result<()> {
    let Some(known) = Kind::find(KINDS, kind) else {
        let known = KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
        return Err(PolicyError::NoKind { kind: kind.to_owned(), known }.into());
    };
    // Not by `say`, which takes line ends for what a terminal must not see.
    writeln!(io::stdout().lock(), "{:#}", known.document_schema()).context("print the schema")
}
