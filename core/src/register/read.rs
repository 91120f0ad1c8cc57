//! Reading the file in which an operator keeps registers: every fault with its path and the remedy.
//!
//! The file is YAML or JSON, of which the caller makes a value; `docs/schemas/register-file.v1.schema.json` describes it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tillrace_log::setting::{Inspection, SettingErrors};

use super::calendar::{Calendar, Opening, Weekday};
use super::zone::Zone;
use super::{
    ExpectedTerminal, MAX_EXCEPTIONS, MAX_STORES, MAX_TERMINALS, Register, StoreSettings,
    TerminalKind,
};
use crate::text::{Currency, Date, check_id};

/// The registers of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterFile {
    /// Whose stores they are.
    pub tenant: String,
    /// Each store with its register.
    pub stores: Vec<(String, Register)>,
}

/// Reads a file.
///
/// # Errors
/// Everything in it that cannot be used.
pub fn read(file: &Value) -> Result<RegisterFile, SettingErrors> {
    let mut read = None;
    Inspection::of("", |found| read = read_file(found, file))?;
    // Whatever is absent was an error.
    Ok(read.unwrap_or(RegisterFile { tenant: String::new(), stores: Vec::new() }))
}

fn read_file(found: &mut Inspection, file: &Value) -> Option<RegisterFile> {
    let file = object(found, "file", file, &["tenant", "stores"])?;
    let tenant = id(found, "tenant", file.get("tenant"));
    let list = list(found, "stores", file.get("stores"), 1, MAX_STORES)?;
    let (mut stores, mut names) = (Vec::new(), BTreeSet::new());
    found.each("stores", list, |found, store| {
        let Some((name, register)) = read_store(found, store) else { return };
        if !names.insert((name.clone(), register.valid_from)) {
            found.error("store", "stands twice with this valid_from", "leave one of the two");
        }
        stores.push((name, register));
    });
    Some(RegisterFile { tenant: tenant?, stores })
}

fn read_store(found: &mut Inspection, store: &Value) -> Option<(String, Register)> {
    let known = ["store", "valid_from", "zone", "currency", "group", "calendar", "terminals"];
    let store = object(found, "", store, &known)?;
    let name = id(found, "store", store.get("store"));
    let valid_from = date(found, "valid_from", store.get("valid_from"));
    let zone = word(
        found,
        "zone",
        store.get("zone"),
        "a name of the IANA database, such as Europe/Zurich",
        |name| Zone::named(name).ok(),
    );
    let currency =
        word(found, "currency", store.get("currency"), "a code of ISO 4217, such as EUR", |code| {
            Currency::parse(code.as_bytes())
        });
    let group = match store.get("group") {
        None | Some(Value::Null) => None,
        some => Some(id(found, "group", some)?.into()),
    };
    let mut calendar = None;
    found.within("calendar", |found| calendar = read_calendar(found, store.get("calendar")));
    let terminals = read_terminals(found, store.get("terminals"));
    let settings = StoreSettings { zone: zone?, currency: currency?, group, calendar: calendar? };
    Some((name?, Register { valid_from: valid_from?, settings, terminals: terminals? }))
}

fn read_calendar(found: &mut Inspection, calendar: Option<&Value>) -> Option<Calendar> {
    let Some(calendar) = calendar else {
        found.error("", "is missing", "say on which weekdays the store is open");
        return None;
    };
    let calendar = object(found, "", calendar, &["weekdays", "exceptions"])?;
    let named = list(found, "weekdays", calendar.get("weekdays"), 0, 7)?;
    let mut weekdays = BTreeSet::new();
    for (index, name) in named.iter().enumerate() {
        let path = format!("weekdays[{index}]");
        weekdays.extend(word(
            found,
            &path,
            Some(name),
            "a weekday, such as monday",
            Weekday::parse,
        ));
    }
    let mut exceptions = BTreeMap::new();
    if let Some(dates) = calendar.get("exceptions").filter(|dates| !dates.is_null()) {
        let Some(dates) = dates.as_object() else {
            found.error(
                "exceptions",
                "is no mapping",
                "write a date and open or closed on each line",
            );
            return None;
        };
        if dates.len() > MAX_EXCEPTIONS {
            found.error(
                "exceptions",
                format!("has {} dates", dates.len()),
                format!("leave {MAX_EXCEPTIONS} at most"),
            );
        }
        found.within("exceptions", |found| {
            for (day, opening) in dates {
                let date = date(found, day, Some(&Value::from(day.as_str())));
                let opening = word(found, day, Some(opening), "open or closed", |name| {
                    serde_json::from_value::<Opening>(name.into()).ok()
                });
                exceptions.extend(date.zip(opening));
            }
        });
    }
    Some(Calendar { weekdays: weekdays.into_iter().collect(), exceptions })
}

