//! Room on the disk: how much is left, how long it lasts, and what is refused when it runs out.
//!
//! A log that fills its disk stops at a failed write and cannot even be opened, for opening after a
//! crash needs room for a segment. So it stops before: below the reserve no producer writes, which
//! is what brings new events; below half of it no transaction either; places are committed even
//! then, because they are what lets old records go. All of it is refused as something that passes,
//! and is taken again when there is room.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use bytesize::ByteSize;

use super::errors::{LocalFault, unavailable};
use super::queue::{Done, Submission};
use super::segment::SegmentName;
use super::settings::LocalSettings;
use super::state::{Shared, State};
use crate::explain::Explanation;
use crate::health::{Condition, Impact};
use crate::{Cleanup, LogError};

/// The part of the process that conditions are raised for.
const COMPONENT: &str = "local_log";
/// The rate of writing is that of the last day: trade has its hours.
const RATE_WINDOW_MS: i64 = 86_400_000;
/// A log that is younger is taken for this old, or its first minutes would foretell its year.
const LEAST_WINDOW_MS: i64 = 3_600_000;
/// The disk is called filling when it lasts no longer.
const ALARM: Duration = Duration::from_hours(3 * 24);

const DISK_FULL: Explanation = Explanation {
    code: "disk_full",
    meaning: "The disk of the local log has less left than `log.local.reserve_bytes`. New events are answered 503 and stay with \
              their senders; below half of it the aggregator's flushes wait too. What was acknowledged is kept.",
    remedy: "Make room: enlarge the disk, delete what else is on it, or lower `log.local.retention_bytes` or \
             `log.retention_days`. The log goes on by itself once an eighth more than the reserve is left.",
};
const DISK_FILLING: Explanation = Explanation {
    code: "disk_filling",
    meaning: "At the rate of the last day, and counting what retention will let go, the disk of the local log reaches \
              `log.local.reserve_bytes` within three days; or less than twice the reserve is left. Everything works still.",
    remedy: "Enlarge the disk, or lower `log.local.retention_bytes` or `log.retention_days`, before new events are refused.",
};
const WRITE_FAILED: Explanation = Explanation {
    code: "write_failed",
    meaning: "A write or a sync of the local log failed. Nothing more is written until it is opened anew; what was acknowledged \
              before is kept.",
    remedy: "Mend what the cause names, then start the process again.",
};
pub(super) const RETENTION_EXCEEDED: Explanation = Explanation {
    code: "retention_exceeded",
    meaning: "The local log keeps more than `log.local.retention_bytes`, because a group has yet to read the oldest records, which \
              stay until it has, or because compacted topics, dead letters and conflicts alone are more.",
    remedy: "Start what does not read: the role, or the sink, whose group the cause names. If all have read, raise \
             `log.local.retention_bytes`.",
};

/// What a Local log tells a health, see [`super::LocalLog::report_to`].
pub const CONDITIONS: &[Explanation] = &[DISK_FULL, DISK_FILLING, RETENTION_EXCEEDED, WRITE_FAILED];

/// What may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Everything.
    Plenty,
    /// Transactions and places; the disk has so much left.
    Reserve(u64),
    /// Places; the disk has so much left.
    Places(u64),
}

/// Looks how much is left. A disk that cannot be asked has room: a write will tell.
pub(super) fn look(shared: &Shared) -> Room {
    let Ok(available) = shared.disk.available() else { return Room::Plenty };
    let reserve = shared.tuning.reserve_bytes.as_u64();
    let full = shared.disk_full.load(Ordering::Relaxed);
    // What was refused comes again at once, so there has to be some room for it.
    let enough = if full { reserve.saturating_add(reserve / 8) } else { reserve };
    let is_full = available < enough;
    if is_full != full {
        shared.disk_full.store(is_full, Ordering::Relaxed);
        // Maintenance tells the health.
        shared.maintenance.notify();
    }
    match available {
        _ if !is_full => Room::Plenty,
        some if some >= reserve / 2 => Room::Reserve(some),
        little => Room::Places(little),
    }
}

impl Room {
    /// Says why a submission is not written, if so.
    pub(super) fn refusal(self, shared: &Shared, submission: &Submission) -> Option<LogError> {
        let ((Self::Reserve(available), Done::Rows(_)) | (Self::Places(available), _)) =
            (self, &submission.done)
        else {
            return None;
        };
        (!submission.rows.is_empty()).then(|| full(shared, available).delaying("write"))
    }
}

/// Says why no new event is written now, if so.
pub(super) fn refusal(shared: &Shared) -> Option<LogError> {
    match look(shared) {
        Room::Plenty => None,
        Room::Reserve(available) | Room::Places(available) => {
            Some(full(shared, available).delaying("write"))
        }
    }
}

