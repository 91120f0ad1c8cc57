//! What each record becomes, and where it is written.

use serde_json::json;

use super::super::fixture::{DAY_MS, FRIDAY_MS, Rig, Sample, line};
use crate::envelope::Scope;

fn totals(rig: &Rig) -> serde_json::Value {
    rig.checkpoints()[0]["totals"].clone()
}

#[test]
fn a_first_goes_out_with_its_source_and_moves_stock_once() {
    let rig = Rig::new(1);
    let sale = Sample::sale("1", "a", 7);
    let offset = rig.accept(&sale);
    rig.accept(&sale);
    rig.run();
    let copies = rig.read(&rig.topics.transactions);
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0]["verdict"], "first");
    assert_eq!(
        (&copies[0]["sourcepartition"], &copies[0]["sourceoffset"]),
        (&json!(0), &json!(offset))
    );
    assert_eq!(
        copies[0]["data"],
        serde_json::from_slice::<serde_json::Value>(&sale.data()).unwrap()
    );
    let day = FRIDAY_MS + DAY_MS / 2;
    let window = crate::text::Timestamp::from_millis(day);
    let stock = rig.stock();
    assert_eq!(stock[&format!("1/milk/C62/{window}/2026-11-27")], [-1_000_000, 1_000_000, 0, 0, 1]);
    assert_eq!(
        (totals(&rig)["first"].as_u64(), totals(&rig)["duplicate"].as_u64()),
        (Some(1), Some(1))
    );
}

#[test]
fn a_deltas_id_names_the_offsets_of_its_flush() {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1/x", "a", 1));
    rig.run();
    let delta = &rig.read(&rig.topics.deltas)[0];
    let generation = rig.checkpoints()[0]["generation"].as_str().unwrap().to_owned();
    assert_eq!(
        delta["id"],
        format!("{generation}:0:0:1:2026-11-27T12:00:00Z:2026-11-27:demo/1%2Fx/milk/C62")
    );
    assert_eq!(delta["window_seconds"], 60);
}

#[test]
fn the_later_of_two_contents_is_kept_aside_with_its_text() {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 7));
    let other = Sample::sale("1", "a", 7).note("other");
    let offset = rig.accept(&other);
    rig.run();
    let kept = &rig.read(&rig.topics.conflicts)[0];
    assert_eq!((&kept["reason"], &kept["detail"]), (&json!("conflict"), &json!("other_content")));
    assert_eq!((&kept["offset"], &kept["sequence"]), (&json!(offset), &json!(7)));
    assert_eq!(kept["data"]["operator_id"], "other");
    let known = Sample::sale("1", "a", 7).hash();
    assert_eq!(kept["known_hash"], format!("h2:{:08x}", known >> 96));
    assert_eq!(rig.read(&rig.topics.transactions).len(), 1);
}

#[test]
fn a_repeat_past_the_horizon_is_unverified() {
    let rig = Rig::new(1);
    let sale = Sample::sale("1", "a", 7);
    rig.accept(&sale);
    rig.append(&sale, sale.accepted(), sale.occurred_ms + 3 * DAY_MS + 1);
    rig.run();
    let kept = &rig.read(&rig.topics.conflicts)[0];
    assert_eq!(kept["reason"], "duplicate_unverified");
    assert_eq!(totals(&rig)["duplicate_unverified"], 1);
}

#[test]
fn hashes_past_the_horizon_are_taken_off_the_state() {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 7));
    let mut later = Sample::sale("1", "b", 1);
    later.occurred_ms += 3 * DAY_MS + 1;
    rig.accept(&later);
    let mut engine = rig.join();
    rig.drain(&mut engine).unwrap();
    engine.flush(rig.now).unwrap();
    drop(engine);
    let entries = rig.log.entries(&rig.topics.state);
    let last = entries.iter().rfind(|entry| &entry.key[..] == b"hashes/demo/1/a//0");
    assert_eq!(last.map(|entry| entry.value.is_none()), Some(true));
    rig.accept(&Sample::sale("1", "a", 8));
    rig.run();
    assert_eq!(totals(&rig)["first"], 3);
}

