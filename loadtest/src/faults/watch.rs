//! What the processes say of themselves while the fleet sends: readiness, loud log lines, memory.
//!
//! What stands still must be seen. A stretch in which tills wait, nothing is acknowledged, every process says it is ready,
//! and no warning is logged, is a silent halt: a fault of the product, whatever comes after.

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use tillrace_loadtest::client::Progress;

use crate::probe;
use crate::process::Process;

/// Pause between two looks.
const EVERY: Duration = Duration::from_millis(200);

/// How long nothing may be acknowledged unseen. Longer than a till waits between two tries.
pub(crate) const SILENCE: Duration = Duration::from_secs(20);

/// How ready the least ready process says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Readiness {
    /// A process is down or does not answer: an orchestrator sees it.
    Mute,
    /// One says it should get no traffic.
    NotReady,
    /// All are ready, and one names something that stands still.
    Degraded,
    Ready,
}

/// One look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Since the watch began.
    pub(crate) at: Duration,
    /// Events acknowledged so far.
    pub(crate) acknowledged: u64,
    /// Warnings and errors logged so far.
    pub(crate) loud_lines: u64,
    pub(crate) readiness: Readiness,
}

/// A watch; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    begun: Instant,
    done: AtomicBool,
    samples: Mutex<Vec<Sample>>,
    conditions: Mutex<BTreeSet<String>>,
    most_memory_bytes: Mutex<u64>,
}

#[derive(Debug)]
struct WatchedProcess {
    id: Arc<AtomicU32>,
    status: u16,
    output: PathBuf,
    read_to: u64,
}

impl Watch {
    /// Begins to watch processes and the progress of a fleet.
    pub(crate) fn start(processes: &[Process], progress: Arc<Mutex<Progress>>) -> Self {
        let subjects: Vec<WatchedProcess> = processes
            .iter()
            .map(|process| WatchedProcess {
                id: Arc::clone(&process.id),
                status: process.launch.status,
                output: process.launch.output.clone(),
                read_to: 0,
            })
            .collect();
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            done: AtomicBool::new(false),
            samples: Mutex::default(),
            conditions: Mutex::default(),
            most_memory_bytes: Mutex::default(),
        });
        let looking = Arc::clone(&shared);
        let thread = std::thread::spawn(move || look_on(&looking, subjects, &progress));
        Self { shared, thread: Some(thread) }
    }

    /// Time since the watch began.
    pub(crate) fn now(&self) -> Duration {
        self.shared.begun.elapsed()
    }

    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.shared.samples.lock().clone()
    }

    /// Conditions that `/readyz` named at any time, as `component code`.
    pub(crate) fn conditions(&self) -> BTreeSet<String> {
        self.shared.conditions.lock().clone()
    }

    /// The most memory that any process ever held.
    pub(crate) fn most_memory_bytes(&self) -> u64 {
        *self.shared.most_memory_bytes.lock()
    }

    /// Says whether anything was to be seen since a time: readiness below full, or a loud line.
    pub(crate) fn has_seen_trouble_since(&self, since: Duration) -> bool {
        let samples = self.shared.samples.lock();
        let before = samples.iter().rfind(|sample| sample.at < since);
        let loud_before = before.map_or(0, |sample| sample.loud_lines);
        samples
            .iter()
            .filter(|sample| sample.at >= since)
            .any(|sample| sample.readiness != Readiness::Ready || sample.loud_lines > loud_before)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.done.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // A watch that panicked has no more to say.
            let _panicked = thread.join();
        }
    }
}

fn look_on(shared: &Shared, mut subjects: Vec<WatchedProcess>, progress: &Mutex<Progress>) {
    let mut loud_lines = 0;
    while !shared.done.load(Relaxed) {
        let mut readiness = Readiness::Ready;
        for subject in &mut subjects {
            loud_lines += subject.loud_lines();
            readiness = readiness.min(subject.readiness(&shared.conditions));
            let mut most = shared.most_memory_bytes.lock();
            *most = (*most).max(subject.memory_bytes().unwrap_or(0));
        }
        let acknowledged = progress.lock().acknowledged;
        let at = shared.begun.elapsed();
        shared.samples.lock().push(Sample { at, acknowledged, loud_lines, readiness });
        std::thread::sleep(EVERY);
    }
}

