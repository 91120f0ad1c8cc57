//! Opens a local log, and waits where another process has it open for a while.
//!
//! A local log is open in one process at a time. Commands read and write through the process that runs on it; where none
//! does, or none yet, they open its files themselves. A start in that moment waits for them to end, as they wait for a start to
//! come so far that it lets them read. A process that runs on the log is not waited for.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tillrace_log::explain::Explanation;
use tillrace_log::health::{Condition, Health, Impact};
use tillrace_log::local::{self, LocalFault, LocalLog, LocalSettings, RemoteLog};
use tillrace_log::{LogError, LogView, WritableLog};
use tokio::time::Instant;

const COMPONENT: &str = "local_log";
/// Longest wait for another process.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// A start that waits for another process.
pub(crate) const LOG_HELD: Explanation = Explanation {
    code: "local_log_held",
    meaning: "The process cannot start yet: another one has the local log open, as `tap` and `verify` have for as long as they read a \
              log that no process runs on. This one waits for that for 30 s, and then ends.",
    remedy: "Wait until it ends, or end it; its number is in the cause.",
};

/// Opens the log to run on it. A wait is told to `health`.
///
/// # Errors
/// At once when a process runs on it, after a while when one only reads it; otherwise as [`LocalLog::open`].
pub(super) async fn open(
    settings: &LocalSettings,
    health: &Health,
) -> Result<Arc<LocalLog>, LogError> {
    let until = Instant::now() + LOCK_TIMEOUT;
    loop {
        let outcome = LocalLog::open(settings.clone());
        match outcome {
            Err(error) if may_be_let_go(&error, &settings.dir) && Instant::now() < until => {
                health.raise(Condition {
                    component: COMPONENT.to_owned(),
                    code: LOG_HELD.code,
                    subject: String::new(),
                    impact: Impact::NotReady,
                    cause: error.to_string(),
                    remedy: LOG_HELD.remedy_and_page(),
                });
            }
            outcome => {
                health.clear(COMPONENT, LOG_HELD.code, "");
                return outcome;
            }
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Opens the log to read it, through the process that runs on it where there is one. A wait is told on standard error. Blocks.
///
/// # Errors
/// After a while when another process has it open and serves nobody; otherwise as [`local::open_view`].
pub(super) fn open_view(dir: &Path) -> Result<Arc<dyn LogView>, LogError> {
    waiting_for_owner(|| local::open_view(dir))
}

/// Opens the log to write to it, through the process that runs on it where there is one. A wait is told on standard error. Blocks.
///
/// # Errors
/// After a while when another process has it open and serves nobody; otherwise as [`LocalLog::open`].
pub(super) fn open_to_write(settings: &LocalSettings) -> Result<Arc<dyn WritableLog>, LogError> {
    waiting_for_owner(|| {
        if local::is_served(&settings.dir) {
            return Ok(Arc::new(RemoteLog::connect(&settings.dir)?) as Arc<dyn WritableLog>);
        }
        Ok(LocalLog::open(settings.clone())?)
    })
}

/// Opens the log, and tries again while another process has it open that serves nobody, or not yet.
fn waiting_for_owner<T>(open: impl Fn() -> Result<T, LogError>) -> Result<T, LogError> {
    let until = Instant::now() + LOCK_TIMEOUT;
    let mut is_told = false;
    loop {
        match open() {
            Err(error) if LocalFault::is_owned(&error) && Instant::now() < until => {
                if !is_told {
                    // Who cannot be told waits all the same.
                    drop(writeln!(std::io::stderr(), "waiting: {error}"));
                    is_told = true;
                }
            }
            outcome => return outcome,
        }
        thread::sleep(RETRY_INTERVAL);
    }
}

fn may_be_let_go(error: &LogError, dir: &Path) -> bool {
    LocalFault::is_owned(error) && !local::is_served(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log that was written and that nobody has open.
    fn log() -> (tempfile::TempDir, LocalSettings) {
        let folder = tempfile::tempdir().unwrap();
        let settings = LocalSettings::new(folder.path(), 1);
        drop(LocalLog::open(settings.clone()).unwrap());
        (folder, settings)
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_waits_for_a_reader_and_says_for_which() {
        let (folder, settings) = log();
        let reader = local::open_view(folder.path()).unwrap();
        let health = Health::default();
        let opening = tokio::spawn({
            let health = health.clone();
            async move { open(&settings, &health).await }
        });
        while health.active_conditions().is_empty() {
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        let told = health.active_conditions().remove(0).condition;
        let holder = format!("process {}, which reads its files", std::process::id());
        assert_eq!(told.code, LOG_HELD.code);
        assert!(told.cause.contains(&holder), "{}", told.cause);
        assert!(!health.is_ready());
        drop(reader);
        assert!(opening.await.unwrap().is_ok());
        assert_eq!(health.active_conditions(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stays_is_waited_for_only_so_long() {
        let (folder, settings) = log();
        let _reader = local::open_view(folder.path()).unwrap();
        let (began, health) = (Instant::now(), Health::default());
        let error = open(&settings, &health).await.err().unwrap();
        assert!(LocalFault::is_owned(&error), "{error}");
        assert!(began.elapsed() >= LOCK_TIMEOUT);
        assert_eq!(health.active_conditions(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_runs_on_the_log_is_not_waited_for() {
        let (folder, settings) = log();
        let log = LocalLog::open(settings.clone()).unwrap();
        let _serving = local::serve(&log).unwrap();
        let (began, health) = (Instant::now(), Health::default());
        let error = open(&settings, &health).await.err().unwrap();
        assert!(error.to_string().contains("which runs on it"), "{error}");
        assert_eq!(began.elapsed(), Duration::ZERO);
        drop(folder);
    }

    #[test]
    fn a_reader_waits_for_a_start_to_let_it_read() {
        let (folder, settings) = log();
        let log = LocalLog::open(settings).unwrap();
        thread::scope(|scope| {
            let reading = scope.spawn(|| open_view(folder.path()).map(|view| view.partitions()));
            let _serving = local::serve(&log).unwrap();
            assert_eq!(reading.join().unwrap().unwrap(), 1);
        });
    }
}
