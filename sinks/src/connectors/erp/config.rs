//! What the program asks the settings of the two ERP connectors.

use std::sync::Arc;

use tillrace_log::LogView;
use tillrace_log::setting::{Inspection, Secret};

use super::connector::Erp;
use super::settings::{DocumentSettings, MovementSettings};
use crate::connector::Connector;
use crate::connector_config::{ConfigFuture, ConnectorConfig, ConnectorError, SinkIdentity};
use crate::probe;
use crate::record::SourceTopic;

/// The two differ in the topic and in how the connector is made.
macro_rules! erp_config {
    ($settings:ident, $source:ident, $make:path) => {
        impl ConnectorConfig for $settings {
            fn source(&self) -> SourceTopic {
                SourceTopic::$source
            }

            fn secrets(&mut self) -> Vec<(String, &mut Secret)> {
                self.backend.secrets()
            }

            fn inspect(&self, found: &mut Inspection) {
                found.within("backend", |found| self.backend.inspect(found));
            }

            fn build<'a>(
                &'a self,
                _sink: SinkIdentity<'a>,
                _log: Arc<dyn LogView>,
            ) -> ConfigFuture<'a, Result<Arc<dyn Connector>, ConnectorError>> {
                Box::pin(async move { Ok(Arc::new($make(self)?) as _) })
            }

            fn target(&self) -> String {
                self.backend.url.clone()
            }

            fn probe(&self) -> ConfigFuture<'_, Result<String, ConnectorError>> {
                Box::pin(async move { Ok(probe::backend(&self.backend).await?) })
            }
        }
    };
}

erp_config!(DocumentSettings, Transactions, Erp::documents);
erp_config!(MovementSettings, Deltas, Erp::stock_movements);
