//! The recount holds on a consistent log, and fails on every log that one edit made inconsistent.

mod double;
mod engine;
mod parked;
mod store_days;
mod world;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tillrace_log::{ConsumerRecord, Offset, Partition, Topic};

use super::{Report, audited_sinks, verify};
use crate::topics::Topics;

use double::GrowingLog;
use world::World;

/// As if retention could have deleted anything.
fn recount(world: &World) -> Report {
    recount_since(world, i64::MAX)
}

fn recount_since(world: &World, kept_since_ms: i64) -> Report {
    verify(&world.log, &world.topics, &world.sinks, kept_since_ms, &mut |_| {}).unwrap()
}

/// The letters of the checks that fail.
fn failing(world: &World) -> String {
    let mut letters: Vec<char> = recount(world)
        .checks
        .iter()
        .filter(|check| !check.holds())
        .map(|check| check.name.chars().nth(1).unwrap())
        .collect();
    letters.dedup();
    letters.into_iter().collect()
}

#[derive(Debug, Clone, Copy)]
enum Edit {
    Drop,
    Double,
    Alter,
}

/// Edits one record of a topic.
fn edited(world: &World, topic: &Topic, partition: Partition, place: usize, edit: Edit) -> World {
    edited_beside(world, topic, partition, place, edit, world::beside)
}

/// Edits one record of a topic; a doubled one gets the offset that `beside` makes of its own.
fn edited_beside(
    world: &World,
    topic: &Topic,
    partition: Partition,
    place: usize,
    edit: Edit,
    beside: fn(Offset) -> Offset,
) -> World {
    let mut world = world.clone();
    let topics = world.topics.clone();
    let entries = world.log.topics.get_mut(&(topic.clone(), partition)).unwrap();
    match edit {
        Edit::Drop => drop(entries.remove(place)),
        Edit::Double => {
            let mut twin = entries[place].clone();
            twin.offset = beside(twin.offset);
            entries.insert(place + 1, twin);
        }
        Edit::Alter => alter(&topics, &mut entries[place]),
    }
    world
}

/// Changes what a record says, so that it still can be read.
fn alter(topics: &Topics, entry: &mut ConsumerRecord) {
    let mut value: Value = serde_json::from_slice(entry.value.as_ref().unwrap()).unwrap();
    let topic = &entry.topic;
    if *topic == topics.events {
        match value["type"].as_str().unwrap() {
            "tillrace.pos.refused" => value["sequence"] = json!("77"),
            "tillrace.pos.release" => value["store"] = json!("elsewhere"),
            _ => {
                value["data"]["lines"] =
                    json!([{"line": 1, "type": "sale", "sku": "gold", "quantity": "9"}]);
            }
        }
    } else if *topic == topics.transactions {
        value["data"]["lines"] = json!([]);
        value["businessdate"] = json!("2026-11-26");
    } else if *topic == topics.conflicts {
        value["contenthash"] = json!(format!("h2:{:032x}", 12_345));
    } else if *topic == topics.deltas {
        value["events"] = json!(value["events"].as_u64().unwrap() + 1);
    } else if *topic == topics.counts {
        value["quantity"] = json!("1.5");
    } else if *topic == topics.days {
        value["status"] = json!("complete");
    } else if *topic == topics.ledger {
        value["missing_count"] = json!(value["missing_count"].as_u64().unwrap() + 1);
    } else if *topic == topics.state && value.get("totals").is_some() {
        value["totals"]["duplicate"] = json!(77);
    } else if *topic == topics.audit {
        value["offsets"][0][0] = json!(value["offsets"][0][0].as_u64().unwrap() + 1);
    } else {
        value["value"] = json!({});
    }
    entry.value = Some(Bytes::from(value.to_string()));
}

#[test]
fn a_consistent_log_holds() {
    let world = world::build();
    let report = recount(&world);
    assert!(report.holds(), "{report}");
    assert_eq!(report.verdicts.records(), 32);
    assert_eq!(report.verdicts.first, 18);
    assert_eq!(report.verdicts.duplicate, 4);
    assert_eq!(report.verdicts.conflict, 2);
    assert_eq!(report.verdicts.quarantined, 2);
    assert_eq!(report.verdicts.refused, 4);
    assert_eq!(report.verdicts.control, 2);
    assert_eq!(report.verdicts.released, 2);
    assert_eq!(report.gaps.terminals, 4);
    assert_eq!(report.gaps.ranges, 6);
    assert_eq!(report.gaps.numbers, 8);
    let erp = &report.sinks[0];
    assert_eq!((erp.records, erp.delivered, erp.dead, erp.filtered), (20, 12, 4, 4));
    assert!(report.covered.iter().all(|covered| covered.from == 0 && covered.to == 32));
}