impl WatchedProcess {
    /// Asks `/readyz` on the status listener.
    fn readiness(&self, conditions: &Mutex<BTreeSet<String>>) -> Readiness {
        let Some((status, body)) = probe::get(self.status, "/readyz") else {
            return Readiness::Mute;
        };
        let named = conditions_in(&body);
        let has_conditions = !named.is_empty();
        conditions.lock().extend(named);
        match status {
            200 if has_conditions => Readiness::Degraded,
            200 => Readiness::Ready,
            _ => Readiness::NotReady,
        }
    }

    /// Counts warnings and errors in what was logged since the last look.
    fn loud_lines(&mut self) -> u64 {
        let mut text = Vec::new();
        let read = std::fs::File::open(&self.output).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.read_to))?;
            file.read_to_end(&mut text)
        });
        // A line may be written by halves: only whole ones are counted.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if read.is_ok() {
            self.read_to += whole as u64;
        }
        text[..whole].split(|byte| *byte == b'\n').filter(|line| is_loud(line)).count() as u64
    }

    /// Most memory the process ever held, as Linux counts it.
    fn memory_bytes(&self) -> Option<u64> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.id.load(Relaxed))).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        kib.checked_mul(1_024)
    }
}

fn is_loud(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    text.contains(r#""level":"WARN""#) || text.contains(r#""level":"ERROR""#)
}

fn conditions_in(body: &str) -> Vec<String> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let conditions = body["conditions"].as_array().cloned().unwrap_or_default();
    let name = |condition: &Value| {
        let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("component"), text("code"))
    };
    conditions.iter().map(name).collect()
}

/// Finds the stretches of at least `silence` without an acknowledgement, a sign of trouble, or a loud line; each as when
/// it began and how long it was.
pub(crate) fn silent_halts(samples: &[Sample], silence: Duration) -> Vec<(Duration, Duration)> {
    let mut halts = Vec::new();
    let Some(mut last_sign) = samples.first().copied() else { return halts };
    let mut quiet_until = last_sign.at;
    for sample in samples {
        let is_sign = sample.acknowledged > last_sign.acknowledged
            || sample.loud_lines > last_sign.loud_lines
            || sample.readiness != Readiness::Ready;
        if is_sign {
            note(&mut halts, last_sign.at, quiet_until, silence);
            last_sign = *sample;
        }
        quiet_until = sample.at;
    }
    note(&mut halts, last_sign.at, quiet_until, silence);
    halts
}

fn note(halts: &mut Vec<(Duration, Duration)>, from: Duration, until: Duration, silence: Duration) {
    let length = until.saturating_sub(from);
    if length >= silence {
        halts.push((from, length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn sample(at_s: u32, acknowledged: u64, loud_lines: u64, readiness: Readiness) -> Sample {
        Sample { at: SECOND * at_s, acknowledged, loud_lines, readiness }
    }

    #[test]
    fn a_halt_is_silent_only_while_nothing_tells_of_it() {
        use Readiness::{NotReady, Ready};
        let quiet = |from: u32, until: u32| (from..=until).map(|at| sample(at, 7, 0, Ready));
        let mut samples: Vec<_> = quiet(0, 9).collect();
        assert_eq!(silent_halts(&samples, SECOND * 10), []);
        samples.push(sample(10, 7, 0, Ready));
        assert_eq!(silent_halts(&samples, SECOND * 10), [(Duration::ZERO, SECOND * 10)]);
        samples[5].readiness = NotReady;
        assert_eq!(silent_halts(&samples, SECOND * 10), []);
        samples[5].readiness = Ready;
        samples[6].acknowledged = 8;
        assert_eq!(silent_halts(&samples, SECOND * 10), []);
        assert_eq!(silent_halts(&[], SECOND), []);
    }

    #[test]
    fn conditions_are_named_by_component_and_code() {
        let body =
            r#"{"status":"ready","conditions":[{"component":"sink/erp","code":"breaker_open"}]}"#;
        assert_eq!(conditions_in(body), ["sink/erp breaker_open"]);
        assert_eq!(conditions_in("ok\n"), Vec::<String>::new());
    }

    #[test]
    fn warnings_and_errors_are_loud() {
        assert!(is_loud(br#"{"timestamp":"t","level":"WARN","fields":{}}"#));
        assert!(!is_loud(br#"{"timestamp":"t","level":"INFO","fields":{}}"#));
    }
}
