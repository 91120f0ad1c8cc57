//! A request that passed every check that needs no byte of its body.

use crate::body::BodyReader;
use crate::memory_budget::MemoryPermit;
use crate::split::Format;
use crate::tenant::Principal;

/// A request with events, as its route hands it on.
pub(crate) struct AdmittedRequest {
    pub(crate) caller: Principal,
    pub(crate) format: Format,
    pub(crate) body: BodyReader,
    pub(crate) traceparent: Option<String>,
    pub(crate) permit: MemoryPermit,
}