fn read_terminals(
    found: &mut Inspection,
    terminals: Option<&Value>,
) -> Option<Vec<ExpectedTerminal>> {
    let list = list(found, "terminals", terminals, 1, MAX_TERMINALS)?;
    let mut by_name = BTreeMap::new();
    found.each("terminals", list, |found, terminal| {
        let Some(terminal) = object(found, "", terminal, &["terminal", "kind", "closes"]) else {
            return;
        };
        let name = id(found, "terminal", terminal.get("terminal"));
        let kind =
            word(found, "kind", terminal.get("kind"), "staffed, self_checkout or mobile", |name| {
                serde_json::from_value::<TerminalKind>(name.into()).ok()
            });
        let closes = match terminal.get("closes") {
            None => true,
            Some(Value::Bool(closes)) => *closes,
            Some(_) => {
                found.error(
                    "closes",
                    "is neither true nor false",
                    "write closes: false, or leave it out",
                );
                true
            }
        };
        let (Some(name), Some(kind)) = (name, kind) else { return };
        let expected = ExpectedTerminal { terminal: name.as_str().into(), kind, closes };
        if by_name.insert(name, expected).is_some() {
            found.error("terminal", "stands twice in this store", "leave one of the two");
        }
    });
    Some(by_name.into_values().collect())
}

/// Returns an object's members; each that is not known is an error.
fn object<'v>(
    found: &mut Inspection,
    key: &str,
    value: &'v Value,
    known: &[&str],
) -> Option<&'v Map<String, Value>> {
    let Some(members) = value.as_object() else {
        found.error(key, "is no mapping", format!("write a mapping with {}", known.join(", ")));
        return None;
    };
    for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
        found.error(
            name,
            "is not known",
            format!("take it out, or use one of {}", known.join(", ")),
        );
    }
    Some(members)
}

fn list<'v>(
    found: &mut Inspection,
    key: &str,
    value: Option<&'v Value>,
    least: usize,
    most: usize,
) -> Option<&'v [Value]> {
    let remedy = || format!("write a list of {least} to {most}");
    match value {
        Some(Value::Array(items)) if (least..=most).contains(&items.len()) => Some(items),
        Some(Value::Array(items)) => {
            found.error(key, format!("has {} items", items.len()), remedy());
            None
        }
        Some(_) => {
            found.error(key, "is no list", remedy());
            None
        }
        None => {
            found.error(key, "is missing", remedy());
            None
        }
    }
}

fn id(found: &mut Inspection, key: &str, value: Option<&Value>) -> Option<String> {
    word(
        found,
        key,
        value,
        "1 to 64 bytes in quotation marks, without control characters",
        |text| check_id(text).is_ok().then(|| text.to_owned()),
    )
}

fn date(found: &mut Inspection, key: &str, value: Option<&Value>) -> Option<Date> {
    word(found, key, value, "a date, such as 2026-11-01", |text| Date::parse(text.as_bytes()))
}

