use proptest::prelude::*;

use super::*;

const SALT: Salt = Salt(0x1234_5678_9abc_def0);

type Stored = (Vec<u8>, Option<Vec<u8>>);

fn stored() -> impl Strategy<Value = Vec<Stored>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    prop::collection::vec((bytes(), prop::option::of(bytes())), 1..6)
}

fn head(kind: SectionKind, partition: Partition) -> SectionHead {
    let lane = Lane { topic: 3, partition };
    SectionHead { kind, lane, count: 0, first: 40, lsn: 90, appended_ms: -5 }
}

/// One section of consecutive records and one of copies with gaps.
fn encode(records: &[Stored], position: u64) -> Vec<u8> {
    let mut frame = FrameWriter::new();
    frame.begin(SALT, position, FrameKind::Commit, 90, -5);
    frame.begin_section(head(SectionKind::Records, 1));
    for (key, value) in records {
        frame.record(key, value.as_deref());
    }
    frame.end_section();
    frame.begin_section(head(SectionKind::Copies, 2));
    for (number, (key, value)) in (0_u64..).zip(records) {
        frame.copy(&copy(number, key, value.as_deref()));
    }
    frame.end_section();
    frame.finish().to_vec()
}

fn copy<'a>(number: u64, key: &'a [u8], value: Option<&'a [u8]>) -> Record<'a> {
    let appended_ms = number.cast_signed() * 1_000 - 5;
    Record { offset: 40 + number * 3, lsn: 90 + number * 7, appended_ms, key, value }
}

fn decode<'a>(section: &Section, bytes: &'a [u8]) -> Vec<Record<'a>> {
    let mut records = Records::new(&section.head);
    let body = &bytes[section.body.clone()];
    std::iter::from_fn(|| records.next(body)).map(Result::unwrap).collect()
}

proptest! {
    #[test]
    fn what_goes_into_a_frame_comes_out(records in stored(), position in 0..1_u64 << 40) {
        let bytes = encode(&records, position);
        let frame = parse_frame(&bytes, SALT, position).unwrap();
        prop_assert_eq!((frame.kind, frame.lsn, frame.length), (FrameKind::Commit, 90, bytes.len()));
        let plain = decode(&frame.sections[0], &bytes);
        let copies = decode(&frame.sections[1], &bytes);
        prop_assert_eq!((plain.len(), copies.len()), (records.len(), records.len()));
        for (number, (key, value)) in (0_u64..).zip(&records) {
            let place = usize::try_from(number).unwrap();
            let value = value.as_deref();
            let (offset, lsn) = (40 + number, 90 + number);
            prop_assert_eq!(plain[place], Record { offset, lsn, appended_ms: -5, key, value });
            prop_assert_eq!(copies[place], copy(number, key, value));
        }
    }

    #[test]
    fn no_flipped_bit_passes(records in stored(), place: prop::sample::Index, bit in 0..8_u32) {
        let mut bytes = encode(&records, 48);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(parse_frame(&bytes, SALT, 48).is_err(), "byte {place}");
    }

    #[test]
    fn no_frame_passes_cut_short_or_elsewhere(records in stored(), cut: prop::sample::Index) {
        let bytes = encode(&records, 48);
        prop_assert!(parse_frame(&bytes[..cut.index(bytes.len())], SALT, 48).is_err());
        prop_assert!(parse_frame(&bytes, SALT, 49).is_err());
        prop_assert!(parse_frame(&bytes, Salt(SALT.0 ^ 1), 48).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse_frame(&bytes, SALT, 48).is_err());
        let mut records = Records::new(&head(SectionKind::Copies, 0));
        records.left = 10;
        while let Some(record) = records.next(&bytes) {
            if record.is_err() {
                break;
            }
        }
    }
}
