//! A disk that forgets what it may forget.
//!
//! What was written and not synced may be there after a power cut, or not, or sector by sector in
//! any order; names made, changed or removed since the folder was last synced likewise, each for
//! itself. A sync that fails loses what it was to make durable, and does so silently for whoever
//! asks again: the page cache shows the bytes and calls them clean.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::disk::{Disk, DiskFile};

const SECTOR: usize = 512;

/// A cheap source of arbitrary choices.
#[derive(Debug, Clone)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What to do when the count of changes reaches a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The power goes: nothing works any more.
    PowerCut,
    /// This one change fails, with what it changed half done; those after it work.
    Fails(io::ErrorKind),
}

#[derive(Debug, Clone, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

impl Content {
    fn write(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
        if bytes.len() < at + written.len() {
            bytes.resize(at + written.len(), 0);
        }
        bytes[at..at + written.len()].copy_from_slice(written);
    }
}

#[derive(Debug, Clone)]
enum Naming {
    Made(String, usize),
    /// From, to, and the file: a folder's entry names a file, not whatever else bore the old name.
    Renamed(String, String, usize),
    Removed(String),
}

#[derive(Debug, Clone, Default)]
struct Folder {
    contents: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced: Vec<Naming>,
    changes: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
    /// How many more files cannot be created, for want of descriptors.
    without_descriptor: u32,
    available: Option<u64>,
}

impl Folder {
    /// Counts a change; says whether it is to fail.
    fn change(&mut self) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("the power is off"));
        }
        self.changes += 1;
        match self.fault {
            Some((at, Fault::PowerCut)) if self.changes >= at => {
                self.dead = true;
                Err(io::Error::other("the power went off"))
            }
            Some((at, Fault::Fails(kind))) if self.changes == at => Err(kind.into()),
            _ => Ok(()),
        }
    }

    fn name(names: &mut BTreeMap<String, usize>, naming: &Naming) {
        match naming {
            Naming::Made(name, file) => {
                names.insert(name.clone(), *file);
            }
            Naming::Renamed(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Naming::Removed(name) => {
                names.remove(name);
            }
        }
    }
}

/// The disk; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(super) struct SimulatedDisk(Arc<Mutex<Folder>>);

impl SimulatedDisk {
    /// Has something go wrong at the n-th change from now.
    pub(super) fn set_fault(&self, after: u64, fault: Fault) {
        let mut folder = self.0.lock();
        folder.fault = Some((folder.changes + after, fault));
    }

    /// Has so many files not be created.
    pub(super) fn set_without_descriptor(&self, times: u32) {
        self.0.lock().without_descriptor = times;
    }

    /// Sets what is left on the disk.
    pub(super) fn set_available(&self, bytes: u64) {
        self.0.lock().available = Some(bytes);
    }

    /// The disk after the power came back.
    pub(super) fn after_power_cut(&self, dice: &mut Dice) -> Self {
        let folder = self.0.lock().clone();
        let mut names = folder.durable_names.clone();
        for naming in &folder.unsynced {
            if dice.roll(2) == 0 {
                Folder::name(&mut names, naming);
            }
        }
        let mut contents = folder.contents;
        for content in &mut contents {
            for (at, written) in std::mem::take(&mut content.unsynced) {
                let mood = dice.roll(3);
                for (number, sector) in written.chunks(SECTOR).enumerate() {
                    let kept = mood == 0 || (mood == 1 && dice.roll(2) == 0);
                    if kept {
                        Content::write(&mut content.durable, at + number * SECTOR, sector);
                    }
                }
            }
            content.now = content.durable.clone();
        }
        let durable_names = names.clone();
        let fresh = Folder { contents, names, durable_names, ..Folder::default() };
        Self(Arc::new(Mutex::new(fresh)))
    }

    /// The disk after the process was killed: the page cache keeps everything, synced or not.
    pub(super) fn after_kill(&self) -> Self {
        let mut folder = self.0.lock().clone();
        (folder.dead, folder.fault) = (false, None);
        Self(Arc::new(Mutex::new(folder)))
    }

    /// Does something while every access to the disk waits.
    pub(super) fn while_stuck<T>(&self, work: impl FnOnce() -> T) -> T {
        let _stuck = self.0.lock();
        work()
    }

    /// Bytes of the files whose names end so.
    pub(super) fn bytes(&self, ending: &str) -> usize {
        let folder = self.0.lock();
        let files = folder.names.iter().filter(|(name, _)| name.ends_with(ending));
        files.map(|(_, file)| folder.contents[*file].now.len()).sum()
    }

    pub(super) fn names(&self, ending: &str) -> Vec<String> {
        let folder = self.0.lock();
        folder.names.keys().filter(|name| name.ends_with(ending)).cloned().collect()
    }
}

impl Disk for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut folder = self.0.lock();
        if folder.without_descriptor > 0 {
            folder.without_descriptor -= 1;
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()));
        }
        folder.change()?;
        let file = folder.contents.len();
        folder.contents.push(Content::default());
        folder.names.insert(name.to_owned(), file);
        folder.unsynced.push(Naming::Made(name.to_owned(), file));
        Ok(Arc::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.0.lock().names.get(name).copied();
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut folder = self.0.lock();
        folder.change()?;
        let file = *folder.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let naming = Naming::Renamed(from.to_owned(), to.to_owned(), file);
        Folder::name(&mut folder.names, &naming);
        folder.unsynced.push(naming);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut folder = self.0.lock();
        if !folder.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        folder.change()?;
        folder.names.remove(name);
        folder.unsynced.push(Naming::Removed(name.to_owned()));
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut folder = self.0.lock();
        folder.change()?;
        folder.durable_names = folder.names.clone();
        folder.unsynced.clear();
        Ok(())
    }

    fn available(&self) -> io::Result<u64> {
        Ok(self.0.lock().available.unwrap_or(u64::MAX / 2))
    }

    fn place(&self, name: &str) -> String {
        format!("simulated/{name}")
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
}

impl DiskFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().contents[self.file].now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        let folder = self.disk.0.lock();
        let from = usize::try_from(position).unwrap();
        let bytes = folder.contents[self.file].now.get(from..from + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let mut folder = self.disk.0.lock();
        let outcome = folder.change();
        let written = if outcome.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        let at = usize::try_from(position).unwrap();
        let content = &mut folder.contents[self.file];
        Content::write(&mut content.now, at, written);
        content.unsynced.push((at, written.to_vec()));
        outcome
    }

    fn sync(&self) -> io::Result<()> {
        let mut folder = self.disk.0.lock();
        let outcome = folder.change();
        let dead = folder.dead;
        let content = &mut folder.contents[self.file];
        if outcome.is_ok() {
            for (at, written) in std::mem::take(&mut content.unsynced) {
                Content::write(&mut content.durable, at, &written);
            }
        } else if !dead {
            content.unsynced.clear();
        }
        outcome
    }
}
