//! A disk that fails, without root: a library between the program and the C library, for one folder.
//!
//! What the library (`shim/disk.c`) does is told to it in the first byte of a file that it has mapped. It also notes how long each file was when it was last synced: bytes beyond that are
//! what a power cut may tear, and [`power_cut`] makes the copy of a folder that such a cut could leave.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rand::RngExt as _;

use crate::rng::FaultRng;
use crate::shim;
use crate::site::files_below;

/// What the disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum DiskMode {
    Sound = 0,
    /// Nothing can be written: `ENOSPC`.
    Full = 1,
    /// Nothing can be opened to write, renamed or removed: `EROFS`.
    ReadOnly = 2,
    /// Syncs fail: `EIO`.
    SyncFails = 3,
    /// Writes fail: `EIO`.
    WriteFails = 4,
    /// Half of each write arrives, then `EIO`.
    TornWrites = 5,
    /// Reads fail: `EIO`.
    ReadFails = 6,
    /// Files cannot be opened: `EMFILE`.
    NoDescriptors = 7,
}

/// A disk that can fail, the library to preload, and what to put into the environment.
pub(crate) type Prepared = (DiskFaults, PathBuf, Vec<(String, String)>);

/// The library and what it is told.
#[derive(Debug)]
pub(crate) struct DiskFaults {
    control: PathBuf,
    synced: PathBuf,
}

impl DiskFaults {
    /// Compiles the library for the files below a folder; see [`Prepared`].
    pub(crate) fn prepare(folder: &Path, concerned: &Path) -> anyhow::Result<Prepared> {
        let library = shim::DISK.compile(folder)?;
        let faults = Self { control: folder.join("disk.mode"), synced: folder.join("disk.synced") };
        fs::write(&faults.control, [0; 4_096]).context("write the disk's mode")?;
        let concerned = fs::canonicalize(concerned).context("find the folder of the faults")?;
        let variable = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
        let variables = vec![
            variable("FAULTS_FOLDER", &concerned),
            variable("FAULTS_CONTROL", &fs::canonicalize(&faults.control)?),
            variable("FAULTS_SYNCED", &fs::canonicalize(folder)?.join("disk.synced")),
        ];
        Ok((faults, library, variables))
    }

    /// Changes what the disk does, from the next call on.
    pub(crate) fn set(&self, mode: DiskMode) -> anyhow::Result<()> {
        let control = OpenOptions::new().write(true).open(&self.control);
        let control = control.context("open the disk's mode")?;
        control.write_all_at(&[mode as u8], 0).context("write the disk's mode")
    }

    /// Notes that what stands in a folder is on the disk: what a power cut left is.
    pub(crate) fn note_all_synced(&self, folder: &Path) -> anyhow::Result<()> {
        let mut lines = String::new();
        for path in files_below(folder, "")? {
            let file = path.metadata().with_context(|| format!("look at {}", path.display()))?;
            writeln!(lines, "{} {}", file.ino(), file.len())?;
        }
        fs::write(&self.synced, lines).context("write what is synced")
    }

    /// Counts the bytes of a folder that were not synced.
    pub(crate) fn unsynced_bytes(&self, folder: &Path) -> anyhow::Result<u64> {
        let (synced, mut bytes) = (self.synced()?, 0);
        for path in files_below(folder, "")? {
            let file = path.metadata().with_context(|| format!("look at {}", path.display()))?;
            bytes += file.len().saturating_sub(synced.get(&file.ino()).copied().unwrap_or(0));
        }
        Ok(bytes)
    }

    /// Reads how long each file was when it was last synced, by inode.
    pub(crate) fn synced(&self) -> anyhow::Result<HashMap<u64, u64>> {
        match fs::read_to_string(&self.synced) {
            Ok(text) => Ok(parse_synced(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(HashMap::new()),
            Err(error) => Err(error).context("read what was synced"),
        }
    }
}

/// Reads lines of inode and length; the last of an inode stands.
fn parse_synced(text: &str) -> HashMap<u64, u64> {
    let parse = |line: &str| {
        let (inode, length) = line.split_once(' ')?;
        Some((inode.parse().ok()?, length.parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

/// Copies a folder as a power cut could leave it: what was synced stays; of what was not, a random part is
/// there, and some of that is torn. Returns how many bytes were at the mercy of the cut.
pub(crate) fn power_cut(
    from: &Path,
    to: &Path,
    synced: &HashMap<u64, u64>,
    rng: &mut FaultRng,
) -> anyhow::Result<u64> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    let mut at_mercy = 0;
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            at_mercy += power_cut(&entry.path(), &target, synced, rng)?;
        }
        if !kind.is_file() {
            continue;
        }
        fs::copy(entry.path(), &target)
            .with_context(|| format!("copy {}", entry.path().display()))?;
        let durable = synced.get(&entry.metadata()?.ino()).copied().unwrap_or(0);
        let file = OpenOptions::new().read(true).write(true).open(&target)?;
        at_mercy += tear(&file, durable, rng)?;
    }
    Ok(at_mercy)
}

/// Tears what lies beyond a length: the file ends at a random place, and before it a random run of bytes may be zero.
fn tear(file: &File, durable: u64, rng: &mut FaultRng) -> anyhow::Result<u64> {
    let length = file.metadata()?.len();
    if length <= durable {
        return Ok(0);
    }
    let end = rng.random_range(durable..=length);
    file.set_len(end)?;
    if end > durable && rng.random_bool(0.5) {
        let from = rng.random_range(durable..end);
        let run = rng.random_range(1..=(end - from).min(4_096));
        file.write_all_at(&vec![0; usize::try_from(run)?], from)?;
    }
    Ok(length - durable)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn what_was_synced_survives_a_power_cut_and_the_rest_may_not() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir(&from).unwrap();
        fs::write(from.join("log"), vec![7; 10_000]).unwrap();
        let inode = fs::metadata(from.join("log")).unwrap().ino();
        let synced = parse_synced(&format!("{inode} 10\nnonsense\n{inode} 6000\n"));
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let to = folder.path().join(format!("to-{seed}"));
            let mut rng = FaultRng::seed_from_u64(seed);
            assert_eq!(power_cut(&from, &to, &synced, &mut rng).unwrap(), 4_000);
            let left = fs::read(to.join("log")).unwrap();
            assert!(left[..6_000].iter().all(|byte| *byte == 7), "synced bytes are as they were");
            lengths.insert(left.len());
        }
        assert!(lengths.len() > 10, "{lengths:?}");
    }
}
