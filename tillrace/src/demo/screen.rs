//! What the demo shows while it plays: one line that says how far it is.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tillrace_loadtest::client;

use super::settle::Backlog;

const TICK: Duration = Duration::from_millis(120);

/// The line at the bottom of the terminal; nothing where there is none, or in quiet mode.
pub(crate) struct Screen {
    bar: ProgressBar,
}

impl Screen {
    /// Shows a bar for so many events.
    pub(crate) fn new(events: u64, quiet: bool) -> Self {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(events), target);
        // The template is a constant; were it wrong, the default bar would do.
        if let Ok(style) = ProgressStyle::with_template(
            "{prefix:>10} {bar:36.cyan/blue} {pos:>7}/{len} {elapsed:>4}  {msg}",
        ) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.enable_steady_tick(TICK);
        Self { bar }
    }

    /// The fleet is sending.
    pub(crate) fn sending(&self, progress: &client::Progress) {
        self.bar.set_prefix("selling");
        self.bar.set_position(progress.acknowledged + progress.refused);
        self.bar.set_message(format!(
            "{} acknowledged, {} refused, {} sent twice, {} requests retried",
            progress.acknowledged, progress.refused, progress.copies, progress.retries
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
            .map(|stage| format!("{} {}", stage.name, stage.records))
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
