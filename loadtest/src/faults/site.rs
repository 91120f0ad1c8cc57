//! Where everything of one run of a scenario is: folders, ports, configuration.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::overlay::overlay;

/// The honest fleet's key, and its SHA-256 as the configuration has it.
pub(crate) const HONEST_KEY: &str = "faults-honest-till";
const HONEST_HASH: &str = "39de88ad61f0e83a24dbda52c10c53e457334b7e7cf4bca865f6ef9c0c6e2395";

/// A hostile sender's key: another tenant, one store.
pub(crate) const HOSTILE_KEY: &str = "faults-hostile-till";
const HOSTILE_HASH: &str = "8b533617f22437fdebe76789c09687d81768108c5f4de0dba047ed497427f553";

/// The store of the hostile key.
pub(crate) const HOSTILE_STORE: &str = "m1";

/// Ports are taken below the range that the system hands to clients: a client of anybody's must not get the port of a
/// process that is down for a moment.
const PORTS: std::ops::Range<u16> = 12_000..19_999;

/// Where everything is.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The executable under test.
    pub(crate) program: PathBuf,
    /// The run's folder.
    pub(crate) folder: PathBuf,
    /// Stands before topics on a shared cluster; empty on a local log.
    pub(crate) namespace: String,
    /// Bootstrap servers; `None` on a local log.
    pub(crate) brokers: Option<String>,
}

impl Site {
    /// What a failing disk holds: the log and the files of sinks, and nothing of the harness's own.
    pub(crate) fn disk(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.disk().join("data")
    }

    /// The files of the local log.
    pub(crate) fn log(&self) -> PathBuf {
        self.data().join("log")
    }

    /// The Parquet files.
    pub(crate) fn lake(&self) -> PathBuf {
        self.disk().join("lake")
    }

    /// The configuration that commands are given.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("config.yaml")
    }

    /// Writes a configuration for a data folder and a lake; JSON is YAML.
    pub(crate) fn write_config(
        &self,
        path: &Path,
        backends: u16,
        settings: &Value,
    ) -> anyhow::Result<()> {
        let mut tree = base(self, backends);
        overlay(&mut tree, settings.clone());
        let text = serde_json::to_vec_pretty(&tree).context("write the configuration")?;
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }
}

/// The configuration of every scenario: small segments, quick flushes, four sinks.
fn base(site: &Site, backends: u16) -> Value {
    let backend =
        |path: &str| json!({"url": format!("http://127.0.0.1:{backends}/{path}"), "timeout": "2s"});
    let flow = json!({
        "commit_every": "200ms",
        "retry": {"initial": "100ms", "longest": "2s", "attempts": 100_000},
        "breaker": {"failures": 8, "open_for": "1s"},
        "park_after": "1h",
    });
    let files = json!({
        "commit_every": "200ms",
        "retry": {"initial": "100ms", "longest": "2s"},
        "batch": {"max_records": 400, "max_bytes": "1MiB", "linger": "400ms"},
    });
    let key = |name: &str, hash: &str, store: &str| json!([{"name": name, "hash": format!("sha256:{hash}"), "stores": [store]}]);
    let mut tree = json!({
        "namespace": site.namespace,
        "data": site.data(),
        "log": {"partitions": 4},
        "aggregate": {"flush_interval": "300ms"},
        "tenants": [
            {"id": "acme", "keys": key("fleet", HONEST_HASH, "*")},
            {"id": "mallory", "keys": key("hostile", HOSTILE_HASH, HOSTILE_STORE)},
        ],
        "sinks": [
            {"name": "erp-sales", "to": {"kind": "erp_documents", "backend": backend("documents")}, "flow": flow},
            {"name": "erp-stock", "to": {"kind": "erp_stock_movements", "backend": backend("movements")}, "flow": flow},
            {"name": "crm", "to": {"kind": "crm_points", "backend": backend("points")}, "flow": flow},
            {"name": "lake", "to": {"kind": "parquet", "source": "transactions", "location": site.lake()}, "flow": files},
        ],
        "telemetry": {"format": "json"},
    });
    let log = match &site.brokers {
        None => json!({"local": {"segment_bytes": "1MiB", "upkeep_every": "1s"}}),
        Some(brokers) => json!({"kafka": {
            "brokers": brokers, "session_timeout": "6s", "replication": 3, "transaction_timeout": "10s",
        }}),
    };
    overlay(&mut tree["log"], log);
    tree
}

/// Finds a port that nobody listens on. The seed has no say in it: two runs of one seed side by side would meet.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    (0..200)
        .map(|_| rand::random_range(PORTS))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("find a free port")
}

/// Copies a folder with everything in it but sockets; returns how many bytes.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<u64> {
    std::fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    let mut bytes = 0;
    for entry in std::fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            bytes += copy_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            bytes += std::fs::copy(entry.path(), &target)
                .with_context(|| format!("copy {}", entry.path().display()))?;
        }
    }
    Ok(bytes)
}

/// Lists the files below a folder whose names end so, in order of their paths.
pub(crate) fn files_below(folder: &Path, ending: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.extend(files_below(&entry.path(), ending)?);
        } else if kind.is_file() && entry.path().to_string_lossy().ends_with(ending) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
