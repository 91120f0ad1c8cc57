//! The honest fleet: it sends throughout, retries as a till does, and remembers what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use parking_lot::Mutex;
use tillrace_loadtest::client::{self, ClientError, ClientSettings, Outcome, Progress};
use tillrace_loadtest::fleet::{Fleet, FleetSettings};
use tillrace_loadtest::traffic::TrafficSettings;
use tokio::runtime::Handle;

use crate::site::HONEST_KEY;

/// Longest that a till tries with one batch.
const GIVE_UP_AFTER: Duration = Duration::from_mins(4);

/// More events than any scenario sends; the gaps are spread over them, one in two hundred.
const EVENTS: u64 = 1_000_000;
const GAPS: u32 = 5_000;

/// A fleet at work.
pub(crate) struct HonestFleet {
    stop: Arc<AtomicBool>,
    progress: Arc<Mutex<Progress>>,
    thread: JoinHandle<Result<Outcome, ClientError>>,
}

impl HonestFleet {
    /// Starts sending to a port.
    pub(crate) fn start(
        runtime: &Handle,
        port: u16,
        rate: f64,
        seed: u64,
        http2: bool,
    ) -> anyhow::Result<Self> {
        let fleet = Fleet::new(FleetSettings {
            stores: 12,
            terminals: 3,
            skus: 400,
            seed,
            epoch: Some(format!("f{seed:x}")),
            rate,
            events: Some(EVENTS),
            gaps: GAPS,
            bad: 0.01,
            parked: 0.005,
            starts_at_ms: now_ms()?,
            ..FleetSettings::default()
        });
        let settings = ClientSettings {
            target: format!("http://127.0.0.1:{port}"),
            key: HONEST_KEY.to_owned(),
            http2,
            connections: 6,
            batch: 20,
            timeout: Duration::from_secs(10),
            give_up_after: GIVE_UP_AFTER,
            traffic: TrafficSettings { duplicates: 0.03, disorder: 0.02, reach_events: 200, seed },
            ..ClientSettings::default()
        };
        let stop = Arc::new(AtomicBool::new(false));
        let progress = Arc::new(Mutex::new(Progress::default()));
        let (stopping, noted, runtime) =
            (Arc::clone(&stop), Arc::clone(&progress), runtime.clone());
        let thread = std::thread::spawn(move || {
            let run = client::run(Box::new(fleet), &settings, stopping, |now| *noted.lock() = *now);
            runtime.block_on(run)
        });
        Ok(Self { stop, progress, thread })
    }

    /// How far it has come; shared with the watch.
    pub(crate) fn progress(&self) -> Arc<Mutex<Progress>> {
        Arc::clone(&self.progress)
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.progress.lock().acknowledged
    }

    /// Ends the day: tills close, what is under way is settled.
    pub(crate) fn finish(self) -> anyhow::Result<Outcome> {
        self.stop.store(true, Relaxed);
        let outcome = self.thread.join().map_err(|_panic| anyhow::anyhow!("the fleet panicked"))?;
        outcome.context("send as the fleet")
    }
}

fn now_ms() -> anyhow::Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock")?;
    i64::try_from(now.as_millis()).context("read the clock")
}
