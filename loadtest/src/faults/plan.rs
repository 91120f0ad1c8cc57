//! What a scenario asks of its stage: processes, their settings, and what may happen to them.

use std::path::PathBuf;

use serde_json::Value;

use crate::cli::LogKind;
use crate::disk::DiskFaults;
use crate::overlay::overlay;
use crate::process::Role;

/// How the stage is set.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer of its own")]
pub(crate) struct Plan {
    /// A process for each.
    pub(crate) processes: Vec<Role>,
    /// Laid over the configuration.
    pub(crate) settings: Value,
    /// Put into the environment of every process.
    pub(crate) variables: Vec<(String, String)>,
    /// Events a second of the honest fleet.
    pub(crate) rate: f64,
    /// Libraries to load before the C library.
    pub(crate) preload: Vec<PathBuf>,
    /// The disk, where it is to fail.
    pub(crate) disk: Option<DiskFaults>,
    /// Whether a process may end by itself; it is then started again, as an orchestrator would.
    pub(crate) role_may_end: bool,
    /// Whether records may go to the dead letters; they are then sent again by `tillrace redrive`.
    pub(crate) dead_letters: bool,
    /// Whether `tillrace verify` must detect copies of the books that are doctored afterwards.
    pub(crate) doctored_copies: bool,
    /// Whether brokers are reached through proxies.
    pub(crate) proxied_brokers: bool,
}

impl Plan {
    pub(crate) fn new(log: LogKind) -> Self {
        Self {
            processes: match log {
                LogKind::Local => vec![Role::Up],
                LogKind::Kafka => vec![Role::Ingest, Role::Aggregate, Role::Deliver],
            },
            settings: Value::Object(serde_json::Map::new()),
            variables: Vec::new(),
            rate: 120.0,
            preload: Vec::new(),
            disk: None,
            role_may_end: false,
            dead_letters: false,
            doctored_copies: true,
            proxied_brokers: false,
        }
    }

    /// Makes segments of the local log as small as they may be, so that a short run closes many.
    pub(crate) fn use_small_segments(&mut self) {
        self.set(serde_json::json!({"log": {"local": {"segment_bytes": "64KiB"}}}));
    }

    /// Lays settings over the configuration.
    pub(crate) fn set(&mut self, settings: Value) {
        overlay(&mut self.settings, settings);
    }
}
