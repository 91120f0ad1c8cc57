//! Three brokers of Apache Kafka, through `deploy/kafka`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

const NAME: &str = "faults";

/// How many brokers there are; two are a quorum.
pub(crate) const BROKERS: usize = 3;

/// A cluster of the harness's own; it is stopped and deleted when dropped, or when the harness ends in any other way.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Bootstrap servers.
    pub(crate) servers: String,
    /// What its files are called.
    name: &'static str,
    /// Ports at which clients are told to find the brokers when they come through proxies, and the brokers' own.
    pub(crate) proxied: Vec<(u16, u16)>,
}

impl Cluster {
    /// Starts the brokers. `proxies` are the ports that proxies will listen on, one a broker.
    pub(crate) fn start(proxies: &[u16]) -> anyhow::Result<Self> {
        let ports: Vec<String> = proxies.iter().map(ToString::to_string).collect();
        let owner = std::process::id().to_string();
        let arguments = [
            "--brokers",
            "3",
            "--free-ports",
            "--fresh",
            "--owner",
            &owner,
            "--proxied",
            &ports.join(","),
        ];
        let servers = script(NAME, "up", &arguments)?;
        let listed = std::fs::read_to_string(Path::new("target/kafka").join(NAME).join("proxied"))
            .context("read which ports the brokers keep for proxies")?;
        let pair = |line: &str| {
            let (proxy, broker) = line.split_once(' ')?;
            Some((proxy.parse().ok()?, broker.parse().ok()?))
        };
        Ok(Self { servers, name: NAME, proxied: listed.lines().filter_map(pair).collect() })
    }

    /// Starts the brokers that are down.
    pub(crate) fn heal(&self) -> anyhow::Result<()> {
        script(self.name, "up", &[]).map(drop)
    }

    /// SIGKILL to a broker, counted from 1.
    pub(crate) fn kill(&self, broker: usize) -> anyhow::Result<()> {
        script(self.name, "kill", &[&broker.to_string()]).map(drop)
    }

    /// Sends a signal to a broker, counted from 1.
    pub(crate) fn signal(&self, broker: usize, signal: &str) -> anyhow::Result<()> {
        let path = format!("target/kafka/{}/broker-{broker}/pid", self.name);
        let id = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let status = Command::new("kill").args([&format!("-{signal}"), id.trim()]).status();
        let status = status.with_context(|| format!("send SIG{signal} to broker {broker}"))?;
        anyhow::ensure!(status.success(), "send SIG{signal} to broker {broker}: {status}");
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = script(self.name, "down", &["--delete"]) {
            crate::console::say(format_args!("{error:#}"));
        }
    }
}

/// Runs a script of `deploy/kafka` for a cluster; returns what it prints.
fn script(cluster: &str, name: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let path = format!("deploy/kafka/{name}");
    let output = Command::new(&path)
        .args(["--name", cluster])
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {path}"))?;
    anyhow::ensure!(output.status.success(), "{path} ended with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
