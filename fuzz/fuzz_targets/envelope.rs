//! Any bytes: the parser never panics, and what it reads it reads again once it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tillrace_core::envelope::Envelope;

fuzz_target!(|value: &[u8]| {
    if let Ok(envelope) = Envelope::parse(value) {
        let mut written = Vec::new();
        envelope.write(&mut written);
        assert_eq!(Envelope::parse(&written), Ok(envelope));
    }
});
