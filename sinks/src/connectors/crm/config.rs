//! What the program asks the settings of the CRM connector.

use std::sync::Arc;

use tillrace_log::LogView;
use tillrace_log::setting::{Inspection, Secret};

use super::connector::CrmPoints;
use super::settings::PointsSettings;
use crate::connector::Connector;
use crate::connector_config::{ConfigFuture, ConnectorConfig, ConnectorError, SinkIdentity};
use crate::probe;
use crate::record::SourceTopic;

impl ConnectorConfig for PointsSettings {
    fn source(&self) -> SourceTopic {
        SourceTopic::Transactions
    }

    fn needs(&self) -> &[&str] {
        &["loyalty_id"]
    }

    fn secrets(&mut self) -> Vec<(String, &mut Secret)> {
        self.backend.secrets()
    }

    fn inspect(&self, found: &mut Inspection) {
        self.inspect_settings(found);
    }

    fn build<'a>(
        &'a self,
        _sink: SinkIdentity<'a>,
        _log: Arc<dyn LogView>,
    ) -> ConfigFuture<'a, Result<Arc<dyn Connector>, ConnectorError>> {
        Box::pin(async move { Ok(Arc::new(CrmPoints::new(self)?) as _) })
    }

    fn target(&self) -> String {
        self.backend.url.clone()
    }

    fn probe(&self) -> ConfigFuture<'_, Result<String, ConnectorError>> {
        Box::pin(async move { Ok(probe::backend(&self.backend).await?) })
    }
}
