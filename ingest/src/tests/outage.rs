//! A log that holds back or fails: senders hear of it while they still listen, and nothing is taken in for nothing.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::harness::{JSON, KeyOf, head, read_answer};
use super::harness::{KEY, event, start, with_length};
use super::log::LogBehavior;

/// Far less than `publish_timeout`, and far more than a second even here.
const WELL_BEFORE_THE_TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_log_that_goes_silent_puts_off_who_waits_and_then_everybody_at_once() {
    let bench = start(|_| {}).await;
    bench.log.set(LogBehavior::Holds);
    let mut waiting = bench.connect().await;
    let request =
        with_length(&head("/v1/events", &[KeyOf(KEY).header(), JSON]), event("7", 1).as_bytes());
    tokio::io::AsyncWriteExt::write_all(&mut waiting, &request).await.unwrap();
    while bench.log.held() == 0 {
        tokio::task::yield_now().await;
    }
    bench.pass_ms(3_000);
    let answer = timeout(WELL_BEFORE_THE_TIMEOUT, read_answer(&mut waiting)).await;
    answer.expect("not after publish_timeout").unwrap().assert_problem(503, "unavailable");

    bench.post(KEY, event("7", 2)).await.assert_problem(503, "unavailable");
    bench.post(KEY, event("7", 1)).await.assert_problem(503, "unavailable");
    assert_eq!(bench.log.held(), 1, "nothing more is given to a log that takes nothing");

    bench.log.release(LogBehavior::Writes);
    let began = Instant::now();
    while bench.post(KEY, event("7", 2)).await.status != 202 {
        assert!(began.elapsed() < WELL_BEFORE_THE_TIMEOUT);
    }
    let again = bench.post(KEY, event("7", 1)).await;
    assert_eq!(again.body, r#"{"outcome":"duplicate"}"#, "it was written when the log came back");
}

#[tokio::test]
async fn a_log_that_is_down_is_not_ready_and_turns_requests_away_before_their_body() {
    let bench = start(|_| {}).await;
    bench.log.set(LogBehavior::Fails);
    let mut sequence = 0;
    while bench.get("/readyz").await.status != 503 {
        sequence += 1;
        // Every store has a partition of its own choice: in time all of them have failed.
        bench
            .post(KEY, event(&sequence.to_string(), sequence))
            .await
            .assert_problem(503, "unavailable");
    }
    let conditions = bench.get("/readyz").await.json();
    assert_eq!(conditions["status"], "not_ready");
    let mut stream = bench.connect().await;
    let endless = head("/v1/events", &[KeyOf(KEY).header(), JSON]) + "Content-Length: 1000\r\n\r\n";
    let mut refused = 0;
    while refused == 0 {
        tokio::io::AsyncWriteExt::write_all(&mut stream, endless.as_bytes()).await.unwrap();
        // One request a second is let through to find out; it waits for its body.
        if let Ok(answer) = timeout(Duration::from_millis(500), read_answer(&mut stream)).await {
            answer.unwrap().assert_problem(503, "unavailable");
            refused += 1;
        }
        stream = bench.connect().await;
    }

    bench.log.set(LogBehavior::Writes);
    let ready = async {
        while bench.get("/readyz").await.status != 200 {
            sequence += 1;
            bench.post(KEY, event("7", sequence)).await;
            bench.pass_ms(1_000);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WELL_BEFORE_THE_TIMEOUT, ready).await.expect("it recovers");
    assert_eq!(bench.post(KEY, event("7", sequence + 1)).await.status, 202);
}
