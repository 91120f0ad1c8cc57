//! What stands in for a configuration file on a developer's machine.
//!
//! Analytics sinks that write Parquet below the data folder, so that an event that goes in can be seen to come out, and
//! one tenant `demo` whose one key is good for all stores. Weaker durability is accepted, and said.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tillrace_ingest::{Durability, hash_key};
use tillrace_log::kafka;
use tillrace_sinks::SinkSettings;
use tillrace_sinks::parquet::ParquetSettings;
use tillrace_sinks::record::SourceTopic;
use tillrace_sinks::settings::Target;
use uuid::Uuid;

use super::surroundings::Surroundings;
use super::{ConfigurationError, Settings};
use crate::lines::KEY_NOT_PRIVATE;

/// The development tenant.
const TENANT: &str = "demo";
/// Names the variable that sets the development tenant's key.
const KEY_VARIABLE: &str = "TILLRACE_DEV_KEY";
/// Keeps a generated key below the data folder, so that a restart does not change it.
const KEY_FILE: &str = "development-key";

/// The development tenant's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DevelopmentKey {
    /// The user's own, from the environment: not to be shown.
    Given,
    /// Made by us, and to be told.
    Made(String),
}

/// Adds the development sinks where the settings have none.
pub(super) fn complete(settings: &mut Settings) -> Result<(), ConfigurationError> {
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
        for (name, source) in
            [("transactions", SourceTopic::Transactions), ("deltas", SourceTopic::Deltas)]
        {
            let folder = parquet.join(name);
            let folder =
                folder.to_str().ok_or_else(|| ConfigurationError::DataFolder(parquet.clone()))?;
            let to = Target::Parquet(ParquetSettings::local(source, folder));
            settings.sinks.push(SinkSettings::new(name, to));
        }
    }
    Ok(())
}

/// Adds the development tenant and returns its key: the environment's, the kept one, or a new one that is kept.
pub(super) fn add_tenant(
    settings: &mut Settings,
    surroundings: &Surroundings,
) -> anyhow::Result<DevelopmentKey> {
    let given = surroundings.variable(KEY_VARIABLE).filter(|key| !key.is_empty());
    let (key, shown) = if let Some(key) = given {
        (key, DevelopmentKey::Given)
    } else {
        let key = kept_key(&settings.data)?;
        (key.clone(), DevelopmentKey::Made(key))
    };
    let tenant = json!({
        "id": TENANT,
        "keys": [{"name": "development", "hash": hash_key(&key), "stores": ["*"]}],
    });
    settings.tenants.push(serde_json::from_value(tenant).context("make the development tenant")?);
    Ok(shown)
}

fn kept_key(data: &Path) -> Result<String, ConfigurationError> {
    let path = data.join(KEY_FILE);
    match fs::read_to_string(&path) {
        Ok(key) => {
            // Earlier versions left it readable by all.
            if let Err(error) = fs::set_permissions(&path, fs::Permissions::from_mode(0o600)) {
                let (code, path) = (KEY_NOT_PRIVATE.code, path.display());
                tracing::warn!(code, %error, %path, "the development key cannot be kept to its owner");
            }
            Ok(key.trim().to_owned())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = format!("dev-{}", Uuid::new_v4().simple());
            let mut folders = fs::DirBuilder::new();
            folders
                .recursive(true)
                .mode(0o700)
                .create(data)
                .map_err(failed("make the folder", data))?;
            let mut file = fs::OpenOptions::new();
            file.write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .and_then(|mut file| file.write_all(key.as_bytes()))
                .map_err(failed("keep the key in", &path))?;
            Ok(key)
        }
        Err(error) => Err(failed("read the key in", &path)(error)),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ConfigurationError {
    let path = path.to_owned();
    move |source| ConfigurationError::DevelopmentKey { action, path, source }
}
