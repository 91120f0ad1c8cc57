//! Domains: each a namespace on a log of its own, with its own tenants, sinks and retention.
//!
//! [`DomainSettings`] is what the file says of one; [`Domain`] is what roles and commands work with, with all that the file
//! leaves to the top level filled in. A file without `domains` is one domain, [`DEFAULT`]. How domains must differ is in
//! [`super::apart`].

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use tillrace_core::topics::Topics;
use tillrace_core::verify::SinkUnderTest;
use tillrace_ingest::TenantSettings;
use tillrace_log::TopicSpec;
use tillrace_log::local::LocalSettings;
use tillrace_sinks::SinkSettings;

use super::{LogSettings, Settings};
use crate::usage::UsageError;

/// The name of the domain that a file without `domains` is.
pub(crate) const DEFAULT: &str = "default";
/// The file of a data store in the folder of its domain.
const BOOKS_FILE: &str = "books.sqlite";

/// A domain: topics, groups, tenants and sinks of its own, apart from those of all others. `log`, `tenants` and `sinks` have the
/// keys of these sections of the top level.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DomainSettings {
    /// Name in metrics, log lines, `/readyz` and `--domain`: at most 32 of a-z, 0-9, `-` and `_`.
    pub(crate) name: String,
    /// Stands before every topic, group and transactional id, as at the top level. On one Kafka cluster each domain has
    /// another, none is another's beginning up to a dot, and the empty one stands alone.
    #[serde(default)]
    pub(crate) namespace: String,
    /// Where its data is, in your own words, such as `eu-central-1`; `/readyz`, `check`, `verify` and the first lines of a
    /// process say it.
    #[serde(default)]
    pub(crate) region: Option<String>,
    /// Folder for its local log; the folder of its name below the top level's `data` where absent.
    #[serde(default)]
    pub(crate) data: Option<PathBuf>,
    /// Its log, whole: nothing of the top level's `log` is added to it. The top level's where absent.
    #[serde(default)]
    pub(crate) log: Option<LogSettings>,
    /// Days that records are kept on topics that are not compacted; the log's `retention_days` where absent.
    #[serde(default)]
    pub(crate) retention_days: Option<u64>,
    /// Who may send events. A tenant belongs to one domain.
    #[serde(default)]
    pub(crate) tenants: Vec<TenantSettings>,
    /// Where its events go.
    #[serde(default)]
    pub(crate) sinks: Vec<SinkSettings>,
}

/// A domain with every setting that it has.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    pub(crate) name: String,
    /// Whether the file names domains. If not, nothing needs to be told apart by them.
    pub(crate) is_named: bool,
    pub(crate) region: Option<String>,
    pub(crate) namespace: String,
    pub(crate) data: PathBuf,
    pub(crate) log: LogSettings,
    /// The file of its data store.
    pub(crate) books: PathBuf,
    pub(crate) tenants: Vec<TenantSettings>,
    pub(crate) sinks: Vec<SinkSettings>,
    /// Where its keys stand in the file: `domains[0].`, or nothing.
    pub(crate) section: String,
}

impl Settings {
    /// The domains of the file, or the one that the file is.
    pub(crate) fn domains(&self) -> Vec<Domain> {
        if self.domains.is_empty() {
            return vec![self.whole()];
        }
        (0..).zip(&self.domains).map(|(place, domain)| self.of(place, domain)).collect()
    }

