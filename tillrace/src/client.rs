//! `tillrace client`: who may send for a tenant, in the policy set of its domain, changed while tills send.
//!
//! A key is printed once, when it is made; the set has its hash. A client has at most two keys, so that tills can be given the new one
//! while the old is still taken: `rotate`, then `revoke --old`.

mod error;

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use serde_json::{Value, json};
use std::sync::Arc;
use tillrace_core::text::check_id;
use tillrace_ingest::{ClientKey, ClientSettings, Expiry, MAX_CLIENT_KEYS, api_key};
use tillrace_log::setting::Inspection;
use tillrace_policy::{Author, Chain, Change, Follower, Resource, ResourceId, apply, revoke};

pub(crate) use self::error::ClientError;
use crate::cli::{
    ChangeArgs, ClientAction, ClientCreateArgs, ClientListArgs, ClientName, ClientRevokeArgs,
    ClientRotateArgs, Consent,
};
use crate::confirm::confirm;
use crate::control;
use crate::policy::PolicyError;
use crate::roles::policy_follower::KIND;
use crate::session::{Session, say};

/// Characters of a hash that a list shows: enough to tell keys apart, and no use to anybody else.
const SHOWN: usize = "sha256:".len() + 12;

/// Does what is asked about clients.
pub(crate) fn run(action: ClientAction) -> anyhow::Result<ExitCode> {
    match action {
        ClientAction::Create(args) => create(args),
        ClientAction::Rotate(args) => rotate(args),
        ClientAction::Revoke(args) => end_keys(args),
        ClientAction::List(args) => list(&args),
    }
}

fn create(args: ClientCreateArgs) -> anyhow::Result<ExitCode> {
    let ClientCreateArgs { client, stores, owner, expires, change } = args;
    let session = begin(&client, &change)?;
    let (secret, first) = new_key(expires)?;
    let stores = if stores.is_empty() { vec!["*".to_owned()] } else { stores };
    let spec = json!({"stores": stores, "keys": [first], "owner": owner});
    inspect(&client, &spec)?;
    let id = id_of(&client);
    commit(&session, &change, &id, |chain| {
        if chain.set().get(&id).is_some() {
            return Err(ClientError::Exists { client: id.to_string() });
        }
        Ok(spec.clone())
    })?;
    tell(&session, &secret)
}

fn rotate(args: ClientRotateArgs) -> anyhow::Result<ExitCode> {
    let ClientRotateArgs { client, expires, change } = args;
    let session = begin(&client, &change)?;
    let (secret, new) = new_key(expires)?;
    let id = id_of(&client);
    commit(&session, &change, &id, |chain| {
        let (mut spec, mut keys) = found(chain, &id)?;
        // One that is not taken any more makes place.
        let now_ms = now_ms();
        keys.retain(|key| !chain.is_revoked(&key.hash) && !is_expired(key, now_ms));
        if keys.len() >= MAX_CLIENT_KEYS {
            return Err(ClientError::TwoKeys { client: id.to_string() });
        }
        keys.push(new.clone());
        spec["keys"] = json!(keys);
        Ok(spec)
    })?;
    tell(&session, &secret)
}

fn end_keys(args: ClientRevokeArgs) -> anyhow::Result<ExitCode> {
    let ClientRevokeArgs { client, key, old, change } = args;
    let session = begin(&client, &change)?;
    let id = id_of(&client);
    let chain = read(&session)?;
    let (_, keys) = found(chain.chain(), &id)?;
    let newest = keys.iter().map(|key| &key.created_at).max().copied();
    let is_meant = |candidate: &&ClientKey| match &key {
        Some(begin) => candidate.hash.starts_with(begin.as_str()),
        None => !old || Some(&candidate.created_at) != newest.as_ref(),
    };
    let hashes: Vec<String> = keys.iter().filter(is_meant).map(|key| key.hash.clone()).collect();
    if hashes.is_empty() {
        return Err(ClientError::NoSuchKey { client: id.to_string() }.into());
    }
    let question =
        format!("End {} of {} keys of {id}? Nothing revives them.", hashes.len(), keys.len());
    let Some(log) = session.writable() else {
        say(&format!("{} would be revoked; nothing was written", hashes.len()))?;
        return Ok(ExitCode::SUCCESS);
    };
    if !confirm(&question, session.consent.yes)? {
        return Ok(ExitCode::FAILURE);
    }
    let author = author(&change);
    revoke(log, &session.topics.policy, &author, &hashes).context("revoke the keys")?;
    // They are ended; the set should say so, too.
    commit(&session, &change, &id, |chain| {
        let (mut spec, mut keys) = found(chain, &id)?;
        keys.retain(|key| !chain.is_revoked(&key.hash));
        spec["keys"] = json!(keys);
        Ok(spec)
    })?;
    say(&format!("{} revoked", hashes.len()))?;
    Ok(ExitCode::SUCCESS)
}

