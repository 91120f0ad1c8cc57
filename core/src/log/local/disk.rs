//! The one seam through which the Local log touches files.
//!
//! A folder of flat names. Everything durable is asked for by name: a file's bytes by
//! [`DiskFile::sync`], a name's existence by [`Disk::sync_folder`]. A simulated disk stands behind
//! the same seam in tests and forgets, tears and reorders whatever was not asked for.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

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
    /// Where a file is, for people.
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
    folder: PathBuf,
}

impl RealDisk {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.folder.join(name);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.folder.join(name);
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn place(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
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
