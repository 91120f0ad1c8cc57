//! Restarts, aborts, lost replies and rebalances at every place: the outcome is always the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tillrace_log::testing::CommitOutcome;
use tillrace_log::{Offset, Partition};

use super::super::AggregateError;
use super::super::engine::Engine;
use super::super::fixture::{DAY_MS, FRIDAY_MS, Rig, Sample, line};

const PARTITIONS: Partition = 3;
/// A business date so far ahead that the event is kept aside.
const AHEAD: &str = "2026-12-24";
const SKUS: [&str; 4] = ["milk", "eggs", "tea/é", "\"q\""];

/// One thing that a terminal, a gateway or an operator does.
#[derive(Debug, Clone, Copy)]
struct Act {
    what: u8,
    store: u8,
    terminal: u8,
    sequence: u64,
    sku: u8,
    quantity: u8,
    minute: u8,
}

fn acts(most: usize) -> impl Strategy<Value = Vec<Act>> {
    let act = (0..20_u8, 0..4_u8, 0..2_u8, 0..60_u64, 0..4_u8, 1..9_u8, 0..5_u8).prop_map(
        |(what, store, terminal, sequence, sku, quantity, minute)| Act {
            what,
            store,
            terminal,
            sequence,
            sku,
            quantity,
            minute,
        },
    );
    prop::collection::vec(act, 1..most)
}

fn sample(act: Act) -> Sample {
    let store = format!("s{}", act.store);
    let sku = SKUS[usize::from(act.sku)];
    let quantity = format!("{}.5", act.quantity);
    let mut sample = Sample::sale(&store, &format!("t{}", act.terminal), act.sequence);
    sample.occurred_ms = FRIDAY_MS + DAY_MS / 2 + i64::from(act.minute) * 61_000;
    match act.what {
        0 => sample.kind("return").lines(vec![line(1, "return", sku, &quantity)]),
        1 => sample.kind("inventory_count").lines(vec![line(1, "count", sku, &quantity)]),
        2 => sample.kind("inventory_adjustment").lines(vec![line(1, "adjustment", sku, "-3")]),
        3 => sample.kind("close"),
        4 => sample.date("2026-10-01"),
        5 => sample.date(AHEAD),
        6 => {
            sample.sequence = None;
            sample.note(&format!("n{}", act.sequence))
        }
        7 => sample.note("other"),
        _ => {
            let lines = vec![line(1, "sale", sku, &quantity), line(2, "sale", "milk", "1")];
            sample.lines(lines)
        }
    }
}

/// Appends what the acts make, and returns it with its offsets.
fn play(rig: &Rig, acts: &[Act]) -> Vec<(Sample, Offset, Option<Vec<u8>>)> {
    let mut played: Vec<(Sample, Offset, Option<Vec<u8>>)> = Vec::new();
    for (step, &act) in acts.iter().enumerate() {
        let sample = sample(act);
        let at_ms = FRIDAY_MS + DAY_MS / 2 + i64::try_from(step).unwrap() * 1_000;
        match act.what {
            18 => {
                rig.append(&sample, sample.refused(), at_ms);
            }
            19 if !played.is_empty() => {
                // Now and then one that was kept aside, so that some orders can be followed.
                let ahead = played.iter().rfind(|(sample, ..)| sample.business_date == AHEAD);
                let any = &played[usize::try_from(act.sequence).unwrap() % played.len()];
                let (target, offset, _) = ahead.filter(|_| act.minute < 3).unwrap_or(any);
                let order = target.release(rig.partition(target), *offset);
                rig.append(target, order, at_ms);
            }
            _ => {
                let offset = rig.append(&sample, sample.accepted(), at_ms);
                let data = sample.data();
                played.push((sample, offset, Some(data)));
            }
        }
    }
    played
}

/// What disturbs.
#[derive(Debug, Clone)]
enum Fault {
    Step(usize),
    Flush,
    Ends(CommitOutcome),
    Move(Partition, usize),
    Kill(usize),
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let ending = prop_oneof![
        Just(CommitOutcome::Aborted),
        Just(CommitOutcome::LostBefore),
        Just(CommitOutcome::LostAfter),
        Just(CommitOutcome::Committed)
    ];
    let fault = prop_oneof![
        4 => (1..4_usize).prop_map(Fault::Step),
        3 => Just(Fault::Flush),
        2 => ending.prop_map(Fault::Ends),
        2 => (0..PARTITIONS, 0..2_usize).prop_map(|(partition, member)| Fault::Move(partition, member)),
        1 => (0..2_usize).prop_map(Fault::Kill),
    ];
    prop::collection::vec(fault, 0..60)
}

