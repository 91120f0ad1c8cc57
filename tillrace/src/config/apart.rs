//! How domains must differ, so that no byte of one can come onto another's log.
//!
//! Topics, groups and transactional ids of a domain begin with its namespace, so two domains of one cluster need namespaces of
//! which none is another's beginning; two local logs need two folders, and none may lie among the files of a sink. A caller is
//! found by its key alone, so a key is one domain's, and so is a tenant: its events in two domains would count twice. Two lists
//! of brokers are taken for one cluster if they share an address; that clusters of different addresses are one is found out when
//! their logs are opened.

use std::collections::{BTreeMap, BTreeSet};

use tillrace_log::setting::{Inspection, real_path};
use tillrace_sinks::settings::{folder, share_location};

use super::Settings;
use super::domain::Domain;

const MAX_NAME: usize = 32;

/// Notes what is wrong with domains together, each by its keys.
pub(super) fn inspect(settings: &Settings, found: &mut Inspection) {
    let domains = settings.domains();
    for domain in &domains {
        for other in &domains {
            inspect_files(domain, other, found);
        }
    }
    if settings.domains.is_empty() {
        return;
    }
    inspect_top_level(settings, found);
    for domain in &domains {
        inspect_name(domain, found);
    }
    for (place, domain) in domains.iter().enumerate() {
        for other in domains.iter().take(place) {
            inspect_pair(domain, other, found);
        }
    }
    inspect_tenants(&domains, found);
}

/// What belongs to a domain says at the top level nothing of which.
fn inspect_top_level(settings: &Settings, found: &mut Inspection) {
    for (key, is_absent) in [
        ("namespace", settings.namespace.is_empty()),
        ("tenants", settings.tenants.is_empty()),
        ("sinks", settings.sinks.is_empty()),
    ] {
        let fault = "stands beside `domains`, and belongs to none of them";
        found.require(is_absent, key, fault, "move it into the domain that it belongs to");
    }
}

fn inspect_name(domain: &Domain, found: &mut Inspection) {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let name = domain.name.as_bytes();
    found.require(
        (1..=MAX_NAME).contains(&name.len()) && name.iter().copied().all(plain),
        &format!("{}name", domain.section),
        "is no name of a domain",
        "use 1 to 32 of a-z, 0-9, - and _",
    );
}

/// Notes at the later of two domains what it may not share with the earlier one.
fn inspect_pair(domain: &Domain, other: &Domain, found: &mut Inspection) {
    let key = |key: &str| format!("{}{key}", domain.section);
    found.require(
        domain.name != other.name,
        &key("name"),
        "is also the name of another domain",
        "name each domain differently",
    );
    if let Some(fault) = namespace_fault(domain, other) {
        let remedy = "give each domain on a cluster a namespace that begins no other's, such as its name, or a cluster of its own";
        found.error(&key("namespace"), fault, remedy);
    }
    if let Some(fault) = folder_fault(domain, other) {
        found.error(&key("data"), fault, "give each domain a folder of its own");
    }
    for (place, sink) in domain.sinks.iter().enumerate() {
        if let Some(shared) = other.sinks.iter().find(|other| share_location(sink, other)) {
            let fault =
                format!("holds or is held by that of sink {} of {}", shared.name, other.name);
            let remedy = "give the files of each domain a location of their own";
            found.error(&key(&format!("sinks[{place}].to.location")), fault, remedy);
        }
    }
}

/// Notes the sinks of a domain whose files lie within the local log of one, itself included, or around it: who may read files, or
/// clears them away, would have the log.
fn inspect_files(domain: &Domain, other: &Domain, found: &mut Inspection) {
    if other.log.kafka.is_some() {
        return;
    }
    let log = real_path(&other.local_log().dir);
    for (place, sink) in domain.sinks.iter().enumerate() {
        let Some(files) = folder(sink) else { continue };
        if files.starts_with(&log) || log.starts_with(&files) {
            let of = if other.is_named { format!(" of {}", other.name) } else { String::new() };
            let fault = format!("holds or is held by the folder of the log{of}, {}", log.display());
            let remedy = "give the files a folder beside the log's";
            found.error(&format!("{}sinks[{place}].to.location", domain.section), fault, remedy);
        }
    }
}

