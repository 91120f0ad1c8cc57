//! What a scenario is: one kind of fault, what it needs, how it is injected, and what must hold.

use std::path::PathBuf;

use serde_json::Value;

use crate::cli::LogKind;
use crate::disk::DiskFaults;
use crate::process::Role;
use crate::site::Site;
use crate::stage::Stage;

/// One kind of fault.
pub(crate) trait Scenario {
    /// Its name, for `--only`.
    fn name(&self) -> &'static str;

    /// What is done, in a line.
    fn about(&self) -> &'static str;

    /// The log it is about; `None` where it is about either.
    fn log(&self) -> Option<LogKind> {
        None
    }

    /// Whether it is quick and deterministic enough for the short set.
    fn is_short(&self) -> bool {
        false
    }

    /// What it needs of the machine beyond the program.
    fn tools(&self) -> &'static [Tool] {
        &[]
    }

    /// Says how the processes are laid out and set.
    fn set_up(&self, _site: &Site, _plan: &mut Plan) -> anyhow::Result<()> {
        Ok(())
    }

    /// Injects the fault while the fleet sends, and heals it. Whatever holds for every scenario is judged afterwards;
    /// what must hold for this one alone is noted on the stage.
    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()>;
}

/// Something of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// A C compiler, for the libraries that make a disk fail and a clock jump.
    Compiler,
    /// At least this many file descriptors for the harness.
    Descriptors(u64),
}

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

/// Lays one tree over another: objects are joined, anything else is replaced.
pub(crate) fn overlay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_laid_over_another_replaces_leaves_only() {
        let mut base = json!({"log": {"partitions": 4, "local": {"seal_after": "1s"}}});
        overlay(&mut base, json!({"log": {"local": {"segment_bytes": "64KiB"}}, "data": "d"}));
        assert_eq!(
            base,
            json!({
                "log": {"partitions": 4, "local": {"seal_after": "1s", "segment_bytes": "64KiB"}},
                "data": "d",
            })
        );
    }
}
