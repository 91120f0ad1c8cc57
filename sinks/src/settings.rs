//! Settings of the delivery role: the sinks, and the limits of each.
//!
//! Settings of one connector are in its module. Each default is defined once, here or there.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use tillrace_log::setting::{Inspection, Secret, SettingErrors};

use crate::connector::Ordering;
pub use crate::connectors::Target;
use crate::filter::Filter;
pub use crate::flow::{
    BatchSettings, BreakerSettings, CallRateSettings, FlowSettings, InFlightSettings,
    RecordPosition, RetrySettings,
};
pub use crate::start::Start;

const LONGEST_NAME: usize = 40;

/// One sink: its name, target, filter and limits.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkSettings {
    /// Names its consumer group, its dead-letter topic, its audit records and its metrics.
    pub name: String,
    /// The connector and its target.
    pub to: Target,
    /// The records it delivers, of those that its connector accepts.
    #[serde(default)]
    pub filter: Filter,
    /// Batches, limits, retries.
    #[serde(default)]
    pub flow: FlowSettings,
}

impl SinkSettings {
    /// Makes settings with the defaults.
    pub fn new(name: &str, to: Target) -> Self {
        Self { name: name.to_owned(), to, filter: Filter::default(), flow: FlowSettings::default() }
    }

    /// Returns every secret, with its path within the sink.
    pub fn secrets(&mut self) -> Vec<(String, &mut Secret)> {
        let secrets = self.to.config_mut().secrets().into_iter();
        secrets.map(|(path, secret)| (format!("to.{path}"), secret)).collect()
    }

    /// Reports invalid settings.
    pub fn inspect(&self, found: &mut Inspection) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        found.require(
            (1..=LONGEST_NAME).contains(&self.name.len()) && self.name.bytes().all(plain),
            "name",
            "is not a valid name of a sink",
            "use 1 to 40 of a-z, 0-9 and -",
        );
        let to = self.to.config();
        found.within("to", |found| to.inspect(found));
        found.within("filter", |found| self.filter.inspect(to.source(), to.needs(), found));
        found.within("flow", |found| {
            self.flow.inspect(found);
            if to.ordering() == Ordering::Partition {
                self.flow.inspect_for_files(found);
            }
        });
    }
}

/// Reports invalid settings of sinks, each by itself and all together.
pub fn inspect(sinks: &[SinkSettings], found: &mut Inspection) {
    let (mut names, mut locations) = (BTreeSet::new(), HashSet::new());
    found.each("sinks", sinks, |found, sink| {
        sink.inspect(found);
        if let Some(location) = sink.to.config().location() {
            found.require(
                locations.insert((location, sink.to.config().source())),
                "to.location",
                "is also the location of another sink",
                "give each sink a location of its own: of two that write to one, each loses rows",
            );
        }
        found.require(
            names.insert(&sink.name),
            "name",
            "is also the name of another sink",
            "name each sink differently: the name is its consumer group",
        );
    });
}

/// Tells whether the files of one sink would stand in the location of the other's, or within it.
pub fn share_location(one: &SinkSettings, other: &SinkSettings) -> bool {
    let locations = (one.to.config().location(), other.to.config().location());
    let (Some(one), Some(other)) = locations else { return false };
    let holds = |outer: &str, inner: &str| {
        let rest = inner.strip_prefix(outer.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    holds(&one, &other) || holds(&other, &one)
}

/// Returns the folder that a sink writes files to; `None` of a sink that writes none, or to a bucket.
pub fn folder(sink: &SinkSettings) -> Option<PathBuf> {
    sink.to.config().folder()
}

/// Checks all sinks together.
///
/// # Errors
/// Names every setting that cannot be used.
pub fn validate(sinks: &[SinkSettings]) -> Result<(), SettingErrors> {
    Inspection::of("", |found| inspect(sinks, found))
}

#[cfg(test)]
mod tests;
