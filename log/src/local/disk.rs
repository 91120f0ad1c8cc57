//! The one seam through which the Local log touches files.
//!
//! A folder of flat names. Everything durable is asked for by name: a file's bytes by
//! [`DiskFile::sync`], a name's existence by [`Disk::sync_folder`]. A simulated disk stands behind
//! the same seam in tests and forgets, tears and reorders whatever was not asked for.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::errors::unavailable;
use crate::LogError;

/// A folder.
pub(super) trait Disk: Debug + Send + Sync {
    /// Names of the files in the folder, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes an empty file, or empties one.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file a new name, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Takes a file's name away; open handles go on reading it.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes all names made, changed or removed so far durable.
    fn sync_folder(&self) -> io::Result<()>;
    /// Bytes that are left on it for this process.
    fn available(&self) -> io::Result<u64>;
    /// Where a file is, for people; the folder for an empty name.
    fn place(&self, name: &str) -> String;
}

/// An open file.
pub(super) trait DiskFile: Debug + Send + Sync {
    fn length(&self) -> io::Result<u64>;
    /// Fills the buffer from a position, or fails.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()>;
    /// Writes all bytes at a position.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    /// Makes all bytes written so far, and the length, durable.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's file system.
#[derive(Debug)]
pub(super) struct RealDisk {
    path: PathBuf,
    /// Held open: syncing the folder must not depend on there being a file descriptor left.
    folder: File,
}

impl RealDisk {
    /// Opens a folder.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        let failed = unavailable("open the folder of the local log", || path.display().to_string());
        let folder = File::open(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), folder })
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path.join(name);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.folder.sync_all()
    }

    fn available(&self) -> io::Result<u64> {
        let space = rustix::fs::fstatvfs(&self.folder)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn place(&self, name: &str) -> String {
        let place = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        place.display().to_string()
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
