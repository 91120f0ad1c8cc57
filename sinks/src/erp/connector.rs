//! Calls to an ERP.

use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use tillrace_core::event::Kind;
use tillrace_core::money::TRADE;

use super::body::{self, BatchReply, Item};
use super::settings::{ErpSettings, Form};
use crate::connector::{Answer, Answering, Batch, CallError, Connector, Ordering, Verdict};
use crate::failure::FailureCode;
use crate::http::{Backend, BackendError};
use crate::record::{Record, Transaction, Unreadable};
use crate::settings;

/// Kinds of event that are sales documents.
const DOCUMENT_KINDS: &[Kind] = TRADE;

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
    pub fn documents(settings: &ErpSettings) -> Result<Self, BackendError> {
        Self::new(settings, Content::Documents)
    }

    /// Makes the connector for stock movements.
    ///
    /// # Errors
    /// When the settings allow no HTTP client.
    pub fn stock_movements(settings: &ErpSettings) -> Result<Self, BackendError> {
        Self::new(settings, Content::Movements)
    }

    fn new(settings: &ErpSettings, content: Content) -> Result<Self, BackendError> {
        Ok(Self { backend: Backend::new(&settings.backend)?, form: settings.form, content })
    }

    fn item(&self, record: &Record, batch: &Batch) -> Result<Item, Unreadable> {
        match self.content {
            Content::Documents => body::document(record, batch.partition),
            Content::Movements => body::movement(record),
        }
    }

    async fn post(&self, items: Vec<Item>) -> Result<Answer, CallError> {
        if items.is_empty() {
            return Ok(Answer { status: None, verdicts: Vec::new() });
        }
        match self.form {
            Form::Batch => self.post_batch(&items).await,
            Form::Single => self.post_single(items).await,
        }
    }

    async fn post_batch(&self, items: &[Item]) -> Result<Answer, CallError> {
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
        Ok(Answer { status, verdicts: results.verdicts(items) })
    }

    async fn post_single(&self, items: Vec<Item>) -> Result<Answer, CallError> {
        let mut answer = Answer { status: None, verdicts: Vec::with_capacity(items.len()) };
        for Item { id, json } in items {
            let reply = self.backend.post(json, &id).await?;
            answer.status = Some(reply.status);
            answer.verdicts.push(reply.verdict()?);
        }
        Ok(answer)
    }
}

impl Connector for Erp {
    fn ordering(&self) -> Ordering {
        Ordering::Key
    }

    fn batch(&self) -> settings::Batch {
        settings::Batch {
            max_records: 200,
            max_bytes: ByteSize::mib(1),
            linger: Duration::from_millis(100),
        }
    }

    fn most_records(&self) -> Option<usize> {
        (self.form == Form::Single).then_some(1)
    }

    fn concerns(&self, record: &Record) -> Result<bool, Unreadable> {
        match self.content {
            Content::Documents => Ok(DOCUMENT_KINDS.contains(&Transaction::read(record)?.kind)),
            Content::Movements => Ok(true),
        }
    }

    fn deliver<'a>(&'a self, batch: &'a Batch) -> Answering<'a> {
        Box::pin(async move {
            let mut items = Vec::with_capacity(batch.records.len());
            let mut unreadable = Vec::new();
            for (place, record) in batch.records.iter().enumerate() {
                match self.item(record, batch) {
                    Ok(item) => items.push(item),
                    Err(error) => unreadable.push((place, Verdict::unreadable(&error))),
                }
            }
            let mut answer = self.post(items).await?;
            for (place, verdict) in unreadable {
                // An answer that is too short stays so: the engine calls again.
                answer.verdicts.insert(place.min(answer.verdicts.len()), verdict);
            }
            Ok(answer)
        })
    }
}
