//! The inspection of settings, which collects their errors and bounds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::{Bound, RangeBounds};

use super::{Quantity, Secret, SettingError, SettingErrors};

/// What was found in the settings so far.
#[derive(Debug, Default)]
pub struct Inspection {
    section: String,
    errors: Vec<SettingError>,
    warnings: Vec<SettingError>,
    literal_secrets: Vec<String>,
    bounds: BTreeMap<String, Bounds>,
}

/// Bounds of a setting, both included, as they are written in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bounds {
    /// The least that is taken.
    pub least: Option<String>,
    /// The most that is taken.
    pub most: Option<String>,
}

impl Inspection {
    /// Inspects one section by itself.
    ///
    /// # Errors
    /// Everything in it that cannot be used.
    pub fn of(section: &str, inspect: impl FnOnce(&mut Self)) -> Result<(), SettingErrors> {
        let mut found = Self::default();
        found.within(section, inspect);
        SettingErrors::check(found.errors)
    }

    /// Inspects a section below the current one.
    pub fn within(&mut self, section: &str, inspect: impl FnOnce(&mut Self)) {
        let outer = self.section.len();
        self.section = self.path(section);
        inspect(self);
        self.section.truncate(outer);
    }

    /// Inspects each item of a list below the current section.
    pub fn each<'a, T>(
        &mut self,
        list: &str,
        items: &'a [T],
        mut inspect: impl FnMut(&mut Self, &'a T),
    ) {
        for (index, item) in items.iter().enumerate() {
            self.within(&format!("{list}[{index}]"), |found| inspect(found, item));
        }
    }

    /// Adds an error: a setting that cannot be used.
    pub fn error(
        &mut self,
        key: &str,
        fault: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) {
        let path = self.path(key);
        self.errors.push(SettingError { path, fault: fault.into(), remedy: remedy.into() });
    }

    /// Adds a warning: a setting that can be used, and is probably a mistake.
    pub fn warning(
        &mut self,
        key: &str,
        fault: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) {
        let path = self.path(key);
        self.warnings.push(SettingError { path, fault: fault.into(), remedy: remedy.into() });
    }

    /// Adds an error unless a condition holds.
    pub fn require(
        &mut self,
        holds: bool,
        key: &str,
        fault: &'static str,
        remedy: impl Into<Cow<'static, str>>,
    ) {
        if !holds {
            self.error(key, fault, remedy);
        }
    }

    /// Adds an error for a quantity outside of its bounds, and keeps the bounds for the reference.
    pub fn range<T: Quantity>(&mut self, key: &str, value: T, range: impl RangeBounds<T>) {
        let bounds = Bounds { least: least(&range), most: most(&range) };
        if !range.contains(&value) {
            let remedy = match (&bounds.least, &bounds.most) {
                (Some(least), Some(most)) => format!("set it between {least} and {most}"),
                (Some(least), None) => format!("set it to at least {least}"),
                (None, Some(most)) => format!("set it to at most {most}"),
                (None, None) => String::new(),
            };
            self.error(key, format!("{} is out of bounds", value.written()), remedy);
        }
        let path = without_indices(&self.path(key));
        self.bounds.insert(path, bounds);
    }

    /// Does [`Inspection::range`] if there is a value, and keeps the bounds for the reference in any case.
    pub fn range_of<T: Quantity>(
        &mut self,
        key: &str,
        value: Option<T>,
        range: impl RangeBounds<T>,
    ) {
        let specimen = match (range.start_bound(), range.end_bound()) {
            (Bound::Included(least), _) => Some(*least),
            (_, Bound::Included(most)) => Some(*most),
            _ => None,
        };
        if let Some(value) = value.or(specimen) {
            self.range(key, value, range);
        }
    }

    /// Adds an error for a secret that cannot be sent, and keeps the path of a literal one.
    pub fn secret(&mut self, key: &str, secret: &Secret) {
        if secret.is_literal() {
            let path = self.path(key);
            self.literal_secrets.push(path);
        }
        if let Some(fault) = secret.fault() {
            self.error(key, fault, "give it one line of text, without control characters");
        }
    }