/// The matrix: every record of every topic, dropped, doubled and altered. A check named in capital
/// letters must fail for each record; no check may fail that is not named at all.
#[test]
fn every_edit_of_one_record_makes_its_check_fail() {
    let world = world::build();
    let topics = &world.topics;
    let dead = topics.dead("erp");
    let matrix = [
        (&topics.events, Edit::Drop, "Bcdefg"),
        (&topics.events, Edit::Double, "Bcdefg"),
        (&topics.events, Edit::Alter, "bcefg"),
        (&topics.transactions, Edit::Drop, "Bcedfg"),
        (&topics.transactions, Edit::Double, "BcD"),
        (&topics.transactions, Edit::Alter, "Bdfg"),
        (&topics.conflicts, Edit::Drop, "Bcefg"),
        (&topics.conflicts, Edit::Double, "B"),
        (&topics.conflicts, Edit::Alter, "B"),
        (&topics.deltas, Edit::Drop, "C"),
        (&topics.deltas, Edit::Double, "C"),
        (&topics.deltas, Edit::Alter, "C"),
        (&topics.counts, Edit::Drop, "C"),
        (&topics.counts, Edit::Double, "C"),
        (&topics.counts, Edit::Alter, "C"),
        (&topics.audit, Edit::Drop, "D"),
        (&topics.audit, Edit::Double, ""),
        (&topics.audit, Edit::Alter, "D"),
        (&dead, Edit::Drop, "D"),
        (&dead, Edit::Double, ""),
        (&dead, Edit::Alter, "D"),
        (&topics.days, Edit::Double, ""),
        (&topics.ledger, Edit::Double, ""),
        (&topics.state, Edit::Double, ""),
    ];
    for (topic, edit, expected) in matrix {
        for partition in 0..2 {
            let entries = world.log.entries(topic, partition);
            assert!(!entries.is_empty(), "{topic}");
            for (place, entry) in entries.iter().enumerate() {
                let broken = edited(&world, topic, partition, place, edit);
                let found = failing(&broken).to_uppercase();
                let of = format!("{edit:?} {topic}/{partition}@{}", entry.offset);
                if expected.bytes().any(|letter| letter.is_ascii_lowercase()) {
                    assert!(!found.is_empty(), "{of} went unseen");
                }
                for letter in expected.chars().filter(char::is_ascii_uppercase) {
                    assert!(found.contains(letter), "{of}: ({letter}) holds, failing are {found}");
                }
                for letter in found.chars() {
                    let known = expected.to_uppercase().contains(letter);
                    assert!(known, "{of}: ({letter}) fails\n{}", recount(&broken));
                }
            }
        }
    }
}

/// Of compacted topics only the latest record of a key counts.
#[test]
fn the_latest_ledger_record_and_checkpoint_must_be_right() {
    let world = world::build();
    let topics = &world.topics;
    for (topic, letter) in [(&topics.ledger, "e"), (&topics.state, "b"), (&topics.days, "g")] {
        for partition in 0..2 {
            let last = world.log.entries(topic, partition).len() - 1;
            for edit in [Edit::Drop, Edit::Alter] {
                let broken = edited(&world, topic, partition, last, edit);
                assert_eq!(failing(&broken), letter, "{edit:?} {topic}");
            }
        }
    }
}

#[test]
fn a_journal_cut_off_below_the_aggregators_place_fails() {
    let mut world = world::build();
    let place = (world.topics.events.clone(), 0);
    world.log.topics.get_mut(&place).unwrap().pop();
    *world.log.ends.get_mut(&place).unwrap() -= double::STRIDE;
    assert!(failing(&world).starts_with('b'));
}

/// Deletes what a topic holds below the record with this place in it.
fn forget(world: &mut World, topic: &Topic, partition: Partition, place: usize) {
    let start = world.log.entries(topic, partition)[place].offset;
    world.log.forget_below(topic, partition, start);
}

#[test]
fn after_retention_the_recount_begins_at_a_flush_that_everything_holds() {
    let mut world = world::build();
    let topics = world.topics.clone();
    // The second flush begins at 10. Its first event is a conflict, the first transaction after it
    // stands sixth.
    forget(&mut world, &topics.events, 0, 3);
    forget(&mut world, &topics.transactions, 0, 3);
    let report = recount(&world);
    assert!(report.holds(), "{report}");
    let covered = &report.covered[0];
    assert_eq!((covered.from, covered.to, covered.firsts_given), (10, 32, Some(4)));
    assert_eq!(report.covered[1].firsts_given, Some(0));
    assert_eq!(report.verdicts.records(), 11 + 16);
    // The third is also cut from the counts, whose only records belong to the flush from 10.
    forget(&mut world, &topics.counts, 0, 1);
    let report = recount(&world);
    assert!(report.holds(), "{report}");
    assert_eq!((report.covered[0].from, report.covered[0].firsts_given), (20, Some(6)));
}