fn full(shared: &Shared, available: u64) -> LocalFault {
    LocalFault::DiskFull {
        dir: shared.disk.place(""),
        available: ByteSize(available),
        reserve: shared.tuning.reserve_bytes,
    }
}

/// How long a disk lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// Bytes that the log's segments take.
    pub stored_bytes: u64,
    /// Bytes left on the disk.
    pub available_bytes: u64,
    /// Bytes written a day, at the rate of the last day.
    pub bytes_per_day: u64,
    /// Time until less is left than the reserve; `None` where retention lets go as much as comes.
    pub left: Option<Duration>,
}

/// What the outlook depends on besides the segments.
#[derive(Debug, Clone, Copy)]
struct Limits {
    available: u64,
    reserve: u64,
    retention_ms: u64,
    retention_bytes: Option<u64>,
}

impl Outlook {
    /// Computes it from lengths of segments and the times when each was last written.
    fn new(segments: &[(u64, i64)], now_ms: i64, limits: Limits) -> Self {
        let stored_bytes = segments.iter().map(|(bytes, _)| bytes).sum::<u64>();
        let age_ms = segments.iter().map(|(_, at_ms)| now_ms.saturating_sub(*at_ms)).max();
        let window_ms = age_ms.unwrap_or(0).clamp(LEAST_WINDOW_MS, RATE_WINDOW_MS);
        let recent = segments.iter().filter(|(_, at_ms)| now_ms.saturating_sub(*at_ms) < window_ms);
        let written = recent.map(|(bytes, _)| bytes).sum::<u64>();
        let window = u128::from(window_ms.unsigned_abs());
        let over = |ms: u64| u128::from(written) * u128::from(ms) / window;
        let narrow = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        let bytes_per_day = narrow(over(RATE_WINDOW_MS.unsigned_abs()));
        let kept = narrow(over(limits.retention_ms));
        let kept = limits.retention_bytes.map_or(kept, |bound| kept.min(bound));
        let room = limits.available.saturating_sub(limits.reserve);
        let lasts = kept.saturating_sub(stored_bytes) <= room;
        let left_ms = narrow(u128::from(room) * window / u128::from(written.max(1)));
        Self {
            stored_bytes,
            available_bytes: limits.available,
            bytes_per_day,
            left: (!lasts).then(|| Duration::from_millis(left_ms)),
        }
    }

    fn of(shared: &Shared, available: u64) -> Self {
        let state = shared.state.read();
        let segments = segments(&state, (shared.clock)());
        let retention = state.catalog.topics.iter().filter_map(|topic| match topic.cleanup {
            Cleanup::Delete { retention_ms } => Some(retention_ms),
            Cleanup::Compact => None,
        });
        let limits = Limits {
            available,
            reserve: shared.tuning.reserve_bytes.as_u64(),
            retention_ms: retention.max().unwrap_or(0),
            retention_bytes: shared.tuning.retention_bytes.map(|bytes| bytes.as_u64()),
        };
        Self::new(&segments, (shared.clock)(), limits)
    }
}

/// Lengths of the segments, and when each was last written.
fn segments(state: &State, now_ms: i64) -> Vec<(u64, i64)> {
    let sealed = state.sealed.iter().map(|segment| {
        let newest_ms = segment.lanes.values().map(|lane| lane.newest_ms).max();
        (segment.length, newest_ms.unwrap_or(i64::MIN / 2))
    });
    sealed.chain([(state.active_bytes(), now_ms)]).collect()
}

/// Tells how long the disk of a log lasts, from its files alone: nobody needs to own it, and
/// whoever does is not disturbed. `None` where there is no log yet.
///
/// # Errors
/// [`LogError::Unavailable`] when the folder cannot be read.
pub fn outlook(settings: &LocalSettings, retention: Duration) -> Result<Option<Outlook>, LogError> {
    let dir = &settings.dir;
    let failed = unavailable("look at the folder of the local log", || dir.display().to_string());
    let segments = match files(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        files => files.map_err(&failed)?,
    };
    let space = rustix::fs::statvfs(dir).map_err(io::Error::from).map_err(&failed)?;
    let limits = Limits {
        available: space.f_bavail.saturating_mul(space.f_frsize),
        reserve: settings.tuning.reserve_bytes.as_u64(),
        retention_ms: u64::try_from(retention.as_millis()).unwrap_or(u64::MAX),
        retention_bytes: settings.tuning.retention_bytes.map(|bytes| bytes.as_u64()),
    };
    let now_ms = super::now_ms();
    Ok((!segments.is_empty()).then(|| Outlook::new(&segments, now_ms, limits)))
}

fn files(dir: &Path) -> io::Result<Vec<(u64, i64)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_str().and_then(SegmentName::parse).is_none() {
            continue;
        }
        let metadata = entry.metadata()?;
        let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        segments.push((metadata.len(), modified_ms));
    }
    Ok(segments)
}

