//! The conformance suite on the Local log.

use std::path::PathBuf;
use std::sync::Arc;

use tillrace_log::conformance::{self, Subject};
use tillrace_log::local::{LocalLog, LocalSettings};
use tillrace_log::{Log, LogError, Partition};

/// Local logs in a folder, one a name.
struct Folders(PathBuf);

impl Subject for Folders {
    fn open(&self, name: &str, partitions: Partition) -> Result<Arc<dyn Log>, LogError> {
        Ok(LocalLog::open(LocalSettings::new(self.0.join(name), partitions))?)
    }
}

#[test]
fn the_local_log_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let subject = Folders(folder.path().to_owned());
    for scenario in conformance::scenarios() {
        conformance::run(&subject, &scenario);
    }
}
