use serde_json::{Value, json};
use tillrace_log::setting::{Inspection, SettingErrors};

use super::*;
use crate::identity::api_key::hash_key;

fn tenants(settings: Value) -> Result<Tenants, SettingErrors> {
    Tenants::new(serde_json::from_value(settings).unwrap())
}

fn key(name: &str, key: &str, stores: &[&str]) -> Value {
    json!({"name": name, "hash": hash_key(key), "stores": stores})
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
            json!({"clients": [{"name": "c", "keys": [], "stores": []}]}),
            "tenants[0].clients[0].stores: ",
        ),
        (
            json!({"clients": [{"name": "till", "keys": [], "stores": ["*"]}]}),
            "tenants[0].clients[0].name: is that of another client",
        ),
        (
            json!({"clients": [{"name": "c", "keys": [{"hash": hash_key("k1")}], "stores": ["*"]}]}),
            "tenants[0].clients[0].keys: are another client's too",
        ),
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

mod live;
