//! When an issuer is asked for its keys: rotation, outage, lies and made-up key ids.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that gets another answer has failed"
)]

#[expect(dead_code, reason = "the list of bad tokens is another test's")]
mod jwt;

use std::time::Duration;

use jwt::{ALGORITHMS, Issuer, claims, header, with};
use serde_json::{Value, json};
use tillrace_ingest::token::{
    FetchPermit, KeyCache, KeyCacheTimes, KeyLookup, KeySet, TokenFault, UnverifiedToken,
};

const SECOND: i64 = 1_000;
const DAY: i64 = 86_400 * SECOND;

struct Bench {
    issuer: Issuer,
    cache: KeyCache,
}

impl Bench {
    fn new() -> Self {
        Self { issuer: Issuer::new(), cache: KeyCache::new(KeyCacheTimes::default()) }
    }

    fn set(&self, algorithms: &[&str]) -> Option<KeySet> {
        let keys: Vec<Value> = algorithms.iter().map(|name| self.issuer.jwk(name)).collect();
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).ok()
    }

    /// Looks up the key of a token of an algorithm, whose key has its id.
    fn look_up(&self, algorithm: &str, now_ms: i64) -> KeyLookup {
        let token = self.issuer.token(&header(algorithm), &claims());
        self.cache.look_up(&UnverifiedToken::parse(token.as_bytes()).unwrap(), now_ms)
    }

    fn look_up_id(&self, id: &str, now_ms: i64) -> KeyLookup {
        let token = self.issuer.token(&with(header("RS256"), json!({ "kid": id })), &claims());
        self.cache.look_up(&UnverifiedToken::parse(token.as_bytes()).unwrap(), now_ms)
    }

    /// A cache that knows the key of RS256 since 0.
    fn with_rs() -> Self {
        let bench = Self::new();
        let permit = asked(bench.look_up("RS256", 0));
        bench.cache.answer(permit, bench.set(&["RS256"]), 0);
        bench
    }
}

#[track_caller]
fn asked(lookup: KeyLookup) -> FetchPermit {
    match lookup {
        KeyLookup::Ask(permit) => permit,
        other => panic!("{other:?}"),
    }
}

fn is_found(lookup: &KeyLookup) -> bool {
    matches!(lookup, KeyLookup::Found(_, None))
}

fn wait(lookup: &KeyLookup) -> Option<Duration> {
    if let KeyLookup::Wait(wait) = lookup { Some(*wait) } else { None }
}

fn is_refused(lookup: &KeyLookup) -> bool {
    matches!(lookup, KeyLookup::Refused(TokenFault::UnknownKey))
}

#[test]
fn one_asks_and_the_others_wait() {
    let bench = Bench::new();
    let permit = asked(bench.look_up("RS256", 0));
    for _ in 0..3 {
        assert!(wait(&bench.look_up("ES256", 5)).is_some());
    }
    bench.cache.answer(permit, bench.set(&ALGORITHMS), 10);
    for algorithm in ALGORITHMS {
        assert!(is_found(&bench.look_up(algorithm, 11)));
    }
}

#[test]
fn an_issuer_that_is_down_is_never_a_refusal() {
    let bench = Bench::new();
    let permit = asked(bench.look_up("RS256", 0));
    bench.cache.answer(permit, None, 4 * SECOND);
    let told = wait(&bench.look_up("RS256", 4 * SECOND)).unwrap();
    assert_eq!(told, Duration::from_secs(6), "when it may be asked again");
    // A task that is cut drops its permit.
    drop(asked(bench.look_up("RS256", 10 * SECOND)));
    let permit = asked(bench.look_up("RS256", 20 * SECOND));
    bench.cache.answer(permit, bench.set(&["RS256"]), 21 * SECOND);
    assert!(is_found(&bench.look_up("RS256", 22 * SECOND)));
}

