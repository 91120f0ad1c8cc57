//! The one configuration tree: read from YAML, overlaid from the environment and the command line, then checked.
//!
//! Each part keeps the settings it understands; this file only puts them side by side. With no file it makes a
//! development set-up: one tenant `demo`, Parquet files below the data folder.

mod apart;
mod core_schema;
mod development;
mod domain;
mod environment;
mod error;
mod inspect;
mod load;
mod node;
mod read;
pub(crate) mod reference;
mod renamed;
mod report;
pub(crate) mod schema;
mod surroundings;
mod yaml;

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tillrace_books::settings::BooksSettings;
use tillrace_core::aggregate::AggregateSettings;
use tillrace_ingest::{GatewaySettings, TenantSettings};
use tillrace_log::kafka::KafkaSettings;
use tillrace_log::local::LocalTuning;
use tillrace_sinks::SinkSettings;

pub(crate) use self::apart::namespaces_meet;
pub(crate) use self::development::DevelopmentKey;
pub(crate) use self::domain::{Domain, DomainSettings};
pub(crate) use self::error::ConfigurationError;
pub(crate) use self::report::Report;
use self::surroundings::Surroundings;
use crate::cli::{LogSource, Source};
use crate::status::settings::StatusListener;

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Stands before every topic, group and transactional id: at most 64 of a-z, A-Z, 0-9, `.`, `_` and `-`.
    pub(crate) namespace: String,
    /// Folder for the local log and for files.
    pub(crate) data: PathBuf,
    /// Which log, and how it is laid out.
    pub(crate) log: LogSettings,
    /// Domains: each with topics, tenants and sinks of its own, on a log of its own. Without any, the file as a whole is one,
    /// named `default`. With some, `namespace`, `tenants` and `sinks` stand in them and not here.
    pub(crate) domains: Vec<DomainSettings>,
    /// The gateway.
    pub(crate) ingest: GatewaySettings,
    /// The aggregator.
    pub(crate) aggregate: AggregateSettings,
    /// The data store.
    pub(crate) books: BooksSettings,
    /// Where events go.
    pub(crate) sinks: Vec<SinkSettings>,
    /// Who may send events.
    pub(crate) tenants: Vec<TenantSettings>,
    /// What is said on standard error.
    pub(crate) telemetry: Telemetry,
    /// Where the process answers `/healthz`, `/readyz` and `/metrics`; each kind of process has a default of its own:
    /// 127.0.0.1:8081, of `aggregate` 8082, of `deliver` 8083, of `books` 8084.
    pub(crate) status: Option<SocketAddr>,
    /// What guards that listener.
    pub(crate) status_listener: StatusListener,
    /// Whether this is a development set-up, made without a configuration file.
    #[serde(skip)]
    pub(crate) development: bool,
}

/// The log: Kafka where `kafka` is given, otherwise local.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSettings {
    /// Partitions of every topic; fixed when the topics are made.
    pub(crate) partitions: u32,
    /// Days that records are kept on topics that are not compacted.
    pub(crate) retention_days: u64,
    /// Sizes and times of the local log.
    pub(crate) local: LocalTuning,
    /// Apache Kafka.
    pub(crate) kafka: Option<KafkaSettings>,
}

/// Log lines of the process itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Telemetry {
    /// A level: `error`, `warn`, `info`, `debug` or `trace`; or levels of parts, such as `info,tillrace_core=debug`.
    pub(crate) level: String,
    /// How a line looks.
    pub(crate) format: LineFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LineFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: String::new(),
            data: PathBuf::from("tillrace-data"),
            log: LogSettings::default(),
            domains: Vec::new(),
            ingest: GatewaySettings::default(),
            aggregate: AggregateSettings::default(),
            books: BooksSettings::default(),
            sinks: Vec::new(),
            tenants: Vec::new(),
            telemetry: Telemetry::default(),
            status: None,
            status_listener: StatusListener::default(),
            development: false,
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { partitions: 8, retention_days: 14, local: LocalTuning::default(), kafka: None }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LineFormat::Text }
    }
}

impl Settings {
    /// Reads file, environment and command line, in this order, and checks the result.
    ///
    /// # Errors
    /// When the file cannot be read or the configuration cannot be used: all that is wrong, by its keys.
    pub(crate) fn load(source: &Source) -> Result<Self, ConfigurationError> {
        Self::load_with_warnings(source).map(|(settings, _warnings)| settings)
    }

    /// Reads the configuration of a command that works on one domain, and returns that one.
    ///
    /// # Errors
    /// As for [`Settings::load`], and when the domain is not there or not the only one and not named.
    pub(crate) fn load_domain(source: &LogSource) -> anyhow::Result<Domain> {
        Ok(Self::load(&source.into())?.domain_named(source.domain.as_deref())?)
    }

    /// Does what [`Settings::load`] does, and returns what can be used and is hardly meant.
    ///
    /// # Errors
    /// As for [`Settings::load`].
    pub(crate) fn load_with_warnings(
        source: &Source,
    ) -> Result<(Self, Vec<String>), ConfigurationError> {
        let (settings, report) = Self::examine(source)?;
        match settings {
            Some(settings) if report.errors().is_empty() => {
                Ok((settings, report.warnings().iter().map(ToString::to_string).collect()))
            }
            _ => Err(ConfigurationError::Unusable(report)),
        }
    }

    /// Does what [`Settings::load`] does, and returns what was found, warnings too. Without errors there are settings.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn examine(source: &Source) -> Result<(Option<Self>, Report), ConfigurationError> {
        load::examine(source, &Surroundings::of_process())
    }

    /// Adds the development tenant to a set-up without a configuration file, and returns its key.
    ///
    /// # Errors
    /// When the key cannot be kept in the data folder.
    pub(crate) fn add_development_tenant(&mut self) -> anyhow::Result<Option<DevelopmentKey>> {
        let surroundings = Surroundings::of_process();
        self.development.then(|| development::add_tenant(self, &surroundings)).transpose()
    }

    fn take(&mut self, source: &Source) {
        if let Some(brokers) = &source.log.kafka {
            match &mut self.log.kafka {
                Some(kafka) => kafka.brokers.clone_from(brokers),
                none => *none = Some(KafkaSettings::new(brokers, self.log.partitions)),
            }
        }
        let logs = self.domains.iter_mut().filter_map(|domain| domain.log.as_mut());
        for log in logs.chain([&mut self.log]) {
            if let Some(kafka) = &mut log.kafka {
                kafka.partitions = log.partitions;
            }
        }
        if let Some(listen) = source.listen {
            self.ingest.listen = listen;
        }
        if let Some(status) = source.status {
            self.status = Some(status);
        }
        if let Some(data) = &source.log.data {
            self.data.clone_from(data);
        }
    }
}

#[cfg(test)]
mod domains_tests;
#[cfg(test)]
mod tests;