/// Says why two domains cannot be told apart on the cluster that they share, if they share one.
fn namespace_fault(domain: &Domain, other: &Domain) -> Option<String> {
    let brokers = |domain: &Domain| -> Option<BTreeSet<String>> {
        let kafka = domain.log.kafka.as_ref()?;
        Some(kafka.brokers.split(',').map(|one| one.trim().to_ascii_lowercase()).collect())
    };
    if brokers(domain)?.is_disjoint(&brokers(other)?) {
        return None;
    }
    let (mine, name) = (&domain.namespace, &other.name);
    let theirs = &other.namespace;
    if mine == theirs {
        Some(format!("is also that of {name}, on the same cluster"))
    } else if mine.is_empty() {
        Some(format!(
            "is empty, and the empty one stands alone on its cluster: {name} is on it too"
        ))
    } else if theirs.is_empty() {
        Some(format!("shares a cluster with the empty one of {name}, which must stand alone"))
    } else if namespaces_meet(mine, theirs) {
        Some(format!(
            "and {theirs:?} of {name}, on the same cluster, begin alike: up to a dot one is the other"
        ))
    } else {
        None
    }
}

/// Tells whether names in one namespace could be names in the other: on one cluster they must not.
pub(crate) fn namespaces_meet(one: &str, other: &str) -> bool {
    let begins = |one: &str, other: &str| {
        let rest = other.strip_prefix(one);
        rest.is_some_and(|rest| one.is_empty() || rest.is_empty() || rest.starts_with('.'))
    };
    begins(one, other) || begins(other, one)
}

/// Says which folder two local logs share, if they do.
fn folder_fault(domain: &Domain, other: &Domain) -> Option<String> {
    if domain.log.kafka.is_some() || other.log.kafka.is_some() {
        return None;
    }
    let (mine, theirs) = (real_path(&domain.local_log().dir), real_path(&other.local_log().dir));
    let name = &other.name;
    if mine == theirs {
        return Some(format!("puts the log into the folder of {name}, {}", theirs.display()));
    }
    (mine.starts_with(&theirs) || theirs.starts_with(&mine))
        .then(|| format!("puts one log within another: that of {name} is in {}", theirs.display()))
}

/// Notes tenants and keys that stand in several domains, at each place where they do.
fn inspect_tenants(domains: &[Domain], found: &mut Inspection) {
    let (mut ids, mut hashes): (Places<'_>, Places<'_>) = (BTreeMap::new(), BTreeMap::new());
    for (number, domain) in domains.iter().enumerate() {
        for (place, tenant) in domain.tenants.iter().enumerate() {
            let path = format!("{}tenants[{place}]", domain.section);
            ids.entry(&tenant.id).or_default().push((number, format!("{path}.id")));
            for (place, key) in tenant.keys.iter().enumerate() {
                let path = format!("{path}.keys[{place}].hash");
                hashes.entry(&key.hash).or_default().push((number, path));
            }
            for (at, client) in tenant.clients.iter().enumerate() {
                for (place, key) in client.keys.iter().enumerate() {
                    let path = format!("{path}.clients[{at}].keys[{place}].hash");
                    hashes.entry(&key.hash).or_default().push((number, path));
                }
            }
        }
    }
    let fault = "is a tenant of another domain too: what it sends to both would count twice";
    refuse_shared(&ids, found, fault, "keep it in one of them");
    let fault = "is a key of another domain too, and is good for neither";
    refuse_shared(&hashes, found, fault, "issue another key for one of them");
}

/// The places where something stands, each with the number of its domain.
type Places<'a> = BTreeMap<&'a str, Vec<(usize, String)>>;

fn refuse_shared(
    places: &Places<'_>,
    found: &mut Inspection,
    fault: &'static str,
    remedy: &'static str,
) {
    for places in places.values() {
        let domains: BTreeSet<usize> = places.iter().map(|(domain, _)| *domain).collect();
        for (_, path) in places.iter().filter(|_| domains.len() > 1) {
            found.error(path, fault, remedy);
        }
    }
}
