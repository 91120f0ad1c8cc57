//! The status listener over a real socket.

use tillrace_ingest::AddressRules;
use tillrace_log::explain::Explained as _;
use tillrace_log::health::{Condition, Impact, Phase};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn plain_layers() -> ConnectionLayers {
    let everybody = AddressRules::default();
    ConnectionLayers::of_status(None, &everybody, Health::default(), &mut Registry::default())
        .unwrap()
}

fn start(address: &str, health: Health) -> Result<Status, ListenError> {
    let starting = starting(&health);
    Status::start(address.parse().unwrap(), plain_layers(), health, starting)
}

async fn get(status: &Status, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(status.local_addr()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

fn starting(health: &Health) -> impl Fn() -> Readiness + Send + Sync + 'static {
    let health = health.clone();
    move || health.readiness()
}

async fn readiness(status: &Status) -> (u16, serde_json::Value) {
    let (code, body) = get(status, "/readyz").await;
    (code, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn a_process_says_what_it_is_doing_from_its_start_to_its_end() {
    let mut registry = Registry::default();
    let health = Health::register(&mut registry);
    health.enter(Phase::Starting);
    let status = start("127.0.0.1:0", health.clone()).unwrap();
    assert_eq!(get(&status, "/healthz").await, (200, r#"{"status":"alive"}"#.to_owned()));
    assert_eq!(get(&status, "/metrics").await.0, 503);
    assert_eq!(readiness(&status).await.0, 503);

    health.enter(Phase::Serving);
    let source = health.clone();
    status.expose(registry, move || source.readiness());
    let ready = serde_json::json!({"status": "ready", "conditions": []});
    assert_eq!(readiness(&status).await, (200, ready));

    health.raise(Condition {
        component: "sink/erp".to_owned(),
        code: "partition_halted",
        subject: "partition 3".to_owned(),
        impact: Impact::NotReady,
        cause: "record 7 cannot be read".to_owned(),
        remedy: "skip it by command".to_owned(),
    });
    let (code, body) = readiness(&status).await;
    assert_eq!((code, &body["status"]), (503, &"not_ready".into()));
    let condition = &body["conditions"][0];
    for (member, value) in [
        ("component", "sink/erp"),
        ("code", "partition_halted"),
        ("subject", "partition 3"),
        ("impact", "not_ready"),
        ("cause", "record 7 cannot be read"),
        ("remedy", "skip it by command"),
    ] {
        assert_eq!(condition[member], value);
    }
    assert!(condition["since_ms"].as_i64().unwrap() > 0);
    let series = "tillrace_conditions{component=\"sink/erp\",code=\"partition_halted\"} 1\n";
    assert!(get(&status, "/metrics").await.1.contains(series));

    health.enter(Phase::Draining);
    assert_eq!(readiness(&status).await.1["status"], "draining");
    assert_eq!(get(&status, "/nowhere").await.0, 404);
}

#[tokio::test]
async fn silent_connections_past_the_cap_are_closed_and_the_others_answered() {
    let status = start("127.0.0.1:0", Health::default()).unwrap();
    let mut open = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        open.push(TcpStream::connect(status.local_addr()).await.unwrap());
    }
    let mut past = TcpStream::connect(status.local_addr()).await.unwrap();
    assert_eq!(past.read(&mut [0; 1]).await.unwrap(), 0);
    let first = &mut open[0];
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut status_line = [0; 12];
    first.read_exact(&mut status_line).await.unwrap();
    assert_eq!(&status_line, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_taken_address_is_named_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = start(&address.to_string(), Health::default()).err().unwrap();
    let expected = format!("the status listener cannot listen on {address}");
    assert_eq!(error.to_string(), expected);
    let known = error.explanation();
    assert_eq!(known.code, "listen_address_in_use");
    assert!(known.remedy.contains("`status` or --status for the status listener"), "{known:?}");
}

#[tokio::test]
async fn only_those_on_its_list_are_told_anything() {
    let addresses: AddressRules = serde_json::from_str(r#"{"deny": ["127.0.0.0/8"]}"#).unwrap();
    let mut registry = Registry::default();
    let layers = ConnectionLayers::of_status(None, &addresses, Health::default(), &mut registry);
    let address = "127.0.0.1:0".parse().unwrap();
    let status =
        Status::start(address, layers.unwrap(), Health::default(), starting(&Health::default()))
            .unwrap();
    let (code, body) = get(&status, "/healthz").await;
    assert_eq!(code, 403);
    assert!(body.contains("address_refused_by_listener"), "{body}");
    assert_eq!(status.url(), format!("http://{}", status.local_addr()));
}
