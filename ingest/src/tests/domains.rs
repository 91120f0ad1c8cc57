//! A gateway of two domains: each log by itself, each caller in its own.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use serde_json::json;
use tillrace_core::topics::Topics;
use tillrace_log::health::{Health, Phase};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::harness::{Answer, JSON, KeyOf, event, head, read_answer, with_length};
use super::log::{LogBehavior, MemoryLog};
use crate::{Gateway, GatewaySettings, ServedDomain, TenantSettings, Tenants, hash_key};

const NORTH_KEY: &str = "key-of-the-north";
const SOUTH_KEY: &str = "key-of-the-south";
const SHARED_KEY: &str = "key-of-both";

struct Bench {
    gateway: Gateway,
    process: Health,
    healths: [Health; 2],
    logs: [MemoryLog; 2],
    registry: Registry,
}

/// Binds a gateway to two domains, of which none is open.
fn bind() -> Bench {
    let tenant = |id: &str, key: &str| -> TenantSettings {
        let own = json!({"name": "own", "hash": hash_key(key), "stores": ["*"]});
        let shared = json!({"name": "shared", "hash": hash_key(SHARED_KEY), "stores": ["*"]});
        serde_json::from_value(json!({"id": id, "keys": [own, shared]})).unwrap()
    };
    let tenants = vec![vec![tenant("n", NORTH_KEY)], vec![tenant("s", SOUTH_KEY)]];
    let healths = [Health::default(), Health::default()];
    let served = ["north", "south"].into_iter().zip(&healths).map(|(name, health)| {
        health.enter(Phase::Starting);
        ServedDomain { name: name.to_owned(), region: None, health: health.clone() }
    });
    let settings =
        GatewaySettings { listen: "127.0.0.1:0".parse().unwrap(), ..GatewaySettings::default() };
    let (process, mut registry) = (Health::default(), Registry::default());
    let tenants = Tenants::of_domains(tenants).unwrap();
    let gateway =
        Gateway::bind(settings, tenants, served.collect(), process.clone(), &mut registry).unwrap();
    Bench { gateway, process, healths, logs: <[MemoryLog; 2]>::default(), registry }
}

impl Bench {
    fn open(&mut self, domain: usize) {
        let (log, topics) = (Arc::new(self.logs[domain].clone()), Topics::new(""));
        self.gateway.open(domain, log, topics, self.healths[domain].clone()).unwrap();
        self.healths[domain].enter(Phase::Serving);
    }

    async fn send(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = TcpStream::connect(self.gateway.local_addr()).await.unwrap();
        stream.write_all(request.as_ref()).await.unwrap();
        read_answer(&mut stream).await.expect("an answer")
    }

    async fn post(&self, key: &str, sequence: u64) -> Answer {
        let head = head("/v1/events", &[KeyOf(key).header(), JSON]);
        self.send(with_length(&head, event("1", sequence).as_bytes())).await
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

#[tokio::test]
async fn a_key_leads_to_the_log_of_its_domain_and_one_of_two_domains_to_none() {
    let mut bench = bind();
    bench.open(0);
    bench.open(1);
    for (key, sequences) in [(NORTH_KEY, 1..=3), (SOUTH_KEY, 1..=2)] {
        for sequence in sequences {
            assert_eq!(bench.post(key, sequence).await.status, 202);
        }
    }
    bench.post(SHARED_KEY, 9).await.assert_problem(401, "unauthorized");
    let tenants = |log: &MemoryLog| -> Vec<String> {
        let events = log.values("pos.events.v1");
        events.iter().map(|event| event["tenant"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(bench.logs.each_ref().map(tenants), [vec!["n"; 3], vec!["s"; 2]]);
    let text = bench.metrics();
    for line in [
        "tillrace_ingest_events_total{domain=\"north\",tenant=\"n\",outcome=\"accepted\"} 3\n",
        "tillrace_ingest_events_total{domain=\"south\",tenant=\"s\",outcome=\"accepted\"} 2\n",
        "tillrace_ingest_requests_total{domain=\"north\",route=\"/v1/events\",status=\"202\"} 3\n",
        // Nobody knows whose it was.
        "tillrace_ingest_requests_total{route=\"/v1/events\",status=\"401\"} 1\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_log_that_fails_or_is_not_open_costs_its_own_callers_only() {
    let mut bench = bind();
    bench.open(0);
    assert_eq!(bench.post(NORTH_KEY, 1).await.status, 202);
    bench.post(SOUTH_KEY, 1).await.assert_problem(503, "unavailable");
    let readiness = (bench.gateway.readiness())();
    assert!(readiness.is_ready(), "one takes writes");
    let told = serde_json::to_value(&readiness).unwrap();
    assert_eq!(told["domains"][0]["status"], "ready");
    assert_eq!(
        told["domains"][1],
        json!({"name": "south", "status": "starting", "conditions": []})
    );

    bench.open(1);
    assert_eq!(bench.post(SOUTH_KEY, 1).await.status, 202);
    bench.logs[0].set(LogBehavior::Fails);
    bench.post(NORTH_KEY, 2).await.assert_problem(503, "unavailable");
    assert_eq!(bench.post(SOUTH_KEY, 2).await.status, 202);
    let refused = "tillrace_ingest_backpressure_total{domain=\"south\",reason=\"log\"} 1\n";
    assert!(bench.metrics().contains(refused), "{}", bench.metrics());
}

#[tokio::test]
async fn a_process_is_ready_while_one_of_its_domains_is() {
    let bench = bind();
    let status = || serde_json::to_value((bench.gateway.readiness())().status).unwrap();
    let mut told = vec![status()];
    bench.healths[1].enter(Phase::Serving);
    told.push(status());
    bench.healths[0].enter(Phase::Draining);
    bench.healths[1].enter(Phase::Draining);
    told.push(status());
    bench.process.enter(Phase::Draining);
    told.push(status());
    assert_eq!(told, ["starting", "ready", "not_ready", "draining"]);
}