#[test]
fn a_refused_number_is_not_missing_and_gives_way_to_a_good_event() {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 1));
    let refused = Sample::sale("1", "a", 2);
    rig.append(&refused, refused.refused(), refused.occurred_ms);
    rig.accept(&Sample::sale("1", "a", 4));
    rig.run();
    let ledger = &rig.latest(&rig.topics.ledger)["demo/1/a/"];
    assert_eq!((&ledger["firsts"], &ledger["refused"]), (&json!(2), &json!(1)));
    assert_eq!(ledger["missing"], json!([[3, 3]]));
    rig.accept(&refused);
    rig.run();
    let ledger = &rig.latest(&rig.topics.ledger)["demo/1/a/"];
    assert_eq!((&ledger["firsts"], &ledger["refused"]), (&json!(3), &json!(0)));
}

#[test]
fn dates_far_ahead_are_kept_aside_and_move_nothing() {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 1));
    rig.accept(&Sample::sale("1", "a", 50).date("2026-11-30"));
    let mut ahead = Sample::sale("1", "a", 60);
    ahead.occurred_ms += 2 * DAY_MS + 1;
    rig.append(&ahead, ahead.accepted(), FRIDAY_MS + DAY_MS / 2);
    rig.accept(&Sample::sale("1", "a", 2).date("2026-11-29"));
    rig.run();
    let details: Vec<_> =
        rig.read(&rig.topics.conflicts).into_iter().map(|kept| kept["detail"].clone()).collect();
    assert_eq!(details, ["date_ahead", "date_ahead"]);
    assert_eq!(rig.latest(&rig.topics.ledger)["demo/1/a/"]["high_water"], 2);
}

#[test]
fn events_without_a_number_are_judged_by_id_while_they_are_young() {
    let rig = Rig::new(1);
    let mut sale = Sample::sale("1", "a", 0).note("x");
    sale.sequence = None;
    rig.accept(&sale);
    rig.append(&sale, sale.accepted(), sale.occurred_ms + DAY_MS);
    rig.append(&sale, sale.accepted(), sale.occurred_ms + 3 * DAY_MS);
    rig.append(&sale, sale.accepted(), sale.occurred_ms + 3 * DAY_MS + 1);
    rig.run();
    let totals = totals(&rig);
    assert_eq!((&totals["first"], &totals["duplicate"]), (&json!(1), &json!(2)));
    assert_eq!(rig.read(&rig.topics.conflicts)[0]["detail"], "id_too_old");
    let ledger = &rig.latest(&rig.topics.ledger)["demo/1/a/"];
    assert_eq!((&ledger["firsts"], &ledger["baseline"]), (&json!(1), &json!(null)));
}

#[test]
fn counts_go_to_their_own_topic_and_into_no_delta() {
    let rig = Rig::new(1);
    let lines = vec![line(1, "count", "milk", "12.5"), line(2, "count", "eggs", "0")];
    let offset = rig.accept(&Sample::sale("1", "a", 1).kind("inventory_count").lines(lines));
    rig.run();
    assert_eq!(rig.read(&rig.topics.deltas).len(), 0);
    let counts = rig.read(&rig.topics.counts);
    assert_eq!(counts.len(), 2);
    assert_eq!(
        counts[0],
        json!({"partition": 0, "offset": offset, "line": 1, "tenant": "demo", "store": "1",
            "sku": "milk", "unit": "C62", "quantity": "12.5",
            "counted_at": "2026-11-27T12:00:00Z", "business_date": "2026-11-27"})
    );
}

#[test]
fn what_was_kept_aside_can_be_released_once_and_nothing_else() {
    let rig = Rig::new(1);
    let first = rig.accept(&Sample::sale("1", "a", 7));
    let other = Sample::sale("1", "a", 7).note("other");
    let kept = rig.accept(&other);
    let order = |offset| {
        rig.append(&other, other.release(0, offset), FRIDAY_MS + DAY_MS / 2);
    };
    order(kept);
    rig.run();
    [kept, first, 99].into_iter().for_each(order);
    rig.run();
    let copies = rig.read(&rig.topics.transactions);
    assert_eq!(copies.len(), 2);
    assert_eq!(
        (&copies[1]["verdict"], &copies[1]["id"]),
        (&json!("released"), &json!(format!("7~r{kept}")))
    );
    assert_eq!(copies[1]["sourceoffset"], kept);
    let totals = totals(&rig);
    assert_eq!((&totals["released"], &totals["control"]), (&json!(1), &json!(4)));
    assert_eq!(rig.stock().values().next().unwrap()[1], 2_000_000);
    assert_eq!(rig.latest(&rig.topics.ledger)["demo/1/a/"]["firsts"], 1);
    assert_eq!(rig.latest(&rig.topics.days)["demo/1/2026-11-27"]["transactions"]["sale"], 2);
}

