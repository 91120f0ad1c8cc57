//! Registers of stores: what a day says of who is lacking, with every order of registers, events, restarts and hours.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::fixture::{DAY_MS, FRIDAY_MS, Rig, Sample};
use crate::envelope::{TYPE_REGISTER, TYPE_TICK};
use crate::register::part::RegisterPart;
use crate::register::read::read;
use crate::verify::verify;

const FRIDAY: &str = "demo/1/2026-11-27";
const HOUR_MS: i64 = 3_600_000;
const WEEK: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A register of store 1: two tills, a self-checkout and a scanner that never closes.
fn register() -> Value {
    json!({"store": "1", "valid_from": "2026-11-01", "zone": "Europe/Zurich", "currency": "EUR",
        "calendar": {"weekdays": WEEK}, "terminals": [
            {"terminal": "a", "kind": "staffed"}, {"terminal": "b", "kind": "staffed"},
            {"terminal": "s", "kind": "self_checkout"}, {"terminal": "m", "kind": "mobile", "closes": false}]})
}

fn parts(register: &Value) -> Vec<RegisterPart> {
    let file = json!({"tenant": "demo", "stores": [register]});
    RegisterPart::of(&read(&file).unwrap().stores[0].1, "ada")
}

fn append_part(rig: &Rig, store: &str, part: &RegisterPart, at_ms: i64) {
    let sample = Sample::sale(store, "a", 1);
    let data = serde_json::to_value(part).unwrap();
    rig.append(&sample, sample.control(TYPE_REGISTER, &data), at_ms);
}

fn apply(rig: &Rig, register: &Value, at_ms: i64) {
    let store = register["store"].as_str().unwrap();
    for part in parts(register) {
        append_part(rig, store, &part, at_ms);
    }
}

fn tick(rig: &Rig, store: &str, at_ms: i64) {
    let sample = Sample::sale(store, "a", 1);
    rig.append(&sample, sample.control(TYPE_TICK, &json!({})), at_ms);
}

/// Runs until nothing is left to do that time alone asks for.
fn settle(rig: &Rig) {
    rig.run();
    rig.run();
    let report = verify(&rig.log, &rig.topics, &[], i64::MAX, &mut |_| {}).unwrap();
    assert!(report.holds(), "{report}");
}

fn day(rig: &Rig, key: &str) -> Value {
    rig.latest(&rig.topics.days).remove(key).unwrap_or(Value::Null)
}

fn lacking(rig: &Rig, key: &str) -> (String, Value) {
    let day = day(rig, key);
    (day["status"].as_str().unwrap_or_default().to_owned(), day["completeness"].clone())
}

