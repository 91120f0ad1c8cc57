//! Which connector a sink has: `kind`, and what that one needs.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tillrace_log::setting::{Inspection, Secret};

use crate::connector::Ordering;
use crate::crm::PointsSettings;
use crate::erp::ErpSettings;
use crate::parquet::ParquetSettings;
use crate::record::SourceTopic;

/// The connectors.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// Sales documents and payments in advance to an ERP, from `pos.transactions.v1`.
    ErpDocuments(ErpSettings),
    /// Stock movements to an ERP, from `inventory.deltas.v1`.
    ErpStockMovements(ErpSettings),
    /// Loyalty points to a CRM, from `pos.transactions.v1`.
    CrmPoints(PointsSettings),
    /// Parquet files on a local disk or in an S3 bucket, from either topic.
    Parquet(ParquetSettings),
}

impl Target {
    /// Returns the topic it reads.
    pub fn source(&self) -> SourceTopic {
        match self {
            Self::ErpDocuments(_) | Self::CrmPoints(_) => SourceTopic::Transactions,
            Self::ErpStockMovements(_) => SourceTopic::Deltas,
            Self::Parquet(settings) => settings.source,
        }
    }

    pub(crate) fn ordering(&self) -> Ordering {
        match self {
            Self::Parquet(_) => Ordering::Partition,
            _ => Ordering::Key,
        }
    }

    pub(super) fn secrets(&mut self) -> Vec<(String, &mut Secret)> {
        match self {
            Self::ErpDocuments(settings) | Self::ErpStockMovements(settings) => {
                settings.backend.secrets()
            }
            Self::CrmPoints(settings) => settings.backend.secrets(),
            Self::Parquet(settings) => settings.secrets(),
        }
    }

    pub(super) fn inspect(&self, found: &mut Inspection) {
        match self {
            Self::ErpDocuments(settings) | Self::ErpStockMovements(settings) => {
                found.within("backend", |found| settings.backend.inspect(found));
            }
            Self::CrmPoints(settings) => settings.inspect(found),
            Self::Parquet(settings) => settings.inspect(found),
        }
    }
}

/// A connector's name, as `kind` has it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    ErpDocuments,
    ErpStockMovements,
    CrmPoints,
    Parquet,
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

fn target<'de, D: Deserializer<'de>>(kind: Kind, settings: D) -> Result<Target, D::Error> {
    match kind {
        Kind::ErpDocuments => Deserialize::deserialize(settings).map(Target::ErpDocuments),
        Kind::ErpStockMovements => {
            Deserialize::deserialize(settings).map(Target::ErpStockMovements)
        }
        Kind::CrmPoints => Deserialize::deserialize(settings).map(Target::CrmPoints),
        Kind::Parquet => Deserialize::deserialize(settings).map(Target::Parquet),
    }
}
