//! Compression of blocks: Zstandard, with contexts that are used again.
//!
//! Why Zstandard and why this level: ADR 22 and the table in `docs/BENCHMARKS.md`.

use std::cell::RefCell;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zstd::bulk;

/// The cheapest level that finds repetitions across a whole block.
const LEVEL: i32 = 1;
/// Bodies that are shorter are stored as they are: a Zstandard frame has a header of its own.
const WORTH_BYTES: usize = 128;

/// How the bodies of frames are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As they are: for a file system that compresses by itself.
    None,
    /// By Zstandard, level 1.
    Zstd,
}

/// Compresses one body after the other.
pub(super) struct Compressor(Option<bulk::Compressor<'static>>);

impl Compressor {
    pub(super) fn new(compression: Compression) -> Self {
        Self(match compression {
            Compression::None => None,
            // Fails only for want of memory; what is stored uncompressed is read as well.
            Compression::Zstd => bulk::Compressor::new(LEVEL).ok(),
        })
    }

    /// Appends bytes to `out`, compressed where that makes them shorter.
    pub(super) fn append(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        if let Some(compressor) = &mut self.0
            && bytes.len() >= WORTH_BYTES
        {
            // One byte less than the original: what does not fit is not worth it.
            out.resize(start + bytes.len() - 1, 0);
            if let Ok(length) = compressor.compress_to_buffer(bytes, &mut out[start..]) {
                out.truncate(start + length);
                return;
            }
            out.truncate(start);
        }
        out.extend_from_slice(bytes);
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Compressor").finish_non_exhaustive()
    }
}

thread_local! {
    /// A context has some 100 KiB of tables, so a thread that reads keeps its own.
    static DECOMPRESSOR: RefCell<Option<bulk::Decompressor<'static>>> =
        RefCell::new(bulk::Decompressor::new().ok());
}

/// Decompresses to exactly so many bytes; `None` when these are not what was compressed.
pub(super) fn decompress(stored: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    let done = DECOMPRESSOR.with_borrow_mut(|decompressor| {
        decompressor.as_mut()?.decompress_to_buffer(stored, &mut bytes).ok()
    })?;
    (done == length).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_only_what_repeats_is_compressed() {
        let repeating = b"tenant/store".repeat(50);
        let mut arbitrary: Vec<u8> = Vec::new();
        for number in 0..40_u128 {
            arbitrary.extend(xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes()).to_le_bytes());
        }
        let mut compressor = Compressor::new(Compression::Zstd);
        let mut out = b"before".to_vec();
        compressor.append(&repeating, &mut out);
        assert!(out.len() < 100, "{}", out.len());
        assert_eq!(decompress(&out[6..], repeating.len()).unwrap(), repeating);
        assert_eq!(decompress(&out[6..], repeating.len() - 1), None);
        assert_eq!(decompress(&out[7..], repeating.len()), None);
        let mut out = Vec::new();
        compressor.append(&arbitrary, &mut out);
        assert_eq!(out, arbitrary, "what does not get shorter is stored as it is");
        out.clear();
        compressor.append(b"short short short", &mut out);
        assert_eq!(out, b"short short short");
        out.clear();
        Compressor::new(Compression::None).append(&repeating, &mut out);
        assert_eq!(out, repeating);
    }
}
