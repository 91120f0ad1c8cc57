//! Settings of the Parquet connector.

use serde::Deserialize;

use crate::record::Source;
use crate::secret::Secret;

/// What is written, and where.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParquetSettings {
    /// The topic: lines of transactions, or deltas.
    pub source: Source,
    /// A folder, or `s3://bucket/prefix`.
    pub place: String,
    /// How to reach the bucket; only with `s3://`.
    #[serde(default)]
    pub s3: Option<S3Settings>,
}

/// An S3 bucket, of Amazon or of anyone who honours `If-None-Match` on PUT.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Settings {
    /// URL of the service; Amazon's of the region where absent. `http://` only if written so.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Region.
    pub region: String,
    /// Access key id, as `env:NAME`.
    pub access_key_id: Secret,
    /// Secret access key, as `env:NAME`.
    pub secret_access_key: Secret,
}

impl ParquetSettings {
    /// Makes settings for a local folder.
    pub fn local(source: Source, folder: &str) -> Self {
        Self { source, place: folder.to_owned(), s3: None }
    }

    /// Returns bucket and prefix of an `s3://` place.
    pub(super) fn bucket(&self) -> Option<(&str, &str)> {
        let rest = self.place.strip_prefix("s3://")?;
        Some(rest.split_once('/').unwrap_or((rest, "")))
    }

    pub(crate) fn secrets(&mut self) -> Vec<&mut Secret> {
        self.s3
            .iter_mut()
            .flat_map(|s3| [&mut s3.access_key_id, &mut s3.secret_access_key])
            .collect()
    }

    pub(crate) fn validate(&self) -> Result<(), (&'static str, &'static str)> {
        match (self.bucket(), &self.s3) {
            (Some(("", _)), _) => Err(("to.place", "name a bucket: s3://bucket/prefix")),
            (Some(_), None) => Err(("to.s3", "add region and keys of the bucket")),
            (None, Some(_)) => Err(("to.s3", "remove it, or use s3://bucket/prefix as place")),
            (None, None) if self.place.is_empty() => Err(("to.place", "name a folder")),
            _ => Ok(()),
        }
    }
}
