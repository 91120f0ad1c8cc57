//! The demo's set-up: the fleet, the roles on a log of their own, and backends at their worst.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use bytesize::ByteSize;
use serde_json::json;
use tillrace_core::topics::{self, Topics};
use tillrace_core::verify::SinkUnderTest;
use tillrace_ingest::{Durability, hash_key};
use tillrace_loadtest::acks::NamedMovements;
use tillrace_loadtest::client::ClientSettings;
use tillrace_loadtest::fleet::{Fleet, FleetSettings, MAPPING};
use tillrace_loadtest::source::{Directory, Movement, Source as _};
use tillrace_loadtest::traffic::TrafficSettings;
use tillrace_log::LogView;
use tillrace_sinks::SinkSettings;
use tillrace_sinks::crm::PointsSettings;
use tillrace_sinks::erp::{DocumentSettings, Form, MovementSettings};
use tillrace_sinks::http::BackendSettings;
use tillrace_sinks::parquet::ParquetSettings;
use tillrace_sinks::record::SourceTopic;
use tillrace_sinks::settings::{
    BatchSettings, BreakerSettings, FlowSettings, RetrySettings, Target,
};
use tillrace_sinks::simulate::{Faults, SimulatedBackend};
use uuid::Uuid;

use super::report::BackendReport;
use crate::cli::DemoArgs;
use crate::config::{Domain, Settings};
use crate::parked;
use crate::roles::{Roles, Running};

const TENANT: &str = "demo";
/// How long the tills send at most; a smaller demo sends as fast, and for less long.
const LONGEST_SENDING: Duration = Duration::from_secs(20);
const SHORTEST_SENDING: Duration = Duration::from_secs(3);
/// Events a second, as long as they can all be sent in time.
const EVENTS_PER_SECOND: u64 = 2_000;
/// How much trade those seconds stand for.
const MORNING: Duration = Duration::from_hours(3);
/// Parked events that are readmitted in a second at most.
const READMITTED_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);
/// Documents that the ERP refuses for good.
const UNBOOKABLE: usize = 5;
/// Number, on their terminals, of the transactions that the ERP will not book.
const UNBOOKABLE_SEQUENCE: u64 = 6;

/// The fleet: a morning that ends now, with bad events, gaps, and tills that lose their network.
pub(super) fn fleet(args: &DemoArgs) -> FleetSettings {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let begun = now.saturating_sub(MORNING);
    FleetSettings {
        stores: args.stores,
        terminals: 4,
        skus: 5_000,
        seed: args.seed,
        rate: rate(args),
        events: Some(args.events),
        starts_at_ms: i64::try_from(begun.as_millis()).unwrap_or(i64::MAX),
        speed: MORNING.as_secs_f64() / sending(args).as_secs_f64(),
        bad: 0.03,
        parked: 0.02,
        gaps: 12,
        offline: 0.1,
        offline_for: sending(args) / 3,
        ..FleetSettings::default()
    }
}

