//! Why the demo ended before its report.

use tillrace_loadtest::client::ClientError;
use tillrace_loadtest::topics::ReadError;
use tillrace_log::explain;

/// Why the demo ended before its report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error("interrupted")]
    Interrupted,
    #[error("{what} has {records} records to go, and stands still")]
    StandsStill { what: String, records: u64 },
    #[error("send the fleet's events")]
    Sending(#[from] ClientError),
    #[error("compare the log with what was acknowledged")]
    Comparing(#[from] ReadError),
}

explain!(DemoError {
    Interrupted: "demo_interrupted",
        "The demo was told to end. Its folder is removed.",
        "Nothing.";
    StandsStill: "demo_stands_still",
        "Nothing moved for a minute although there was work: this machine is far too slow or its disk is full, or it is a defect.",
        "Try `tillrace demo --events 1000`. If that stands still too, report it with the text and the lines before.";
    Sending: "demo_sending",
        "The demo's tills could not reach its own gateway over loopback.",
        "See the words of the system in the text: a firewall, a proxy or a sandbox may forbid loopback connections.";
    Comparing: "demo_comparing",
        "The demo could not read its own log.",
        "See the words of the system in the text, and whether the disk of the folder for temporary files is full.";
});