#[test]
fn an_event_kept_aside_long_ago_is_found_among_many() {
    let rig = Rig::new(1);
    let mut kept = Vec::new();
    for number in 1..=40 {
        rig.accept(&Sample::sale("1", "a", number));
        kept.push(rig.accept(&Sample::sale("1", "b", number).date("2027-01-01")));
        if number % 7 == 0 {
            rig.run();
        }
    }
    rig.run();
    let any = Sample::sale("1", "a", 1);
    for &offset in &kept {
        rig.append(&any, any.release(0, offset), FRIDAY_MS + DAY_MS / 2);
        rig.append(&any, any.release(0, offset - 1), FRIDAY_MS + DAY_MS / 2);
    }
    rig.run();
    assert_eq!(totals(&rig)["released"], 40);
}

#[test]
fn a_day_is_complete_when_closed_without_gaps_and_open_ended_when_over() {
    let rig = Rig::new(1);
    let status = || rig.latest(&rig.topics.days)["demo/1/2026-11-27"]["status"].clone();
    rig.accept(&Sample::sale("1", "a", 1).kind("open"));
    rig.accept(&Sample::sale("1", "a", 3).kind("close"));
    rig.run();
    assert_eq!(status(), "open");
    let mut late = Sample::sale("1", "b", 1).date("2026-11-30");
    late.occurred_ms += 3 * DAY_MS;
    rig.accept(&late);
    let mut engine = rig.join();
    rig.drain(&mut engine).unwrap();
    engine.flush(rig.now).unwrap();
    assert_eq!(status(), "open_ended");
    rig.append(&late, Sample::sale("1", "a", 2).accepted(), late.occurred_ms);
    rig.drain(&mut engine).unwrap();
    let day = &rig.latest(&rig.topics.days)["demo/1/2026-11-27"];
    assert_eq!((&day["status"], &day["terminals"][0]["missing"]), (&json!("complete"), &json!(0)));
    assert_eq!(day["transactions"], json!({"open": 1, "close": 1, "sale": 1}));
    assert_eq!(day["totals"]["EUR"]["sales"], "2.50");
}

#[test]
fn past_35_days_a_day_is_sealed_and_later_events_amend_it() {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 1));
    let mut later = Sample::sale("1", "a", 2).date("2027-01-01");
    later.occurred_ms += 35 * DAY_MS;
    rig.accept(&later);
    let mut engine = rig.join();
    rig.drain(&mut engine).unwrap();
    engine.flush(rig.now).unwrap();
    let days = rig.latest(&rig.topics.days);
    assert_eq!(days["demo/1/2026-11-27"]["status"], "sealed");
    assert_eq!(days["demo/1/2027-01-01"]["status"], "open");
    let amending = Sample::sale("1", "a", 3);
    let offset = rig.append(&amending, amending.accepted(), later.occurred_ms);
    rig.drain(&mut engine).unwrap();
    let days = rig.latest(&rig.topics.days);
    let amendment = &days[&format!("demo/1/2026-11-27/amendment/{offset}-{}", offset + 1)];
    assert_eq!(amendment["transactions"], json!({"sale": 1}));
    assert_eq!(days["demo/1/2026-11-27"]["transactions"], json!({"sale": 1}));
    assert_eq!(totals(&rig)["first"], 3);
    assert!(
        rig.log
            .entries(&rig.topics.state)
            .iter()
            .any(|entry| { &entry.key[..] == b"day/demo/1/2026-11-27" && entry.value.is_none() })
    );
}