/// The network: some events arrive twice, some after later ones.
pub(super) fn client(args: &DemoArgs, gateway: SocketAddr, key: &str) -> ClientSettings {
    ClientSettings {
        target: format!("http://{gateway}"),
        key: key.to_owned(),
        connections: 8,
        batch: 50,
        traffic: TrafficSettings {
            duplicates: 0.05,
            disorder: 0.05,
            reach_events: 500,
            seed: args.seed,
        },
        ..ClientSettings::default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(args: &DemoArgs) -> f64 {
    args.events as f64 / sending(args).as_secs_f64()
}

fn sending(args: &DemoArgs) -> Duration {
    Duration::from_secs(args.events / EVENTS_PER_SECOND).clamp(SHORTEST_SENDING, LONGEST_SENDING)
}

/// Everything at work.
pub(super) struct Stage {
    address: SocketAddr,
    domain: Domain,
    view: Arc<dyn LogView>,
    running: Running,
    backends: Backends,
    key: String,
}

/// The simulated backends, one for each sink that calls one.
struct Backends {
    documents: SimulatedBackend,
    movements: SimulatedBackend,
    points: SimulatedBackend,
}

/// What is left when the roles have ended.
pub(super) struct Ended {
    pub(super) view: Arc<dyn LogView>,
    pub(super) domain: Domain,
    backends: Backends,
}

impl Stage {
    /// Starts backends and roles; data goes below `folder`.
    pub(super) async fn set(folder: &Path, fleet: &Fleet) -> anyhow::Result<Self> {
        let backends = Backends::start(&fleet.directory()).await?;
        let key = format!("demo-{}", Uuid::new_v4().simple());
        let settings = settings(folder, &key, &backends)?;
        let domain = settings.domain_named(None)?;
        // It shows the path of an event; the data store is beside it, and would take CPU from what is measured.
        let roles = Roles { books: false, ..Roles::ALL };
        let running = Running::start(&settings, vec![domain.clone()], roles).await?;
        let address = running.gateway_address().unwrap_or(settings.ingest.listen);
        let view = running.first_log().context("find the log of the demo")?;
        Ok(Self { address, domain, view, running, backends, key })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn view(&self) -> Arc<dyn LogView> {
        Arc::clone(&self.view)
    }

    /// Lets parked events in as an operator would: by the mapping that says what the tills' new release calls otherwise.
    pub(super) async fn readmit(&self) -> anyhow::Result<u64> {
        let log = self.running.first_log().context("find the log of the demo")?;
        let domain = self.domain.clone();
        let readmitting = tokio::task::spawn_blocking(move || {
            parked::readmit_all(domain, log, MAPPING, READMITTED_PER_SECOND)
        });
        readmitting.await.context("wait for the readmission")?
    }

    pub(super) fn topics(&self) -> Topics {
        self.domain.topics()
    }

    pub(super) fn sinks(&self) -> Vec<SinkUnderTest> {
        self.domain.sinks_under_test()
    }

    /// Waits until a role stops by itself.
    pub(super) async fn stopped(&mut self) -> anyhow::Error {
        self.running.stopped().await
    }

    /// Drains the roles; log and backends stay.
    pub(super) async fn end(self) -> anyhow::Result<Ended> {
        let view = self.view();
        self.running.drain().await.context("end the roles")?;
        Ok(Ended { view, domain: self.domain, backends: self.backends })
    }
}

impl Backends {
    async fn start(directory: &Directory) -> anyhow::Result<Self> {
        let start = async |name: &'static str, faults| {
            SimulatedBackend::start(faults)
                .await
                .with_context(|| format!("start the simulated backend for {name}"))
        };
        let backends = Self {
            documents: start("documents", at_its_worst(1, 200)).await?,
            movements: start("movements", at_its_worst(2, 800)).await?,
            points: start("points", at_its_worst(3, 1_500)).await?,
        };
        for terminal in directory.terminals.iter().take(UNBOOKABLE) {
            let store = directory.stores.get(terminal.store as usize).map_or("", String::as_str);
            let source = topics::key(&[TENANT, store, &terminal.name]);
            backends.documents.reject(&format!("/{source}#{UNBOOKABLE_SEQUENCE}"));
        }
        Ok(backends)
    }
}

/// Slow, limited, failing now and then, and sometimes booking without an answer.
fn at_its_worst(seed: u64, calls_per_second: u32) -> Faults {
    Faults {
        latency: Duration::from_millis(5),
        jitter: Duration::from_millis(25),
        calls_per_second: Some(calls_per_second),
        server_errors: 0.02,
        resets: 0.005,
        lost_replies: 0.01,
        seed,
    }
}

fn settings(folder: &Path, key: &str, backends: &Backends) -> anyhow::Result<Settings> {
    let mut settings = Settings { data: folder.to_owned(), ..Settings::default() };
    settings.ingest.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.status = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    settings.ingest.durability = Durability::Development;
    settings.aggregate.flush_interval = Duration::from_secs(1);
    let tenant = json!({
        "id": TENANT,
        "keys": [{"name": "demo", "hash": hash_key(key), "stores": ["*"]}],
    });
    settings.tenants.push(serde_json::from_value(tenant).context("make the demo's tenant")?);
    let points = PointsSettings {
        backend: BackendSettings::new(&backends.points.points_url()),
        rule: tillrace_sinks::crm::PointsRule::default(),
    };
    let documents = BackendSettings::new(&backends.documents.documents_url());
    let documents = DocumentSettings { backend: documents, form: Form::Batch };
    let movements = BackendSettings::new(&backends.movements.movements_url());
    let movements = MovementSettings { backend: movements, form: Form::Batch };
    settings.sinks = vec![
        sink("erp", Target::ErpDocuments(documents), flow(Some(200), 8)),
        sink("erp-stock", Target::ErpStockMovements(movements), flow(Some(500), 8)),
        sink("crm", Target::CrmPoints(points), flow(None, 48)),
        parquet("analytics", SourceTopic::Transactions, folder)?,
        parquet("analytics-stock", SourceTopic::Deltas, folder)?,
    ];
    Ok(settings)
}

fn sink(name: &str, to: Target, flow: FlowSettings) -> SinkSettings {
    SinkSettings { flow, ..SinkSettings::new(name, to) }
}

fn parquet(name: &str, source: SourceTopic, folder: &Path) -> anyhow::Result<SinkSettings> {
    let location = folder.join("parquet").join(name);
    let location = location.to_str().context("the temporary folder's path is not UTF-8")?;
    let files = BatchSettings {
        max_records: 20_000,
        max_bytes: ByteSize::mib(32),
        linger: Duration::from_secs(2),
    };
    let flow = FlowSettings { batch: Some(files), ..FlowSettings::default() };
    Ok(sink(name, Target::Parquet(ParquetSettings::local(source, location)), flow))
}

/// Pauses short enough for a demo; otherwise as anywhere.
fn flow(batch_records: Option<usize>, concurrency: usize) -> FlowSettings {
    let batch = batch_records.map(|max_records| BatchSettings {
        max_records,
        max_bytes: ByteSize::mib(4),
        linger: Duration::from_millis(100),
    });
    FlowSettings {
        batch,
        concurrency,
        retry: RetrySettings {
            initial: Duration::from_millis(50),
            longest: Duration::from_secs(1),
            ..RetrySettings::default()
        },
        breaker: BreakerSettings { failures: 20, open_for: Duration::from_secs(1) },
        commit_every: Duration::from_millis(200),
        ..FlowSettings::default()
    }
}

impl Ended {
    /// Asks the backends what they booked. The ERP's stock is compared with what the tills know
    /// they sold, took back and moved: from one end of the path to the other.
    pub(super) fn books(&self, moved: &NamedMovements) -> Vec<BackendReport> {
        let report = |sink: &str, backend: &SimulatedBackend| {
            backend.read(|books| BackendReport {
                sink: sink.to_owned(),
                booked: books.booked.len() as u64,
                repeated: books.duplicates,
                refused: books.rejected,
                calls: books.calls,
                stock_differing: None,
            })
        };
        let mut movements = report("erp-stock", &self.backends.movements);
        movements.stock_differing = Some(self.stock_differing(moved));
        vec![
            report("erp", &self.backends.documents),
            movements,
            report("crm", &self.backends.points),
        ]
    }

    /// Counts the stores, SKUs and units whose movements the ERP booked otherwise than the tills
    /// made them.
    fn stock_differing(&self, moved: &NamedMovements) -> u64 {
        let mut sent: BTreeMap<(&str, &str, &str), Movement> = BTreeMap::new();
        for (key, movement) in moved {
            sent.entry((&key.store, &key.sku, &key.unit)).or_default().add(*movement);
        }
        // What moves within a store nets to nothing in it.
        sent.retain(|_, movement| !movement.is_zero());
        let booked = self.backends.movements.read(|books| books.stock.clone());
        let mut differing = 0;
        for (key, totals) in &booked {
            let moved = sent
                .remove(&(key.store.as_str(), key.sku.as_str(), key.unit.as_str()))
                .unwrap_or_default();
            let same = moved.net == totals.net
                && moved.sold == totals.sold
                && moved.returned == totals.returned
                && moved.adjusted == totals.adjusted;
            differing += u64::from(!same);
        }
        differing + sent.len() as u64
    }
}
