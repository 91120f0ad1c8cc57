//! The directory while it changes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::clock::CurrentTime;
use crate::identity::{ClientSettings, Expiry};
use crate::problem::Problem;

fn at(wall_ms: i64) -> CurrentTime {
    CurrentTime { wall_ms, steady_ns: 0 }
}

fn tenant(id: &str, more: &Value) -> DirectoryChange {
    let mut tenant = json!({"id": id, "keys": []});
    tenant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    DirectoryChange::PutTenant(serde_json::from_value(tenant).unwrap())
}

fn client(tenant: &str, name: &str, keys: &[&str], more: &Value) -> DirectoryChange {
    let keys: Vec<_> = keys.iter().map(|key| json!({"hash": hash_key(key)})).collect();
    let mut client = json!({"name": name, "keys": keys, "stores": ["*"]});
    client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    DirectoryChange::PutClient {
        tenant: tenant.to_owned(),
        client: serde_json::from_value(client).unwrap(),
    }
}

fn removal(tenant: &str, name: &str) -> DirectoryChange {
    DirectoryChange::RemoveClient { tenant: tenant.to_owned(), name: name.to_owned() }
}

fn directory(changes: Vec<DirectoryChange>) -> Tenants {
    let directory = Tenants::empty(1);
    directory.apply(0, changes).unwrap();
    directory
}

fn digest(key: &str) -> [u8; 32] {
    let client: ClientSettings = serde_json::from_value(
        json!({"name": "x", "keys": [{"hash": hash_key(key)}], "stores": ["*"]}),
    )
    .unwrap();
    client.keys[0].digest().unwrap()
}

/// Events that go through at once.
fn room(principal: &Principal) -> usize {
    let piece = crate::split::Piece::Event(0..1);
    (0..1_000)
        .take_while(|_| principal.charge(1, std::slice::from_ref(&piece), 0).pieces == 1)
        .count()
}

#[test]
fn a_key_is_good_from_its_change_to_the_next() {
    let none = json!({});
    let directory = directory(vec![tenant("a", &none), client("a", "till", &["k1", "k2"], &none)]);
    let found = |key: &str| directory.by_key(key.as_bytes(), at(0)).map(|_| ());
    assert_eq!(
        [found("k1"), found("k2"), found("k3")],
        [Ok(()), Ok(()), Err(Problem::Unauthorized)]
    );
    directory.apply(0, vec![client("a", "till", &["k2", "k3"], &none)]).unwrap();
    assert_eq!(
        [found("k1"), found("k2"), found("k3")],
        [Err(Problem::Unauthorized), Ok(()), Ok(())]
    );
    directory.apply(0, vec![removal("a", "till")]).unwrap();
    assert_eq!(found("k2"), Err(Problem::Unauthorized));
    directory.apply(0, vec![client("a", "till", &["k2"], &none)]).unwrap();
    assert_eq!(found("k2"), Ok(()));
    directory.apply(0, vec![DirectoryChange::RemoveTenant("a".to_owned())]).unwrap();
    assert_eq!(found("k2"), Err(Problem::Unauthorized));
    assert!(directory.of_domain(0).is_empty() && directory.clients(0).is_empty());
}

#[test]
fn what_was_revoked_is_never_revived() {
    let none = json!({});
    let put = || client("a", "till", &["k1"], &none);
    let directory = directory(vec![tenant("a", &none), put()]);
    directory.apply(0, vec![DirectoryChange::RevokeKey(digest("k1"))]).unwrap();
    for changes in
        [vec![put()], vec![removal("a", "till"), put()], vec![client("a", "b", &["k1"], &none)]]
    {
        directory.apply(0, changes).unwrap();
        assert_eq!(directory.by_key(b"k1", at(0)).unwrap_err(), Problem::Unauthorized);
    }
}

#[test]
fn a_key_of_two_clients_is_good_for_neither() {
    let none = json!({});
    let directory = directory(vec![
        tenant("a", &none),
        client("a", "one", &["k"], &none),
        client("a", "two", &["k"], &none),
    ]);
    assert_eq!(directory.by_key(b"k", at(0)).unwrap_err(), Problem::Unauthorized);
    directory.apply(0, vec![client("a", "one", &[], &none)]).unwrap();
    assert_eq!(directory.by_key(b"k", at(0)).unwrap().client_name(), "two");
}

#[test]
fn a_key_ends_at_its_time_and_its_last_use_is_known() {
    let keys = json!([{"hash": hash_key("old"), "expires_at": "1970-01-01T00:01:00Z"}, {"hash": hash_key("new")}]);
    let directory =
        directory(vec![tenant("a", &json!({})), client("a", "till", &[], &json!({"keys": keys}))]);
    let mut under_way = directory.by_key(b"old", at(59_999)).unwrap();
    assert_eq!(directory.refresh(&mut under_way, at(59_999)), Ok(()));
    assert_eq!(directory.refresh(&mut under_way, at(60_000)), Err(Problem::KeyExpired));
    assert_eq!(directory.by_key(b"old", at(60_000)).unwrap_err(), Problem::KeyExpired);
    assert!(directory.by_key(b"new", at(60_000)).is_ok());
    directory.apply(0, vec![client("a", "till", &["new"], &json!({"stores": ["7"]}))]).unwrap();
    let [till] = &directory.clients(0)[..] else { panic!("one client") };
    let [key] = &till.keys[..] else { panic!("one key") };
    assert_eq!((till.tenant.as_str(), till.name.as_str()), ("a", "till"));
    assert_eq!(key.last_used.map(Expiry::millis), Some(60_000), "kept over the change");
    assert!(hash_key("new").contains(&format!("sha256:{}", key.hash_prefix)));
}

