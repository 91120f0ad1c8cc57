//! What an engine says of itself to those who watch it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tillrace_log::Partition;

use super::SinkError;

/// The health of a sink.
#[derive(Debug, Clone, Default)]
pub struct SinkHealth {
    /// Why it stopped, if it stopped by itself.
    pub stopped: Option<Arc<SinkError>>,
    /// Partitions that halted, and why; the others go on.
    pub halted: BTreeMap<Partition, Arc<SinkError>>,
}
