use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::acks::fingerprint;
use crate::source::{ExpectedOutcome, Movement};

struct SentEvent {
    planned: PlannedEvent,
    text: Vec<u8>,
    effects: Vec<StockEffect>,
}

fn play(settings: FleetSettings) -> (Vec<SentEvent>, Fleet) {
    let mut fleet = Fleet::new(settings);
    let mut sent = Vec::new();
    loop {
        let (mut text, mut effects) = (Vec::new(), Vec::new());
        let Some(planned) = fleet.next(&mut text, &mut effects) else { break };
        sent.push(SentEvent { planned, text, effects });
    }
    (sent, fleet)
}

fn settings(events: u64) -> FleetSettings {
    FleetSettings {
        stores: 20,
        terminals: 3,
        skus: 500,
        events: Some(events),
        ..Default::default()
    }
}

fn json(sent: &SentEvent) -> Value {
    serde_json::from_slice(&sent.text).unwrap()
}

#[test]
fn the_same_seed_makes_the_same_events() {
    let texts = |seed| -> Vec<Vec<u8>> {
        let (sent, _) = play(FleetSettings { seed, bad: 0.05, ..settings(2_000) });
        sent.into_iter().map(|sent| sent.text).collect()
    };
    assert_eq!(texts(7), texts(7));
    assert_ne!(texts(7), texts(8));
}

#[test]
fn numbers_rise_by_one_and_days_open_and_close() {
    let (sent, fleet) = play(settings(6_000));
    assert_eq!(sent.len(), 6_000);
    let mut terminals: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for sent in &sent {
        let kinds = terminals.entry(sent.planned.terminal).or_default();
        kinds.push(json(sent)["kind"].as_str().unwrap().to_owned());
        assert_eq!(sent.planned.sequence, kinds.len() as u64, "numbers rise by one from 1");
    }
    assert_eq!(terminals.len(), fleet.states.len());
    for kinds in terminals.values() {
        assert_eq!(kinds.first().unwrap(), "open");
        assert_eq!(kinds.last().unwrap(), "close");
    }
}

#[test]
fn as_many_events_come_at_any_time_of_day_and_every_till_is_closed_in_the_end() {
    const MINUTE_MS: i64 = 60_000;
    for minute in (0..24 * 60).step_by(20) {
        // Half a second for three hours, in which some trading days end.
        let run = FleetSettings { rate: 2_000.0, speed: 21_600.0, ..settings(1_000) };
        let starts_at_ms = run.starts_at_ms + minute * MINUTE_MS;
        let (sent, _) = play(FleetSettings { starts_at_ms, ..run });
        assert_eq!(sent.len(), 1_000, "minute {minute}");
        let mut last: BTreeMap<u32, Value> = BTreeMap::new();
        for sent in &sent {
            last.insert(sent.planned.terminal, json(sent)["kind"].take());
        }
        assert!(last.values().all(|kind| kind == "close"), "minute {minute}");
    }
}

