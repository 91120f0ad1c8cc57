//! Calls to an ERP.

use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use tillrace_core::event::Kind;
use tillrace_core::money;

use super::body::{self, BatchReply, Item};
use super::settings::{DocumentSettings, Form, MovementSettings};
use crate::connector::{
    CallError, Connector, DeliveryBatch, DeliveryFuture, DeliveryReply, Ordering, RecordOutcome,
};
use crate::failure::FailureCode;
use crate::flow::BatchSettings;
use crate::http::{Backend, BackendError, BackendSettings};
use crate::record::{Record, RecordError, Transaction};

/// Posts documents or stock movements to an ERP.
#[derive(Debug)]
pub struct Erp {
    backend: Backend,
    form: Form,
    content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Documents,
    Movements,
}

impl Erp {
    /// Makes the connector for sales documents.
    ///
    /// # Errors
    /// When the settings allow no HTTP client.
    pub fn documents(settings: &DocumentSettings) -> Result<Self, BackendError> {
        Self::new(&settings.backend, settings.form, Content::Documents)
    }

    /// Makes the connector for stock movements.
    ///
    /// # Errors
    /// When the settings allow no HTTP client.
    pub fn stock_movements(settings: &MovementSettings) -> Result<Self, BackendError> {
        Self::new(&settings.backend, settings.form, Content::Movements)
    }

    fn new(backend: &BackendSettings, form: Form, content: Content) -> Result<Self, BackendError> {
        Ok(Self { backend: Backend::new(backend)?, form, content })
    }

    fn item(&self, record: &Record, batch: &DeliveryBatch) -> Result<Item, RecordError> {
        match self.content {
            Content::Documents => body::document(record, batch.partition),
            Content::Movements => body::movement(record),
        }
    }

    async fn post(&self, items: Vec<Item>) -> Result<DeliveryReply, CallError> {
        if items.is_empty() {
            return Ok(DeliveryReply { status: None, outcomes: Vec::new() });
        }
        match self.form {
            Form::Batch => self.post_batch(&items).await,
            Form::Single => self.post_single(items).await,
        }
    }

    async fn post_batch(&self, items: &[Item]) -> Result<DeliveryReply, CallError> {
        let name = match self.content {
            Content::Documents => "documents",
            Content::Movements => "movements",
        };
        let key = body::batch_key(items);
        let reply = self.backend.post(body::batch(name, items), &key).await?;
        let status = Some(reply.status);
        let results: BatchReply = serde_json::from_slice(&reply.body).map_err(|error| {
            let source = Some(Arc::new(error) as _);
            CallError::Unavailable {
                code: FailureCode::UnreadableAnswer,
                status,
                after: None,
                source,
            }
        })?;
        Ok(DeliveryReply { status, outcomes: results.outcomes(items) })
    }

    async fn post_single(&self, items: Vec<Item>) -> Result<DeliveryReply, CallError> {
        let mut answer = DeliveryReply { status: None, outcomes: Vec::with_capacity(items.len()) };
        for Item { id, json } in items {
            let reply = self.backend.post(json, &id).await?;
            answer.status = Some(reply.status);
            answer.outcomes.push(reply.outcome()?);
        }
        Ok(answer)
    }
}

impl Connector for Erp {
    fn ordering(&self) -> Ordering {
        Ordering::Key
    }

    fn default_batch(&self) -> BatchSettings {
        BatchSettings {
            max_records: 200,
            max_bytes: ByteSize::mib(1),
            linger: Duration::from_millis(100),
        }
    }

    fn max_records(&self) -> Option<usize> {
        (self.form == Form::Single).then_some(1)
    }

    fn accepts(&self, record: &Record) -> Result<bool, RecordError> {
        match self.content {
            Content::Documents => Ok(is_document(Transaction::read(record)?.kind)),
            Content::Movements => Ok(true),
        }
    }

    fn deliver<'a>(&'a self, batch: &'a DeliveryBatch) -> DeliveryFuture<'a> {
        Box::pin(async move {
            let mut items = Vec::with_capacity(batch.records.len());
            let mut unreadable = Vec::new();
            for (index, record) in batch.records.iter().enumerate() {
                match self.item(record, batch) {
                    Ok(item) => items.push(item),
                    Err(error) => unreadable.push((index, RecordOutcome::unreadable(&error))),
                }
            }
            let mut answer = self.post(items).await?;
            for (index, outcome) in unreadable {
                // An answer that is too short stays so: the engine calls again.
                answer.outcomes.insert(index.min(answer.outcomes.len()), outcome);
            }
            Ok(answer)
        })
    }
}

/// Tells whether events of a kind are documents: those whose amounts count in the store-day, so that what an ERP books from all
/// documents of a day comes to that day's totals.
fn is_document(kind: Kind) -> bool {
    money::sign(kind) != 0
}
