//! Scanning a segment from frame to frame: for opening the newest, and for what a sidecar would tell.

use super::disk::Disk;
use super::frame::{Frame, FrameKind, Records, Salt, SectionKind, parse_frame};
use super::index::Index;
use super::run::Run;
use super::segment::{self, SegmentName};
use crate::LogError;

/// How far a scan came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scanned {
    /// End of the last good frame.
    pub(super) end: u64,
    /// Whether that frame is a seal.
    pub(super) sealed: bool,
    /// What is wrong after it; `None` at the end of the file.
    pub(super) fault: Option<&'static str>,
}

/// Takes a frame and the bytes it begins.
pub(super) type Visit<'a> = dyn FnMut(&Frame, &[u8]) -> Result<(), &'static str> + 'a;

/// Goes through the frames of a segment's bytes.
///
/// # Errors
/// What `visit` returns; and [`LogError::Damaged`] when a good frame stands behind a bad one:
/// a crash tears only the last.
pub(super) fn scan(
    disk: &dyn Disk,
    name: &SegmentName,
    salt: Salt,
    bytes: &[u8],
    visit: &mut Visit<'_>,
) -> Result<Scanned, LogError> {
    let mut scanned = Scanned { end: segment::HEADER, sealed: false, fault: None };
    let from = |position: u64| {
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        bytes.get(position..).unwrap_or_default()
    };
    while scanned.end < bytes.len() as u64 {
        let rest = from(scanned.end);
        match parse_frame(rest, salt, scanned.end) {
            Ok(found) => {
                visit(&found, rest)
                    .map_err(|detail| segment::damaged(disk, name, scanned.end, detail))?;
                scanned.sealed = found.kind == FrameKind::Seal;
                scanned.end += found.length as u64;
            }
            Err(fault) => {
                let later = (scanned.end + 1..bytes.len() as u64)
                    .any(|position| parse_frame(from(position), salt, position).is_ok());
                if later {
                    return Err(segment::damaged(disk, name, scanned.end, fault));
                }
                scanned.fault = Some(fault);
                break;
            }
        }
    }
    Ok(scanned)
}

/// Adds a frame's records to an index.
pub(super) fn index_frame(
    index: &mut Index,
    frame: &Frame,
    bytes: &[u8],
) -> Result<(), &'static str> {
    let narrow = |number: u64| u32::try_from(number).map_err(|_wide| "a section is too long");
    for block in &frame.blocks {
        let bodies = block.telling_bodies(bytes)?;
        for section in &block.sections {
            let head = &section.head;
            if head.kind == SectionKind::Controls || head.count == 0 {
                continue;
            }
            let mut last = head.first.wrapping_add(u64::from(head.count - 1));
            let mut newest_ms = head.appended_ms;
            if head.kind == SectionKind::Copies {
                let body = bodies.get(section.body.clone()).unwrap_or_default();
                let mut records = Records::new(head);
                while let Some(record) = records.next(body) {
                    let record = record?;
                    (last, newest_ms) = (record.offset, record.appended_ms);
                }
            }
            let run = Run {
                first: head.first,
                span: narrow(last.wrapping_sub(head.first))?,
                position: narrow(block.position)?,
                length: narrow(block.length as u64)?,
                share: narrow(block.share(section))?,
            };
            index.add(head.lane, run, (head.appended_ms, newest_ms));
        }
    }
    Ok(())
}

/// Scans a closed segment, which must hold to its last byte.
pub(super) fn index_of(
    disk: &dyn Disk,
    name: &SegmentName,
    salt: Salt,
    length: u64,
) -> Result<Index, LogError> {
    let bytes = segment::read_all(disk, name, length)?;
    let mut index = Index::default();
    let scanned =
        scan(disk, name, salt, &bytes, &mut |frame, bytes| index_frame(&mut index, frame, bytes))?;
    if scanned.fault.is_some() || !scanned.sealed {
        let detail = scanned.fault.unwrap_or("the segment is cut short");
        return Err(segment::damaged(disk, name, scanned.end, detail));
    }
    Ok(index)
}
