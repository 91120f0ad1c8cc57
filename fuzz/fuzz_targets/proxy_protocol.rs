//! Any bytes: a header ends within them, more is asked for only as long as it may become one, and the same bytes read in the steps
//! that are asked for come to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tillrace_ingest::proxy_protocol::{Preamble, parse};

/// The longest header of either version.
const MOST_BYTES: usize = 16 + 4096;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    match whole {
        Preamble::Header { length, .. } => assert!(length <= bytes.len() && length <= MOST_BYTES),
        Preamble::Incomplete(more) => assert!(more > 0 && bytes.len() + more <= MOST_BYTES),
        Preamble::Invalid => {}
    }
    let mut taken = 0;
    let stepped = loop {
        match parse(&bytes[..taken]) {
            Preamble::Incomplete(more) if taken + more <= bytes.len() => taken += more,
            other => break other,
        }
    };
    match (stepped, whole) {
        (Preamble::Header { length, .. }, _) => {
            assert_eq!((stepped, length), (whole, taken), "read to the end of the header");
        }
        (Preamble::Incomplete(_), Preamble::Header { .. }) => panic!("a whole header was not found"),
        _ => {}
    }
});
