//! What stands in for a configuration file on a developer's machine.
//!
//! Analytics sinks that write Parquet below the data folder, so that an event that goes in can be seen to come out, and
//! one tenant `demo` whose one key is good for all stores. Weaker durability is accepted, and said.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tillrace_core::log::kafka;
use tillrace_ingest::{Durability, hash_key};
use tillrace_sinks::SinkSettings;
use tillrace_sinks::parquet::ParquetSettings;
use tillrace_sinks::record::Source;
use tillrace_sinks::settings::Target;
use uuid::Uuid;

use super::Settings;

/// The development tenant.
const TENANT: &str = "demo";
/// Names the variable that sets the development tenant's key.
const KEY_VARIABLE: &str = "TILLRACE_DEV_KEY";
/// Keeps a generated key below the data folder, so that a restart does not change it.
const KEY_FILE: &str = "development-key";

/// Adds the development sinks where the settings have none.
pub(super) fn complete(settings: &mut Settings) -> anyhow::Result<()> {
    settings.ingest.durability = Durability::Development;
    // No load balancer looks.
    settings.ingest.drain_delay = Duration::ZERO;
    if let Some(kafka) = &mut settings.log.kafka {
        kafka.durability = kafka::Durability::Development;
    }
    if settings.sinks.is_empty() {
        // A place belongs to one log.
        let folder = if settings.log.kafka.is_some() { "parquet-kafka" } else { "parquet" };
        let parquet = settings.data.join(folder);
        for (name, source) in [("transactions", Source::Transactions), ("deltas", Source::Deltas)] {
            let folder = parquet.join(name);
            let folder = folder.to_str().context("the data folder's path is not UTF-8")?;
            let to = Target::Parquet(ParquetSettings::local(source, folder));
            settings.sinks.push(SinkSettings::new(name, to));
        }
    }
    Ok(())
}

/// Adds the development tenant and returns its key: the environment's, the kept one, or a new one that is kept.
pub(super) fn add_tenant(
    settings: &mut Settings,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<String> {
    let key = match lookup(KEY_VARIABLE).filter(|key| !key.is_empty()) {
        Some(key) => key,
        None => kept_key(&settings.data)?,
    };
    let tenant = json!({
        "id": TENANT,
        "keys": [{"name": "development", "hash": hash_key(&key), "stores": ["*"]}],
    });
    settings.tenants.push(serde_json::from_value(tenant).context("make the development tenant")?);
    Ok(key)
}

fn kept_key(data: &Path) -> anyhow::Result<String> {
    let path = data.join(KEY_FILE);
    match fs::read_to_string(&path) {
        Ok(key) => Ok(key.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = format!("dev-{}", Uuid::new_v4().simple());
            fs::create_dir_all(data)
                .with_context(|| format!("make the folder {}", data.display()))?;
            fs::write(&path, &key)
                .with_context(|| format!("keep the key in {}", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("read the key in {}", path.display())),
    }
}