#[test]
fn a_day_names_who_is_silent_unclosed_and_unexpected_until_nothing_lacks() {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 1));
    settle(&rig);
    assert_eq!(lacking(&rig, FRIDAY), ("open".to_owned(), json!({"expected": "unknown"})));
    apply(&rig, &register(), FRIDAY_MS + DAY_MS / 2);
    for terminal in ["s", "z"] {
        rig.accept(&Sample::sale("1", terminal, 1));
    }
    settle(&rig);
    let revision = parts(&register())[0].revision.clone();
    let expected = json!({"expected": 4, "register": revision, "calendar": "open",
        "silent_count": 2, "silent": ["b", "m"], "unclosed_count": 3, "unclosed": ["a", "s", "z"],
        "unexpected_count": 1, "unexpected": ["z"], "currency": "EUR", "other_currency_count": 0});
    assert_eq!(lacking(&rig, FRIDAY), ("open".to_owned(), expected));
    for terminal in ["a", "s", "z", "b"] {
        rig.accept(&Sample::sale("1", terminal, if terminal == "b" { 1 } else { 2 }).kind("close"));
    }
    settle(&rig);
    assert_eq!(
        (day(&rig, FRIDAY)["status"].as_str(), &lacking(&rig, FRIDAY).1["silent"]),
        (Some("open"), &json!(["m"]))
    );
    rig.accept(&Sample::sale("1", "m", 7));
    settle(&rig);
    let (status, completeness) = lacking(&rig, FRIDAY);
    assert_eq!(status, "complete");
    assert_eq!(
        (&completeness["silent_count"], &completeness["unclosed_count"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(
        (day(&rig, FRIDAY)["terminal_count"].as_u64(), day(&rig, FRIDAY)["closed_count"].as_u64()),
        (Some(5), Some(4))
    );
}

#[test]
fn where_the_store_is_closed_nobody_is_expected_and_a_self_checkout_keeps_nothing_open() {
    let rig = Rig::new(1);
    let mut closed = register();
    closed["calendar"]["exceptions"] = json!({"2026-11-27": "closed"});
    apply(&rig, &closed, FRIDAY_MS);
    rig.accept(&Sample::sale("1", "s", 1));
    settle(&rig);
    let (status, completeness) = lacking(&rig, FRIDAY);
    assert_eq!(
        (&*status, &completeness["expected"], &completeness["calendar"]),
        ("complete", &json!(0), &json!("closed"))
    );
    rig.accept(&Sample::sale("1", "a", 1));
    settle(&rig);
    let (status, completeness) = lacking(&rig, FRIDAY);
    assert_eq!((&*status, &completeness["unclosed"]), ("open", &json!(["a"])));
}

#[test]
fn events_in_another_currency_count_and_are_shown_whenever_the_register_comes() {
    let rig = Rig::new(1);
    for (number, currency) in [(1, "EUR"), (2, "USD"), (3, "USD")] {
        let sale = Sample::sale("1", "a", number);
        let text = String::from_utf8(sale.accepted())
            .unwrap()
            .replace("\"EUR\"", &format!("\"{currency}\""));
        let data =
            String::from_utf8(sale.data()).unwrap().replace("\"EUR\"", &format!("\"{currency}\""));
        let hash = crate::decode::Decoder::new().decode(data.as_bytes()).unwrap().hash;
        let text = text.replace(&format!("{:032x}", sale.hash()), &format!("{hash:032x}"));
        rig.append(&sale, text.into_bytes(), sale.occurred_ms);
    }
    settle(&rig);
    apply(&rig, &register(), FRIDAY_MS + DAY_MS / 2);
    settle(&rig);
    let completeness = lacking(&rig, FRIDAY).1;
    assert_eq!(completeness["other_currency_count"], 2);
    assert_eq!(
        completeness["other_currency"],
        json!({"currency": "USD", "terminal": "a", "sequence": 2})
    );
    assert_eq!(day(&rig, FRIDAY)["totals"]["USD"]["sales"], "5.00");
    let mut dollars = register();
    dollars["currency"] = json!("USD");
    apply(&rig, &dollars, FRIDAY_MS + DAY_MS / 2);
    settle(&rig);
    let completeness = lacking(&rig, FRIDAY).1;
    assert_eq!(
        (&completeness["currency"], &completeness["other_currency_count"]),
        (&json!("USD"), &json!(1))
    );
}

#[test]
fn a_register_is_in_force_with_its_last_part_and_another_one_discards_the_unfinished() {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 1));
    let mut large = register();
    large["terminals"] = (0..450)
        .map(|number| json!({"terminal": format!("t{number:03}"), "kind": "mobile"}))
        .collect();
    let large = parts(&large);
    assert_eq!(large.len(), 3);
    let at_ms = FRIDAY_MS + DAY_MS / 2;
    for part in [&large[2], &large[0]] {
        append_part(&rig, "1", part, at_ms);
        settle(&rig);
        assert_eq!(lacking(&rig, FRIDAY).1["expected"], "unknown");
    }
    // The parts are remembered over restarts, until the last one comes.
    append_part(&rig, "1", &large[1], at_ms);
    settle(&rig);
    let completeness = lacking(&rig, FRIDAY).1;
    assert_eq!(
        (&completeness["expected"], &completeness["silent_count"]),
        (&json!(450), &json!(450))
    );
    assert_eq!(completeness["silent"].as_array().unwrap().len(), 16);
    assert_eq!(rig.latest(&rig.topics.registers).len(), 3);
    // Of an unfinished register nothing stays.
    append_part(&rig, "1", &large[0], at_ms);
    apply(&rig, &register(), at_ms);
    settle(&rig);
    assert_eq!(lacking(&rig, FRIDAY).1["expected"], 4);
    let registers = rig.latest(&rig.topics.registers);
    assert_eq!(registers.keys().collect::<Vec<_>>(), ["demo/1/2026-11-01/0"]);
    assert_eq!(registers["demo/1/2026-11-01/0"]["operator"], "ada");
    for part in [&large[1], &large[2]] {
        append_part(&rig, "1", part, at_ms);
        settle(&rig);
        assert_eq!(lacking(&rig, FRIDAY).1["expected"], 4);
    }
}

