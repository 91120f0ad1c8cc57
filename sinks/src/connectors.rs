//! The connectors: one folder each, and one line each in the table at its end.
//!
//! `kind` in the settings of a sink names the connector; the keys beside it are that connector's own.

pub mod crm;
pub mod erp;
pub mod parquet;
pub mod webhook;

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use self::crm::PointsSettings;
use self::erp::{DocumentSettings, MovementSettings};
use self::parquet::ParquetSettings;
use self::webhook::WebhookSettings;
use crate::connector_config::ConnectorConfig;

/// Makes the enum of connectors, its `kind`s, and the way to the settings of each.
macro_rules! connectors {
    ($($(#[$doc:meta])* $kind:ident($settings:ty);)*) => {
        /// The connectors.
        #[derive(Debug, Clone, JsonSchema)]
        #[schemars(tag = "kind", rename_all = "snake_case")]
        pub enum Target {
            $($(#[$doc])* $kind($settings),)*
        }

        impl Target {
            /// Returns the settings of the connector.
            pub fn config(&self) -> &dyn ConnectorConfig {
                match self {
                    $(Self::$kind(settings) => settings,)*
                }
            }

            pub(crate) fn config_mut(&mut self) -> &mut dyn ConnectorConfig {
                match self {
                    $(Self::$kind(settings) => settings,)*
                }
            }
        }

        /// A connector's name, as `kind` has it.
        #[derive(Debug, Clone, Copy, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Kind {
            $($kind,)*
        }

        fn target<'de, D: Deserializer<'de>>(kind: Kind, settings: D) -> Result<Target, D::Error> {
            match kind {
                $(Kind::$kind => Deserialize::deserialize(settings).map(Target::$kind),)*
            }
        }
    };
}

connectors! {
    /// Sales documents and payments in advance to an ERP, from `pos.transactions.v1`.
    ErpDocuments(DocumentSettings);
    /// Stock movements to an ERP, from `inventory.deltas.v1`.
    ErpStockMovements(MovementSettings);
    /// Loyalty points to a CRM, from `pos.transactions.v1`.
    CrmPoints(PointsSettings);
    /// Parquet files on a local disk or in an S3 bucket, from either topic.
    Parquet(ParquetSettings);
    /// Signed webhooks, one record a call, from either topic.
    Webhook(WebhookSettings);
}

/// Reads `kind` and then its settings straight from the source, so that an error knows its key and a text stays as it
/// was written: what serde derives takes all of it into a buffer first. Where `kind` is not the first key, as in a JSON
/// object sorted by name, the keys before it do go through a buffer.
impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TargetVisitor)
    }
}

struct TargetVisitor;

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = Target;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a connector: its `kind` and what it needs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Target, A::Error> {
        let mut before = serde_json::Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if key != "kind" {
                before.insert(key, map.next_value()?);
                continue;
            }
            let kind: Kind = map.next_value()?;
            if before.is_empty() {
                return target(kind, MapAccessDeserializer::new(map));
            }
            while let Some((key, value)) = map.next_entry()? {
                before.insert(key, value);
            }
            return target(kind, before).map_err(de::Error::custom);
        }
        Err(de::Error::missing_field("kind"))
    }
}
