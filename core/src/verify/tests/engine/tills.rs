//! Till balances through the real aggregator: the recount agrees, until one published figure is altered.

use super::*;

const DAY: &str = "acme/north/2026-11-27";
const DRAWER: &str = "acme/north/2026-11-27/drawer/1//";

fn money(gateway: &Gateway, sequence: u64, kind: &str, more: &Value) -> Value {
    let mut event = gateway.sale("north", "1", sequence);
    if kind != "sale" {
        event.as_object_mut().unwrap().remove("lines");
    }
    event["kind"] = json!(kind);
    event["currency"] = json!("EUR");
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

/// A till with a float, two sales, a pickup and a declaration that is fifty cents short, and a conflicting sale that an operator released.
fn traded() -> World {
    let topics = Topics::new("");
    let log = MemoryLog::new(PARTITIONS);
    log.assign(&[0, 1], 0);
    let mut gateway = Gateway {
        topics: topics.clone(),
        log: log.clone(),
        decoder: Decoder::new(),
        now_ms: NOON_MS,
    };
    let declared = |amount: &str| json!({"declarations": [{"tender": "cash", "amount": amount}], "operator_id": "ann"});
    let paid = |amount: &str| json!({"tenders": [{"type": "cash", "amount": amount}]});
    let events = [
        money(&gateway, 1, "open", &json!({"amount": "50.00"})),
        money(&gateway, 2, "sale", &paid("7.00")),
        money(&gateway, 6, "till_declaration", &declared("43.50")),
        money(&gateway, 5, "till_declaration", &declared("40.00")),
        money(&gateway, 4, "pickup", &json!({"amount": "20.00"})),
        money(&gateway, 3, "loan", &json!({"amount": "5.00"})),
    ];
    for event in &events {
        gateway.event(event, Scope::Terminal, None);
    }
    let other = money(&gateway, 2, "sale", &paid("2.00"));
    let conflict = gateway.event(&other, Scope::Terminal, None);
    gateway.release("north", conflict);
    let close = money(&gateway, 7, "close", &json!({}));
    gateway.event(&close, Scope::Terminal, None);
    for (sequence, counter) in [(8, 1), (9, 4), (10, 4)] {
        let mut sale = gateway.sale("north", "1", sequence);
        sale["fiscal"] = json!({"scheme": "rksv", "device": "d", "counter": counter});
        gateway.event(&sale, Scope::Terminal, None);
    }
    aggregate(&log, &topics);
    World { log: copied(&log, &topics), sinks: Vec::new(), topics }
}

fn last_of(world: &World, key: &str) -> (Partition, usize) {
    let mut places = (0..PARTITIONS).filter_map(|partition| {
        let entries = world.log.entries(&world.topics.days, partition);
        Some((partition, entries.iter().rposition(|entry| entry.key == key.as_bytes())?))
    });
    places.next().unwrap()
}

fn altered(world: &World, key: &str, change: impl FnOnce(&mut Value)) -> World {
    let mut world = world.clone();
    let (partition, place) = last_of(&world, key);
    let entries = world.log.topics.get_mut(&(world.topics.days.clone(), partition)).unwrap();
    let mut value: Value = serde_json::from_slice(entries[place].value.as_ref().unwrap()).unwrap();
    change(&mut value);
    entries[place].value = Some(serde_json::to_vec(&value).unwrap().into());
    world
}

#[test]
fn an_altered_balance_or_drawer_is_caught() {
    let world = traded();
    let report = recount(&world.log, &world.topics);
    assert!(report.holds(), "{report}");
    let text = report.to_string();
    for figure in ["over EUR", "short EUR", "drawers declared"] {
        assert!(text.contains(figure), "{figure} in\n{text}");
    }
    let tills = report.checks.iter().find(|check| check.name.starts_with("(f)")).unwrap();
    let short = tills.figures.iter().find(|figure| figure.what == "short EUR").unwrap();
    assert_eq!([short.recounted.to_string(), short.recorded.to_string()], ["0.50", "0.50"]);
    for member in
        ["over", "short", "expected", "declared", "undeclared", "loans", "pickups", "bank", "safe"]
    {
        let broken = altered(&world, DAY, |day| {
            day["till_balance"]["currencies"]["EUR"][member] = json!("9.99");
        });
        assert_eq!(failing(&broken), "f", "{member}");
    }
    for member in ["declared_count", "undeclared_count", "truncated"] {
        let broken = altered(&world, DAY, |day| day["till_balance"][member] = json!(7));
        assert_eq!(failing(&broken), "f", "{member}");
    }
    for member in ["over_short", "declared", "expected"] {
        let broken = altered(&world, DRAWER, |day| {
            day["drawer"]["tenders"]["EUR"]["cash"][member] = json!("0.00");
        });
        assert_eq!(failing(&broken), "f", "{member}");
    }
    let broken = altered(&world, DRAWER, |day| day["drawer"]["operator"] = json!("bob"));
    assert_eq!(failing(&broken), "f");
}

#[test]
fn an_altered_record_of_a_fiscal_device_is_caught() {
    let world = traded();
    for member in ["missing_count", "events", "repeated_count", "lowest", "highest"] {
        let mut broken = world.clone();
        let mut edited = 0;
        for partition in 0..PARTITIONS {
            let place = (world.topics.ledger.clone(), partition);
            for entry in broken.log.topics.get_mut(&place).into_iter().flatten() {
                if entry.key == "acme/north/fiscal/rksv/d" {
                    let value = entry.value.as_ref().unwrap();
                    let mut value: Value = serde_json::from_slice(value).unwrap();
                    value["fiscal"][member] = json!(7);
                    entry.value = Some(serde_json::to_vec(&value).unwrap().into());
                    edited += 1;
                }
            }
        }
        assert!(edited > 0);
        assert_eq!(failing(&broken), "e", "{member}");
    }
}

#[test]
fn a_drawer_that_is_gone_or_was_made_up_is_caught() {
    let world = traded();
    let mut gone = world.clone();
    for partition in 0..PARTITIONS {
        let place = (world.topics.days.clone(), partition);
        gone.log.topics.get_mut(&place).unwrap().retain(|entry| entry.key != DRAWER);
    }
    assert_eq!(failing(&gone), "f");
    let mut made_up = world.clone();
    let (partition, place) = last_of(&world, DRAWER);
    let entries = made_up.log.topics.get_mut(&(world.topics.days.clone(), partition)).unwrap();
    entries[place].key = "acme/north/2026-11-27/drawer/2//".into();
    assert_eq!(failing(&made_up), "f");
}
