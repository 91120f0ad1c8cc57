//! Who has a log's folder open, as the lock's file says it to people.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};

/// What a process has a log open for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It runs on it.
    Own,
    /// It reads its files, as nobody serves them.
    Read,
}

/// Who has a log open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Number of the process.
    pub process: u32,
    /// What for.
    pub purpose: Purpose,
}

impl Holder {
    /// Reads what a holder wrote; nothing where it has not yet.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (process, purpose) = text.trim_end().split_once(' ')?;
        let purpose = match purpose {
            "runs" => Purpose::Own,
            "reads" => Purpose::Read,
            _ => return None,
        };
        Some(Self { process: process.parse().ok()?, purpose })
    }

    pub(super) fn write(self, mut file: &File) -> io::Result<()> {
        let purpose = match self.purpose {
            Purpose::Own => "runs",
            Purpose::Read => "reads",
        };
        file.set_len(0)?;
        file.write_all(format!("{} {purpose}\n", self.process).as_bytes())
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purpose = match self.purpose {
            Purpose::Own => "runs on it",
            Purpose::Read => "reads its files",
        };
        write!(formatter, "process {}, which {purpose}", self.process)
    }
}
