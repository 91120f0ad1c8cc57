//! Files that a sink wrote hold; files that were deleted, cut or changed do not.

use std::fs;

use super::*;
use crate::connectors::parquet::tests::{
    GENERATION, SINK, append_deltas, batch, files, fixture, folder, spec,
};
use crate::fixture::{Fixture, until};
use crate::record::SourceTopic;

/// Lets a sink write 40 deltas into files of seven.
async fn written() -> Fixture {
    let fixture = fixture();
    append_deltas(&fixture, 0..40);
    let topic = fixture.topics.deltas.clone();
    let delivery = fixture.start(&spec(&fixture, 7)).await;
    until("all is committed", || fixture.committed(SINK, &topic) == 40).await;
    delivery.drain().await;
    fixture
}

async fn recounted(fixture: &Fixture) -> Check {
    let lake = fixture.folder.path().join("lake");
    let settings = ParquetSettings::local(SourceTopic::Deltas, lake.to_str().unwrap());
    let view: Arc<dyn LogView> = Arc::clone(&fixture.log) as _;
    recount(&settings, view, &fixture.topics, SINK).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_holds() {
    let check = recounted(&written().await).await;
    assert!(check.holds(), "{check}");
    let [_, records] = check.figures.as_slice() else { panic!("{check}") };
    assert_eq!((records.recounted, records.recorded), (Amount::Count(40), Amount::Count(40)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_or_cut_is_missed_wherever_it_stood() {
    let fixture = written().await;
    let folder = folder(&fixture, "inventory.deltas.v1");
    for path in files(&folder) {
        let content = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let check = recounted(&fixture).await;
        assert!(!check.holds(), "{} went unseen", path.display());
        assert_eq!(check.differences[0].what, "delivered, but in no file");
        fs::write(&path, &content[..content.len() / 2]).unwrap();
        assert!(!recounted(&fixture).await.holds());
        fs::write(&path, content).unwrap();
    }
    assert!(recounted(&fixture).await.holds());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_says_something_else_is_seen() {
    let fixture = written().await;
    let folder = folder(&fixture, "inventory.deltas.v1");
    let first = files(&folder).remove(0);
    let content = fs::read(&first).unwrap();
    let topic = fixture.topics.deltas.to_string();
    let sequence =
        FileSequence { generation: GENERATION.to_owned(), topic: topic.clone(), partition: 0 };
    let name = first.file_name().unwrap().to_str().unwrap();
    let (previous, next) = File::read(&sequence, name, content.clone().into()).unwrap().range;
    // The same rows but for one quantity, under the same name.
    let mut records = batch(previous..next).records;
    let text = String::from_utf8(records[3].value.to_vec()).unwrap();
    records[3].value = text.replace("\"-3.25\"", "\"-2.25\"").into();
    let origin = Origin { source: SourceTopic::Deltas, topic: &topic, partition: 0 };
    let altered = body::write(origin, &records, sequence.footer(previous, next)).unwrap();
    fs::write(&first, altered.content.unwrap()).unwrap();
    let check = recounted(&fixture).await;
    assert_eq!(check.differences.len(), 1, "{check}");
    assert_eq!(check.differences[0].offset, Some(3));
    fs::write(&first, content).unwrap();
    assert!(recounted(&fixture).await.holds());
}
