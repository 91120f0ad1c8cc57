//! Duplicates: a courtesy, and never a wrong one.

use super::harness::*;
use super::log::LogBehavior;

const ACCEPTED: &str = r#"{"outcome":"accepted"}"#;
const DUPLICATE: &str = r#"{"outcome":"duplicate"}"#;

#[tokio::test]
async fn a_retry_is_a_duplicate_and_another_content_is_published() {
    let bench = start(|_| {}).await;
    assert_eq!(bench.post(KEY, event("7", 1)).await.body, ACCEPTED);
    let reordered: serde_json::Value = serde_json::from_str(&event("7", 1)).unwrap();
    let spaced = serde_json::to_string_pretty(&reordered).unwrap();
    assert_eq!(bench.post(KEY, spaced).await.body, DUPLICATE);
    let other = event("7", 1).replace("e-1", "e-2");
    assert_eq!(bench.post(KEY, other).await.body, ACCEPTED, "the ledger decides");
    assert_eq!(bench.post(NEIGHBOUR_KEY, event("7", 1)).await.body, ACCEPTED);
    assert_eq!(bench.log.written("pos.events.v1").len(), 3);
}

#[tokio::test]
async fn a_retry_of_one_in_flight_waits_for_its_outcome() {
    let bench = start(|_| {}).await;
    bench.log.set(LogBehavior::Holds);
    let both =
        async { tokio::join!(bench.post(KEY, event("7", 1)), bench.post(KEY, event("7", 1))) };
    let release = async {
        loop {
            let waiting = bench.metric("tillrace_ingest_waited_for_copy_total");
            if waiting == Some(1) {
                break bench.log.release(LogBehavior::Writes);
            }
            tokio::task::yield_now().await;
        }
    };
    let ((first, second), ()) = tokio::join!(both, release);
    let mut bodies = [first.body.as_str(), second.body.as_str()];
    bodies.sort_unstable();
    assert_eq!(bodies, [ACCEPTED, DUPLICATE]);
    assert_eq!(bench.log.written("pos.events.v1").len(), 1);
}

#[tokio::test]
async fn a_retry_is_published_itself_when_the_first_copy_fails() {
    let bench = start(|_| {}).await;
    let twice = event("7", 1) + "\n" + &event("7", 1) + "\n";
    bench.log.set(LogBehavior::Holds);
    let request = bench.post_lines(KEY, twice);
    let fail_once = async {
        eventually("the first copy is held", || bench.log.held() == 1).await;
        bench.log.release(LogBehavior::Fails);
        // Failed rows are answered from a thread; the retry comes after.
        bench.log.set(LogBehavior::Writes);
    };
    let (answer, ()) = tokio::join!(request, fail_once);
    answer.assert_batch(503, [1, 0, 0, 1], Some(0));
    assert_eq!(bench.log.written("pos.events.v1").len(), 1);
    assert_eq!(bench.post(KEY, event("7", 1)).await.body, DUPLICATE);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_claim_behind() {
    let bench = start(|_| {}).await;
    bench.log.set(LogBehavior::Holds);
    let gone =
        tokio::time::timeout(std::time::Duration::from_millis(200), bench.post(KEY, event("7", 1)));
    assert!(gone.await.is_err(), "the log holds it back");
    assert_eq!(bench.log.held(), 1);
    bench.log.release(LogBehavior::Writes);
    assert_eq!(bench.post(KEY, event("7", 1)).await.body, DUPLICATE);
}
