//! Requests and answers: each a length (u32, little-endian) and so many bytes.
//!
//! A request is a number and its fields; an answer is 0 and its fields, or 1 and an error. One
//! connection has at most one reader. What is written is answered when it is durable.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::wire::{Fields, put_bytes, put_varint};
use crate::{
    Bounds, Committed, ConsumerRecord, LogCause, LogError, Offset, Partition, ProducerRecord, Topic,
};

/// Longest request: a chunk of records, or the largest record of all, with its topic and numbers around it.
pub(super) const REQUEST_BYTES: usize = 4 << 20;
/// Longest answer: a full read and the record that filled it, with room for what stands around.
pub(super) const ANSWER_BYTES: usize = 2 << 30;

/// What is asked of the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Partitions,
    Bounds { topic: Topic, partition: Partition },
    Committed { group: String, topic: Topic, partition: Partition },
    Open { topic: Topic, partition: Partition, from: Offset },
    Read { max_records: u64, wait: Duration },
    Write { records: Vec<ProducerRecord> },
}

impl Request {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Partitions => out.push(1),
            Self::Bounds { topic, partition } => {
                out.push(2);
                put_bytes(&mut out, topic.as_str().as_bytes());
                put_varint(&mut out, u64::from(*partition));
            }
            Self::Committed { group, topic, partition } => {
                out.push(3);
                put_bytes(&mut out, group.as_bytes());
                put_bytes(&mut out, topic.as_str().as_bytes());
                put_varint(&mut out, u64::from(*partition));
            }
            Self::Open { topic, partition, from } => {
                out.push(4);
                put_bytes(&mut out, topic.as_str().as_bytes());
                put_varint(&mut out, u64::from(*partition));
                put_varint(&mut out, *from);
            }
            Self::Read { max_records, wait } => {
                out.push(5);
                put_varint(&mut out, *max_records);
                put_varint(&mut out, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            }
            Self::Write { records } => {
                out.push(6);
                put_varint(&mut out, records.len() as u64);
                for record in records {
                    put_bytes(&mut out, record.topic.as_str().as_bytes());
                    put_varint(&mut out, u64::from(record.partition));
                    put_key_and_value(&mut out, &record.key, record.value.as_ref());
                }
            }
        }
        out
    }

    /// Decodes a request; records are slices of the bytes.
    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        Some(match fields.u8()? {
            1 => Self::Partitions,
            2 => {
                Self::Bounds { topic: Topic::new(fields.text()?), partition: fields.varint_u32()? }
            }
            3 => Self::Committed {
                group: fields.text()?.to_owned(),
                topic: Topic::new(fields.text()?),
                partition: fields.varint_u32()?,
            },
            4 => Self::Open {
                topic: Topic::new(fields.text()?),
                partition: fields.varint_u32()?,
                from: fields.varint()?,
            },
            5 => Self::Read {
                max_records: fields.varint()?,
                wait: Duration::from_millis(fields.varint()?),
            },
            6 => {
                let count = fields.varint()?;
                let records = (0..count).map(|_| producer_record(&mut fields, bytes));
                Self::Write { records: records.collect::<Option<_>>()? }
            }
            _ => return None,
        })
    }
}

/// What the owner answers.
#[derive(Debug)]
pub(super) enum Answer {
    Partitions(Partition),
    Bounds(Bounds),
    Committed(Option<Committed>),
    Opened,
    /// Records of the open reader, which then stands at this position.
    Read(Vec<ConsumerRecord>, Offset),
    /// The outcome of each record.
    Written(Vec<Result<Offset, LogError>>),
}

impl Answer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0];
        match self {
            Self::Partitions(partitions) => put_varint(&mut out, u64::from(*partitions)),
            Self::Bounds(bounds) => {
                for offset in [bounds.start, bounds.stable_end, bounds.end] {
                    put_varint(&mut out, offset);
                }
            }
            Self::Committed(None) => out.push(0),
            Self::Committed(Some(committed)) => {
                out.push(1);
                put_varint(&mut out, committed.offset);
                put_bytes(&mut out, committed.metadata.as_bytes());
            }
            Self::Opened => {}
            Self::Read(entries, position) => {
                put_varint(&mut out, *position);
                put_varint(&mut out, entries.len() as u64);
                for entry in entries {
                    put_varint(&mut out, entry.offset);
                    out.extend_from_slice(&entry.appended_ms.to_le_bytes());
                    put_key_and_value(&mut out, &entry.key, entry.value.as_ref());
                }
            }
            Self::Written(outcomes) => {
                put_varint(&mut out, outcomes.len() as u64);
                for outcome in outcomes {
                    match outcome {
                        Ok(offset) => {
                            out.push(0);
                            put_varint(&mut out, *offset);
                        }
                        Err(error) => out.extend(encode_error(error)),
                    }
                }
            }
        }
        out
    }

    /// Decodes the fields of an answer to a request; entries are slices of the bytes.
    pub(super) fn decode(
        bytes: &Bytes,
        request: &Request,
        lane: &(Topic, Partition),
    ) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        fields.u8()?;
        Some(match request {
            Request::Partitions => Self::Partitions(fields.varint_u32()?),
            Request::Bounds { .. } => Self::Bounds(Bounds {
                start: fields.varint()?,
                stable_end: fields.varint()?,
                end: fields.varint()?,
            }),
            Request::Committed { .. } if fields.u8()? == 0 => Self::Committed(None),
            Request::Committed { .. } => {
                let offset = fields.varint()?;
                let metadata = fields.text()?.to_owned();
                Self::Committed(Some(Committed { offset, metadata }))
            }
            Request::Open { .. } => Self::Opened,
            Request::Read { .. } => {
                let position = fields.varint()?;
                let count = fields.varint()?;
                let entries = (0..count).map(|_| entry(&mut fields, bytes, lane));
                Self::Read(entries.collect::<Option<_>>()?, position)
            }
            Request::Write { .. } => {
                let count = fields.varint()?;
                let outcomes = (0..count).map(|_| outcome(&mut fields));
                Self::Written(outcomes.collect::<Option<_>>()?)
            }
        })
    }
}

