//! What a store can make the aggregator write: much, but never a record that the log does not take.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::fixture::{DAY_MS, Rig, Sample};

/// An event of a terminal and epoch with the longest names, no two alike.
fn hostile(number: usize) -> Sample {
    let mut sale = Sample::sale("1", &format!("{number:\"<60}"), 1);
    sale.epoch = Some(format!("{number:\"<64}"));
    sale
}

fn bytes_of_state(rig: &Rig) -> usize {
    let entries = rig.log.entries(&rig.topics.state);
    entries
        .iter()
        .map(|entry| entry.key.len() + entry.value.as_ref().map_or(0, bytes::Bytes::len))
        .sum()
}

/// The days of a store as others read them: all terminals of all parts, by name.
fn listed(rig: &Rig) -> BTreeMap<String, u64> {
    let mut listed = BTreeMap::new();
    for (key, day) in rig.latest(&rig.topics.days) {
        for seen in day["terminals"].as_array().unwrap() {
            let name = format!("{key} {}", seen["terminal"].as_str().unwrap());
            assert_eq!(listed.insert(name, seen["missing"].as_u64().unwrap()), None);
        }
    }
    listed
}

#[test]
fn one_store_day_of_thousands_of_terminals_fits_the_log() {
    let rig = Rig::new(1);
    let terminals = 5_500;
    (0..terminals).for_each(|number| {
        rig.accept(&hostile(number));
    });
    rig.run();
    assert!(rig.log.largest_row() < 64 << 10, "{} bytes", rig.log.largest_row());
    rig.accept(&hostile(0).kind("close"));
    rig.accept(&hostile(terminals));
    rig.run();
    assert_eq!(rig.checkpoints()[0]["totals"]["first"], 5_501);
    assert_eq!(rig.checkpoints()[0]["totals"]["conflict"], 1);
    let days = rig.latest(&rig.topics.days);
    let day = &days["demo/1/2026-11-27"];
    assert_eq!(
        (day["terminal_count"].as_u64(), day["closed_count"].as_u64()),
        (Some(5_501), Some(0))
    );
    assert_eq!(day["terminals"].as_array().unwrap().len(), 32);
    assert_eq!(days["demo/1/2026-11-27/terminals/171"]["part"], 171);
    assert_eq!((days.len(), listed(&rig).len()), (172, 5_501));
    let report = crate::verify::verify(&rig.log, &rig.topics, &[], 0, &mut |_| {}).unwrap();
    assert!(report.holds(), "{report}");
}

/// A day's list used to be written with every flush, so that a terminal cost as much as there were before it.
#[test]
fn new_epochs_cost_state_by_what_they_change() {
    let bytes_for = |terminals: usize| {
        let mut rig = Rig::new(1);
        rig.settings.flush_records = 100;
        (0..terminals).for_each(|number| {
            rig.accept(&hostile(number));
        });
        rig.run();
        bytes_of_state(&rig)
    };
    let (few, many) = (bytes_for(500), bytes_for(2_000));
    assert!(many < few * 5, "{few} bytes for 500 epochs, {many} for 2,000");
    assert!(many < 2_000 * 4_096, "{many}");
}

/// What a terminal of the property test does.
#[derive(Debug, Clone, Copy)]
struct Act {
    terminal: u8,
    day: u8,
    sequence: u64,
    closes: bool,
}