fn list(args: &ClientListArgs) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.log, Consent { dry_run: true, yes: false })?;
    let follower = read(&session)?;
    let chain = follower.chain();
    let is_asked = |resource: &&&Arc<Resource>| {
        let id = &resource.id;
        id.kind == KIND && args.tenant.as_ref().is_none_or(|tenant| *tenant == id.tenant)
    };
    let now_ms = now_ms();
    for resource in chain.set().sorted().iter().filter(is_asked) {
        let Resource { id, spec } = &***resource;
        let keys: Vec<Value> = keys_of(spec).iter().map(|key| shown(key, chain, now_ms)).collect();
        let line = json!({
            "tenant": id.tenant, "name": id.name, "owner": spec["owner"], "stores": spec["stores"], "keys": keys,
        });
        if args.json {
            say(&line.to_string())?;
            continue;
        }
        let stores = spec["stores"].as_array().map_or(0, Vec::len);
        let stores = if spec["stores"][0] == "*" {
            "all stores".to_owned()
        } else {
            format!("{stores} stores")
        };
        say(&format!("tenant {}, client {}: {stores}, {} keys", id.tenant, id.name, keys.len()))?;
        for key in keys {
            let text = |name: &str| key[name].as_str().unwrap_or("never").to_owned();
            let (hash, state) = (text("hash"), text("state"));
            say(&format!(
                "  {hash}  {state}, made {}, expires {}",
                text("created_at"),
                text("expires_at")
            ))?;
        }
    }
    if let Some(cause) = chain.broken() {
        return Err(PolicyError::NotFollowed { cause }.into());
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(key: &ClientKey, chain: &Chain, now_ms: i64) -> Value {
    let state = if chain.is_revoked(&key.hash) {
        "revoked"
    } else if is_expired(key, now_ms) {
        "expired"
    } else {
        "live"
    };
    let hash = key.hash.get(..SHOWN).unwrap_or(&key.hash);
    json!({"hash": hash, "state": state, "created_at": key.created_at, "expires_at": key.expires_at})
}

/// Opens the log for a change, and holds what the command line says to what records can have.
fn begin(client: &ClientName, change: &ChangeArgs) -> anyhow::Result<Session> {
    control::hold(&change.order.operator, Some(&change.reason))?;
    let session = Session::open(&change.order.log, change.order.consent)?;
    let tenants = &session.domain.tenants;
    // Without a configuration nobody knows who may send.
    if !tenants.is_empty() && tenants.iter().all(|tenant| tenant.id != client.tenant) {
        return Err(ClientError::NoTenant { tenant: client.tenant.clone() }.into());
    }
    check_id(&client.name).map_err(|_fault| ClientError::Name { name: client.name.clone() })?;
    Ok(session)
}

fn read(session: &Session) -> anyhow::Result<Follower> {
    let view = session.view();
    let mut follower =
        Follower::open(view, &session.topics.policy).context("open the policy set")?;
    follower.catch_up(view, |_, _| {}).context("read the policy set")?;
    Ok(follower)
}

/// Commits what a client says from now on; a dry run only looks whether it could.
fn commit(
    session: &Session,
    change: &ChangeArgs,
    id: &ResourceId,
    spec: impl Fn(&Chain) -> Result<Value, ClientError>,
) -> anyhow::Result<()> {
    let plan = |chain: &Chain| {
        let resource = Resource { id: id.clone(), spec: spec(chain)? };
        Ok(vec![Change::Set(Arc::new(resource))])
    };
    let Some(log) = session.writable() else {
        plan(read(session)?.chain())?;
        return Ok(());
    };
    let applied =
        apply(log, &session.topics.policy, &author(change), plan).map_err(ClientError::from)?;
    say(&format!("revision {} of the policy set: {id}", applied.revision))
}

fn tell(session: &Session, secret: &str) -> anyhow::Result<ExitCode> {
    if session.consent.dry_run {
        say("nothing was written")?;
    } else {
        say("The key, which is shown this once and stored nowhere:")?;
        say(secret)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn id_of(client: &ClientName) -> ResourceId {
    ResourceId::new(KIND, &client.tenant, &client.name)
}

fn found(chain: &Chain, id: &ResourceId) -> Result<(Value, Vec<ClientKey>), ClientError> {
    let resource = chain.set().get(id);
    let spec =
        resource.ok_or_else(|| ClientError::NoClient { client: id.to_string() })?.spec.clone();
    let keys = keys_of(&spec);
    Ok((spec, keys))
}

fn keys_of(spec: &Value) -> Vec<ClientKey> {
    serde_json::from_value(spec["keys"].clone()).unwrap_or_default()
}

fn inspect(client: &ClientName, spec: &Value) -> anyhow::Result<()> {
    let mut settings: ClientSettings =
        serde_json::from_value(spec.clone()).context("read what the client is to be")?;
    settings.name.clone_from(&client.name);
    let place = format!("client {}", client.name);
    Inspection::of("", |found| found.within(&place, |found| settings.inspect(found)))?;
    Ok(())
}

fn new_key(expires: Option<humantime::Duration>) -> anyhow::Result<(String, ClientKey)> {
    let (generated, now) = (api_key::generate()?, SystemTime::now());
    let until = expires.map(|time| now.checked_add(time.into()).ok_or(ClientError::Expiry));
    let key = ClientKey {
        hash: generated.hash,
        created_at: Some(expiry_of(now)?),
        expires_at: until.transpose()?.map(expiry_of).transpose()?,
    };
    Ok((generated.secret, key))
}

fn expiry_of(time: SystemTime) -> Result<Expiry, ClientError> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    // Years have four digits.
    let millis =
        i64::try_from(since.as_millis()).ok().filter(|millis| *millis < 253_402_300_800_000);
    millis.map(Expiry::from_millis).ok_or(ClientError::Expiry)
}

fn is_expired(key: &ClientKey, now_ms: i64) -> bool {
    key.expires_at.is_some_and(|until| until.millis() <= now_ms)
}

fn author(change: &ChangeArgs) -> Author {
    let (operator, reason) = (change.order.operator.clone(), change.reason.clone());
    Author { operator, reason, at_ms: now_ms() }
}

fn now_ms() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