fn put_key_and_value(out: &mut Vec<u8>, key: &[u8], value: Option<&Bytes>) {
    put_bytes(out, key);
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(1);
            put_bytes(out, value);
        }
    }
}

fn key_and_value(fields: &mut Fields<'_>, bytes: &Bytes) -> Option<(Bytes, Option<Bytes>)> {
    let slice = |fields: &mut Fields<'_>| {
        let length = fields.length()?;
        Some(bytes.slice_ref(fields.take(length)?))
    };
    let key = slice(fields)?;
    let value = if fields.u8()? == 0 { None } else { Some(slice(fields)?) };
    Some((key, value))
}

fn producer_record(fields: &mut Fields<'_>, bytes: &Bytes) -> Option<ProducerRecord> {
    let topic = Topic::new(fields.text()?);
    let partition = fields.varint_u32()?;
    let (key, value) = key_and_value(fields, bytes)?;
    Some(ProducerRecord { topic, partition, key, value })
}

fn outcome(fields: &mut Fields<'_>) -> Option<Result<Offset, LogError>> {
    Some(if fields.u8()? == 0 { Ok(fields.varint()?) } else { Err(error(fields)?) })
}

fn entry(
    fields: &mut Fields<'_>,
    bytes: &Bytes,
    lane: &(Topic, Partition),
) -> Option<ConsumerRecord> {
    let offset = fields.varint()?;
    let appended_ms = fields.i64()?;
    let (key, value) = key_and_value(fields, bytes)?;
    Some(ConsumerRecord {
        topic: lane.0.clone(),
        partition: lane.1,
        offset,
        appended_ms,
        key,
        value,
    })
}

/// An error as the owner tells it.
pub(super) fn encode_error(error: &LogError) -> Vec<u8> {
    let mut out = vec![1];
    match error {
        LogError::UnknownTopic { topic } => {
            out.push(1);
            put_bytes(&mut out, topic.as_str().as_bytes());
        }
        LogError::OutOfRange { topic, partition, offset, start, end } => {
            out.push(2);
            put_bytes(&mut out, topic.as_str().as_bytes());
            for number in [u64::from(*partition), *offset, *start, *end] {
                put_varint(&mut out, number);
            }
        }
        LogError::Damaged { place, detail } => {
            out.push(3);
            put_bytes(&mut out, format!("{place} ({detail})").as_bytes());
        }
        LogError::TooLarge { bytes, limit } => {
            out.push(6);
            put_bytes(&mut out, &[]);
            put_varint(&mut out, *bytes as u64);
            put_varint(&mut out, *limit as u64);
        }
        other => {
            out.push(if other.is_retryable() { 4 } else { 5 });
            put_bytes(&mut out, other.to_string().as_bytes());
        }
    }
    out
}

/// What the owner said, as a cause.
#[derive(Debug, thiserror::Error)]
#[error("the owner of the log says: {0}")]
struct OwnerSays(Box<str>);

impl LogCause for OwnerSays {}

/// The error of an answer that is one.
pub(super) fn decode_error(bytes: &[u8]) -> Option<LogError> {
    let mut fields = Fields::new(bytes);
    fields.u8()?;
    error(&mut fields)
}

fn error(fields: &mut Fields<'_>) -> Option<LogError> {
    let kind = fields.u8()?;
    let text = fields.text()?;
    let action = "use the log through its owner";
    Some(match kind {
        1 => LogError::UnknownTopic { topic: Topic::new(text) },
        2 => LogError::OutOfRange {
            topic: Topic::new(text),
            partition: fields.varint_u32()?,
            offset: fields.varint()?,
            start: fields.varint()?,
            end: fields.varint()?,
        },
        3 => LogError::Damaged { place: text.to_owned(), detail: "found by the log's owner" },
        4 => LogError::Unavailable { action, cause: Arc::new(OwnerSays(text.into())) },
        5 => LogError::Refused { action, cause: Arc::new(OwnerSays(text.into())) },
        6 => LogError::TooLarge { bytes: fields.length()?, limit: fields.length()? },
        _ => return None,
    })
}

/// Sends one message.
pub(super) fn send(stream: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_le_bytes())?;
    stream.write_all(message)
}

/// Receives one message of at most `limit` bytes.
pub(super) fn receive(stream: &mut impl Read, limit: usize) -> io::Result<Bytes> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    Ok(Bytes::from(message))
}
