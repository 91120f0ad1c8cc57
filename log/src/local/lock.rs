//! The lock of a log's folder: one process at a time has its files open, and says in the lock's file who it is.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use super::errors::{LocalFault, unavailable};
use super::holder::{Holder, Purpose};
use crate::LogError;

const LOCK_FILE: &str = "lock";
const ACTION: &str = "open the local log";

/// Makes the folder if need be and takes its lock, which the system lets go of when the process ends, however it ends.
///
/// # Errors
/// [`LogError::Refused`] when another process has it.
pub(super) fn lock(dir: &Path, purpose: Purpose) -> Result<File, LogError> {
    let path = dir.join(LOCK_FILE);
    let failed = unavailable(ACTION, || path.display().to_string());
    if !dir.exists() {
        fs::create_dir_all(dir).map_err(&failed)?;
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))
            .and_then(|parent| parent.sync_all())
            .map_err(&failed)?;
    }
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(&failed)?;
    match file.try_lock() {
        Ok(()) => {
            // Only people read it: a disk that is full must not keep the log from being opened.
            drop(Holder { process: std::process::id(), purpose }.write(&file));
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).ok().and_then(|text| Holder::parse(&text));
            Err(LocalFault::Owned { dir: dir.to_owned(), holder }.refusing(ACTION))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_log_open_is_told_with_what_for() {
        let dir = tempfile::tempdir().unwrap();
        let me = std::process::id();
        for (purpose, expected) in
            [(Purpose::Own, "runs on it"), (Purpose::Read, "reads its files")]
        {
            let held = lock(dir.path(), purpose).unwrap();
            let refused = lock(dir.path(), Purpose::Own).unwrap_err().to_string();
            assert!(refused.contains(&format!("process {me}, which {expected}")), "{refused}");
            drop(held);
        }
        let held = lock(dir.path(), Purpose::Own).unwrap();
        held.set_len(0).unwrap();
        let refused = lock(dir.path(), Purpose::Own).unwrap_err().to_string();
        assert!(!refused.contains("which"), "{refused}");
    }
}
