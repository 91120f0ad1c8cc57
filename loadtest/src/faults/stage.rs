//! The stage of a scenario: processes, fleet, back ends, proxies, watch; and what is noted while it plays.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::RngExt as _;
use tillrace_loadtest::client::Outcome;
use tokio::runtime::Handle;

use crate::backend::Backends;
use crate::cluster::Cluster;
use crate::fleet::HonestFleet;
use crate::plan::Plan;
use crate::probe;
use crate::process::{Launch, Process, Role};
use crate::proxy::Proxy;
use crate::rng::FaultRng;
use crate::site::{Site, free_port};
use crate::watch::Watch;

/// How long a product may take until it serves, or serves again; generous, since machines are slow and shared.
const SERVES_WITHIN: Duration = Duration::from_mins(2);

/// How long after an acknowledgement the fleet's progress tells of it at the latest.
const PROGRESS_IS_LATE_BY: Duration = Duration::from_millis(150);

/// How often processes may end by themselves before it is given up to start them again.
const MOST_ENDS: u32 = 20;

/// The stage.
pub(crate) struct Stage<'a> {
    pub(crate) site: Site,
    pub(crate) plan: Plan,
    pub(crate) processes: Vec<Process>,
    /// Between the tills and the gateways.
    pub(crate) till_proxy: Proxy,
    /// Between the sinks and the back ends.
    pub(crate) backend_proxy: Proxy,
    /// Between the processes and the brokers, where the plan asks for them.
    pub(crate) broker_proxies: Vec<Proxy>,
    pub(crate) backends: Backends,
    pub(crate) watch: Watch,
    pub(crate) rng: FaultRng,
    pub(crate) cluster: Option<&'a Cluster>,
    pub(crate) runtime: Handle,
    pub(crate) notes: Notes,
    fleet: Option<HonestFleet>,
    /// How often processes ended by themselves.
    ends: u32,
}

/// What was noted.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// What did not hold.
    pub(crate) faults: Vec<String>,
    /// Faults among them that are silent halts.
    pub(crate) silent_halts: u64,
    /// What else is worth telling.
    pub(crate) facts: Vec<String>,
    /// From each heal until a till was served again.
    pub(crate) recoveries: Vec<Duration>,
    /// When a dummy was attacked, and when the product was in the same way; their latencies are compared.
    pub(crate) attacks: Option<[std::ops::Range<Duration>; 2]>,
}

impl<'a> Stage<'a> {
    /// Starts everything, and waits until tills are served.
    pub(crate) fn set(
        site: Site,
        plan: Plan,
        cluster: Option<&'a Cluster>,
        runtime: &Handle,
        mut rng: FaultRng,
    ) -> anyhow::Result<Self> {
        let backends = Backends::start(runtime, rng.random())?;
        let backend_proxy = Proxy::start(runtime, 0, vec![backends.port])?;
        site.write_config(&site.config(), backend_proxy.port, &plan.settings)?;
        let broker_proxies = match cluster {
            Some(cluster) if plan.proxied_brokers => cluster
                .proxied
                .iter()
                .map(|&(proxy, broker)| Proxy::start(runtime, proxy, vec![broker]))
                .collect::<anyhow::Result<_>>()?,
            _ => Vec::new(),
        };
        let mut processes = processes(&site, &plan)?;
        let faults = start_all(&mut processes)?;
        let gateways = processes.iter().filter(|process| process.launch.role.has_gateway());
        let gateways: Vec<u16> = gateways.map(|process| process.launch.listen).collect();
        let till_proxy = Proxy::start(runtime, 0, gateways)?;
        let (seed, http2) = (rng.random(), rng.random());
        let fleet = HonestFleet::start(runtime, till_proxy.port, plan.rate, seed, http2)?;
        let watch = Watch::start(&processes, fleet.progress());
        until("a till is served", || fleet.acknowledged() > 0)?;
        Ok(Self {
            site,
            plan,
            processes,
            till_proxy,
            backend_proxy,
            broker_proxies,
            backends,
            watch,
            rng,
            cluster,
            runtime: runtime.clone(),
            notes: Notes { faults, ..Notes::default() },
            fleet: Some(fleet),
            ends: 0,
        })
    }

    /// Notes that something does not hold.
    pub(crate) fn fault(&mut self, what: impl Into<String>) {
        self.notes.faults.push(what.into());
    }

    /// Notes that something stood still, and nothing told of it.
    pub(crate) fn silent_halt(&mut self, what: impl std::fmt::Display) {
        self.notes.silent_halts += 1;
        self.fault(format!("silent halt: {what}; not seen in /readyz, nor in any warning"));
    }

