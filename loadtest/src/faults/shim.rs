//! Libraries between a program and the C library: a page of C each, compiled into the run's folder, loaded by `LD_PRELOAD`.
//!
//! They need no root, and touch no other process. What they do is told to them in a file that they have mapped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// A disk that fails, for the files below one folder.
pub(crate) const DISK: Shim = Shim { name: "disk", source: include_str!("shim/disk.c") };

/// A wall clock that jumps.
pub(crate) const CLOCK: Shim = Shim { name: "clock", source: include_str!("shim/clock.c") };

/// A library to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shim {
    name: &'static str,
    source: &'static str,
}

impl Shim {
    /// Compiles it; returns the library.
    pub(crate) fn compile(self, folder: &Path) -> anyhow::Result<PathBuf> {
        let file = |ending: &str| folder.join(format!("{}.{ending}", self.name));
        let (source, library) = (file("c"), file("so"));
        fs::write(&source, self.source).with_context(|| format!("write {}", source.display()))?;
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .output()
            .context("run cc")?;
        anyhow::ensure!(
            compiled.status.success(),
            "compile {}: {}",
            source.display(),
            String::from_utf8_lossy(&compiled.stderr)
        );
        Ok(library)
    }
}
