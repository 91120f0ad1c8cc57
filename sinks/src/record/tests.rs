use super::*;
use crate::fixture::envelope;

#[test]
fn a_transaction_is_known_by_source_and_id() {
    let record = Record::new(1, 0, "acme/1", envelope("s 1", "sale", 42, r#"{"kind":"sale"}"#));
    let transaction = Transaction::read(&record).unwrap();
    assert_eq!(transaction.identity(), "/acme/s%201/1#42");
    assert_eq!(transaction.kind, Kind::Sale);
    assert_eq!(transaction.data().unwrap().get(), r#"{"kind":"sale"}"#);
    let head = SourceTopic::Transactions.header(&record).unwrap();
    assert_eq!((&*head.tenant, &*head.store, head.kind), ("acme", "s 1", Some(Kind::Sale)));
}

#[test]
fn a_delta_has_a_tenant_and_a_store_and_no_kind() {
    let record = Record::new(1, 0, "acme/1/4711", r#"{"tenant":"acme","store":"1","sku":"4711"}"#);
    let head = SourceTopic::Deltas.header(&record).unwrap();
    assert_eq!((&*head.tenant, &*head.store, head.kind), ("acme", "1", None));
}

#[test]
fn what_is_not_known_is_not_read() {
    let read = |value: Vec<u8>| {
        let record = Record::new(1, 0, "acme/1", value);
        SourceTopic::Transactions.header(&record).map(drop).unwrap_err()
    };
    let barter = read(envelope("1", "barter", 1, "{}"));
    assert!(barter.may_be_newer());
    assert!(matches!(barter, RecordError::UnknownType { value } if value == "tillrace.pos.barter"));
    let text = String::from_utf8(envelope("1", "sale", 1, "{}")).unwrap();
    let newer = read(text.replace("event:v1", "event:v2").into_bytes());
    assert!(newer.may_be_newer());
    assert!(matches!(newer, RecordError::Envelope(EnvelopeError::UnknownSchema)), "{newer}");
    assert!(matches!(read(b"{}".to_vec()), RecordError::Envelope(_)));
    assert!(!read(b"{}".to_vec()).may_be_newer());
}
