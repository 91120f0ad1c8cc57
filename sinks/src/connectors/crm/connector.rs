//! Calls to a CRM.

use std::time::Duration;

use bytesize::ByteSize;
use tillrace_core::event::Kind;
use tillrace_core::money::TRADE;

use super::body;
use super::settings::{PointsRule, PointsSettings};
use crate::connector::{
    Connector, DeliveryBatch, DeliveryFuture, DeliveryReply, Ordering, RecordOutcome,
};
use crate::flow::BatchSettings;
use crate::http::{Backend, BackendError};
use crate::record::{Record, RecordError, Transaction};

/// Kinds of event that earn or take back points.
const EARNING_KINDS: &[Kind] = TRADE;

/// Posts loyalty points to a CRM.
#[derive(Debug)]
pub struct CrmPoints {
    backend: Backend,
    rule: PointsRule,
}

impl CrmPoints {
    /// Makes the connector.
    ///
    /// # Errors
    /// When the settings allow no HTTP client.
    pub fn new(settings: &PointsSettings) -> Result<Self, BackendError> {
        Ok(Self { backend: Backend::new(&settings.backend)?, rule: settings.rule })
    }
}

impl Connector for CrmPoints {
    fn ordering(&self) -> Ordering {
        Ordering::Key
    }

    fn default_batch(&self) -> BatchSettings {
        BatchSettings { max_records: 1, max_bytes: ByteSize::mib(1), linger: Duration::ZERO }
    }

    fn max_records(&self) -> Option<usize> {
        Some(1)
    }

    fn accepts(&self, record: &Record) -> Result<bool, RecordError> {
        let transaction = Transaction::read(record)?;
        Ok(EARNING_KINDS.contains(&transaction.kind) && body::has_account(&transaction)?)
    }

    fn deliver<'a>(&'a self, batch: &'a DeliveryBatch) -> DeliveryFuture<'a> {
        Box::pin(async move {
            let mut answer = DeliveryReply { status: None, outcomes: Vec::new() };
            for record in &batch.records {
                let outcome = match body::points(record, batch.partition, self.rule) {
                    Ok((id, points)) => {
                        let reply = self.backend.post(points, &id).await?;
                        answer.status = Some(reply.status);
                        reply.outcome()?
                    }
                    Err(error) => RecordOutcome::unreadable(&error),
                };
                answer.outcomes.push(outcome);
            }
            Ok(answer)
        })
    }
}