fn sample(act: Act) -> Sample {
    let kind = if act.closes { "close" } else { "no_sale" };
    let mut sample = Sample::sale("1", &format!("t{}", act.terminal), act.sequence).kind(kind);
    sample.business_date = format!("2026-11-{}", 26 + act.day);
    sample.occurred_ms += DAY_MS;
    sample
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0..70_u8, 0..3_u8, 1..9_u64, any::<bool>())
        .prop_map(|(terminal, day, sequence, closes)| Act { terminal, day, sequence, closes });
    prop::collection::vec(act, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn parts_of_a_days_terminals_are_those_of_one_flush_wherever_flushes_fall(
        acts in acts(),
        flush_records in 3..60_usize,
        steps in 1..6_usize,
    ) {
        let all = |rig: &Rig| {
            for terminal in 0..70 {
                rig.accept(&sample(Act { terminal, day: terminal % 3, sequence: 1, closes: false }));
            }
            for &act in &acts {
                rig.accept(&sample(act));
            }
        };
        let quiet = Rig::new(1);
        all(&quiet);
        quiet.run();
        let mut rig = Rig::new(1);
        rig.settings.flush_records = flush_records;
        all(&rig);
        let mut engine = rig.join();
        (0..steps).for_each(|_| engine.step(rig.now).unwrap());
        drop(engine);
        rig.run();
        prop_assert_eq!(rig.outcome(), quiet.outcome());
        let days = rig.latest(&rig.topics.days);
        let sum = |name: &str| -> u64 { days.values().filter_map(|day| day[name].as_u64()).sum() };
        prop_assert_eq!(listed(&rig).values().sum::<u64>(), sum("missing_count"));
        prop_assert_eq!(listed(&rig).len() as u64, sum("terminal_count"));
    }
}

/// Thousands of epochs of a business date expire together; what they leave behind goes out in pieces that a flush can hold.
#[test]
fn what_time_takes_away_goes_out_in_bounded_pieces() {
    let rig = Rig::new(1);
    let dated = |number: usize, days: i64| {
        let mut sale = hostile(number);
        sale.scope = crate::envelope::Scope::BusinessDate;
        sale.occurred_ms += days * DAY_MS;
        sale.business_date = if days == 0 { "2026-11-27".into() } else { "2027-01-01".into() };
        sale
    };
    (0..4_000).for_each(|number| {
        rig.accept(&dated(number, 0));
    });
    rig.run();
    let before = rig.log.commit_rows().len();
    rig.accept(&dated(4_000, 35));
    let mut engine = rig.join();
    rig.drain(&mut engine).unwrap();
    let live = || {
        let mut live = std::collections::BTreeSet::new();
        for entry in rig.log.entries(&rig.topics.state) {
            let of_terminal = entry.key.starts_with(b"terminal/");
            if of_terminal && entry.value.is_some() {
                live.insert(entry.key)
            } else {
                live.remove(&entry.key)
            };
        }
        live.len()
    };
    for _ in 0..20 {
        engine.flush(rig.now).unwrap();
    }
    assert_eq!(live(), 1);
    let rows = &rig.log.commit_rows()[before..];
    assert!(rows.iter().sum::<usize>() > 8_000, "{rows:?}");
    assert!(rows.iter().all(|&rows| rows < 2_200), "{rows:?}");
}

/// An earlier version kept all terminals of a day in its own record.
#[test]
fn a_day_kept_in_one_record_is_read_and_then_kept_in_parts() {
    let rig = Rig::new(1);
    let sale = |terminal: u64| Sample::sale("1", &terminal.to_string(), 1);
    for terminal in 0..40 {
        rig.accept(&sale(terminal));
    }
    rig.run();
    let kept = |key: &str| {
        let entries = rig.log.entries(&rig.topics.state);
        let entry = entries.into_iter().rfind(|entry| entry.key == key.as_bytes()).unwrap();
        serde_json::from_slice::<serde_json::Value>(&entry.value.unwrap()).unwrap()
    };
    let mut day = kept("day/demo/1/2026-11-27");
    let part = kept("day-terminals/demo/1/2026-11-27/1")["terminals"].as_array().unwrap().clone();
    assert_eq!(part.len(), 8);
    day["terminals"].as_array_mut().unwrap().extend(part);
    let earlier = Rig::new(1);
    for entry in rig.log.entries(&rig.topics.state) {
        let key = std::str::from_utf8(&entry.key).unwrap();
        if !key.starts_with("day") {
            earlier.log.append(&rig.topics.state, 0, key, entry.value.unwrap().to_vec(), 0);
        }
    }
    let day = serde_json::to_vec(&day).unwrap();
    earlier.log.append(&rig.topics.state, 0, "day/demo/1/2026-11-27", day, 0);
    for terminal in 0..41 {
        earlier.accept(&sale(terminal));
    }
    earlier.log.set_committed(0, Some(40));
    earlier.run();
    assert_eq!(listed(&earlier).len(), 41);
    earlier.accept(&sale(41));
    earlier.run();
    assert_eq!(
        (listed(&earlier).len(), earlier.checkpoints()[0]["totals"]["first"].as_u64()),
        (42, Some(42))
    );
}

