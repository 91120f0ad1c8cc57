//! Whether `tillrace verify` detects what was doctored: a record, a file, a sink. Copies are doctored, not the books.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use serde_json::json;

use super::{blame_verify, run_verify};
use crate::overlay::overlay;
use crate::rng::FaultRng;
use crate::site::{copy_folder, files_below};
use crate::stage::Stage;

/// How densely bits are flipped.
const FLIP_EVERY_BYTES: usize = 2_048;

/// What is doctored.
#[derive(Debug, Clone, Copy)]
enum Tampering {
    /// A bit in every 2 KiB of a closed segment of the local log is flipped.
    Record,
    /// A closed segment of the local log is removed.
    Segment,
    /// A Parquet file is cut.
    File,
    /// A Parquet file is removed: the sink says delivered, and has it not.
    Sink,
}

/// Doctors a copy in each way, and asks for a recount.
pub(super) fn judge(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let ways: &[Tampering] = if stage.site.brokers.is_some() {
        &[Tampering::File, Tampering::Sink]
    } else {
        &[Tampering::Record, Tampering::Segment, Tampering::File, Tampering::Sink]
    };
    let copy = stage.site.folder.join("doctored");
    // A recount that refuses every copy would detect nothing.
    let config = copy_of(stage, &copy)?;
    let recount = run_verify(stage, &config)?;
    if !recount.status.success() {
        let what = "tillrace verify does not agree with a copy that nobody doctored";
        return blame_verify(stage, recount, what);
    }
    for &way in ways {
        if copy.exists() {
            fs::remove_dir_all(&copy).context("remove the last copy")?;
        }
        let config = copy_of(stage, &copy)?;
        let Some(what) = doctor(way, &copy, &mut stage.rng)? else { continue };
        if run_verify(stage, &config)?.status.success() {
            stage.fault(format!("tillrace verify does not detect it: {what}"));
        }
    }
    if copy.exists() {
        fs::remove_dir_all(&copy).context("remove the last copy")?;
    }
    Ok(())
}

/// Copies data and files, and writes a configuration that names the copies.
fn copy_of(stage: &Stage<'_>, copy: &Path) -> anyhow::Result<PathBuf> {
    let (data, lake) = (copy.join("data"), copy.join("lake"));
    if stage.site.data().exists() {
        copy_folder(&stage.site.data(), &data)?;
    }
    copy_folder(&stage.site.lake(), &lake)?;
    let path = copy.join("config.yaml");
    let mut settings = stage.plan.settings.clone();
    overlay(&mut settings, json!({"data": data}));
    stage.site.write_config(&path, stage.backend_proxy.port, &settings)?;
    let text = fs::read_to_string(&path).context("read the copy's configuration")?;
    let place = |lake: &Path| json!(lake).to_string();
    fs::write(&path, text.replace(&place(&stage.site.lake()), &place(&lake)))
        .context("write the copy's configuration")?;
    Ok(path)
}

/// Doctors a copy; returns what was done, `None` where there was nothing to do it to.
fn doctor(way: Tampering, copy: &Path, rng: &mut FaultRng) -> anyhow::Result<Option<String>> {
    let (folder, ending) = match way {
        Tampering::Record | Tampering::Segment => (copy.join("data/log"), ".log"),
        Tampering::File | Tampering::Sink => (copy.join("lake"), ".parquet"),
    };
    let mut files = files_below(&folder, ending)?;
    if matches!(way, Tampering::Record | Tampering::Segment) {
        // In the newest segment damage may look like what a crash tore, and is cut.
        files.pop();
    }
    let Some(path) = files.choose(rng) else { return Ok(None) };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Some(match way {
        Tampering::Record => {
            let bits = flip_bits(path, rng)?;
            format!("{bits} bits flipped in {name}")
        }
        Tampering::File => {
            let length = fs::metadata(path)?.len();
            let left = rng.random_range(0..length);
            fs::OpenOptions::new().write(true).open(path)?.set_len(left)?;
            format!("{name} cut from {length} to {left} bytes")
        }
        Tampering::Segment | Tampering::Sink => {
            fs::remove_file(path)?;
            format!("{name} removed")
        }
    }))
}

/// Flips a bit in each stretch of a file; returns how many. A single one may hit what no book holds, such as state.
fn flip_bits(path: &Path, rng: &mut FaultRng) -> anyhow::Result<usize> {
    let mut bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let mut flipped = 0;
    for stretch in bytes.chunks_mut(FLIP_EVERY_BYTES) {
        let at = rng.random_range(0..stretch.len());
        stretch[at] ^= 1 << rng.random_range(0..8);
        flipped += 1;
    }
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))?;
    Ok(flipped)
}
