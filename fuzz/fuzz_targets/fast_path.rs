//! Some texts one after the other, split at 0xff: a decoder with the fast path decodes each as the reference decoder does,
//! whatever it learned from those before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tillrace_core::card::CardRules;
use tillrace_core::decode::Decoder;

/// Fewer than it takes for texts to be skipped.
const TEXTS: usize = 3;

fuzz_target!(|texts: &[u8]| {
    let (mut decoder, mut reference) = (Decoder::new(), Decoder::reference());
    let cards = CardRules::default();
    for text in texts.splitn(TEXTS, |byte| *byte == 0xff) {
        assert_eq!(decoder.decode(text), reference.decode(text));
    }
    let mut decoder = Decoder::new();
    for text in texts.splitn(TEXTS, |byte| *byte == 0xff) {
        assert_eq!(decoder.admit(text, &cards), reference.admit(text, &cards));
    }
});
