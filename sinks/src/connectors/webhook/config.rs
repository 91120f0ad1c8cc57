//! What the program asks the settings of the webhook connector.

use std::sync::Arc;

use tillrace_log::LogView;
use tillrace_log::setting::{Inspection, Secret};

use super::connector::Webhook;
use super::settings::WebhookSettings;
use crate::connector::Connector;
use crate::connector_config::{ConfigFuture, ConnectorConfig, ConnectorError, SinkIdentity};
use crate::probe;
use crate::record::SourceTopic;

impl ConnectorConfig for WebhookSettings {
    fn source(&self) -> SourceTopic {
        self.source
    }

    fn secrets(&mut self) -> Vec<(String, &mut Secret)> {
        self.all_secrets()
    }

    fn inspect(&self, found: &mut Inspection) {
        self.inspect_settings(found);
    }

    fn build<'a>(
        &'a self,
        sink: SinkIdentity<'a>,
        _log: Arc<dyn LogView>,
    ) -> ConfigFuture<'a, Result<Arc<dyn Connector>, ConnectorError>> {
        Box::pin(async move {
            Ok(Arc::new(Webhook::new(self, self.source.topic(sink.topics).as_str())?) as _)
        })
    }

    fn target(&self) -> String {
        self.backend.url.clone()
    }

    fn probe(&self) -> ConfigFuture<'_, Result<String, ConnectorError>> {
        Box::pin(async move { Ok(probe::backend(&self.backend).await?) })
    }
}
