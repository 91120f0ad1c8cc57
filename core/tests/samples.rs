//! The samples in `docs/samples` against the schema, the decoder and the rules: all three agree, or the
//! difference is written down in `invalid/expected.json`.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its samples has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tillrace_core::card::CardRules;
use tillrace_core::check::{CheckRules, RuleAction, check};
use tillrace_core::decode::{Decoder, MAX_EVENT_BYTES, RejectCode, Rejection};
use tillrace_core::event::{Event, Kind};
use tillrace_core::money::{self, MoneyKind};
use tillrace_core::stock;
use tillrace_core::till_balance::{self, TillEffect};

const STRICT: CheckRules = CheckRules {
    totals: RuleAction::Reject,
    tenders: RuleAction::Reject,
    line_count: RuleAction::Reject,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    code: String,
    pointer: String,
    schema_finds_it: Option<bool>,
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn files(folder: &str) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(docs().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
        })
        .collect()
}

fn schema() -> jsonschema::Validator {
    let text = fs::read(docs().join("schemas/event.v1.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&text).unwrap();
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    jsonschema::validator_for(&schema).unwrap()
}

/// What a gateway does whose tenant is `demo` and wants every rule kept.
fn judge<'d>(decoder: &'d mut Decoder, text: &'d [u8]) -> Result<Event<'d>, Rejection> {
    let event = decoder.admit(text, &CardRules::default())?;
    check(&event, &STRICT)?;
    match event.tenant {
        Some(tenant) if tenant != "demo" => {
            Err(Rejection::member(RejectCode::TenantMismatch, "tenant"))
        }
        _ => Ok(event),
    }
}

#[test]
fn every_sample_is_accepted_by_schema_decoder_and_rules() {
    let (schema, mut decoder) = (schema(), Decoder::new());
    for (name, text) in files("samples") {
        let json: Value = serde_json::from_slice(&text).unwrap();
        let errors: Vec<_> = schema.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let event =
            judge(&mut decoder, &text).unwrap_or_else(|rejection| panic!("{name}: {rejection}"));
        let kind = json["kind"].as_str().unwrap();
        let counted = if kind.starts_with("x-") { "x" } else { kind };
        assert_eq!(counted, event.kind.as_str(), "{name}");
        assert_eq!(json["lines"].as_array().map_or(0, Vec::len), event.lines.len(), "{name}");
    }
}

#[test]
fn every_kind_has_a_sample() {
    let mut decoder = Decoder::new();
    let shown: BTreeSet<_> =
        files("samples").values().map(|text| decoder.decode(text).unwrap().kind.as_str()).collect();
    assert_eq!(shown, Kind::ALL.iter().map(|kind| kind.as_str()).collect());
}

#[test]
fn every_invalid_sample_is_refused_as_expected() {
    let mut decoder = Decoder::new();
    let schema = schema();
    let mut texts = files("samples/invalid");
    let expected = texts.remove("expected.json").unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_slice(&expected).unwrap();
    assert_eq!(texts.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, text) in &texts {
        let expected = &expected[name];
        let Err(rejection) = judge(&mut decoder, text) else { panic!("{name} was accepted") };
        assert_eq!(
            (rejection.code.as_str(), &rejection.pointer),
            (&*expected.code, &expected.pointer),
            "{name}"
        );
        let code = name.trim_end_matches(".json").split('-').next().unwrap();
        assert_eq!(code, expected.code, "{name} is named after another code");
        if let Some(found) = expected.schema_finds_it {
            let json: Value = serde_json::from_slice(text).unwrap();
            assert_eq!(!schema.is_valid(&json), found, "{name}: what the schema finds");
        }
    }
}

#[test]
fn every_code_has_a_sample() {
    let expected = fs::read(docs().join("samples/invalid/expected.json")).unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_slice(&expected).unwrap();
    let shown: BTreeSet<_> = expected.values().map(|expected| expected.code.as_str()).collect();
    let all =
        RejectCode::ALL.iter().map(|code| code.as_str()).filter(|code| *code != "event_too_large");
    assert_eq!(shown, all.collect());
}

#[test]
fn one_byte_too_many_is_too_large() {
    let mut text = files("samples").remove("sale.json").unwrap();
    text.resize(MAX_EVENT_BYTES, b' ');
    let mut decoder = Decoder::new();
    assert!(judge(&mut decoder, &text).is_ok());
    text.push(b' ');
    assert_eq!(
        judge(&mut decoder, &text).unwrap_err(),
        Rejection::whole(RejectCode::EventTooLarge)
    );
}

#[test]
fn the_readme_lists_every_sample_and_the_table_of_stock() {
    let readme = fs::read_to_string(docs().join("samples/README.md")).unwrap();
    for name in files("samples").keys() {
        assert_eq!(readme.matches(&format!("| `{name}` |")).count(), 1, "{name}");
    }
    let sign = |sign: i64| match sign {
        1 => "+q",
        -1 => "−q",
        _ => "0",
    };
    for rule in stock::TABLE {
        let row = format!(
            "| `{}` | `{}` | {} | {} | {} | {} |",
            rule.kind.as_str(),
            rule.line_type.as_str(),
            sign(rule.stock),
            sign(rule.sold),
            sign(rule.returned),
            sign(rule.adjusted)
        );
        assert!(readme.contains(&row), "missing in docs/samples/README.md: {row}");
    }
}

#[test]
fn the_readme_has_the_table_of_tills() {
    let readme = fs::read_to_string(docs().join("samples/README.md")).unwrap();
    let sign = |sign: i64, text: &str| match sign {
        1 => format!("+{text}"),
        -1 => format!("−{text}"),
        _ => "0".to_owned(),
    };
    for till_balance::TillRule { kinds, effect } in till_balance::TABLE {
        let kinds: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
        let [drawer, safe, bank] = match effect {
            TillEffect::Tenders => ["+tenders".into(), "0".into(), "0".into()],
            TillEffect::Cash { drawer, safe, bank } => {
                [drawer, safe, bank].map(|side| sign(side, "amount"))
            }
            TillEffect::OpeningCash => ["opens with amount".into(), "0".into(), "0".into()],
            TillEffect::ClosingCash => ["declares; cash by amount".into(), "0".into(), "0".into()],
            TillEffect::Declaration => ["declares".into(), "0".into(), "0".into()],
        };
        let row = format!("| {} | {drawer} | {safe} | {bank} |\n", kinds.join(", "));
        assert_eq!(readme.matches(&row).count(), 1, "docs/samples/README.md: {row}");
    }
    let table = readme.split("| kind | drawer |").nth(1).unwrap().split("\n\n").next().unwrap();
    assert_eq!(
        table.lines().count() - 2,
        till_balance::TABLE.len(),
        "rows that the code does not know"
    );
    for tender in till_balance::NOT_IN_DRAWER {
        assert!(readme.contains(&format!("`{tender}`")), "{tender}");
    }
}

#[test]
fn the_readme_has_the_table_of_money() {
    let readme = fs::read_to_string(docs().join("samples/README.md")).unwrap();
    let mut rows = 0;
    for rule in money::TABLE {
        let kinds: Vec<_> = rule.kinds.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
        let [of_line, of_return] = match rule.counts_as {
            MoneyKind::Sales => ["sales", "returns"],
            MoneyKind::Liability => ["liabilities_issued", "liabilities_redeemed"],
            MoneyKind::PassThrough => ["pass_through", "pass_through, negative"],
            MoneyKind::Tip => ["tips", "tips, negative"],
        };
        let class = rule.class.as_str();
        let row = format!("| {} | `{class}` | {of_line} | {of_return} |\n", kinds.join(", "));
        assert_eq!(readme.matches(&row).count(), 1, "docs/samples/README.md: {row}");
        rows += 1;
    }
    let table = readme.split("| kind | line class |").nth(1).unwrap().split("\n\n").next().unwrap();
    assert_eq!(table.lines().count() - 2, rows, "rows that the code does not know");
    for tender in money::REDEEMING_TENDERS.iter().chain([&money::ROUNDING_TENDER]) {
        assert!(readme.contains(&format!("`{tender}`")), "{tender}");
    }
}