#[test]
fn an_edit_behind_retentions_edge_is_still_seen() {
    let mut cut = world::build();
    let topics = cut.topics.clone();
    forget(&mut cut, &topics.events, 0, 5);
    forget(&mut cut, &topics.transactions, 0, 3);
    assert_eq!(failing(&cut), "");
    for (topic, edit, letter) in [
        (&topics.transactions, Edit::Drop, 'b'),
        (&topics.transactions, Edit::Alter, 'b'),
        (&topics.conflicts, Edit::Drop, 'b'),
        (&topics.deltas, Edit::Double, 'c'),
    ] {
        let last = cut.log.entries(topic, 0).len() - 1;
        let broken = edited(&cut, topic, 0, last, edit);
        assert!(failing(&broken).contains(letter), "{edit:?} {topic}");
    }
}

/// Retention deletes the journal first: its records are older than what was made of them.
#[test]
fn nothing_is_taken_as_given_that_the_journal_still_holds() {
    let whole = world::build();
    let topics = &whole.topics;
    for (topic, letter) in [
        (&topics.transactions, "b"),
        (&topics.conflicts, "b"),
        (&topics.counts, "b"),
        (&topics.deltas, "b"),
        (&topics.audit, "d"),
    ] {
        let mut cut = whole.clone();
        forget(&mut cut, topic, 0, 1);
        let report = recount_since(&cut, 0);
        let failing = report.checks.iter().find(|check| !check.holds());
        let failing = failing.unwrap_or_else(|| panic!("{topic} went unseen\n{report}"));
        assert!(failing.name[1..].starts_with(letter), "{topic}: {report}");
        assert!(report.covered.iter().all(|covered| covered.from == 0), "{topic}");
    }
    // The journal's first records are older than the retention, which has not reached it yet.
    let mut cut = whole.clone();
    forget(&mut cut, &topics.transactions, 0, 5);
    let report = recount_since(&cut, 40_000);
    assert!(report.holds(), "{report}");
    assert_eq!(report.covered[0].from, 20);
    // The same, and the second flush is younger than the retention.
    let report = recount_since(&cut, 10_000);
    assert_eq!(report.covered[0].from, 10);
    assert!(!report.checks[0].holds(), "{report}");
}

#[test]
fn a_sink_that_left_the_configuration_is_still_recounted() {
    let mut world = world::build();
    let audited = audited_sinks(&world.log, &world.topics).unwrap();
    let of_erp = ("erp".to_owned(), world.topics.transactions.as_str().to_owned());
    assert_eq!(audited.into_iter().collect::<Vec<_>>(), [of_erp]);
    world.sinks[0].is_configured = false;
    let dead = world.topics.dead("erp");
    let broken = edited(&world, &dead, 0, 0, Edit::Drop);
    let report = recount(&broken);
    let check = report.checks.iter().find(|check| check.name.starts_with("(d)")).unwrap();
    assert_eq!(check.name, "(d) sink erp, not in the configuration");
    assert!(!check.holds());
}

#[test]
fn audit_older_than_what_is_kept_is_taken_as_given() {
    let mut world = world::build();
    let topics = world.topics.clone();
    forget(&mut world, &topics.audit, 0, 2);
    for entry in world.log.topics.get_mut(&(topics.transactions.clone(), 0)).unwrap() {
        // The first two calls were audited before what is kept was written.
        entry.appended_ms = if entry.offset < 8 { 0 } else { 1_000_000 };
    }
    let report = recount(&world);
    assert!(report.holds(), "{report}");
    assert_eq!(report.sinks[0].given, 4);
}

/// Everything flushes between the moment a recount begins and the moment it reads on.
#[test]
fn what_is_written_during_a_recount_is_left_alone() {
    for records in [5, 10, 15] {
        let before = world::build_up_to(records);
        let after = world::build();
        let grown = Arc::default();
        let log = GrowingLog { before: before.log, after: after.log, grown };
        let report = verify(&log, &after.topics, &after.sinks, 0, &mut |_| {}).unwrap();
        assert!(report.holds(), "{report}");
        assert_eq!(report.verdicts.records(), 2 * records as u64);
        assert!(report.covered.iter().all(|covered| covered.to == 2 * records as u64));
    }
}

#[test]
fn the_report_reads_as_a_table_and_as_json() {
    let world = world::build();
    let report = recount(&world);
    let text = report.to_string();
    for expected in
        ["(b) verdicts", "(c) stock", "(d) sink erp", "(e) ledgers", "Conservation holds."]
    {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
    let broken = edited(&world, &world.topics.deltas, 0, 0, Edit::Drop);
    let report = recount(&broken);
    assert!(report.to_string().contains("DOES NOT HOLD"), "{report}");
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["checks"][1]["differences_total"].as_u64().unwrap() >= 2);
    assert_eq!(json["checks"][1]["differences"][0]["partition"], json!(0));
    assert_eq!(json["verdicts"]["first"], json!(18));
}
