//! Nothing is allocated for an event once the decoder's buffers have grown.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its samples has failed")]
#![expect(unsafe_code, reason = "an allocator that counts can be written in no other way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use tillrace_core::card::CardRules;
use tillrace_core::decode::Decoder;
use tillrace_core::envelope::Envelope;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator unchanged; counting neither allocates
// nor touches the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract, which is the system allocator's own.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above; the memory came from the system allocator.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above; the memory came from the system allocator.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Samples that hold what events usually hold, unknown members included.
fn samples() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/samples");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

#[test]
fn decoding_allocates_nothing_after_warm_up() {
    let (samples, cards) = (samples(), CardRules::default());
    assert!(samples.len() > 20);
    let mut decoder = Decoder::new();
    let mut round = || {
        for text in &samples {
            let event = decoder.admit(text, &cards).unwrap();
            let buffers = event.into_buffers();
            decoder.reuse(buffers);
        }
    };
    assert!(allocations(&mut round) > 0, "the count counts");
    assert_eq!(allocations(&mut round), 0);
}

#[test]
fn reading_an_envelope_allocates_nothing_where_nothing_is_escaped() {
    let value = br#"{"specversion":"1.0","id":"7","source":"/demo/1/2","type":"tillrace.pos.sale","time":"2026-11-27T08:15:30Z","dataschema":"urn:tillrace:event:v1","datacontenttype":"application/json","tenant":"demo","store":"1","terminal":"2","sequence":"7","eventid":"3","businessdate":"2026-11-27","receivedtime":"2026-11-27T08:15:31.000Z","contenthash":"h2:00000000000000000000000000000abc","scope":"terminal","policyrevision":"1","admission":"live","gateway":"g","data":{}}"#;
    let counted = allocations(|| {
        let envelope = Envelope::parse(value).unwrap();
        assert_eq!(envelope.content_hash, Some(0xabc));
    });
    assert_eq!(counted, 0);
}
