//! Using a log that another process owns, through a Unix socket in its folder.
//!
//! The owner [`serve`]s, a [`RemoteLog`] asks: for bounds, records and committed places, and to write
//! records. Groups and transactions are the owner's own. Whoever may open the socket may read everything and write anything, as
//! who may open the files could; so it has the folder's
//! rights; a folder whose path is too long for a socket address gets one in a private folder under
//! the system's temporary one, and a file that says where.

mod client;
mod protocol;
mod server;

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::client::RemoteLog;
pub use self::server::{Serving, serve};
use super::disk::RealDisk;
use super::errors::unavailable;
use super::holder::Purpose;
use super::lock;
use super::open_log::OpenLog;
use super::settings::LocalTuning;
use super::{LocalLog, now_ms};
use crate::{LogError, LogView};

const SOCKET: &str = "socket";
const POINTER: &str = "socket.path";
/// Longest path of a socket: `sun_path` has 108 bytes on Linux, 104 elsewhere.
const PATH_BYTES: usize = 100;

/// Opens a log for reading: through its owner where one serves, else from its files.
///
/// From files it is opened as an owner that writes nothing but what a crash left undone and removes
/// nothing; nobody else can own the log meanwhile.
///
/// # Errors
/// [`LogError::Refused`] when an owner has the log but does not serve; [`LogError::Unavailable`]
/// when there is no log in the folder; and as [`LocalLog::open`].
pub fn open_view(dir: &Path) -> Result<Arc<dyn LogView>, LogError> {
    match RemoteLog::connect(dir) {
        Ok(view) => return Ok(Arc::new(view)),
        Err(LogError::Unavailable { .. }) => {}
        Err(error) => return Err(error),
    }
    if !dir.is_dir() {
        let missing = io::Error::new(io::ErrorKind::NotFound, "there is no such folder");
        let place = || dir.display().to_string();
        return Err(unavailable("open the folder of the local log", place)(missing));
    }
    let lock = lock::lock(dir, Purpose::Read)?;
    let disk = Arc::new(RealDisk::open(dir)?);
    let tuning = LocalTuning::default();
    let open_log = OpenLog::start_writing(disk, None, &tuning, Arc::new(now_ms), Some(lock))?;
    Ok(Arc::new(LocalLog { open_log: Arc::new(open_log), dir: dir.to_owned() }))
}

/// Tells whether a process runs on the log in a folder and lets others use it.
pub fn is_served(dir: &Path) -> bool {
    socket_of(dir).and_then(UnixStream::connect).is_ok()
}

/// Where the owner of a folder listens, as a reader finds it.
fn socket_of(dir: &Path) -> io::Result<PathBuf> {
    match fs::read_to_string(dir.join(POINTER)) {
        Ok(path) => Ok(PathBuf::from(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(dir.join(SOCKET)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
