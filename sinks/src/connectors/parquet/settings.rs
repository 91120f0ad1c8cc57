//! Settings of the Parquet connector.

use std::path::Path;

use schemars::JsonSchema;
use tillrace_log::setting::{Inspection, Secret, real_path};

use object_store::path::Path as ObjectPath;
use serde::Deserialize;

use crate::record::SourceTopic;

/// What is written, and where.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParquetSettings {
    /// The topic: lines of transactions, or deltas.
    pub source: SourceTopic,
    /// A folder, or `s3://bucket/prefix`.
    pub location: String,
    /// How to reach the bucket; only with `s3://`.
    #[serde(default)]
    pub s3: Option<S3Settings>,
}

/// An S3 bucket, of Amazon or of anyone who honours `If-None-Match` on PUT.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Settings {
    /// URL of the service; Amazon's of the region where absent. `http://` only if written so.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Region.
    pub region: String,
    /// Access key id, as `env:NAME` or `file:PATH`.
    pub access_key_id: Secret,
    /// Secret access key, as `env:NAME` or `file:PATH`.
    pub secret_access_key: Secret,
}

impl ParquetSettings {
    /// Makes settings for a local folder.
    pub fn local(source: SourceTopic, folder: &str) -> Self {
        Self { source, location: folder.to_owned(), s3: None }
    }

    /// Returns bucket and prefix of an `s3://` location.
    pub(super) fn bucket(&self) -> Option<(&str, &str)> {
        let rest = self.location.strip_prefix("s3://")?;
        Some(rest.split_once('/').unwrap_or((rest, "")))
    }

    /// Returns a normal form that is equal exactly for equal locations.
    pub(super) fn location_key(&self) -> String {
        if let Some((bucket, prefix)) = self.bucket() {
            let endpoint =
                self.s3.as_ref().and_then(|s3| s3.endpoint.as_deref()).unwrap_or_default();
            let prefix = ObjectPath::from(prefix);
            return format!("{}/s3://{bucket}/{prefix}", endpoint.trim_end_matches('/'));
        }
        real_path(Path::new(&self.location)).to_string_lossy().into_owned()
    }

    pub(super) fn bucket_secrets(&mut self) -> Vec<(String, &mut Secret)> {
        let Some(s3) = &mut self.s3 else { return Vec::new() };
        vec![
            ("s3.access_key_id".to_owned(), &mut s3.access_key_id),
            ("s3.secret_access_key".to_owned(), &mut s3.secret_access_key),
        ]
    }

    /// Reports invalid settings.
    pub(super) fn inspect_settings(&self, found: &mut Inspection) {
        match (self.bucket(), &self.s3) {
            (Some(("", _)), _) => {
                found.error("location", "names no bucket", "write s3://bucket/prefix");
            }
            (Some(_), None) => {
                found.error("s3", "is missing", "add region and keys of the bucket");
            }
            (None, Some(_)) => {
                found.error(
                    "s3",
                    "needs a bucket",
                    "remove it, or use s3://bucket/prefix as location",
                );
            }
            (Some(_), Some(_)) => {}
            (None, None) => {
                found.require(!self.location.is_empty(), "location", "is empty", "name a folder");
            }
        }
        if let Some(s3) = &self.s3 {
            found.within("s3", |found| {
                found.secret("access_key_id", &s3.access_key_id);
                found.secret("secret_access_key", &s3.secret_access_key);
            });
        }
    }
}