#[test]
fn every_kind_is_sent_and_names_itself_as_its_plan_does() {
    let (sent, fleet) = play(FleetSettings { epoch: Some("e7".to_owned()), ..settings(40_000) });
    let mut kinds = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for sent in &sent {
        let event = json(sent);
        let terminal = &fleet.directory.terminals[sent.planned.terminal as usize];
        assert_eq!(event["terminal"], terminal.name.as_str());
        assert_eq!(event["store"], fleet.directory.stores[terminal.store as usize].as_str());
        assert_eq!(event["sequence"], sent.planned.sequence);
        assert_eq!(event["epoch"], "e7");
        assert!(ids.insert(event["event_id"].as_str().unwrap().to_owned()));
        kinds.insert(event["kind"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds.len(), 36, "{kinds:?}");
}

/// Figures of earlier runs rest on these events: whoever changes them can compare no longer.
#[test]
fn the_basic_mix_stays_as_it_was_measured() {
    let basic = FleetSettings { mix: Mix::Basic, bad: 0.01, gaps: 2, ..settings(5_000) };
    let (sent, fleet) = play(basic);
    let mut all = Vec::new();
    let mut kinds = BTreeSet::new();
    for sent in &sent {
        all.extend_from_slice(&sent.text);
        if sent.planned.expected == ExpectedOutcome::Accepted {
            kinds.insert(json(sent)["kind"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(kinds.len(), 19, "{kinds:?}");
    assert!(fleet.directory.terminals.iter().all(|terminal| terminal.name.starts_with('t')));
    assert_eq!(fingerprint(&all), 1_791_456_867);
}

#[test]
fn most_is_sales_and_the_back_office_sends_its_share() {
    let (sent, fleet) = play(settings(20_000));
    let (mut sales, mut office) = (0, 0);
    for sent in &sent {
        sales += u32::from(json(sent)["kind"] == "sale");
        let name = &fleet.directory.terminals[sent.planned.terminal as usize].name;
        office += u32::from(name == "office");
    }
    assert!((13_000..16_000).contains(&sales), "{sales}");
    assert!((1_000..1_500).contains(&office), "{office}");
}

#[test]
fn a_drawer_is_declared_as_its_tenders_fill_it() {
    let (sent, fleet) = play(settings(12_000));
    assert_eq!(sent.len(), 12_000, "what drawers owe is reserved");
    let mut drawers: BTreeMap<u32, [i64; 3]> = BTreeMap::new();
    let (mut exact, mut off, mut notes_declared) = (0, 0, 0);
    for sent in &sent {
        let event = json(sent);
        let [cash, card, notes] = drawers.entry(sent.planned.terminal).or_default();
        let amount = || minor(&event["amount"]);
        match event["kind"].as_str().unwrap() {
            "loan" | "paid_in" => *cash += amount(),
            "pickup" | "paid_out" => *cash -= amount(),
            "open" => {
                (*cash, *card) = (0, 0);
                assert_eq!(*notes, 0, "foreign notes that nobody declared, {event}");
            }
            "till_declaration" if event["declarations"].as_array().unwrap().len() == 1 => {
                let declared = &event["declarations"][0];
                assert_eq!(declared["tender"], "cash");
                let country = country::Country::of_store(
                    fleet.directory.terminals[sent.planned.terminal as usize].store,
                );
                assert_eq!(event["currency"], country.notes.currency, "{event}");
                let units: i64 = declared["amount"].as_str().unwrap().parse().unwrap();
                assert!((units - *notes).abs() <= 2, "{notes}, {event}");
                (*notes, notes_declared) = (0, notes_declared + 1);
            }
            "till_declaration" => {
                let declared = |place: usize| minor(&event["declarations"][place]["amount"]);
                assert!(event["session"]["id"].as_str().unwrap().starts_with("s-t0"), "{event}");
                assert_eq!(declared(1), *card, "{event}");
                assert!((declared(0) - (*cash).max(0)).abs() <= 500, "{event}");
                let is_exact = declared(0) == *cash;
                exact += u32::from(is_exact);
                off += u32::from(!is_exact);
            }
            _ => {}
        }
        for tender in event["tenders"].as_array().into_iter().flatten() {
            if let Some(units) = tender["foreign"]["amount"].as_str() {
                *notes += units.parse::<i64>().unwrap();
                continue;
            }
            match tender["type"].as_str().unwrap() {
                "cash" | "change" => *cash += minor(&tender["amount"]),
                "card" => *card += minor(&tender["amount"]),
                _ => {}
            }
        }
    }
    assert!(exact > 20 && off > 0, "{exact} exact, {off} over or short");
    assert!(drawers.values().all(|[_, _, notes]| *notes == 0), "{drawers:?}");
    assert!(notes_declared > 10, "{notes_declared}");
}

#[test]
fn orders_belong_together_and_prepaid_is_what_was_paid() {
    let (sent, _) = play(settings(40_000));
    let mut paid: BTreeMap<String, i64> = BTreeMap::new();
    let (mut handed_over, mut cancelled) = (0, 0);
    for sent in &sent {
        let event = json(sent);
        let kind = event["kind"].as_str().unwrap();
        let Some((what, step)) =
            kind.split_once('_').filter(|(w, _)| ["order", "layaway"].contains(w))
        else {
            continue;
        };
        let id = event["order"]["id"].as_str().unwrap().to_owned();
        assert!(id.contains(if what == "order" { ".o" } else { ".l" }));
        let total = || minor(&event["totals"]["total"]);
        match step {
            "placed" => assert_eq!(paid.insert(id, total()), None),
            "paid" => *paid.get_mut(&id).unwrap() += total(),
            "picked" => assert!(paid.contains_key(&id)),
            "cancelled" => {
                assert_eq!(paid.remove(&id).unwrap(), -total());
                cancelled += 1;
            }
            _ => {
                let prepaid = minor(&event["tenders"][0]["amount"]);
                assert_eq!(
                    (&event["tenders"][0]["type"], paid.remove(&id)),
                    (&"prepaid".into(), Some(prepaid))
                );
                handed_over += 1;
            }
        }
    }
    assert!(handed_over > 100 && cancelled > 5, "{handed_over} handed over, {cancelled} cancelled");
}

#[test]
fn a_parked_sale_is_the_good_one_in_other_words() {
    let (sent, _) = play(FleetSettings { parked: 0.1, ..settings(10_000) });
    let mut codes: BTreeMap<&str, u32> = BTreeMap::new();
    let words = [
        (r#""kind":"drone_delivery""#, r#""kind":"sale""#),
        (r#""type":"locker_sale""#, r#""type":"sale""#),
        (r#""currency_code":"#, r#""currency":"#),
    ];
    for sent in &sent {
        let ExpectedOutcome::Parked { code, mended } = sent.planned.expected else { continue };
        *codes.entry(code).or_default() += 1;
        let text = String::from_utf8(sent.text.clone()).unwrap();
        let good = words.iter().fold(text, |text, (new, old)| text.replace(new, old));
        assert_eq!(Some(fingerprint(good.as_bytes())), mended);
        assert_eq!(serde_json::from_str::<Value>(&good).unwrap()["kind"], "sale");
    }
    assert_eq!(codes.len(), 3, "{codes:?}");
    assert!((600..1_000).contains(&codes.values().sum::<u32>()), "{codes:?}");
}

/// Money as written, in minor units, whatever the currency's places.
fn minor(value: &Value) -> i64 {
    value.as_str().unwrap().replace('.', "").parse().unwrap()
}

#[test]
fn totals_and_tenders_agree_with_the_lines() {
    let (sent, _) = play(settings(4_000));
    let mut checked = 0;
    for sent in &sent {
        let event = json(sent);
        let Some(total) = event["totals"].get("total") else { continue };
        let mut sum = 0;
        for line in event["lines"].as_array().unwrap() {
            let class = line["class"].as_str().unwrap_or("merchandise");
            let kind = event["kind"].as_str().unwrap();
            let is_advance = kind.ends_with("_placed") || kind.ends_with("_paid");
            if line["void"] == true
                || line["type"] == "adjustment"
                || (is_advance && class == "merchandise")
            {
                continue;
            }
            let each =
                |name: &str| -> Vec<Value> { line[name].as_array().cloned().unwrap_or_default() };
            let discounts: i64 = each("discounts").iter().map(|d| minor(&d["amount"])).sum();
            let taxes: i64 = each("taxes")
                .iter()
                .filter(|tax| tax["inclusive"] == false)
                .map(|tax| minor(&tax["amount"]))
                .sum();
            let sign = if line["type"] == "return" { -1 } else { 1 };
            sum += sign * (minor(&line["amount"]) - discounts + taxes);
        }
        let sum = if event["kind"] == "post_void" { -sum } else { sum };
        assert_eq!(minor(total), sum, "{event}");
        let tenders = event["tenders"].as_array().unwrap();
        let beside = |name: &str| event["totals"].get(name).map_or(0, minor);
        let paid: i64 = tenders.iter().map(|tender| minor(&tender["amount"])).sum();
        assert_eq!(paid, sum + beside("tip") + beside("rounding"), "{event}");
        checked += 1;
    }
    assert!(checked > 2_500, "{checked}");
}

/// The stock table of the contract, read off the JSON rather than off the generator's own lines.
fn movements(event: &Value) -> BTreeMap<[String; 4], [i64; 4]> {
    let mut sums: BTreeMap<_, [i64; 4]> = BTreeMap::new();
    let mut add = |line: &Value, location: &str, change: [i64; 4]| {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let unit = line["unit"].as_str().unwrap_or("C62").to_owned();
        let sum = sums.entry([text("sku"), unit, text("reason"), text(location)]).or_default();
        for (sum, change) in sum.iter_mut().zip(change) {
            *sum += change;
        }
    };
    for line in event["lines"].as_array().into_iter().flatten() {
        let quantity = micro(line["quantity"].as_str().unwrap());
        let restock = line.get("disposition").is_none_or(|value| value == "restock");
        let [kind, line_type] = [&event["kind"], &line["type"]].map(|v| v.as_str().unwrap());
        let change = match (kind, line_type) {
            _ if line["void"] == true => continue,
            ("stock_move", _) => {
                add(line, "to_location", [quantity, 0, 0, quantity]);
                [-quantity, 0, 0, -quantity]
            }
            (
                "sale"
                | "return"
                | "exchange"
                | "order_handed_over"
                | "layaway_handed_over"
                | "correction",
                "sale",
            ) => [-quantity, quantity, 0, 0],
            ("sale" | "return" | "exchange", "return") => {
                [if restock { quantity } else { 0 }, 0, quantity, 0]
            }
            ("post_void", "sale") => [quantity, -quantity, 0, 0],
            ("post_void", "return") => [if restock { -quantity } else { 0 }, 0, -quantity, 0],
            ("inventory_adjustment" | "transfer_in" | "goods_receipt", _)
            | ("correction", "adjustment") => [quantity, 0, 0, quantity],
            ("transfer_out" | "vendor_return", _) => [-quantity, 0, 0, -quantity],
            _ => continue,
        };
        add(line, "location", change);
    }
    sums.retain(|_, sum| *sum != [0; 4]);
    sums
}

fn micro(decimal: &str) -> i64 {
    let (whole, part) = decimal.split_once('.').unwrap_or((decimal, ""));
    format!("{whole}{part:0<6}").parse().unwrap()
}

#[test]
fn the_stated_effects_are_those_of_the_written_lines() {
    let (sent, fleet) = play(settings(8_000));
    let mut moved = 0;
    for sent in &sent {
        let mut stated: BTreeMap<_, [i64; 4]> = BTreeMap::new();
        for effect in &sent.effects {
            let sku = fleet.directory.skus[effect.sku as usize].clone();
            let place = [effect.unit, effect.reason, effect.location].map(str::to_owned);
            let [unit, reason, location] = place;
            let sum = stated.entry([sku, unit, reason, location]).or_default();
            let Movement { net, sold, returned, adjusted } = effect.movement;
            for (sum, change) in sum.iter_mut().zip([net, sold, returned, adjusted]) {
                *sum += change;
            }
        }
        stated.retain(|_, sum| *sum != [0; 4]);
        let event = json(sent);
        assert_eq!(stated, movements(&event), "{event}");
        moved += stated.len();
    }
    assert!(moved > 20_000, "{moved}");
}

#[test]
fn planted_gaps_are_the_only_numbers_missing() {
    let (sent, fleet) = play(FleetSettings { gaps: 5, ..settings(6_000) });
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    let mut missing = Vec::new();
    for PlannedEvent { terminal, sequence, .. } in sent.iter().map(|sent| sent.planned) {
        let before = last.insert(terminal, sequence).unwrap_or(0);
        if sequence > before + 1 {
            missing.push(Gap { terminal, from: before + 1, to: sequence - 1 });
        }
    }
    assert_eq!(missing.len(), 5);
    assert_eq!(missing, fleet.planted_gaps());
}

#[test]
fn bad_events_carry_no_effect_and_most_use_their_number() {
    let (sent, _) = play(FleetSettings { bad: 0.1, ..settings(20_000) });
    let codes: BTreeSet<&str> = sent
        .iter()
        .filter_map(|sent| match sent.planned.expected {
            ExpectedOutcome::Parked { code, .. } | ExpectedOutcome::Refused(code) => Some(code),
            ExpectedOutcome::Accepted => None,
        })
        .collect();
    assert_eq!(codes.len(), 20, "{codes:?}");
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    for SentEvent { planned, effects, .. } in &sent {
        if planned.expected != ExpectedOutcome::Accepted {
            assert!(effects.is_empty());
        }
        let before = last.insert(planned.terminal, planned.sequence).unwrap_or(0);
        assert!([before, before + 1].contains(&planned.sequence));
    }
}

#[test]
fn a_terminal_without_network_sends_all_it_held_when_it_is_back() {
    let offline_for = Duration::from_secs(2);
    let (sent, fleet) = play(FleetSettings { offline: 0.3, offline_for, ..settings(8_000) });
    assert_eq!(sent.len(), 8_000);
    let away = fleet.states.iter().filter(|state| state.offline.is_some()).count();
    assert!((8..=30).contains(&away), "{away} of 60 terminals");
    let mut flooded = 0;
    for pair in sent.windows(2) {
        assert!(pair[0].planned.due <= pair[1].planned.due, "sent in the order it is due");
        flooded += usize::from(pair[0].planned.due == pair[1].planned.due);
    }
    for SentEvent { planned, .. } in &sent {
        let state = &fleet.states[planned.terminal as usize];
        assert_eq!(state.offline_until(planned.due), None, "nothing is sent without network");
    }
    assert!(flooded > 100, "{flooded}");
}

#[test]
fn an_outage_cuts_off_whole_stores_and_they_come_back_one_after_another() {
    let over = Duration::from_secs(20);
    let profile = Profile::BlackFriday { over, outage: 0.4 };
    let (sent, fleet) = play(FleetSettings { profile, rate: 1_000.0, ..settings(17_000) });
    let outage = profile.outage().unwrap();
    let away: BTreeSet<u32> = fleet
        .states
        .iter()
        .filter(|state| state.offline.is_some())
        .map(|state| state.store)
        .collect();
    assert!((4..=14).contains(&away.len()), "{} of 20 stores", away.len());
    let mut returns = BTreeSet::new();
    for SentEvent { planned, .. } in &sent {
        let state = &fleet.states[planned.terminal as usize];
        let cut_off = (outage.from..outage.until).contains(&planned.due);
        assert!(!(cut_off && away.contains(&state.store)), "nothing is sent without network");
        if planned.held {
            assert_eq!(Some(planned.due), state.offline.map(|offline_span| offline_span.until));
            assert!((outage.until..outage.back_by).contains(&planned.due));
            returns.insert(planned.due);
        }
    }
    assert_eq!(returns.len(), away.len(), "each store at a moment of its own");
    let held = sent.iter().filter(|sent| sent.planned.held).count();
    assert!((300..1_800).contains(&held), "{held} of about 2,400 in that time");
    assert!(sent.windows(2).all(|pair| pair[0].planned.due <= pair[1].planned.due));
}

#[test]
fn a_fleet_without_end_closes_when_it_is_wound_down() {
    let mut fleet = Fleet::new(FleetSettings { events: None, ..settings(0) });
    let (mut text, mut effects) = (Vec::new(), Vec::new());
    for _ in 0..1_000 {
        text.clear();
        assert!(fleet.next(&mut text, &mut effects).is_some());
    }
    fleet.wind_down();
    let mut closes = 0;
    loop {
        text.clear();
        if fleet.next(&mut text, &mut effects).is_none() {
            break;
        }
        let text = String::from_utf8_lossy(&text);
        let is_close = text.contains(r#""kind":"close""#);
        assert!(is_close || text.contains(r#""kind":"till_declaration""#), "{text}");
        closes += usize::from(is_close);
    }
    assert_eq!(closes, fleet.states.iter().filter(|state| state.sequence > 0).count());
}
