//! What the demo shows while it plays: one line that says how far it is.

use indicatif::ProgressBar;
use tillrace_loadtest::figures::count;
use tillrace_loadtest::{client, progress};

use super::settle::Backlog;

/// The line at the bottom of the terminal; nothing where there is none, or in quiet mode.
pub(crate) struct Screen {
    bar: ProgressBar,
}

impl Screen {
    /// Shows a bar for so many events.
    pub(crate) fn new(events: u64, quiet: bool) -> Self {
        Self { bar: progress::line(Some(events), quiet) }
    }

    /// The fleet is sending.
    pub(crate) fn sending(&self, progress: &client::Progress) {
        self.bar.set_prefix("selling");
        self.bar.set_position(progress.acknowledged + progress.not_counted);
        self.bar.set_message(format!(
            "{} parked or refused, {} sent again, {} sent twice",
            count(progress.not_counted),
            count(progress.retries),
            count(progress.copies)
        ));
    }

    /// The stages behind the gateway are consuming what is left.
    pub(crate) fn settling(&self, backlogs: &[Backlog]) {
        self.bar.set_prefix("delivering");
        let left: u64 = backlogs.iter().map(|stage| stage.records).sum();
        let length = self.bar.length().unwrap_or(left).max(left);
        self.bar.set_length(length);
        self.bar.set_position(length - left);
        let stages: Vec<String> = backlogs
            .iter()
            .filter(|stage| stage.records > 0)
            .map(|stage| format!("{} {}", stage.name, count(stage.records)))
            .collect();
        self.bar.set_message(format!("to go: {}", stages.join(", ")));
    }

    /// The delivery that follows is counted anew.
    pub(crate) fn restart(&self) {
        self.bar.set_length(0);
        self.bar.set_message("");
    }

    /// Everything is recounted.
    pub(crate) fn checking(&self, what: &str) {
        self.bar.set_prefix("checking");
        self.bar.set_message(what.to_owned());
    }

    /// Takes the line away.
    pub(crate) fn clear(self) {
        self.bar.finish_and_clear();
    }
}
