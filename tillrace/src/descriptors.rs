//! File descriptors: as many as the system grants, shared out between connections and everything else.
//!
//! A connection that takes the last one takes it from the log, whose next segment then cannot be opened. So connections
//! get what is left when files and the listeners' reserves are taken care of, whatever the configuration asks for.

use std::io;

use rlimit::Resource;
use tillrace_ingest::{GatewaySettings, RESERVED_CONNECTIONS};
use tillrace_log::explain;

use crate::lines::LIMIT_NOT_RAISED;
use crate::status;

/// Descriptors of each domain: for its log's files or connections to brokers, and for files and calls of its sinks.
const FILES: usize = 256;
/// Fewer connections than this are no gateway.
const LEAST_CONNECTIONS: usize = 64;

/// Why there are not enough descriptors to start with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DescriptorError {
    #[error("read the limit of open files")]
    Unknown(#[source] io::Error),
    #[error(
        "the limit of open files is {limit}, and a gateway needs {least} at least: raise it (LimitNOFILE of systemd, \
         ulimit -n)"
    )]
    TooFew { limit: usize, least: usize },
}

explain!(DescriptorError {
    Unknown: "descriptors_unknown",
        "The system does not tell how many files this process may open. Nothing was started.",
        "See the words of the system in the text: a sandbox may forbid the call `getrlimit`.";
    TooFew: "descriptors_too_few",
        "The limit of open files leaves next to nothing for connections once the log's files and the reserves are taken off. \
         Nothing was started.",
        "Raise it: `LimitNOFILE` of systemd, `ulimit -n` of a shell, `--ulimit nofile` of a container.";
});

/// What the process may open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptors {
    limit: usize,
}

impl Descriptors {
    /// Raises the soft limit to the hard one.
    ///
    /// # Errors
    /// When the limit cannot be read.
    pub(crate) fn raise() -> Result<Self, DescriptorError> {
        let limit = match rlimit::increase_nofile_limit(u64::MAX) {
            Ok(limit) => limit,
            Err(error) => {
                tracing::warn!(code = LIMIT_NOT_RAISED.code, %error, "cannot raise the limit of open files");
                Resource::NOFILE.get_soft().map_err(DescriptorError::Unknown)?
            }
        };
        Ok(Self { limit: usize::try_from(limit).unwrap_or(usize::MAX) })
    }

    /// Holds the gateway to what is left for it, and says so in a sentence if that is less than it was set to.
    ///
    /// # Errors
    /// When next to nothing is left.
    pub(crate) fn hold(
        self,
        settings: &mut GatewaySettings,
        domains: usize,
    ) -> Result<Option<String>, DescriptorError> {
        let taken = FILES * domains.max(1) + status::MAX_CONNECTIONS + RESERVED_CONNECTIONS;
        let limit = self.limit;
        let room = limit.saturating_sub(taken);
        if room < LEAST_CONNECTIONS {
            return Err(DescriptorError::TooFew { limit, least: taken + LEAST_CONNECTIONS });
        }
        let wanted = settings.max_connections;
        settings.max_connections = wanted.min(room);
        Ok((wanted > room).then(|| {
            format!(
                "{room} connections instead of the {wanted} of ingest.max_connections: {limit} files may be open; raise \
                 that (LimitNOFILE of systemd, ulimit -n) to {}",
                wanted + taken
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(
        limit: usize,
        max_connections: usize,
        domains: usize,
    ) -> Result<(usize, Option<String>), DescriptorError> {
        let mut settings = GatewaySettings { max_connections, ..GatewaySettings::default() };
        let said = Descriptors { limit }.hold(&mut settings, domains)?;
        Ok((settings.max_connections, said))
    }

    #[test]
    fn connections_get_what_files_and_reserves_leave() {
        assert_eq!(held(1_048_576, 10_000, 1).unwrap(), (10_000, None));
        assert_eq!(held(1_024, 640, 1).unwrap(), (640, None));
        let (connections, said) = held(1_024, 10_000, 1).unwrap();
        assert_eq!(connections, 640);
        assert_eq!(held(1_024, 10_000, 3).unwrap().0, 640 - 2 * FILES);
        assert_eq!(
            said.unwrap(),
            "640 connections instead of the 10000 of ingest.max_connections: 1024 files may be open; raise that \
             (LimitNOFILE of systemd, ulimit -n) to 10384"
        );
        let refused = held(256, 10_000, 1).unwrap_err().to_string();
        assert!(refused.contains("a gateway needs 448 at least"), "{refused}");
    }
}
