//! Why an address cannot be listened on.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tillrace_log::explain::{Explained, Explanation};

/// A listener that did not start.
#[derive(Debug, thiserror::Error)]
#[error("the {component} listener cannot listen on {address}")]
pub struct ListenError {
    /// Which listener: `gateway` or `status`.
    pub component: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

const IN_USE: Explanation = Explanation {
    code: "listen_address_in_use",
    meaning: "Another process listens on the address already. Nothing was started.",
    remedy: "Stop that process, which `ss -ltnp` names, or choose another address: `ingest.listen` or --listen for the gateway, \
             `status` or --status for the status listener. Roles on one host need a status address each.",
};
const NOT_LOCAL: Explanation = Explanation {
    code: "listen_address_not_local",
    meaning: "No network interface of this machine has the address. Nothing was started.",
    remedy: "Use an address of this machine (`ip address` lists them), or 0.0.0.0 or [::] for all of them: `ingest.listen` or \
             --listen for the gateway, `status` or --status for the status listener.",
};
const NOT_PERMITTED: Explanation = Explanation {
    code: "listen_not_permitted",
    meaning: "The process may not listen on that port: those below 1024 need a right. Nothing was started.",
    remedy: "Choose a port from 1024 on, or grant CAP_NET_BIND_SERVICE (AmbientCapabilities of systemd). If the port is above, \
             a security policy forbids it.",
};
const NO_DESCRIPTORS: Explanation = Explanation {
    code: "listen_no_descriptors",
    meaning: "The process, or the machine, has as many files and connections open as it may, so there is none for a listener. \
              Nothing was started.",
    remedy: "Raise the limit of open files: `ulimit -n`, or `LimitNOFILE` of the service.",
};
const NO_PROTOCOL: Explanation = Explanation {
    code: "listen_no_protocol",
    meaning: "This machine or container has no network protocol for such an address, as where IPv6 is turned off. Nothing was \
              started.",
    remedy: "Use an IPv4 address for `ingest.listen` and `status`, or turn IPv6 on.",
};
const FAILED: Explanation = Explanation {
    code: "listen_failed",
    meaning: "The system could not listen on the address; its words are in the text. Nothing was started.",
    remedy: "Look at what the system says, or choose another address: `ingest.listen` or --listen for the gateway, `status` or \
             --status for the status listener.",
};

impl Explained for ListenError {
    const EXPLANATIONS: &'static [Explanation] =
        &[IN_USE, NOT_LOCAL, NOT_PERMITTED, NO_DESCRIPTORS, NO_PROTOCOL, FAILED];

    fn explanation(&self) -> &'static Explanation {
        // Linux: EMFILE of the process, ENFILE of the machine, EAFNOSUPPORT; they have no kind of their own.
        match (self.source.raw_os_error(), self.source.kind()) {
            (Some(23 | 24), _) => &NO_DESCRIPTORS,
            (Some(97), _) => &NO_PROTOCOL,
            (_, ErrorKind::AddrInUse) => &IN_USE,
            (_, ErrorKind::AddrNotAvailable) => &NOT_LOCAL,
            (_, ErrorKind::PermissionDenied) => &NOT_PERMITTED,
            _ => &FAILED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_why() {
        for (errno, code) in [
            (98, IN_USE.code),
            (99, NOT_LOCAL.code),
            (13, NOT_PERMITTED.code),
            (24, NO_DESCRIPTORS.code),
            (23, NO_DESCRIPTORS.code),
            (97, NO_PROTOCOL.code),
            (5, FAILED.code),
        ] {
            let source = io::Error::from_raw_os_error(errno);
            let address = SocketAddr::from(([127, 0, 0, 1], 80));
            let error = ListenError { component: "gateway", address, source };
            assert_eq!(error.explanation().code, code, "{error}");
        }
    }
}
