//! What the program asks the settings of the Parquet connector.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tillrace_core::verify::Check;
use tillrace_log::LogView;
use tillrace_log::setting::{Inspection, Secret, real_path};

use super::connector::ParquetFiles;
use super::file_store;
use super::owner;
use super::recount::recount;
use super::settings::ParquetSettings;
use crate::connector::{Connector, Ordering};
use crate::connector_config::{ConfigFuture, ConnectorConfig, ConnectorError, SinkIdentity};
use crate::probe::ProbeError;
use crate::record::SourceTopic;

impl ConnectorConfig for ParquetSettings {
    fn source(&self) -> SourceTopic {
        self.source
    }

    fn ordering(&self) -> Ordering {
        Ordering::Partition
    }

    fn secrets(&mut self) -> Vec<(String, &mut Secret)> {
        self.bucket_secrets()
    }

    fn inspect(&self, found: &mut Inspection) {
        self.inspect_settings(found);
    }

    fn location(&self) -> Option<String> {
        Some(self.location_key())
    }

    fn folder(&self) -> Option<PathBuf> {
        self.bucket().is_none().then(|| real_path(Path::new(&self.location)))
    }

    fn check_owner(&self, sink: &SinkIdentity<'_>, log: &str) -> Result<(), ConnectorError> {
        Ok(owner::check_owner(self, sink.topics, sink.name, log)?)
    }

    fn build<'a>(
        &'a self,
        sink: SinkIdentity<'a>,
        log: Arc<dyn LogView>,
    ) -> ConfigFuture<'a, Result<Arc<dyn Connector>, ConnectorError>> {
        Box::pin(async move {
            let files = ParquetFiles::open(self, log, sink.topics, sink.name)?;
            files.claim().await?;
            Ok(Arc::new(files) as _)
        })
    }

    fn target(&self) -> String {
        self.location.clone()
    }

    fn probe(&self) -> ConfigFuture<'_, Result<String, ConnectorError>> {
        Box::pin(async move {
            let location = self.location.clone();
            match file_store::probe(self).await {
                Ok(()) => Ok(format!("{location} can be used")),
                Err(source) => Err(ProbeError::Unusable { location, source: source.into() }.into()),
            }
        })
    }

    fn recount<'a>(
        &'a self,
        sink: SinkIdentity<'a>,
        log: Arc<dyn LogView>,
    ) -> Option<ConfigFuture<'a, Result<Check, ConnectorError>>> {
        Some(Box::pin(async move { Ok(recount(self, log, sink.topics, sink.name).await?) }))
    }
}