    /// Returns the errors.
    pub fn errors(&self) -> &[SettingError] {
        &self.errors
    }

    /// Returns the warnings.
    pub fn warnings(&self) -> &[SettingError] {
        &self.warnings
    }

    /// Returns the paths of literal secrets, which are not named by `env:` or `file:`.
    pub fn literal_secrets(&self) -> &[String] {
        &self.literal_secrets
    }

    /// Returns the bounds of every inspected quantity by its path, without list indices: `sinks[].name`.
    pub fn bounds(&self) -> &BTreeMap<String, Bounds> {
        &self.bounds
    }

    fn path(&self, key: &str) -> String {
        let mut path = self.section.clone();
        let dot = if path.is_empty() || key.is_empty() { "" } else { "." };
        // Writing to a String cannot fail.
        write!(path, "{dot}{key}").ok();
        path
    }
}

fn least<T: Quantity>(range: &impl RangeBounds<T>) -> Option<String> {
    match range.start_bound() {
        Bound::Included(least) => Some(least.written()),
        Bound::Excluded(_) | Bound::Unbounded => None,
    }
}

fn most<T: Quantity>(range: &impl RangeBounds<T>) -> Option<String> {
    match range.end_bound() {
        Bound::Included(most) => Some(most.written()),
        Bound::Excluded(_) | Bound::Unbounded => None,
    }
}

fn without_indices(path: &str) -> String {
    let mut inside = false;
    path.chars()
        .filter(|letter| {
            inside = (inside || *letter == '[') && *letter != ']';
            !inside || *letter == '['
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytesize::ByteSize;

    use super::*;

    fn inspected() -> Inspection {
        let mut found = Inspection::default();
        found.within("log", |found| {
            found.range("partitions", 0_u32, 1..=1_000);
            found.within("local", |found| {
                found.range("queue_bytes", ByteSize::mib(1), ByteSize::mib(2)..);
            });
        });
        found.each("sinks", &["a", "b"], |found, name| {
            found.range(
                "flow.wait",
                Duration::ZERO,
                Duration::from_secs(1)..=Duration::from_hours(1),
            );
            found.require(*name == "a", "name", "is taken", "choose another");
        });
        found
    }

    #[test]
    fn every_fault_is_noted_under_its_path_with_its_remedy() {
        let found: Vec<_> = inspected().errors().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "log.partitions: 0 is out of bounds; set it between 1 and 1000",
                "log.local.queue_bytes: 1MiB is out of bounds; set it to at least 2MiB",
                "sinks[0].flow.wait: 0s is out of bounds; set it between 1s and 1h",
                "sinks[1].flow.wait: 0s is out of bounds; set it between 1s and 1h",
                "sinks[1].name: is taken; choose another",
            ]
        );
    }

    #[test]
    fn bounds_are_remembered_for_the_reference() {
        let found = inspected();
        let bounds = &found.bounds()["sinks[].flow.wait"];
        assert_eq!((bounds.least.as_deref(), bounds.most.as_deref()), (Some("1s"), Some("1h")));
        assert_eq!(found.bounds()["log.local.queue_bytes"].most, None);
        let mut found = Inspection::default();
        found.range_of("attempts", None::<u32>, 1..);
        assert_eq!(found.errors(), []);
        assert_eq!(found.bounds()["attempts"].least.as_deref(), Some("1"));
    }

    #[test]
    fn a_section_by_itself_says_all_that_is_wrong_with_it() {
        let errors = Inspection::of("ingest", |found| {
            found.range("a", 0_u64, 1..);
            found.range("b", 11_u64, ..=10);
            found.range("c", 10_u64, 1..=10);
        });
        assert_eq!(
            errors.unwrap_err().to_string(),
            "ingest.a: 0 is out of bounds; set it to at least 1\n\
             ingest.b: 11 is out of bounds; set it to at most 10"
        );
    }
}
