use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn fresh() -> Progress {
    Progress::resume(&Committed { offset: 0, metadata: String::new() })
}

#[test]
fn only_the_prefix_without_a_hole_is_committed() {
    let mut progress = fresh();
    for offset in [0, 1, 2, 5, 6, 9] {
        assert!(progress.receive(offset, 0));
    }
    progress.settle(1, SettleKind::Delivered);
    progress.settle(6, SettleKind::Aside);
    assert_eq!(progress.committable(), Committed { offset: 0, metadata: "1;2;1+1,4+1".into() });
    progress.settle(0, SettleKind::Delivered);
    assert_eq!(progress.committable(), Committed { offset: 2, metadata: "1;2;4+1".into() });
    // 3 and 4 are markers of the log: nobody settles them, and nobody waits for them.
    progress.settle(2, SettleKind::Delivered);
    progress.settle(5, SettleKind::Delivered);
    progress.settle(9, SettleKind::Delivered);
    assert_eq!(progress.committable(), Committed { offset: 10, metadata: "1;10".into() });
}

#[test]
fn what_was_settled_before_a_restart_is_not_done_again() {
    let committed = Committed { offset: 10, metadata: "1;25;2+3,5+1".into() };
    let mut progress = Progress::resume(&committed);
    assert_eq!(progress.delivered_to(), 25);
    assert_eq!(progress.committable(), committed, "a crash before the first record loses nothing");
    let done: Vec<_> = (10..25).filter(|&offset| !progress.receive(offset, 0)).collect();
    assert_eq!(done, [12, 13, 14, 20]);
}

#[test]
fn foreign_metadata_is_ignored() {
    for metadata in
        ["", "hello", "2;7", "1", "1;x", "1;5;3", "1;5;3+x", "1;5;18446744073709551615+9"]
    {
        let committed = Committed { offset: 10, metadata: metadata.into() };
        let mut progress = Progress::resume(&committed);
        assert!(progress.receive(10, 0), "{metadata}");
    }
}

#[test]
fn the_age_is_that_of_the_oldest_unsettled_record() {
    let mut progress = fresh();
    progress.receive(0, 100);
    progress.receive(1, 200);
    assert_eq!(progress.oldest_ms(), Some(100));
    progress.settle(0, SettleKind::Delivered);
    assert_eq!(progress.oldest_ms(), Some(200));
    progress.settle(1, SettleKind::Delivered);
    assert_eq!(progress.oldest_ms(), None);
}

proptest! {
    /// Against a plain set: the commit is the lowest unsettled record (or the end), everything
    /// that metadata claims was settled, and unless cut it claims everything that was.
    #[test]
    fn commit_and_restart_agree_with_a_plain_set(
        gaps in prop::collection::vec(1_u64..4, 1..2_000),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..2_000),
    ) {
        let offsets: Vec<Offset> = gaps
            .iter()
            .scan(0, |at, gap| { *at += gap; Some(*at) })
            .collect();
        let mut progress = fresh();
        for &offset in &offsets {
            progress.receive(offset, 0);
        }
        let settled: BTreeSet<Offset> = picks.iter().map(|pick| *pick.get(&offsets)).collect();
        for &offset in &settled {
            progress.settle(offset, SettleKind::Delivered);
        }

        let committed = progress.committable();
        let lowest_open = offsets.iter().find(|offset| !settled.contains(offset));
        let end = offsets.last().unwrap() + 1;
        let open = lowest_open.copied().unwrap_or(end);
        prop_assert!(committed.offset <= open);
        prop_assert!(!offsets.iter().any(|offset| (committed.offset..open).contains(offset)));
        prop_assert!(lowest_open.is_some() || committed.offset == end);
        prop_assert!(committed.metadata.len() <= METADATA_LIMIT);
        prop_assert_eq!(progress.delivered_to(), settled.last().map_or(0, |last| last + 1));

        let cut = committed.metadata.len() > METADATA_LIMIT - 16;
        let mut again = Progress::resume(&committed);
        for &offset in offsets.iter().filter(|&&offset| offset >= committed.offset) {
            let open = again.receive(offset, 0);
            if settled.contains(&offset) {
                prop_assert!(!open || cut, "offset {} is sent again", offset);
            } else {
                prop_assert!(open, "offset {} is lost", offset);
            }
        }
    }
}
