//! What tells one local log from another: a random id in a file of its folder, made when it is first opened.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use uuid::Uuid;

use super::errors::unavailable;
use crate::LogError;

const FILE: &str = "identity";
const UNFINISHED: &str = "identity.new";

/// Returns the identity of the log in a folder.
///
/// # Errors
/// [`LogError::Unavailable`] when the file cannot be read or is not there, [`LogError::Damaged`] when it holds
/// something else.
pub fn read(dir: &Path) -> Result<String, LogError> {
    let path = dir.join(FILE);
    let place = || path.display().to_string();
    let text = fs::read_to_string(&path).map_err(unavailable("read the log's identity", place))?;
    let id = Uuid::try_parse(text.trim()).map_err(|_other| LogError::Damaged {
        place: place(),
        detail: "it holds no identity of a log",
    })?;
    Ok(format!("local/{id}"))
}

/// Gives the log an identity unless it has one. The caller owns the folder.
///
/// # Errors
/// [`LogError::Unavailable`] when the file cannot be made.
pub(super) fn ensure(dir: &Path) -> Result<(), LogError> {
    let path = dir.join(FILE);
    let failed = unavailable("write the log's identity", || path.display().to_string());
    match fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => make(dir).map_err(failed),
        found => found.map(drop).map_err(failed),
    }
}

/// Makes the file under another name first: a crash leaves either none or a whole one.
fn make(dir: &Path) -> io::Result<()> {
    let unfinished = dir.join(UNFINISHED);
    let mut file = File::create(&unfinished)?;
    writeln!(file, "{}", Uuid::new_v4())?;
    file.sync_all()?;
    fs::rename(unfinished, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_identity_and_no_other_has_it() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = folders.each_ref().map(|folder| {
            ensure(folder.path()).unwrap();
            read(folder.path()).unwrap()
        });
        assert!(one.starts_with("local/"), "{one}");
        assert_ne!(one, other);
        ensure(folders[0].path()).unwrap();
        assert_eq!(read(folders[0].path()).unwrap(), one);
        fs::write(folders[0].path().join(FILE), "").unwrap();
        let damaged = read(folders[0].path()).unwrap_err();
        assert!(matches!(damaged, LogError::Damaged { .. }), "{damaged}");
    }
}