#[test]
fn a_change_fills_no_bucket_and_forgets_no_name() {
    let limits =
        |events| json!({"limits": {"tenant": {"events_per_second": events, "events_burst": 10}}});
    let none = json!({});
    let directory = directory(vec![tenant("a", &limits(1)), client("a", "till", &["k"], &none)]);
    let before = directory.by_key(b"k", at(0)).unwrap();
    assert_eq!(before.register("7", "3"), Ok(0));
    assert_eq!((room(&before), room(&before)), (10, 0));
    directory.apply(0, vec![tenant("a", &limits(5)), client("a", "till", &["k"], &none)]).unwrap();
    let after = directory.by_key(b"k", at(0)).unwrap();
    assert_eq!((room(&after), after.find("7", "3")), (0, Some(0)));
    assert!(
        Arc::ptr_eq(before.holder(), after.holder()) && before.tenant.serial == after.tenant.serial
    );
    let comes_back = vec![
        DirectoryChange::RemoveTenant("a".to_owned()),
        tenant("a", &limits(5)),
        client("a", "till", &["k"], &none),
    ];
    directory.apply(0, comes_back).unwrap();
    let back = directory.by_key(b"k", at(0)).unwrap();
    assert_eq!((room(&back), back.find("7", "3")), (0, Some(0)), "gone and back at once");
}

#[test]
fn clients_without_a_rate_of_their_own_follow_their_tenants() {
    let limits =
        |burst| json!({"limits": {"key": {"events_per_second": 1, "events_burst": burst}}});
    let own = json!({"limit": {"events_per_second": 1, "events_burst": 3}});
    let directory = directory(vec![
        tenant("a", &limits(5)),
        client("a", "own", &["k1"], &own),
        client("a", "other", &["k2"], &json!({})),
    ]);
    assert_eq!(room(&directory.by_key(b"k2", at(0)).unwrap()), 5);
    directory.apply(0, vec![tenant("a", &limits(9))]).unwrap();
    assert_eq!(room(&directory.by_key(b"k1", at(0)).unwrap()), 3);
    assert_eq!(room(&directory.by_key(b"k2", at(0)).unwrap()), 4, "what the burst grew by");
}

#[test]
fn changes_that_cannot_be_made_change_nothing() {
    let none = json!({});
    let directory = directory(vec![tenant("a", &none)]);
    let refused = |changes| directory.apply(0, changes).unwrap_err().to_string();
    let gone = DirectoryChange::RemoveTenant("a".to_owned());
    let stranger = || client("b", "till", &["k"], &none);
    let error = refused(vec![client("a", "till", &["k"], &none), stranger()]);
    assert!(error.starts_with("changes[1].tenant: is not known; "), "{error}");
    assert!(
        refused(vec![gone, client("a", "till", &["k"], &none)]).starts_with("changes[1].tenant: ")
    );
    assert!(refused(vec![client("a", "", &["k"], &none)]).starts_with("changes[0].name: "));
    assert!(directory.by_key(b"k", at(0)).is_err() && directory.clients(0).is_empty());
    directory.apply(0, vec![tenant("b", &none), stranger()]).unwrap();
    assert!(directory.by_key(b"k", at(0)).is_ok());
}

#[test]
fn keys_of_one_name_in_old_settings_are_clients_of_their_own() {
    let keys = json!({"keys": [key("till", "k1", &["1"]), key("till", "k2", &["2"])]});
    let directory = directory(vec![tenant("a", &keys)]);
    let name = |key: &[u8]| directory.by_key(key, at(0)).unwrap().client_name().to_owned();
    assert_eq!([name(b"k1"), name(b"k2")], ["till", "till (2)"]);
}

/// A step of the random walk: what becomes of which client.
#[derive(Debug, Clone)]
enum Step {
    Put { client: u8, keys: Vec<u8> },
    Remove { client: u8 },
    Revoke { key: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let keys = prop::collection::btree_set(0_u8..5, 0..=2);
    prop_oneof![
        4 => (0_u8..4, keys).prop_map(|(client, keys)| Step::Put { client, keys: keys.into_iter().collect() }),
        2 => (0_u8..4).prop_map(|client| Step::Remove { client }),
        1 => (0_u8..5).prop_map(|key| Step::Revoke { key }),
    ]
}

proptest! {
    /// Against a list that is searched from end to end.
    #[test]
    fn a_key_is_that_of_the_only_client_that_has_it(steps in prop::collection::vec(step(), 0..60)) {
        let none = json!({});
        let directory = directory(vec![tenant("a", &none)]);
        let (mut clients, mut revoked) = (BTreeMap::<u8, Vec<u8>>::new(), Vec::new());
        for step in steps {
            let change = match &step {
                Step::Put { client: name, keys } => {
                    clients.insert(*name, keys.clone());
                    let keys: Vec<_> = keys.iter().map(|key| format!("k{key}")).collect();
                    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
                    client("a", &name.to_string(), &keys, &none)
                }
                Step::Remove { client } => {
                    clients.remove(client);
                    removal("a", &client.to_string())
                }
                Step::Revoke { key } => {
                    revoked.push(*key);
                    DirectoryChange::RevokeKey(digest(&format!("k{key}")))
                }
            };
            directory.apply(0, vec![change]).unwrap();
            for key in 0..5 {
                let mut owners = clients.iter().filter(|(_, keys)| keys.contains(&key));
                let expected = match (owners.next(), owners.next()) {
                    (Some((name, _)), None) if !revoked.contains(&key) => Some(name.to_string()),
                    _ => None,
                };
                let found = directory.by_key(format!("k{key}").as_bytes(), at(0)).ok();
                prop_assert_eq!(found.map(|found| found.client_name().to_owned()), expected);
            }
        }
    }
}