#[test]
fn a_day_takes_the_latest_register_that_holds_for_it() {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 1));
    let from = |date: &str, terminals: usize| {
        let mut register = register();
        register["valid_from"] = json!(date);
        register["terminals"].as_array_mut().unwrap().truncate(terminals);
        register
    };
    let mut expected = Vec::new();
    for (date, terminals) in
        [("2026-11-27", 1), ("2026-11-28", 3), ("2026-11-20", 2), ("2026-11-27", 4)]
    {
        apply(&rig, &from(date, terminals), FRIDAY_MS + DAY_MS / 2);
        settle(&rig);
        expected.push(lacking(&rig, FRIDAY).1["expected"].as_u64().unwrap());
    }
    assert_eq!(expected, [1, 1, 1, 4]);
    assert_eq!(rig.latest(&rig.topics.registers).len(), 3);
}

#[test]
fn a_store_that_never_spoke_gets_a_day_once_that_is_over_where_it_is() {
    let rig = Rig::new(1);
    let mut register = register();
    register["valid_from"] = json!("2026-11-27");
    register["calendar"]["exceptions"] = json!({"2026-11-28": "closed"});
    apply(&rig, &register, FRIDAY_MS);
    // 22:59 in Zurich, then 00:00.
    tick(&rig, "1", FRIDAY_MS + 22 * HOUR_MS - 60_000);
    settle(&rig);
    assert!(rig.latest(&rig.topics.days).is_empty());
    tick(&rig, "1", FRIDAY_MS + 23 * HOUR_MS);
    settle(&rig);
    let (status, completeness) = lacking(&rig, FRIDAY);
    assert_eq!((&*status, &completeness["silent"]), ("open", &json!(["a", "b", "m", "s"])));
    assert_eq!(day(&rig, FRIDAY)["terminal_count"], 0);
    // Saturday is closed, Sunday is not.
    tick(&rig, "1", FRIDAY_MS + 3 * DAY_MS);
    settle(&rig);
    let days = rig.latest(&rig.topics.days);
    let statuses: Vec<_> =
        days.iter().map(|(key, day)| (&key[7..], day["status"].as_str().unwrap())).collect();
    assert_eq!(statuses, [("2026-11-27", "open_ended"), ("2026-11-29", "open")]);
    // The register is corrected: it was closed on Friday, and open on Saturday.
    register["calendar"]["exceptions"] = json!({"2026-11-27": "closed"});
    apply(&rig, &register, FRIDAY_MS + 3 * DAY_MS + 1);
    settle(&rig);
    let days = rig.latest(&rig.topics.days);
    assert_eq!(days.keys().collect::<Vec<_>>(), ["demo/1/2026-11-28", "demo/1/2026-11-29"]);
    // Nobody speaks for weeks: days are sealed as they were.
    tick(&rig, "1", FRIDAY_MS + 40 * DAY_MS);
    settle(&rig);
    assert_eq!(lacking(&rig, "demo/1/2026-11-28").0, "sealed");
    let sealed = day(&rig, "demo/1/2026-11-28");
    register["calendar"]["weekdays"] = json!([]);
    apply(&rig, &register, FRIDAY_MS + 41 * DAY_MS);
    settle(&rig);
    assert_eq!(day(&rig, "demo/1/2026-11-28"), sealed);
    let open: Vec<_> = rig
        .latest(&rig.topics.days)
        .into_iter()
        .filter(|(_, day)| day["status"] != "sealed")
        .collect();
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_gauges_sum_up_what_days_lack_until_they_are_sealed() {
    let rig = Rig::new(1);
    let mut register = register();
    register["valid_from"] = json!("2026-11-27");
    apply(&rig, &register, FRIDAY_MS);
    rig.accept(&Sample::sale("1", "a", 1));
    rig.accept(&Sample::sale("2", "a", 1));
    let lacking = |rig: &Rig| {
        let mut engine = rig.join();
        rig.drain(&mut engine).unwrap();
        engine.update_lag_gauges();
        let [days, terminals, ..] = rig.metrics.lacking_in(0);
        (days, terminals)
    };
    assert_eq!(lacking(&rig), (0, 0), "the day is not over");
    tick(&rig, "1", FRIDAY_MS + 2 * DAY_MS);
    // Friday of both stores is open ended; on it three are silent, and four on Saturday.
    assert_eq!((lacking(&rig), lacking(&rig)), ((2, 7), (2, 7)));
    for (terminal, number) in [("b", 1), ("s", 1)] {
        rig.accept(&Sample::sale("1", terminal, number));
    }
    assert_eq!(lacking(&rig), (2, 5));
    register["calendar"]["weekdays"] = json!(["friday"]);
    apply(&rig, &register, FRIDAY_MS + 2 * DAY_MS);
    assert_eq!(lacking(&rig), (2, 1));
    tick(&rig, "1", FRIDAY_MS + 36 * DAY_MS);
    register["valid_from"] = json!("2026-12-01");
    register["calendar"]["weekdays"] = json!([]);
    apply(&rig, &register, FRIDAY_MS + 36 * DAY_MS);
    assert_eq!((lacking(&rig), lacking(&rig)), ((0, 0), (0, 0)));
}

#[test]
fn a_register_of_a_later_format_stops_its_partition_and_garbage_does_not() {
    let rig = Rig::new(1);
    let part = parts(&register()).remove(0);
    let mut unsound = part.clone();
    unsound.operator = "a".repeat(300);
    append_part(&rig, "1", &unsound, FRIDAY_MS);
    let sample = Sample::sale("1", "a", 1);
    let mut zone = serde_json::to_value(&part).unwrap();
    zone["settings"]["zone"] = json!("Europe/Atlantis");
    rig.append(&sample, sample.control(TYPE_REGISTER, &zone), FRIDAY_MS);
    rig.append(&sample, sample.control(TYPE_REGISTER, &json!({"version": "one"})), FRIDAY_MS);
    rig.accept(&Sample::sale("1", "a", 1));
    settle(&rig);
    let details: Vec<Value> =
        rig.read(&rig.topics.conflicts).iter().map(|kept| kept["detail"].clone()).collect();
    assert_eq!(details, ["no_register", "no_register", "no_register"]);
    let mut later = serde_json::to_value(&part).unwrap();
    later["version"] = json!(2);
    let offset = rig.append(&sample, sample.control(TYPE_REGISTER, &later), FRIDAY_MS);
    let mut engine = rig.join();
    for _ in 0..20 {
        engine.step(rig.now).unwrap();
    }
    assert!(rig.log.group_offset(0).unwrap() <= offset);
    let conditions = rig.health.active_conditions();
    let code = super::super::RECORD_NEEDS_UPGRADE.code;
    assert!(conditions.iter().any(|active| active.condition.code == code), "{conditions:?}");
}

#[test]
fn registers_and_days_follow_their_schemas() {
    let rig = Rig::new(1);
    apply(&rig, &register(), FRIDAY_MS);
    let sale = Sample::sale("1", "z", 1);
    let dollars = String::from_utf8(sale.data()).unwrap().replace("EUR", "USD");
    let hash = crate::decode::Decoder::new().decode(dollars.as_bytes()).unwrap().hash;
    let time = crate::text::Timestamp::from_millis(sale.occurred_ms).to_string();
    rig.append(&sale, sale.written_with(&time, hash, dollars.as_bytes()), sale.occurred_ms);
    settle(&rig);
    super::schemas::assert_follow("store-day", &rig.read(&rig.topics.days));
    super::schemas::assert_follow("store-register", &rig.read(&rig.topics.registers));
}

/// One thing that happens, some hours after the one before.
#[derive(Debug, Clone, Copy)]
struct Act {
    what: u8,
    store: u8,
    terminal: u8,
    days_back: u8,
    hours: u8,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0..10_u8, 0..2_u8, 0..4_u8, 0..4_u8, 0..40_u8).prop_map(
        |(what, store, terminal, days_back, hours)| Act { what, store, terminal, days_back, hours },
    );
    prop::collection::vec(act, 1..60)
}