#[test]
fn known_keys_outlive_an_outage_for_a_day() {
    let bench = Bench::with_rs();
    let KeyLookup::Found(_, Some(permit)) = bench.look_up("RS256", 600 * SECOND) else { panic!() };
    assert!(is_found(&bench.look_up("RS256", 600 * SECOND)), "one asks anew");
    bench.cache.answer(permit, None, 601 * SECOND);
    assert!(is_found(&bench.look_up("RS256", 602 * SECOND)), "not sooner than the floor");
    assert!(matches!(bench.look_up("RS256", DAY - 1), KeyLookup::Found(_, Some(_))));
    drop(asked(bench.look_up("RS256", DAY + 10 * SECOND)));
    assert!(wait(&bench.look_up("RS256", DAY + 11 * SECOND)).is_some());
}

#[test]
fn a_rotated_key_is_fetched_and_a_withdrawn_one_is_gone() {
    let bench = Bench::with_rs();
    assert!(wait(&bench.look_up("ES256", 5 * SECOND)).is_some(), "it was asked a moment ago");
    let permit = asked(bench.look_up("ES256", 10 * SECOND));
    bench.cache.answer(permit, bench.set(&["ES256"]), 11 * SECOND);
    assert!(is_found(&bench.look_up("ES256", 12 * SECOND)));
    let permit = asked(bench.look_up("RS256", 20 * SECOND));
    bench.cache.answer(permit, bench.set(&["ES256"]), 21 * SECOND);
    assert!(is_refused(&bench.look_up("RS256", 22 * SECOND)));
}

#[test]
fn made_up_key_ids_cost_the_issuer_one_question_each_floor() {
    let bench = Bench::with_rs();
    let mut questions = 0;
    for number in 0..3_000 {
        let now_ms = 10 * SECOND + number * 10;
        if let KeyLookup::Ask(permit) = bench.look_up_id(&format!("made-up-{number}"), now_ms) {
            questions += 1;
            bench.cache.answer(permit, bench.set(&["RS256"]), now_ms + 1);
        }
        assert!(is_found(&bench.look_up("RS256", now_ms)), "who has a key is not kept waiting");
    }
    assert_eq!(questions, 3, "in thirty seconds");
}

#[test]
fn an_absent_key_is_remembered_by_itself_and_not_for_ever() {
    let bench = Bench::with_rs();
    let permit = asked(bench.look_up_id("gone", 10 * SECOND));
    // It comes while the issuer is asked about the other.
    assert!(wait(&bench.look_up("ES256", 10 * SECOND + 1)).is_some());
    bench.cache.answer(permit, bench.set(&["RS256"]), 11 * SECOND);
    assert!(is_refused(&bench.look_up_id("gone", 30 * SECOND)));
    let permit = asked(bench.look_up("ES256", 30 * SECOND));
    bench.cache.answer(permit, bench.set(&["RS256", "ES256"]), 31 * SECOND);
    assert!(is_found(&bench.look_up("ES256", 32 * SECOND)));
    drop(asked(bench.look_up_id("gone", 311 * SECOND)));
}

#[test]
fn a_lying_issuer_takes_no_key_away() {
    let bench = Bench::with_rs();
    let permit = asked(bench.look_up("ES256", 10 * SECOND));
    let empty = KeySet::parse(br#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#).ok();
    bench.cache.answer(permit, empty, 11 * SECOND);
    assert!(is_found(&bench.look_up("RS256", 12 * SECOND)));
    assert!(wait(&bench.look_up("ES256", 12 * SECOND)).is_some(), "that was no answer");
}

#[test]
fn kept_keys_are_good_for_a_day_from_when_they_came() {
    let bench = Bench::new();
    let keys = |bench: &Bench| bench.set(&["RS256"]).unwrap();
    for age in [-1, DAY] {
        bench.cache.restore(keys(&bench), age, 0);
    }
    drop(asked(bench.look_up("RS256", 0)));
    bench.cache.restore(keys(&bench), DAY - 20 * SECOND, SECOND);
    assert!(is_found(&bench.look_up("RS256", 2 * SECOND)));
    assert!(!is_found(&bench.look_up("RS256", 22 * SECOND)));
}
