//! Real Apache Kafka for tests, by way of `deploy/kafka`.
//!
//! A test asks for a cluster and gets `None` where Java or Maven is absent: it then returns, and
//! standard error says loudly what was not run. Where `CI` is set, absence is a failure. Other
//! crates take this file in with `#[path]`.
#![allow(dead_code, reason = "each test binary uses the part it needs")]
#![allow(clippy::expect_used, reason = "a test whose cluster does not start has failed")]

pub(super) mod proxy;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bootstrap servers of a single broker that all tests of this process share: the cluster that
/// `TILLRACE_TEST_KAFKA` names, or one started for this process and gone with it.
pub(super) fn shared(what: &str) -> Option<&'static str> {
    static SHARED: OnceLock<Option<String>> = OnceLock::new();
    let servers = SHARED.get_or_init(|| match environment("TILLRACE_TEST_KAFKA") {
        Some(servers) => Some(servers),
        None => is_installed().then(|| start(&unique_name(), &["--brokers", "1"])),
    });
    servers.as_deref().or_else(|| absent(what))
}

/// A cluster of one test's own, whose brokers it may kill.
#[derive(Debug)]
pub(super) struct Cluster {
    name: String,
    /// Its bootstrap servers.
    pub(super) servers: String,
}

impl Cluster {
    /// Starts one or three brokers.
    pub(super) fn start(what: &str, brokers: u32) -> Option<Self> {
        if !is_installed() {
            return absent(what);
        }
        let name = unique_name();
        let servers = start(&name, &["--brokers", &brokers.to_string()]);
        Some(Self { name, servers })
    }

    /// Starts one broker that is met by TLS and SASL only.
    pub(super) fn start_secure(what: &str) -> Option<Self> {
        if !is_installed() {
            return absent(what);
        }
        let name = unique_name();
        let servers = start(&name, &["--brokers", "1", "--secure"]);
        Some(Self { name, servers })
    }

    /// Starts one broker that is met through a proxy.
    pub(super) fn start_proxied(what: &str, proxy: &proxy::Proxy) -> Option<Self> {
        Self::start_each_proxied(what, &[proxy])
    }

    /// Starts one or three brokers, each met through a proxy of its own.
    pub(super) fn start_each_proxied(what: &str, proxies: &[&proxy::Proxy]) -> Option<Self> {
        if !is_installed() {
            return absent(what);
        }
        let name = unique_name();
        let listed: Vec<_> = proxies.iter().map(|proxy| proxy.port.to_string()).collect();
        let brokers = proxies.len().to_string();
        start(&name, &["--brokers", &brokers, "--proxied", &listed.join(",")]);
        let ports = std::fs::read_to_string(root().join(&name).join("proxied")).expect("its ports");
        for (proxy, line) in proxies.iter().zip(ports.lines()) {
            let port = line.split_whitespace().nth(1).and_then(|port| port.parse().ok());
            proxy.forward_to(port.expect("the broker's port"));
        }
        let servers: Vec<_> = listed.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        Some(Self { name, servers: servers.join(",") })
    }

    /// A file that a secure cluster has made for its clients: `password` or `ca.pem`.
    pub(super) fn secret(&self, file: &str) -> PathBuf {
        root().join(&self.name).join("secure").join(file)
    }

    /// Kills a broker, numbered from 1, with SIGKILL.
    pub(super) fn kill(&self, broker: u32) {
        run(script("kill").args(["--name", &self.name, &broker.to_string()]));
    }

    /// Starts the brokers that are down.
    pub(super) fn restart(&self) {
        run(script("up").args(["--name", &self.name]));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        run(script("down").args(["--name", &self.name, "--delete"]));
    }
}

/// Where clusters keep their files.
fn root() -> PathBuf {
    environment("TILLRACE_KAFKA_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/kafka")),
        PathBuf::from,
    )
}

fn start(name: &str, arguments: &[&str]) -> String {
    let owner = std::process::id().to_string();
    run(script("up").args(["--name", name, "--free-ports", "--owner", &owner]).args(arguments))
}

fn unique_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn script(name: &str) -> Command {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kafka"));
    Command::new(folder.join(name))
}

/// Runs a command that must succeed; returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().expect("the script runs");
    assert!(output.status.success(), "{command:?} failed: {}", output.status);
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn is_installed() -> bool {
    let runs = |program: &str| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    runs("java") && runs("mvn")
}

fn absent<T>(what: &str) -> Option<T> {
    let message = format!("NOT RUN: {what}: Java 17 or Maven is absent, so there is no Kafka\n");
    assert!(environment("CI").is_none(), "{message}");
    // Straight to the terminal: the test harness hides what a passing test prints.
    std::io::stderr().write_all(message.as_bytes()).expect("standard error is open");
    None
}

#[expect(clippy::disallowed_methods, reason = "the one place where tests read the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