/// Appends what the acts make; a restart may come between any two.
fn play(rig: &Rig, acts: &[Act], mut between: impl FnMut(usize)) {
    let (mut at_ms, mut number) = (FRIDAY_MS, 0);
    for (step, act) in acts.iter().enumerate() {
        at_ms += i64::from(act.hours) * HOUR_MS;
        let store = act.store.to_string();
        let date = crate::text::Timestamp::from_millis(at_ms - i64::from(act.days_back) * DAY_MS);
        let date = date.to_string()[..10].to_owned();
        match act.what {
            0 => {
                let mut register = register();
                register["store"] = json!(store);
                register["valid_from"] = json!(date);
                register["currency"] = json!(["EUR", "USD"][usize::from(act.terminal % 2)]);
                register["calendar"]["weekdays"] = json!(WEEK[usize::from(act.terminal)..]);
                let parts = parts(&register);
                append_part(rig, &store, &parts[0], at_ms);
            }
            1..4 => tick(rig, &store, at_ms),
            _ => {
                number += 1;
                let terminal = ["a", "b", "s", "z"][usize::from(act.terminal)];
                let mut sample = Sample::sale(&store, terminal, number).date(&date);
                // Without numbers nothing is missing; what is missing when a day is sealed depends on the hour.
                sample.sequence = None;
                sample.occurred_ms = at_ms;
                let sample = if act.what == 9 { sample.kind("close") } else { sample };
                let sample = sample.note(&number.to_string());
                rig.append(&sample, sample.accepted(), at_ms);
            }
        }
        between(step);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn days_are_a_function_of_the_journal_wherever_flushes_and_restarts_fall(
        acts in acts(),
        flush_records in 3..60_usize,
        restarts in prop::collection::btree_set(0..60_usize, 0..6),
    ) {
        let quiet = Rig::new(1);
        play(&quiet, &acts, |_| {});
        settle(&quiet);
        let mut rig = Rig::new(1);
        rig.settings.flush_records = flush_records;
        play(&rig, &acts, |step| {
            if restarts.contains(&step) {
                rig.run();
            }
        });
        settle(&rig);
        let (mut ours, mut theirs) = (rig.outcome(), quiet.outcome());
        for part in ["days", "registers"] {
            let [ours, theirs] = [&mut ours, &mut theirs].map(|all| all[part].take());
            for key in ours.as_object().unwrap().keys().chain(theirs.as_object().unwrap().keys()) {
                prop_assert_eq!(&ours[key], &theirs[key], "{} {}", part, key);
            }
        }
        prop_assert_eq!(ours, theirs);
    }
}
