use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::card;
use crate::decode::{Decoder, MAX_EVENT_BYTES};
use crate::text::percent_encode;

/// `max.message.bytes` of every topic.
const MAX_RECORD_BYTES: usize = 1024 * 1024;
/// What remains of a refused event's redacted original.
const MAX_ORIGINAL_BYTES: usize = 64 * 1024;

fn written(envelope: &Envelope<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    envelope.write(&mut out);
    out
}

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof!["[a-z0-9./-]{0,20}", "\\PC{0,20}", "[\u{0}-\u{7f}]{0,12}"].prop_map(Cow::Owned)
}

fn optional() -> impl Strategy<Value = Option<Cow<'static, str>>> {
    proptest::option::of(text())
}

prop_compose! {
    fn scope()(which in 0..3_u8, modulus in 1..=MAX_MODULUS) -> Scope {
        [Scope::Terminal, Scope::BusinessDate, Scope::Wrapping(modulus)][usize::from(which)]
    }
}

prop_compose! {
    fn source_verdict()(is_first: bool, partition: u32, offset: u64) -> SourceVerdict {
        let verdict = if is_first { VerdictKind::First } else { VerdictKind::Released };
        SourceVerdict { verdict, partition, offset }
    }
}

prop_compose! {
    fn envelope()(
        [id, source, event_type, tenant] in [text(), text(), text(), text()],
        [store, received_time, policy_revision, gateway] in [text(), text(), text(), text()],
        [time, terminal, epoch, event_id] in [optional(), optional(), optional(), optional()],
        [business_date, flags, traceparent] in [optional(), optional(), optional()],
        sequence: Option<u64>,
        [content_hash, data_hash] in any::<[Option<u128>; 2]>(),
        parked in proptest::option::of((text(), text())),
        readmission in proptest::option::of(any::<(u64, u128)>()),
        transforms in optional(),
        scope in scope(),
        is_live: bool,
        source_verdict in proptest::option::of(source_verdict()),
    ) -> Envelope<'static> {
        let admission = if is_live { Admission::Live } else { Admission::Flood };
        let data = br#"{"kind":"sale","x":"}\"\\"}"#;
        Envelope {
            id, source, event_type, time, tenant, store, terminal, epoch, sequence, event_id,
            business_date, received_time, content_hash, data_hash, scope, policy_revision, flags,
            admission, gateway, traceparent,
            parked: parked.map(|(code, pointer)| ParkedMark { code, pointer }),
            readmission: readmission
                .map(|(offset, text_hash)| Readmission { offset, text_hash }),
            transforms, source_verdict, data,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(envelope in envelope()) {
        let bytes = written(&envelope);
        prop_assert_eq!(Envelope::parse(&bytes).unwrap(), envelope);
    }

    #[test]
    fn what_is_written_is_json_in_the_order_of_the_contract(envelope in envelope()) {
        let bytes = written(&envelope);
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        for (name, value) in [("store", &envelope.store), ("gateway", &envelope.gateway)] {
            prop_assert_eq!(json[name].as_str(), Some(&**value));
        }
        prop_assert_eq!(json.get("epoch").and_then(|epoch| epoch.as_str()), envelope.epoch.as_deref());
        prop_assert_eq!(json["data"]["kind"].as_str(), Some("sale"));
        let (head, tail) = (br#"{"specversion":"1.0","id":""#, [br#","data":"#, envelope.data, b"}"]);
        prop_assert!(bytes.starts_with(head), "it begins with the version and the id");
        prop_assert!(bytes.ends_with(&tail.concat()), "it ends with the data");
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Envelope::parse(&bytes).is_err());
    }

    #[test]
    fn a_cut_or_changed_record_panics_nowhere(
        envelope in envelope(), cut in any::<proptest::sample::Index>(), byte: u8,
    ) {
        let whole = written(&envelope);
        let place = cut.index(whole.len());
        let cut = &whole[..place];
        let ends_like_an_object = cut.ends_with(b"}");
        prop_assert!(ends_like_an_object || Envelope::parse(cut).is_err());
        let mut changed = whole.clone();
        changed[place] = byte;
        if let Ok(read) = Envelope::parse(&changed) {
            let again = written(&read);
            prop_assert_eq!(Envelope::parse(&again), Ok(read));
        }
    }
}

#[test]
fn what_is_wrong_with_an_envelope_is_named() {
    let good = String::from_utf8(written(&largest("{}"))).unwrap();
    let read = |text: &[u8]| match Envelope::parse(text) {
        Ok(_) => "nothing",
        Err(EnvelopeError::Attribute { attribute }) => attribute,
        Err(EnvelopeError::UnknownSchema) => "schema",
    };
    assert_eq!(read(good.as_bytes()), "nothing");
    for (found, put, named) in [
        (r#""specversion":"1.0""#, r#""specversion":"1.1""#, "specversion"),
        (r#""receivedtime":""#, r#""receivedtime":"\x"#, "receivedtime"),
        (r#""receivedtime":""#, r#""receivedtime":7,""#, "receivedtime"),
        (r#""terminal":""#, r#""terminal":7,""#, "terminal"),
        (r#","sequence":"1"#, r#","sequence":"x1"#, "sequence"),
        (r#""contenthash":"h2:"#, r#""contenthash":"h1:"#, "contenthash"),
        (r#""sourceoffset":"#, r#""sourceoffset":""#, "sourceoffset"),
        (r#""admission":"flood""#, r#""admission":"fast""#, "admission"),
        (r#","data":"#, r#","more":1,"data":"#, "data"),
        (r#","data":{}"#, r#","data":"#, "data"),
    ] {
        assert!(good.contains(found), "{found}");
        assert_eq!(read(good.replace(found, put).as_bytes()), named, "{put}");
    }
    for (after, named) in
        [(r#""gateway":""#, "gateway"), (r#""sourceoffset":18446744073709551615"#, "data")]
    {
        let (head, tail) = good.as_bytes().split_at(good.find(after).unwrap() + after.len());
        assert_eq!(read(&[head, b"\xff", tail].concat()), named);
    }
}

#[test]
fn another_schema_is_named() {
    let text = String::from_utf8(written(&largest("{}"))).unwrap();
    let other = text.replace("event:v1", "event:v2");
    assert_eq!(Envelope::parse(other.as_bytes()), Err(EnvelopeError::UnknownSchema));
}

#[test]
fn scopes_are_written_as_they_are_read() {
    for text in ["terminal", "business_date", "wrapping:9999", "wrapping:9007199254740992"] {
        assert_eq!(Scope::parse(text).unwrap().to_string(), text);
    }
    for text in ["", "wrapping:", "wrapping:0", "wrapping:x", "wrapping:9007199254740993", "store"]
    {
        assert_eq!(Scope::parse(text), None, "{text}");
    }
}

/// The ids that take most room once they are encoded and escaped.
fn largest(data: &str) -> Envelope<'_> {
    let id = "\"".repeat(64);
    let mut encoded = String::new();
    percent_encode(&id, &mut encoded);
    Envelope {
        id: format!("id:{encoded}~r{}", u64::MAX).into(),
        source: format!("/{encoded}/{encoded}/{encoded}/{encoded}@2026-11-27").into(),
        event_type: "tillrace.pos.inventory_adjustment".into(),
        time: Some("2026-11-27T08:15:30.123456789+01:00".into()),
        tenant: id.clone().into(),
        store: id.clone().into(),
        terminal: Some(id.clone().into()),
        epoch: Some(format!("{id}@2026-11-27").into()),
        sequence: Some(u64::MAX),
        event_id: Some(id.clone().into()),
        business_date: Some("2026-11-27".into()),
        received_time: "2026-11-27T07:15:31.002Z".into(),
        content_hash: Some(u128::MAX),
        data_hash: Some(u128::MAX),
        parked: None,
        readmission: Some(Readmission { offset: u64::MAX, text_hash: u128::MAX }),
        transforms: Some(format!("mapping:{}", "f".repeat(64)).into()),
        scope: Scope::Wrapping(MAX_MODULUS),
        policy_revision: id.clone().into(),
        flags: Some(
            "totals_mismatch,tenders_mismatch,line_count_mismatch,clock_skew,card_masked".into(),
        ),
        admission: Admission::Flood,
        gateway: id.into(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        source_verdict: Some(SourceVerdict {
            verdict: VerdictKind::Released,
            partition: u32::MAX,
            offset: u64::MAX,
        }),
        data: data.as_bytes(),
    }
}

/// An event as large as one may be, filled with a member that needs many escapes when quoted.
fn largest_event(filling: &str) -> String {
    let head = r#"{"store":"1","terminal":"2","event_id":"3","kind":"open","occurred_at":"2026-11-27T08:15:30Z","business_date":"2026-11-27","x":""#;
    let room = MAX_EVENT_BYTES - head.len() - 2;
    let event = format!("{head}{}\"}}", filling.repeat(room / filling.len()));
    assert!(event.len() > MAX_EVENT_BYTES - filling.len() && event.len() <= MAX_EVENT_BYTES);
    event
}

#[test]
fn the_largest_event_fits_every_topic_it_can_reach() {
    for filling in ["x", "\\\\", "\\\"", "\\u0001", "\u{7f}", "€", "\u{10ffff}"] {
        let event = largest_event(filling);
        assert!(Decoder::new().decode(event.as_bytes()).is_ok());
        let record = written(&largest(&event));
        assert!(record.len() < MAX_EVENT_BYTES + 4 * 1024, "{}", record.len());

        let quoted = serde_json::to_vec(&String::from_utf8(record).unwrap()).unwrap();
        assert!(quoted.len() + 8 * 1024 < MAX_RECORD_BYTES, "dead letter, even as a string");

        // A conflict is kept as the event itself and less than an envelope around it.
        assert!(event.len() + 8 * 1024 < MAX_RECORD_BYTES);
    }
}

#[test]
fn the_worst_original_fits_as_rejected() {
    for worst in [b"\x01".as_slice(), b"\xff", b"\"", b"\\", b"4111111111111111 "] {
        let original = card::redact(&worst.repeat(2 * MAX_EVENT_BYTES / worst.len()));
        let cut = original.floor_char_boundary(MAX_ORIGINAL_BYTES);
        let record =
            json!({"code": "card_data", "pointer": "/".repeat(512), "original": original[..cut]});
        assert!(record.to_string().len() + 8 * 1024 < MAX_RECORD_BYTES);
    }
}