/// A terminal that leaves gaps for ever has 64 blocks of open numbers; they used to be written with each of its events.
#[test]
fn a_terminal_with_many_gaps_writes_only_the_numbers_that_changed() {
    let rig = Rig::new(1);
    let refuse = |number: u64| {
        let sample = Sample::sale("1", "a", number);
        rig.append(&sample, sample.refused(), sample.occurred_ms);
    };
    (0..100).for_each(|number| refuse(number * 3_000 + 1));
    rig.run();
    let blocks = |from: usize| {
        let entries = rig.log.entries(&rig.topics.state);
        let of_numbers =
            |entry: &&tillrace_log::ConsumerRecord| entry.key.starts_with(b"numbers/demo/1/a//");
        entries[from..].iter().filter(of_numbers).filter(|entry| entry.value.is_some()).count()
    };
    assert!(blocks(0) > 20, "{}", blocks(0));
    let before = rig.log.entries(&rig.topics.state).len();
    // Read back, the lowest gap is still open, and filling it writes one block.
    refuse(2);
    rig.run();
    assert_eq!(blocks(before), 1);
    let ledger = &rig.latest(&rig.topics.ledger)["demo/1/a/"];
    assert_eq!(
        (ledger["refused"].as_u64(), ledger["missing"][0][0].as_u64()),
        (Some(101), Some(3))
    );
    assert!(rig.log.largest_row() < 16 << 10, "{}", rig.log.largest_row());
}

/// A sale of so many euros in cash and by card.
fn paid(sequence: u64) -> Vec<u8> {
    let sample = Sample::sale("1", "till-1", sequence);
    let mut event: serde_json::Value = serde_json::from_slice(&sample.data()).unwrap();
    let tender = if sequence.is_multiple_of(2) { "cash" } else { "card" };
    event["tenders"] = serde_json::json!([{"type": tender, "amount": "24.50"}]);
    let text = serde_json::to_vec(&event).unwrap();
    let hash = crate::decode::Decoder::new().decode(&text).unwrap().hash;
    sample.written_as(&event, hash, &text)
}

/// A drawer is kept apart from its day, so that a sale writes one drawer, however many there are.
#[test]
fn the_balance_of_a_till_costs_little_with_each_flush() {
    let rig = Rig::new(1);
    let sales = 100;
    for sequence in 1..=sales {
        let sample = Sample::sale("1", "till-1", sequence);
        rig.append(&sample, paid(sequence), sample.occurred_ms);
        rig.run();
    }
    let length = |entry: &tillrace_log::ConsumerRecord| {
        entry.key.len() + entry.value.as_ref().unwrap().len()
    };
    let sum = |topic: &tillrace_log::Topic, of: fn(&[u8]) -> bool| -> usize {
        let entries = rig.log.entries(topic);
        entries.iter().filter(|entry| of(&entry.key)).map(length).sum()
    };
    let drawers = sum(&rig.topics.state, |key| key.starts_with(b"drawer/"));
    let all = sum(&rig.topics.state, |_| true);
    let days = sum(&rig.topics.days, |_| true);
    let balances = rig.read(&rig.topics.days);
    let balances: usize = balances
        .iter()
        .map(|day| r#","till_balance":"#.len() + day["till_balance"].to_string().len())
        .sum();
    let sales = usize::try_from(sales).unwrap();
    assert!(drawers / sales < 220, "{} of {} bytes of state a flush", drawers / sales, all / sales);
    assert!(
        balances / sales < 320,
        "{} of {} bytes of a day a flush",
        balances / sales,
        days / sales
    );
    let keys = rig.latest(&rig.topics.days);
    assert_eq!(keys.len(), 1, "no drawer is published before it is declared or closed");
}
