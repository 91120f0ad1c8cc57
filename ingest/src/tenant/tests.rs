use http::HeaderValue;
use serde_json::{Value, json};

use super::*;

fn tenants(settings: Value) -> Result<Tenants, SettingErrors> {
    Tenants::new(serde_json::from_value(settings).unwrap())
}

fn key(name: &str, key: &str, stores: &[&str]) -> Value {
    json!({"name": name, "hash": hash_key(key), "stores": stores})
}

fn headers(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())])
}

#[test]
fn the_hash_of_a_key_is_its_sha_256() {
    assert_eq!(
        hash_key("abc"),
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn a_caller_is_found_by_key_and_bound_to_its_stores() {
    let tenants = tenants(json!([
        {"id": "a", "keys": [key("till", "k1", &["7", "8"]), key("hq", "k2", &["*"])]},
        {"id": "b", "keys": [key("till", "k3", &["*"])]},
    ]))
    .unwrap();
    let till = tenants.caller(&headers("authorization", "bEARER k1"), 0).unwrap();
    assert_eq!(till.tenant.settings.id, "a");
    assert!(till.may_send_for("8") && !till.may_send_for("9") && !till.may_send_for("*"));
    assert!(tenants.caller(&headers("x-api-key", "k2"), 0).unwrap().may_send_for("9"));
    assert_eq!(tenants.caller(&headers("x-api-key", "k3"), 0).unwrap().tenant.number, 1);
    for (name, value) in
        [("x-api-key", "K1"), ("x-api-key", ""), ("authorization", "Basic k1"), ("cookie", "k1")]
    {
        let refused = tenants.caller(&headers(name, value), 0).unwrap_err();
        assert_eq!(refused, Problem::Unauthorized, "{name}: {value}");
    }
}

#[test]
fn two_keys_are_one_too_many_unless_they_are_the_same() {
    let tenants = tenants(json!([
        {"id": "a", "keys": [key("till", "k1", &["7"]), key("hq", "k2", &["*"])]},
    ]))
    .unwrap();
    let caller = |pairs: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        tenants.caller(&headers, 0).map(|caller| caller.holder().key)
    };
    let (plain, token) = ("x-api-key", "authorization");
    assert_eq!(caller(&[(plain, "k2"), (token, "Bearer k2")]), Ok(1));
    assert_eq!(caller(&[(plain, "k2"), (token, "Basic YTpi")]), Ok(1), "no key of ours");
    for pairs in [
        [(plain, "k1"), (token, "Bearer k2")],
        [(plain, "unknown"), (token, "Bearer k2")],
        [(plain, ""), (token, "Bearer k2")],
        [(plain, "k1"), (plain, "k1")],
        [(token, "Bearer k1"), (token, "Bearer k2")],
        [(token, "Basic YTpi"), (token, "Bearer k2")],
    ] {
        assert_eq!(caller(&pairs), Err(Problem::AmbiguousKey), "{pairs:?}");
    }
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let with = |more: Value| {
        let mut tenant = json!({"id": "a", "keys": [key("till", "k1", &["*"])]});
        tenant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tenants(json!([tenant])).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(with(json!({})), Ok(()));
    for (more, names) in [
        (json!({"id": ""}), "tenants[0].id: "),
        (json!({"sequence_scope": "wrapping:x"}), "sequence_scope: "),
        (json!({"loyalty_secret": "short"}), "loyalty_secret: "),
        (
            json!({"limits": {"store": {"events_burst": 1}}}),
            "tenants[0].limits.store.events_burst: ",
        ),
        (
            json!({"keys": [{"name": "k", "hash": "abc", "stores": ["*"]}]}),
            "tenants[0].keys[0].hash: ",
        ),
        (json!({"keys": [key("k", "", &["*"])]}), "tenants[0].keys[0].hash: "),
        (json!({"keys": [key("k", "x", &[])]}), "tenants[0].keys[0].stores: "),
        (
            json!({"keys": [key("k", "x", &["1"]), key("l", "x", &["2"])]}),
            "tenants[0].keys[1].hash: is configured twice",
        ),
    ] {
        let error = with(more).unwrap_err();
        assert!(error.contains(names), "{error}");
    }
    let twice = json!([{"id": "a", "keys": []}, {"id": "a", "keys": []}]);
    assert!(tenants(twice).unwrap_err().to_string().starts_with("tenants[1].id: "));
}

#[test]
fn the_policy_revision_follows_the_settings_and_shows_no_secret() {
    let revision = |more: Value| {
        let mut tenant = json!({"id": "a", "keys": []});
        tenant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let settings: TenantSettings = serde_json::from_value(tenant).unwrap();
        assert!(!format!("{settings:?}").contains("sixteen"));
        settings.fingerprint()
    };
    let plain = revision(json!({}));
    assert_eq!(plain.len(), 8);
    assert_eq!(plain, revision(json!({})));
    assert_ne!(plain, revision(json!({"clock_skew": "1m"})));
    assert_ne!(plain, revision(json!({"loyalty_secret": "sixteen bytes or more"})));
}

#[test]
fn a_tenant_without_a_rate_beside_others_is_a_warning() {
    let rate = json!({"events_per_second": 5});
    let key = |name: &str, limit: Value| {
        let mut key = key(name, name, &["*"]);
        key["limit"] = limit;
        key
    };
    let warned = |first: Value| -> Vec<String> {
        let mut second = first.clone();
        second["id"] = json!("b");
        second["keys"] = json!([key("b", rate.clone())]);
        let mut alone = Inspection::default();
        inspect(&serde_json::from_value::<Vec<_>>(json!([first])).unwrap(), &mut alone);
        assert_eq!(alone.warnings(), [], "one tenant has the machine to itself");
        let both: Vec<TenantSettings> = serde_json::from_value(json!([first, second])).unwrap();
        let mut found = Inspection::default();
        inspect(&both, &mut found);
        assert_eq!(found.errors(), []);
        found.warnings().iter().map(|warning| warning.path.clone()).collect()
    };
    let with =
        |limits: Value, keys: Value| warned(json!({"id": "a", "limits": limits, "keys": keys}));
    let (limited, unlimited) = (key("k1", rate.clone()), key("k2", json!(null)));
    assert_eq!(with(json!({}), json!([limited, unlimited])), ["tenants[0].limits"]);
    assert_eq!(with(json!({"store": rate}), json!([unlimited])), ["tenants[0].limits"]);
    assert_eq!(with(json!({}), json!([limited])), [""; 0]);
    assert_eq!(with(json!({"key": rate}), json!([unlimited])), [""; 0]);
    assert_eq!(with(json!({"tenant": {"bytes_per_second": "1MiB"}}), json!([unlimited])), [""; 0]);
}

fn client(keys: &[(&str, Option<&str>)], stores: &[&str], more: Value) -> ClientSettings {
    let keys: Vec<Value> = keys
        .iter()
        .map(|(key, expires_at)| {
            json!({"hash": hash_key(key), "created_at": "2026-11-01T00:00:00Z", "expires_at": expires_at})
        })
        .collect();
    let mut client = json!({"stores": stores, "keys": keys});
    client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(client).unwrap()
}

fn set(tenants: &Tenants, name: &str, settings: Option<&ClientSettings>) -> usize {
    tenants.change_client(0, &ClientChange { tenant: "a", name, settings }).unwrap()
}

fn one_tenant() -> Tenants {
    tenants(json!([{"id": "a", "keys": [key("hq", "k0", &["*"])]}])).unwrap()
}

fn known(tenants: &Tenants, key: &str, now_ms: i64) -> Option<Caller> {
    tenants.caller(&headers("x-api-key", key), now_ms).ok()
}

#[test]
fn clients_come_change_and_go_while_requests_hold_their_callers() {
    let tenants = one_tenant();
    assert!(known(&tenants, "k1", 0).is_none());
    set(&tenants, "till", Some(&client(&[("k1", None)], &["7"], json!({}))));
    let first = known(&tenants, "k1", 0).unwrap();
    assert!(first.may_send_for("7") && !first.may_send_for("8"));
    assert_eq!((first.name(), first.holder().key), ("till", 1));

    // Both keys are good while one is exchanged for the other; the rules are the new ones.
    let both = client(&[("k1", None), ("k2", None)], &["7", "8"], json!({}));
    set(&tenants, "till", Some(&both));
    let [old, new] = ["k1", "k2"].map(|key| known(&tenants, key, 0).unwrap());
    assert!(old.may_send_for("8") && new.may_send_for("8"));
    assert_eq!((old.holder(), new.holder()), (first.holder(), first.holder()));
    assert!(!first.is_live(0), "a request under way is held to the new rules");

    set(&tenants, "till", Some(&client(&[("k2", None)], &["7"], json!({}))));
    assert!(known(&tenants, "k1", 0).is_none() && !old.is_live(0));
    set(&tenants, "till", None);
    assert!(known(&tenants, "k2", 0).is_none() && !new.is_live(0));
    assert!(known(&tenants, "k0", 0).is_some(), "others go on");

    set(&tenants, "till", Some(&client(&[("k3", None)], &["7"], json!({}))));
    assert_eq!(known(&tenants, "k3", 0).unwrap().holder(), first.holder(), "it is the same client");
    let unknown = ClientChange { tenant: "z", name: "till", settings: None };
    assert_eq!(tenants.change_client(0, &unknown), Err(UnknownTenant("z".to_owned())));
}

#[test]
fn a_key_ends_when_it_expires() {
    let tenants = one_tenant();
    let expiring = client(&[("k1", Some("1970-01-01T00:00:10Z"))], &["*"], json!({}));
    set(&tenants, "till", Some(&expiring));
    let caller = known(&tenants, "k1", 9_999).unwrap();
    assert!(caller.is_live(9_999) && !caller.is_live(10_000));
    assert!(known(&tenants, "k1", 10_000).is_none());
}

#[test]
fn a_client_that_is_changed_goes_on_with_its_buckets() {
    let tenants = one_tenant();
    let limited = |rate: u64| {
        let limit = json!({"limit": {"events_per_second": rate, "events_burst": 4}});
        client(&[("k1", None)], &["*"], limit)
    };
    set(&tenants, "till", Some(&limited(1)));
    let pieces = vec![crate::split::Piece::Event(0..1); 4];
    let charged = |now_ns| known(&tenants, "k1", 0).unwrap().charge(4, &pieces, now_ns).pieces;
    assert_eq!(charged(0), 4);
    set(&tenants, "till", Some(&limited(2)));
    assert_eq!(charged(0), 0, "a change does not fill it");
    // Empty buckets are full again when they would have been: after four seconds, at twice the rate.
    assert_eq!(charged(4_000_000_000), 4);
    assert_eq!(charged(6_000_000_000), 4);
}

#[test]
fn a_key_of_two_clients_is_good_for_neither() {
    let tenants = one_tenant();
    assert_eq!(set(&tenants, "one", Some(&client(&[("k1", None)], &["*"], json!({})))), 0);
    assert_eq!(set(&tenants, "two", Some(&client(&[("k1", None)], &["*"], json!({})))), 1);
    assert!(known(&tenants, "k1", 0).is_none());
}

#[test]
fn a_client_that_cannot_be_used_is_named() {
    let faults = |value: Value| {
        let client: ClientSettings = serde_json::from_value(value).unwrap();
        let mut found = Inspection::default();
        client.inspect(&mut found);
        found.errors().iter().map(|error| error.path.clone()).collect::<Vec<_>>()
    };
    let key = json!({"hash": hash_key("k"), "created_at": "2026-11-01T00:00:00Z"});
    assert_eq!(faults(json!({"stores": ["7"], "keys": [key, key]})), [""; 0]);
    assert_eq!(faults(json!({"stores": [], "keys": []})), ["stores"]);
    assert_eq!(faults(json!({"stores": ["*"], "keys": [key, key, key]})), ["keys"]);
    let bad = json!({"hash": "x", "created_at": "yesterday", "expires_at": "2026"});
    assert_eq!(
        faults(json!({"stores": ["*"], "keys": [bad]})),
        ["keys[0].hash", "keys[0].created_at", "keys[0].expires_at"]
    );
}
