//! The hand-written samples of the documentation, through the wire.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::harness::*;
use crate::Reason;

fn samples(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let folder: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/samples").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

async fn strict() -> Bench {
    let rules = json!({"totals": "reject", "tenders": "reject", "line_count": "reject"});
    start_with(|_| {}, json!({"id": "demo", "rules": rules})).await
}

#[tokio::test]
async fn every_sample_is_taken() {
    let bench = strict().await;
    let samples = samples("");
    assert!(samples.len() > 20);
    for (name, text) in &samples {
        let answer = bench.post(KEY, text).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (202, r#"{"outcome":"accepted"}"#),
            "{name}"
        );
    }
    assert_eq!(bench.log.written("pos.events.v1").len(), samples.len());
    assert_eq!(bench.log.written("pos.rejected.v1").len(), 0);
}

#[tokio::test]
async fn every_invalid_sample_is_refused_with_its_code_and_leaks_no_card() {
    let bench = strict().await;
    let mut samples = samples("invalid");
    let expected: Value =
        serde_json::from_slice(&samples.remove("expected.json").unwrap()).unwrap();
    for (name, text) in &samples {
        let answer = bench.post(KEY, text).await;
        let code = expected[name]["code"].as_str().unwrap();
        assert_eq!(answer.json()["code"], code, "{name}: {answer:?}");
        assert_eq!(answer.json()["pointer"], expected[name]["pointer"], "{name}");
        let known =
            tillrace_core::decode::RejectCode::ALL.iter().find(|known| known.as_str() == code);
        assert_eq!(answer.status, Reason::Event(*known.unwrap()).status().as_u16(), "{name}");
    }
    assert_eq!(bench.log.written("pos.rejected.v1").len(), samples.len());
    for row in bench.log.written("pos.rejected.v1") {
        let stored = String::from_utf8(row.value.unwrap().to_vec()).unwrap();
        for planted in ["411111111111", "1111 1111", "4444", "378282246310005", "\"123\\\""] {
            assert!(!stored.contains(planted), "{planted} in {stored}");
        }
    }
}
