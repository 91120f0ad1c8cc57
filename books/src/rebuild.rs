//! The data store made anew from the log, beside the one that is there, and put in its place when it is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::owner::Owner;
use crate::reader::{ReaderPlan, require_whole};
use crate::sqlite::checkpoint;
use crate::store::StoreError;

/// Makes the store of `plan` anew and puts it in place of the one that is there. A death on the way leaves the old one.
///
/// # Errors
/// [`StoreError::Incomplete`] when the log no longer begins at 0, unless holes are allowed; [`StoreError::Owned`] while the role
/// runs; when log or store fail.
pub fn rebuild(plan: &ReaderPlan, allow_holes: bool) -> Result<(), StoreError> {
    let _owner = Owner::take(&plan.path)?;
    if !allow_holes {
        require_whole(plan.log.as_ref(), &plan.topics)?;
    }
    let fresh = beside(&plan.path, ".rebuild");
    for file in [fresh.clone(), beside(&fresh, "-wal"), beside(&fresh, "-shm")] {
        remove(&file)?;
    }
    let fresh_plan = ReaderPlan { path: fresh.clone(), ..plan.clone() };
    let mut reader = fresh_plan.open()?;
    reader.catch_up()?;
    drop(reader);
    checkpoint(&fresh)?;
    // The old write-ahead log would be replayed into the new file. Emptied first, nothing of the old store hangs on it.
    if plan.path.exists()
        && let Err(error) = checkpoint(&plan.path)
    {
        tracing::warn!(code = "data_store_failed", %error, "the old data store is damaged; it is replaced");
    }
    for suffix in ["-wal", "-shm"] {
        remove(&beside(&plan.path, suffix))?;
    }
    let failed =
        |source| StoreError::File { action: "put in place", path: plan.path.clone(), source };
    fs::rename(&fresh, &plan.path).map_err(failed)?;
    remove(&beside(&fresh, ".lock"))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::File { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
