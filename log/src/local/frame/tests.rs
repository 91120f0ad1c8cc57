use proptest::prelude::*;

use super::*;
use crate::local::compression::Compression;

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
    let mut frame = FrameWriter::new(Compression::Zstd);
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

fn decode<'a>(section: &Section, bodies: &'a [u8]) -> Vec<Record<'a>> {
    let mut records = Records::new(&section.head);
    let body = &bodies[section.body.clone()];
    std::iter::from_fn(|| records.next(body)).map(Result::unwrap).collect()
}

proptest! {
    #[test]
    fn what_goes_into_a_frame_comes_out(records in stored(), position in 0..1_u64 << 40) {
        let bytes = encode(&records, position);
        let frame = parse_frame(&bytes, SALT, position).unwrap();
        prop_assert_eq!((frame.kind, frame.lsn, frame.length), (FrameKind::Commit, 90, bytes.len()));
        let block = &frame.blocks[0];
        let bodies = block.bodies(&bytes).unwrap();
        let plain = decode(&block.sections[0], &bodies);
        let copies = decode(&block.sections[1], &bodies);
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

/// Sections of three partitions, of which the second is longer than a block, each record of its own.
fn large() -> FrameWriter {
    let mut frame = FrameWriter::new(Compression::Zstd);
    frame.begin(SALT, 48, FrameKind::Commit, 90, -5);
    for (partition, records) in [(0, 1), (1, 1_000), (2, 1)] {
        frame.begin_section(head(SectionKind::Records, partition));
        for number in 0..records {
            frame.record(format!("{partition}/{number}").as_bytes(), Some(&[b'v'; 400]));
        }
        frame.end_section();
    }
    frame.finish();
    frame
}

#[test]
fn a_long_section_is_cut_into_blocks_that_are_found_and_read_alone() {
    let frame = large();
    let bytes = frame.finished();
    assert!(bytes.len() < 20_000, "400 KB that repeat take {}", bytes.len());
    let mut found: Vec<(u32, Offset, String)> = Vec::new();
    for placed in frame.placed() {
        let from = usize::try_from(placed.run.position - 48).unwrap();
        let block = &bytes[from..from + placed.run.length as usize];
        let unpacked = parse_block(block, SALT, u64::from(placed.run.position))
            .unwrap()
            .unpack(block)
            .unwrap();
        assert!(unpacked.bodies.len() <= BLOCK_BYTES);
        let (head, body) = unpacked.find(placed.lane, placed.run.first).unwrap();
        let mut records = Records::new(&head);
        while let Some(record) = records.next(&body) {
            let Record { offset, lsn, key, .. } = record.unwrap();
            assert_eq!(lsn - 90, offset - 40);
            found.push((placed.lane.partition, offset, String::from_utf8(key.to_vec()).unwrap()));
        }
        assert_eq!(found.last().unwrap().1, placed.run.last());
    }
    let expected = [(0, 1), (1, 1_000), (2, 1)].into_iter().flat_map(|(partition, records)| {
        (0..records).map(move |number| (partition, 40 + number, format!("{partition}/{number}")))
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
    let taken: u64 = frame.placed().iter().map(|placed| u64::from(placed.run.share)).sum();
    assert!(taken.abs_diff(bytes.len() as u64) < 100, "{taken} of {}", bytes.len());
}

#[test]
fn a_scan_finds_what_the_writer_placed() {
    let frame = large();
    let bytes = frame.finished();
    let parsed = parse_frame(bytes, SALT, 48).unwrap();
    let placed = frame.placed().iter().map(|placed| (placed.run.position, placed.run.share));
    let scanned = parsed.blocks.iter().flat_map(|block| {
        let position = u32::try_from(block.position).unwrap();
        let share = |section| u32::try_from(block.share(section)).unwrap();
        block.sections.iter().map(move |section| (position, share(section)))
    });
    assert_eq!(scanned.collect::<Vec<_>>(), placed.collect::<Vec<_>>());
}

#[test]
fn a_block_is_copied_to_another_place_as_it_is_stored() {
    let frame = large();
    let parsed = parse_frame(frame.finished(), SALT, 48).unwrap();
    let (salt, mut copy) = (Salt(7), FrameWriter::new(Compression::None));
    copy.begin(salt, 48, parsed.kind, parsed.lsn, parsed.appended_ms);
    for block in &parsed.blocks {
        copy.stored_block(block, frame.finished());
    }
    let bytes = copy.finish();
    assert_eq!(bytes.len(), frame.finished().len());
    let copied = parse_frame(bytes, salt, 48).unwrap();
    let bodies = |frame: &Frame, bytes: &[u8]| {
        frame.blocks.iter().map(|block| block.bodies(bytes).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(bodies(&copied, bytes), bodies(&parsed, frame.finished()));
}