    /// Returns the domains that roles are to run: the one of a name, or all.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(crate) fn domains_named(&self, name: Option<&str>) -> Result<Vec<Domain>, UsageError> {
        let mut domains = self.domains();
        let known = names(&domains);
        domains.retain(|domain| name.is_none_or(|name| domain.name == name));
        match (domains.is_empty(), name) {
            (true, Some(name)) => Err(UsageError::NoDomain { name: name.to_owned(), known }),
            _ => Ok(domains),
        }
    }

    /// Returns the domain that a command works on: the one of a name, or the only one.
    ///
    /// # Errors
    /// When there is none of that name, or several and none was named.
    pub(crate) fn domain_named(&self, name: Option<&str>) -> Result<Domain, UsageError> {
        let domains = self.domains_named(name)?;
        let known = names(&domains);
        <[Domain; 1]>::try_from(domains)
            .map(|[domain]| domain)
            .map_err(|_several| UsageError::WhichDomain { known })
    }

    fn whole(&self) -> Domain {
        Domain {
            name: DEFAULT.to_owned(),
            is_named: false,
            region: None,
            namespace: self.namespace.clone(),
            data: self.data.clone(),
            log: self.log.clone(),
            books: self.books.path.clone().unwrap_or_else(|| self.data.join(BOOKS_FILE)),
            tenants: self.tenants.clone(),
            sinks: self.sinks.clone(),
            section: String::new(),
        }
    }

    fn of(&self, place: usize, settings: &DomainSettings) -> Domain {
        let mut log = settings.log.as_ref().unwrap_or(&self.log).clone();
        log.retention_days = settings.retention_days.unwrap_or(log.retention_days);
        let data = settings.data.clone().unwrap_or_else(|| self.data.join(&settings.name));
        let of_name = |folder: &PathBuf| folder.join(format!("{}.sqlite", settings.name));
        let books = self.books.path.as_ref().map_or_else(|| data.join(BOOKS_FILE), of_name);
        Domain {
            name: settings.name.clone(),
            is_named: true,
            region: settings.region.clone(),
            namespace: settings.namespace.clone(),
            data,
            log,
            books,
            tenants: settings.tenants.clone(),
            sinks: settings.sinks.clone(),
            section: format!("domains[{place}]."),
        }
    }
}

impl Domain {
    /// Names the topics of the namespace.
    pub(crate) fn topics(&self) -> Topics {
        Topics::new(&self.namespace)
    }

    /// Lists the topics with their settings.
    pub(crate) fn topic_specs(&self) -> Vec<TopicSpec> {
        let sinks: Vec<&str> = self.sinks.iter().map(|sink| sink.name.as_str()).collect();
        self.topics().specs(&sinks, self.log.retention_days)
    }

    /// Where the local log is.
    pub(crate) fn local_log(&self) -> LocalSettings {
        let topics = self.topics();
        let dead = self.sinks.iter().map(|sink| topics.dead(&sink.name));
        LocalSettings {
            dir: self.data.join("log"),
            partitions: self.log.partitions,
            tuning: self.log.local.clone(),
            keep_by_age: dead.chain([topics.conflicts.clone()]).collect(),
        }
    }

    /// Names the log for people.
    pub(crate) fn log_name(&self) -> String {
        let within = match self.namespace.as_str() {
            "" => String::new(),
            namespace => format!(", namespace {namespace}"),
        };
        let region = self.region.as_ref().map(|region| format!(", {region}")).unwrap_or_default();
        match &self.log.kafka {
            Some(kafka) => format!("Kafka at {}{within}{region}", kafka.brokers),
            None => format!("local, in {}{within}{region}", self.local_log().dir.display()),
        }
    }

    /// The sinks as `verify` knows them.
    pub(crate) fn sinks_under_test(&self) -> Vec<SinkUnderTest> {
        let topics = self.topics();
        let under_test = |sink: &SinkSettings| SinkUnderTest {
            name: sink.name.clone(),
            topic: sink.to.config().source().topic(&topics).clone(),
            group: topics.sink_group(&sink.name),
            is_configured: true,
        };
        self.sinks.iter().map(under_test).collect()
    }

    /// Lists its sinks for people.
    pub(crate) fn sink_names(&self) -> String {
        let names: Vec<&str> = self.sinks.iter().map(|sink| sink.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

fn names(domains: &[Domain]) -> String {
    let names: Vec<&str> = domains.iter().map(|domain| domain.name.as_str()).collect();
    names.join(", ")
}