/// Two members that share the work; one that fails is replaced by a new one in its seat.
struct Team<'a> {
    rig: &'a Rig,
    seats: [(Engine<'a>, usize); 2],
    seat_of: BTreeMap<Partition, usize>,
}

impl<'a> Team<'a> {
    fn new(rig: &'a Rig) -> Self {
        let seat = || {
            let engine = rig.join_idle();
            (engine, rig.log.members() - 1)
        };
        let seats = [seat(), seat()];
        let mut team = Self { rig, seats, seat_of: BTreeMap::new() };
        (0..PARTITIONS).for_each(|partition| team.place(partition, 0));
        team
    }

    fn place(&mut self, partition: Partition, seat: usize) {
        if self.seat_of.insert(partition, seat) != Some(seat) {
            self.rig.log.assign(&[partition], self.seats[seat].1);
        }
    }

    fn replace(&mut self, seat: usize) {
        self.seats[seat] = (self.rig.join_idle(), self.rig.log.members() - 1);
        let mine: Vec<Partition> =
            self.seat_of.iter().filter(|entry| *entry.1 == seat).map(|entry| *entry.0).collect();
        self.rig.log.assign(&mine, self.seats[seat].1);
    }

    fn each(&mut self, act: impl Fn(&mut Engine<'a>) -> Result<(), AggregateError>) {
        for seat in 0..2 {
            if let Err(error) = act(&mut self.seats[seat].0) {
                assert!(error.is_retryable(), "{error}");
                self.replace(seat);
            }
        }
    }

    fn suffer(&mut self, fault: &Fault) {
        let now = self.rig.now;
        match *fault {
            Fault::Step(times) => (0..times).for_each(|_| self.each(|engine| engine.step(now))),
            Fault::Flush => self.each(|engine| engine.flush(now)),
            Fault::Ends(ending) => self.rig.log.endings([ending]),
            Fault::Move(partition, seat) => self.place(partition, seat),
            Fault::Kill(seat) => self.replace(seat),
        }
    }
}

/// Stock and firsts by the plainest means: a map of everything.
fn naive(played: &[(Sample, Offset, Option<Vec<u8>>)]) -> (u64, i64) {
    let mut known = BTreeMap::new();
    let (mut firsts, mut sold) = (0, 0);
    for (sample, _, data) in played {
        if sample.business_date == AHEAD {
            continue;
        }
        let identity = match sample.sequence {
            Some(sequence) => sequence.to_string(),
            None => format!("id {}", sample.note),
        };
        let identity = (sample.store.clone(), sample.terminal.clone(), identity);
        if known.insert(identity, data.clone()).is_some() {
            continue;
        }
        firsts += 1;
        for line in sample.lines.iter().filter(|_| sample.kind == "sale") {
            let quantity = line["quantity"].as_str().unwrap();
            sold += crate::text::Decimal::parse(quantity.as_bytes()).unwrap().0;
        }
    }
    (firsts, sold)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_goes_wrong_the_outcome_is_that_of_a_quiet_run(
        acts in acts(80),
        faults in faults(),
        flush_records in 5..60_usize,
    ) {
        let quiet = Rig::new(PARTITIONS);
        play(&quiet, &acts);
        quiet.run();
        let mut rig = Rig::new(PARTITIONS);
        rig.settings.flush_records = flush_records;
        let mut team = Team::new(&rig);
        play(&rig, &acts);
        for fault in &faults {
            team.suffer(fault);
        }
        drop(team);
        rig.log.clear_endings();
        rig.run();
        prop_assert_eq!(rig.outcome(), quiet.outcome());
    }

    #[test]
    fn deltas_sum_to_the_naive_fold_wherever_flushes_fall(
        acts in acts(120),
        flush_records in 3..80_usize,
    ) {
        let acts: Vec<Act> = acts.into_iter().filter(|act| act.what < 18).collect();
        let mut rig = Rig::new(PARTITIONS);
        rig.settings.flush_records = flush_records;
        let played = play(&rig, &acts);
        rig.run();
        let (firsts, sold) = naive(&played);
        prop_assert_eq!(rig.read(&rig.topics.transactions).len() as u64, firsts);
        prop_assert_eq!(rig.stock().values().map(|sums| sums[1]).sum::<i64>(), sold);
    }
}

/// A fixed run with every verdict in it, for faults at chosen places: from step 60 on it repeats
/// itself, every fifth time with other content.
fn fixed_acts() -> Vec<Act> {
    let act = |step: u8| {
        let base = step % 60;
        let what = base % 20 * 7 % 20;
        Act {
            what: if step >= 60 && step.is_multiple_of(5) && what < 18 { 7 } else { what },
            store: base % 4,
            terminal: base / 4 % 2,
            sequence: u64::from(base / 2 + base % 3),
            sku: base % 3,
            quantity: 1 + base % 5,
            minute: base % 4,
        }
    };
    (0..110).map(act).collect()
}

fn fixed_rig() -> Rig {
    let mut rig = Rig::new(PARTITIONS);
    rig.settings.flush_records = 25;
    play(&rig, &fixed_acts());
    rig
}

#[test]
fn every_commit_can_end_in_every_way() {
    let quiet = fixed_rig();
    quiet.run();
    let commits = quiet.log.commits();
    assert!(commits > 8, "{commits}");
    for ending in [CommitOutcome::Aborted, CommitOutcome::LostBefore, CommitOutcome::LostAfter] {
        for place in 0..commits {
            let rig = fixed_rig();
            rig.log.endings((0..place).map(|_| CommitOutcome::Committed).chain([ending]));
            if rig.drain(&mut rig.join()).is_err() {
                rig.run();
            }
            assert_eq!(rig.outcome(), quiet.outcome(), "{ending:?} at commit {place}");
        }
    }
}

#[test]
fn a_member_can_be_killed_after_every_step() {
    let quiet = fixed_rig();
    quiet.run();
    for steps in 0..12 {
        let rig = fixed_rig();
        let mut engine = rig.join();
        (0..steps).for_each(|_| engine.step(rig.now).unwrap());
        drop(engine);
        rig.run();
        assert_eq!(rig.outcome(), quiet.outcome(), "killed after {steps} steps");
    }
}

#[test]
fn partitions_go_to_another_process_and_back() {
    let quiet = fixed_rig();
    quiet.run();
    let rig = fixed_rig();
    let mut team = Team::new(&rig);
    for seat in [1, 0, 1, 0] {
        team.suffer(&Fault::Step(2));
        (0..PARTITIONS).for_each(|partition| team.place(partition, seat));
        team.suffer(&Fault::Flush);
        team.suffer(&Fault::Step(3));
    }
    drop(team);
    rig.run();
    assert_eq!(rig.outcome(), quiet.outcome());
}

#[test]
fn a_stalled_owner_that_comes_back_writes_nothing() {
    let quiet = fixed_rig();
    quiet.run();
    let rig = fixed_rig();
    let mut stalled = rig.join();
    (0..3).for_each(|_| stalled.step(rig.now).unwrap());
    rig.run();
    let commits = rig.log.commits();
    stalled.flush(rig.now).unwrap();
    assert_eq!(rig.log.commits(), commits);
    assert_eq!(rig.outcome(), quiet.outcome());
}

#[test]
fn a_replay_from_the_journal_gives_the_same_totals() {
    let first = fixed_rig();
    first.run();
    let again = Rig::new(PARTITIONS);
    play(&again, &fixed_acts());
    again.run();
    assert_eq!(first.outcome(), again.outcome());
}

#[test]
fn a_member_whose_every_transaction_is_aborted_gives_up() {
    let rig = fixed_rig();
    rig.log.endings([CommitOutcome::Aborted; 40]);
    let error = rig.drain(&mut rig.join()).unwrap_err();
    assert!(matches!(error, AggregateError::KeepsAborting { times: 20, .. }), "{error}");
}

#[test]
fn the_recount_agrees_on_a_run_with_every_verdict() {
    let rig = fixed_rig();
    rig.run();
    let report = crate::verify::verify(&rig.log, &rig.topics, &[], 0, &mut |_| {}).unwrap();
    assert!(report.holds(), "{report}");
    let sum = |verdict: &str| -> u64 {
        let checkpoints = rig.checkpoints();
        checkpoints.iter().map(|c| c["totals"][verdict].as_u64().unwrap()).sum()
    };
    for verdict in
        ["first", "duplicate", "conflict", "quarantined", "refused", "control", "released"]
    {
        assert!(sum(verdict) > 0, "{verdict}");
    }
}