    /// Notes something worth telling.
    pub(crate) fn fact(&mut self, what: impl Into<String>) {
        self.notes.facts.push(what.into());
    }

    /// Waits a random time.
    pub(crate) fn pause(&mut self, ms: std::ops::Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.rng.random_range(ms)));
    }

    /// Picks one of so many.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        self.rng.random_range(0..count.max(1))
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.fleet.as_ref().map_or(0, HonestFleet::acknowledged)
    }

    /// SIGKILL to a process, and a start.
    pub(crate) fn kill_and_start(&mut self, place: usize) -> anyhow::Result<()> {
        self.processes[place].kill()?;
        self.processes[place].start()
    }

    /// Waits until a till is served after a heal, and notes how long that took.
    pub(crate) fn await_service(&mut self, healed: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        // What was acknowledged before the heal is counted by then.
        std::thread::sleep(PROGRESS_IS_LATE_BY);
        let before = self.acknowledged();
        while self.acknowledged() == before {
            anyhow::ensure!(
                begun.elapsed() < SERVES_WITHIN,
                "no till was served within {SERVES_WITHIN:?} after {healed}"
            );
            self.supervise()?;
            std::thread::sleep(Duration::from_millis(20));
        }
        self.notes.recoveries.push(begun.elapsed());
        Ok(())
    }

    /// Notes processes that ended by themselves, and starts them again as an orchestrator would.
    pub(crate) fn supervise(&mut self) -> anyhow::Result<()> {
        for place in 0..self.processes.len() {
            let Some(status) = self.processes[place].ended()? else { continue };
            let what = format!("{} ended by itself: {status}", self.processes[place].name);
            self.ends += 1;
            anyhow::ensure!(self.ends <= MOST_ENDS, "{what}; it ended {MOST_ENDS} times before");
            if self.plan.role_may_end {
                self.fact(what);
                std::thread::sleep(Duration::from_millis(500));
            } else {
                self.fault(what);
            }
            self.processes[place].start()?;
        }
        Ok(())
    }

    /// Notes a fault where nothing told of trouble since a time of the watch.
    pub(crate) fn must_have_been_seen(&mut self, since: Duration, what: &str) {
        if !self.watch.has_seen_trouble_since(since) {
            self.silent_halt(what);
        }
    }

    /// Ends the fleet's day; from then on nothing new is sent.
    pub(crate) fn finish_fleet(&mut self) -> anyhow::Result<Outcome> {
        self.fleet.take().context("end the fleet once")?.finish()
    }
}

fn processes(site: &Site, plan: &Plan) -> anyhow::Result<Vec<Process>> {
    let mut variables = plan.variables.clone();
    if !plan.preload.is_empty() {
        let paths: Vec<String> =
            plan.preload.iter().map(|path| path.display().to_string()).collect();
        variables.push(("LD_PRELOAD".to_owned(), paths.join(":")));
    }
    let mut processes: Vec<Process> = Vec::new();
    for &role in &plan.processes {
        let number = processes.iter().filter(|process| process.launch.role == role).count() + 1;
        let name = format!("{}-{number}", role.command());
        let output = site.folder.join(format!("{name}.log"));
        let launch = launch(site, role, variables.clone(), output)?;
        processes.push(Process::new(name, launch));
    }
    Ok(processes)
}

/// Starts processes and waits until each says it is ready; one that ends is started again. Returns the ends.
fn start_all(processes: &mut [Process]) -> anyhow::Result<Vec<String>> {
    for process in &mut *processes {
        process.start()?;
    }
    let (mut ends, deadline) = (Vec::new(), Instant::now() + SERVES_WITHIN);
    loop {
        for process in &mut *processes {
            if let Some(status) = process.ended()? {
                ends.push(format!("{} ended while it started: {status}", process.name));
                process.start()?;
            }
        }
        let is_ready = |process: &Process| {
            probe::get(process.launch.status, "/readyz").is_some_and(|(status, _)| status == 200)
        };
        if processes.iter().all(is_ready) {
            return Ok(ends);
        }
        anyhow::ensure!(Instant::now() < deadline, "not all are ready in time; {ends:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Says how a process of a role is started, on free ports.
pub(crate) fn launch(
    site: &Site,
    role: Role,
    variables: Vec<(String, String)>,
    output: std::path::PathBuf,
) -> anyhow::Result<Launch> {
    Ok(Launch {
        program: site.program.clone(),
        role,
        config: site.config(),
        listen: free_port()?,
        status: free_port()?,
        variables,
        output,
    })
}

/// Looks until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + SERVES_WITHIN;
    while !is_so() {
        anyhow::ensure!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
