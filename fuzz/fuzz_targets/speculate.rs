//! Some texts one after the other, split at 0xff: whatever was learned from those before, the
//! speculative decoder makes of each what the reference decoder makes of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tillrace_core::card::CardRules;
use tillrace_core::decode::Decoder;

/// Fewer than it takes to be passed by.
const TEXTS: usize = 3;

fuzz_target!(|texts: &[u8]| {
    let (mut speculative, mut reference) = (Decoder::new(), Decoder::reference());
    let cards = CardRules::default();
    for text in texts.splitn(TEXTS, |byte| *byte == 0xff) {
        assert_eq!(speculative.decode(text), reference.decode(text));
    }
    let mut speculative = Decoder::new();
    for text in texts.splitn(TEXTS, |byte| *byte == 0xff) {
        assert_eq!(speculative.admit(text, &cards), reference.admit(text, &cards));
    }
});
