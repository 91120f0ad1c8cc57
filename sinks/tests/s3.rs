//! Parquet files in a bucket, on a real server of the S3 protocol.
#![expect(clippy::unwrap_used, reason = "what cannot be set up has failed the test")]

mod s3_server;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;
use tillrace_core::topics::Topics;
use tillrace_log::local::{LocalLog, LocalSettings};
use tillrace_log::setting::Secret;
use tillrace_log::{Log, ProducerRecord, WritableLog};
use tillrace_sinks::connector::{CallError, Connector as _, DeliveryBatch};
use tillrace_sinks::failure::FailureCode;
use tillrace_sinks::parquet::{ParquetFiles, ParquetSettings, S3Settings};
use tillrace_sinks::record::{Record, SourceTopic};

use self::s3_server::{BUCKET, KEY, KEY_ID, S3Server};

struct Lake {
    server: S3Server,
    log: Arc<dyn Log>,
    topics: Topics,
    _folder: TempDir,
}

impl Lake {
    fn new(server: S3Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = LocalLog::open(LocalSettings::new(folder.path(), 1)).unwrap();
        let topics = Topics::new("");
        log.ensure_topics(&topics.specs(&["lake"], 1)).unwrap();
        let (tell, told) = sync_channel(1);
        let row = ProducerRecord {
            topic: topics.state.clone(),
            partition: 0,
            key: "checkpoint/0".into(),
            value: Some(r#"{"generation":"g1"}"#.into()),
        };
        let producer = log.producer().unwrap();
        producer.send(vec![row], Box::new(move |done| tell.send(done).unwrap())).unwrap();
        told.recv().unwrap().remove(0).unwrap();
        Self { server, log, topics, _folder: folder }
    }

    fn open(&self, secret: &str) -> ParquetFiles {
        let s3 = S3Settings {
            endpoint: Some(self.server.endpoint.clone()),
            region: "us-east-1".into(),
            access_key_id: Secret::new(KEY_ID),
            secret_access_key: Secret::new(secret),
        };
        let location = format!("s3://{BUCKET}/tills/raw");
        let settings = ParquetSettings { source: SourceTopic::Deltas, location, s3: Some(s3) };
        let log = Arc::clone(&self.log);
        ParquetFiles::open(&settings, log, &self.topics, "lake").unwrap()
    }

    /// The offsets of all rows, file after file.
    fn offsets(&self) -> Vec<i64> {
        let folder = self.server.bucket().join("tills/raw/inventory.deltas.v1");
        let mut files: Vec<PathBuf> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        // A file beside them names the owner.
        files.retain(|file| file.extension().is_some_and(|end| end == "parquet"));
        files.sort();
        let mut offsets = Vec::new();
        for file in files {
            let file = File::open(file).unwrap();
            for rows in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
                let rows = rows.unwrap();
                let column = rows.column_by_name("offset").unwrap();
                offsets.extend(column.as_primitive::<Int64Type>().values());
            }
        }
        offsets
    }
}

fn batch(offsets: std::ops::Range<u64>) -> DeliveryBatch {
    let record = |offset| {
        let value = format!(
            r#"{{"id":"d{offset}","generation":"g1","partition":0,"from_offset":0,"to_offset":1,"tenant":"acme","store":"1","sku":"A","unit":"C62","window_start":"2026-11-27T08:15:00Z","window_seconds":60,"business_date":"2026-11-27","net":"1","sold":"0","returned":"0","adjusted":"1","events":1}}"#
        );
        Record::new(offset, 0, "acme/1/A", value)
    };
    DeliveryBatch { partition: 0, delivered_to: 0, records: offsets.map(record).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_a_bucket_are_exactly_once() {
    let Some(server) = S3Server::start("Parquet files in a bucket") else { return };
    let lake = Lake::new(server);
    let (one, other) = (lake.open(KEY), lake.open(KEY));
    one.deliver(&batch(0..40)).await.unwrap();
    // The other has not seen that file: it loses the name, and drops what the file holds.
    other.deliver(&batch(0..60)).await.unwrap();
    // Now the first one is stale.
    one.deliver(&batch(40..90)).await.unwrap();
    // A sender after a crash finds all of it there.
    lake.open(KEY).deliver(&batch(30..90)).await.unwrap();
    assert_eq!(lake.offsets(), (0..90).collect::<Vec<_>>());

    let answer = lake.open("wrong").deliver(&batch(90..91)).await;
    assert!(
        matches!(answer, Err(CallError::Unavailable { code: FailureCode::BucketDenied, .. })),
        "a wrong key is waited out, not given up: {answer:?}"
    );
}
