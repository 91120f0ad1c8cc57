//! A server on a log that acknowledges at its next tick: Tillrace's gateway, or as little hyper as answers 202.
//!
//! The bare server reads each body to its end, hands it to the log unseen, and answers when the log has. What the gateway
//! costs beyond it is what it does for an event. `benches/peers/http/run` measures both.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::registry::Registry;
use tillrace_benches::tick_log::TickLog;
use tillrace_core::topics::Topics;
use tillrace_ingest::{Gateway, GatewaySettings, TenantSettings, Tenants, hash_key};
use tillrace_log::health::Health;
use tillrace_log::{Producer, ProducerRecord, Topic, WritableLog as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const PARTITIONS: u32 = 8;
const MAX_CONNECTIONS: usize = 50_000;

/// Serves POSTs until it is killed.
#[derive(Debug, Parser)]
struct Arguments {
    /// Who answers
    #[arg(value_enum)]
    who: Who,
    /// Address to listen on
    #[arg(long)]
    listen: SocketAddr,
    /// API key of the gateway's only tenant
    #[arg(long, default_value = "http-floor")]
    key: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Who {
    Gateway,
    Hyper,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let served = match arguments.who {
        Who::Gateway => gateway(&arguments).await,
        Who::Hyper => hyper(arguments.listen).await,
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            writeln!(std::io::stderr(), "http_floor: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn gateway(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = GatewaySettings {
        listen: arguments.listen,
        max_connections: MAX_CONNECTIONS,
        address_share_percent: 100,
        ..GatewaySettings::default()
    };
    let tenant: TenantSettings = serde_json::from_value(serde_json::json!({
        "id": "demo",
        "keys": [{ "name": "only", "hash": hash_key(&arguments.key), "stores": ["*"] }],
    }))?;
    let tenants = Tenants::new(vec![tenant])?;
    let log = Arc::new(TickLog::start(PARTITIONS)?);
    let mut registry = Registry::default();
    let gateway =
        Gateway::start(settings, log, Topics::new(""), tenants, Health::default(), &mut registry);
    let _gateway = gateway.context("start the gateway")?;
    std::future::pending().await
}

async fn hyper(listen: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await.context("listen")?;
    let log = TickLog::start(PARTITIONS)?;
    let producer: Arc<dyn Producer> = Arc::from(log.producer()?);
    let topic = Topic::new("events");
    loop {
        let (stream, _peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (producer, topic) = (Arc::clone(&producer), topic.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&*producer, &topic, request));
            // A connection that ends badly is the sender's affair.
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

async fn answer(
    producer: &dyn Producer,
    topic: &Topic,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut status = StatusCode::SERVICE_UNAVAILABLE;
    if let Ok(body) = request.into_body().collect().await {
        let value = Some(body.to_bytes());
        let row = ProducerRecord { topic: topic.clone(), partition: 0, key: Bytes::new(), value };
        let (told, heard) = oneshot::channel();
        let tell = move |outcomes: Vec<Result<u64, _>>| {
            let durable = outcomes.iter().all(Result::is_ok);
            told.send(durable).ok();
        };
        if producer.send(vec![row], Box::new(tell)).is_ok() && heard.await == Ok(true) {
            status = StatusCode::ACCEPTED;
        }
    }
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    Ok(response)
}