/// Reads a text by a parser; `form` says what it should be.
fn word<T>(
    found: &mut Inspection,
    key: &str,
    value: Option<&Value>,
    form: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let read = value.and_then(Value::as_str).and_then(&parse);
    if read.is_none() {
        let fault = match value {
            None => "is missing".to_owned(),
            Some(value) => format!("{value} cannot be used"),
        };
        found.error(key, fault, format!("write {form}"));
    }
    read
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file() -> Value {
        json!({"tenant": "demo", "stores": [{
            "store": "zh-07", "valid_from": "2026-11-01", "zone": "Europe/Zurich", "currency": "CHF", "group": "north",
            "calendar": {"weekdays": ["saturday", "monday"], "exceptions": {"2026-12-25": "closed"}},
            "terminals": [{"terminal": "till-2", "kind": "self_checkout", "closes": false}, {"terminal": "till-1", "kind": "staffed"}],
        }]})
    }

    /// Paths of all faults.
    fn faults(file: &Value) -> Vec<String> {
        let errors = read(file).unwrap_err();
        for error in errors.all() {
            assert!(!error.fault.is_empty() && !error.remedy.is_empty(), "{error:?}");
        }
        errors.all().iter().map(|error| error.path.clone()).collect()
    }

    #[test]
    fn a_file_is_read_with_its_terminals_in_order() {
        let read = read(&file()).unwrap();
        assert_eq!((&*read.tenant, read.stores.len(), &*read.stores[0].0), ("demo", 1, "zh-07"));
        let register = &read.stores[0].1;
        assert_eq!(register.valid_from.to_string(), "2026-11-01");
        assert_eq!(register.settings.zone.name(), "Europe/Zurich");
        assert_eq!(register.settings.calendar.weekdays, [Weekday::Monday, Weekday::Saturday]);
        let terminals: Vec<_> =
            register.terminals.iter().map(|known| (&*known.terminal, known.closes)).collect();
        assert_eq!(terminals, [("till-1", true), ("till-2", false)]);
    }

    #[test]
    fn every_fault_is_named_by_its_path() {
        let mut broken = file();
        broken["tenant"] = json!(7);
        broken["surplus"] = json!(1);
        let store = &mut broken["stores"][0];
        store["valid_from"] = json!("2026-02-30");
        store["zone"] = json!("Zurich");
        store["currency"] = json!("chf");
        store["calendar"] =
            json!({"weekdays": ["someday"], "exceptions": {"soon": "open", "2026-12-24": "half"}});
        store["terminals"] = json!([{"terminal": "1", "kind": "robot"}, {"terminal": "2", "kind": "mobile", "closes": "no"},
            {"terminal": "2", "kind": "mobile"}, {"kind": "mobile", "till": 1}]);
        let expected = [
            "surplus",
            "tenant",
            "stores[0].valid_from",
            "stores[0].zone",
            "stores[0].currency",
            "stores[0].calendar.weekdays[0]",
            "stores[0].calendar.exceptions.2026-12-24",
            "stores[0].calendar.exceptions.soon",
            "stores[0].terminals[0].kind",
            "stores[0].terminals[1].closes",
            "stores[0].terminals[2].terminal",
            "stores[0].terminals[3].till",
            "stores[0].terminals[3].terminal",
        ];
        let mut found = faults(&broken);
        found.sort_unstable();
        let mut expected = expected.map(str::to_owned);
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_missing_doubled_or_too_much_is_named() {
        assert_eq!(faults(&json!([])), ["file"]);
        assert_eq!(faults(&json!({"tenant": "demo"})), ["stores"]);
        let mut twice = file();
        let store = twice["stores"][0].clone();
        twice["stores"].as_array_mut().unwrap().push(store);
        assert_eq!(faults(&twice), ["stores[1].store"]);
        let mut many = file();
        let terminal = |number: usize| json!({"terminal": number.to_string(), "kind": "mobile"});
        many["stores"][0]["terminals"] = (0..=MAX_TERMINALS).map(terminal).collect();
        assert_eq!(faults(&many), ["stores[0].terminals"]);
        let mut bare = file();
        bare["stores"][0].as_object_mut().unwrap().remove("calendar");
        assert_eq!(faults(&bare), ["stores[0].calendar"]);
    }
}