/// Shows the disk in the metrics, and tells the health what stands still.
pub(super) fn watch(shared: &Arc<Shared>) {
    tell_poison(shared);
    let room = look(shared);
    let Ok(available) = shared.disk.available() else { return };
    let outlook = Outlook::of(shared, available);
    shared.metrics.show_disk(outlook.available_bytes, outlook.left);
    let reserve = shared.tuning.reserve_bytes.as_u64();
    let short = outlook.left.is_some_and(|left| left < ALARM);
    let filling = short || available < reserve.saturating_mul(2);
    tell(shared, &DISK_FULL, Impact::NotReady, room != Room::Plenty, || {
        format!("new events are refused: {}", full(shared, available))
    });
    tell(shared, &DISK_FILLING, Impact::Degraded, filling && room == Room::Plenty, || {
        outlook.sentence(&shared.disk.place(""))
    });
}

impl Outlook {
    /// Says it in a sentence.
    pub fn sentence(&self, dir: &str) -> String {
        let [stored, available, daily] =
            [self.stored_bytes, self.available_bytes, self.bytes_per_day].map(ByteSize);
        let lasts = self.left.map_or(
            "at this rate it lasts: retention lets go as much as comes".to_owned(),
            |left| {
                let hours = left.as_secs() / 3_600;
                format!("at this rate it is full in {}.{} days", hours / 24, hours % 24 * 10 / 24)
            },
        );
        format!("{dir}: the log takes {stored}, {available} are left, {daily} a day come; {lasts}")
    }
}

/// Raises a condition while something is so, and clears it when it is not.
pub(super) fn tell(
    shared: &Shared,
    Explanation { code, remedy, .. }: &'static Explanation,
    impact: Impact,
    is_so: bool,
    cause: impl FnOnce() -> String,
) {
    let Some(health) = shared.health.get() else { return };
    if !is_so {
        health.clear(COMPONENT, code, "");
        return;
    }
    let (component, subject) = (COMPONENT.to_owned(), String::new());
    let (remedy, cause) = ((*remedy).to_owned(), cause());
    health.raise(Condition { component, code, subject, impact, cause, remedy });
}

fn tell_poison(shared: &Shared) {
    let poison = shared.poison.get();
    tell(shared, &WRITE_FAILED, Impact::NotReady, poison.is_some(), || {
        poison.map(ToString::to_string).unwrap_or_default()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = RATE_WINDOW_MS;
    const NOW_MS: i64 = 100 * DAY_MS;
    const LIMITS: Limits =
        Limits { available: 600, reserve: 100, retention_ms: 864_000_000, retention_bytes: None };

    /// A segment of so many bytes every six hours.
    fn steady(days: i64, bytes: u64) -> Vec<(u64, i64)> {
        (0..days * 4).map(|quarter| (bytes, NOW_MS - quarter * DAY_MS / 4)).collect()
    }

    #[test]
    fn a_disk_lasts_as_long_as_the_rate_says() {
        let outlook = Outlook::new(&steady(2, 25), NOW_MS, LIMITS);
        assert_eq!((outlook.stored_bytes, outlook.bytes_per_day), (200, 100));
        let five_days = Duration::from_hours(5 * 24);
        assert_eq!(outlook.left, Some(five_days), "500 above the reserve, 800 still to come");
        assert!(outlook.sentence("d").contains("full in 5.0 days"), "{}", outlook.sentence("d"));
    }

    #[test]
    fn a_disk_that_holds_what_is_kept_lasts_for_good() {
        let outlook = Outlook::new(&steady(6, 25), NOW_MS, LIMITS);
        assert_eq!(outlook.left, None, "ten days are 1,000, of which 600 are there");
        let bound = Limits { retention_bytes: Some(700), ..LIMITS };
        assert_eq!(Outlook::new(&steady(2, 25), NOW_MS, bound).left, None, "700 are kept at most");
        let bound = Limits { retention_bytes: Some(701), ..LIMITS };
        assert!(Outlook::new(&steady(2, 25), NOW_MS, bound).left.is_some());
    }

    #[test]
    fn a_young_log_is_taken_for_an_hour_old() {
        let outlook = Outlook::new(&[(10, NOW_MS)], NOW_MS, LIMITS);
        assert_eq!(outlook.bytes_per_day, 240);
        assert_eq!(outlook.left, Some(Duration::from_hours(50)));
        let empty = Outlook::new(&[], NOW_MS, LIMITS);
        assert_eq!((empty.bytes_per_day, empty.left), (0, None));
    }

    #[test]
    fn what_was_written_before_yesterday_says_nothing_of_the_rate() {
        let mut segments = steady(1, 1);
        segments.push((1_000, NOW_MS - 3 * DAY_MS));
        let outlook = Outlook::new(&segments, NOW_MS, LIMITS);
        assert_eq!((outlook.bytes_per_day, outlook.stored_bytes), (4, 1_004));
    }
}