#[test]
fn epochs_of_business_dates_are_forgotten_once_sealed_and_never_counted_again() {
    let rig = Rig::new(1);
    let mut sale = Sample::sale("1", "a", 1);
    sale.scope = Scope::BusinessDate;
    sale.epoch = Some("2026-11-27".into());
    rig.accept(&sale);
    let refused = Sample { terminal: "b".into(), ..sale.clone() };
    rig.append(&refused, refused.refused(), refused.occurred_ms);
    let mut later = Sample::sale("1", "a", 1).date("2027-01-01");
    (later.scope, later.epoch) = (Scope::BusinessDate, Some("2027-01-01".into()));
    later.occurred_ms += 35 * DAY_MS;
    rig.accept(&later);
    let mut engine = rig.join();
    rig.drain(&mut engine).unwrap();
    engine.flush(rig.now).unwrap();
    let gone = |key: &[u8]| {
        let entries = rig.log.entries(&rig.topics.state);
        let last = entries.iter().rfind(|entry| entry.key == key);
        last.is_some_and(|entry| entry.value.is_none())
    };
    assert!(gone(b"terminal/demo/1/a/2026-11-27") && gone(b"terminal/demo/1/b/2026-11-27"));
    assert!(gone(b"hashes/demo/1/a/2026-11-27/0"));
    rig.append(&sale, sale.accepted(), later.occurred_ms);
    rig.drain(&mut engine).unwrap();
    drop(engine);
    assert_eq!(rig.read(&rig.topics.conflicts)[0]["detail"], "date_too_old");
    rig.run();
    assert_eq!(totals(&rig)["first"], 2);
}

/// A marker has no row of its own, and a hundred far apart make a terminal write some thirty blocks of a kilobyte.
#[test]
fn markers_weigh_what_they_have_a_terminal_write() {
    let mut rig = Rig::new(1);
    rig.settings.flush_bytes = bytesize::ByteSize::mib(1);
    for terminal in 0..60 {
        for number in 0..97 {
            let sample = Sample::sale("1", &terminal.to_string(), 1 + 4_000 * number);
            rig.append(&sample, sample.refused(), sample.occurred_ms);
        }
    }
    rig.run();
    assert!(rig.log.commits() > 3, "{} commits", rig.log.commits());
}

#[test]
fn one_store_can_not_fill_memory_with_terminals() {
    let mut rig = Rig::new(1);
    rig.settings.terminals_per_store = 2;
    for terminal in ["a", "b", "c", "a"] {
        rig.accept(&Sample::sale("1", terminal, 1));
    }
    rig.run();
    rig.accept(&Sample::sale("1", "d", 1));
    rig.run();
    let details: Vec<_> =
        rig.read(&rig.topics.conflicts).into_iter().map(|kept| kept["detail"].clone()).collect();
    assert_eq!(details, ["too_many_terminals", "too_many_terminals"]);
}

#[test]
fn a_terminal_that_counts_anew_is_suspected_and_kept_aside() {
    let rig = Rig::new(1);
    for number in 1..=20 {
        rig.accept(&Sample::sale("1", "a", number));
    }
    for number in 1..=10 {
        rig.accept(&Sample::sale("1", "a", number).note("anew"));
    }
    rig.run();
    let totals = totals(&rig);
    assert_eq!((&totals["conflict"], &totals["quarantined"]), (&json!(8), &json!(2)));
    assert_eq!(rig.latest(&rig.topics.ledger)["demo/1/a/"]["terminal_reset_suspected"], true);
}

#[test]
fn operators_see_verdicts_and_lag() {
    let mut registry = prometheus_client::registry::Registry::default();
    let rig =
        Rig { metrics: crate::aggregate::AggregateMetrics::register(&mut registry), ..Rig::new(1) };
    for sale in [Sample::sale("1", "a", 1), Sample::sale("1", "a", 20_000)] {
        rig.accept(&sale);
        rig.accept(&sale);
    }
    let mut engine = rig.join();
    for _ in 0..5 {
        engine.step(rig.now).unwrap();
    }
    engine.step(rig.now + std::time::Duration::from_secs(5)).unwrap();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "tillrace_aggregate_records_total{verdict=\"first\"} 2",
        "tillrace_aggregate_records_total{verdict=\"duplicate\"} 2",
        "tillrace_aggregate_sequence_jumps_total 1",
        "tillrace_aggregate_partition_stopped{partition=\"0\"} 0",
        "tillrace_aggregate_lag_records{partition=\"0\"} 0",
        "tillrace_aggregate_flush_seconds_count 1",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}
