use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use tillrace_log::testing::MemoryLog;
use tillrace_log::{Offset, Topic};

use super::*;
use crate::change::Change;
use crate::record::{Commit, encode};
use crate::resource::{Resource, ResourceId};
use crate::writer::{Author, apply, restore};

const SOON: Horizon = Horizon { superseded_ms: 100, uncommitted_ms: 10 };

fn id(name: &str) -> ResourceId {
    ResourceId::new("Client", "demo", name)
}

fn resource(name: &str, rate: u64) -> Arc<Resource> {
    Arc::new(Resource { id: id(name), spec: json!({"rate": rate}) })
}

/// A log with its clock.
struct World {
    log: MemoryLog,
    topic: Topic,
    now_ms: i64,
}

impl World {
    fn new() -> Self {
        let log = MemoryLog::new(1);
        log.set_clock(1_000);
        Self { log, topic: Topic::new("policy.v1"), now_ms: 1_000 }
    }

    fn author(&self) -> Author {
        Author { operator: "ada".into(), reason: "a test".into(), at_ms: self.now_ms }
    }

    fn wait(&mut self, ms: i64) {
        self.now_ms += ms;
        self.log.set_clock(self.now_ms);
    }

    fn apply(&self, changes: &[Change]) {
        apply(&self.log, &self.topic, &self.author(), |_| Ok::<_, Infallible>(changes.to_vec()))
            .unwrap();
    }

    fn write(&self, (key, value): (Bytes, Bytes)) -> Offset {
        let row = row(&self.topic, key, value);
        publish(&*self.log.producer().unwrap(), vec![row]).unwrap()[0]
    }

    fn tidy(&self) -> Upkeep {
        tidy(&self.log, &self.topic, self.now_ms, SOON).unwrap()
    }

    fn end(&self) -> Offset {
        tillrace_log::LogView::bounds(&self.log, &self.topic, PARTITION).unwrap().end
    }

    fn follower(&self) -> Follower {
        let mut follower = Follower::open(&self.log, &self.topic).unwrap();
        follower.catch_up(&self.log, |_, _| {}).unwrap();
        follower
    }

    fn rates(&self) -> BTreeMap<String, u64> {
        let follower = self.follower();
        assert_eq!(follower.chain().broken(), None);
        rates(follower.chain())
    }
}

fn rates(chain: &Chain) -> BTreeMap<String, u64> {
    let rate = |one: &Arc<Resource>| (one.id.name.clone(), one.spec["rate"].as_u64().unwrap());
    chain.set().iter().map(rate).collect()
}

#[test]
fn what_was_superseded_goes_past_the_horizon_and_the_newest_set_stays_whole() {
    let mut world = World::new();
    world.apply(&[Change::Set(resource("a", 1)), Change::Set(resource("b", 1))]);
    world.apply(&[Change::Set(resource("a", 2)), Change::Remove(id("b"))]);
    assert_eq!(world.tidy(), Upkeep::default());
    let at =
        |world: &World, revision| Follower::set_at(&world.log, &world.topic, revision).unwrap();
    assert_eq!(at(&world, 1).map(|set| set.len()), Some(2));
    world.wait(101);
    assert_eq!(world.tidy(), Upkeep { abandoned: 0, removed: 3 });
    assert_eq!(world.tidy(), Upkeep::default(), "once is enough");
    world.log.compact(&world.topic, 0, world.end());
    let follower = world.follower();
    assert_eq!(world.rates(), BTreeMap::from([("a".to_owned(), 2)]));
    assert_eq!((follower.chain().revision(), follower.chain().history().len()), (2, 2));
    assert!(at(&world, 1).is_none(), "its documents are gone");
    assert_eq!(at(&world, 2).map(|set| set.len()), Some(1));
}

#[test]
fn a_writer_that_comes_back_after_a_day_changes_nothing() {
    let mut world = World::new();
    world.apply(&[Change::Set(resource("a", 1))]);
    let apply = Uuid::new_v4();
    world.write(encode(apply, &Change::Set(resource("a", 9))));
    assert_eq!(world.tidy(), Upkeep::default(), "it may still commit");
    world.wait(11);
    assert_eq!(world.tidy(), Upkeep { abandoned: 1, removed: 1 });
    let mut after = world.follower().chain().set().clone();
    after.change(&Change::Set(resource("a", 9)));
    let head = world.follower().chain().head().unwrap().clone();
    let (base, digest) = (Some(head.apply), after.digest());
    let late = Commit { apply, base, revision: 2, changes: 1, count: 1, digest, ..head };
    world.write(late.encode());
    assert_eq!(world.rates()["a"], 1);
    assert_eq!(world.follower().chain().revision(), 1);
    world.wait(200);
    assert_eq!(world.tidy(), Upkeep::default());
}

#[test]
fn a_commit_that_comes_before_the_apply_is_voided_stays_with_its_documents() {
    let mut world = World::new();
    let apply = Uuid::new_v4();
    world.write(encode(apply, &Change::Set(resource("a", 1))));
    world.wait(200);
    let mut after = crate::set::PolicySet::default();
    after.change(&Change::Set(resource("a", 1)));
    let commit = Commit {
        format: Commit::FORMAT,
        apply,
        base: None,
        whole: false,
        revision: 1,
        changes: 1,
        count: 1,
        digest: after.digest(),
        at_ms: 0,
        operator: String::new(),
        reason: String::new(),
    };
    world.write(commit.encode());
    world.write(Abandoned::encode(apply, world.now_ms));
    world.wait(200);
    assert_eq!(world.tidy(), Upkeep::default());
    assert_eq!(world.rates()["a"], 1);
}

#[test]
fn a_whole_set_takes_the_place_of_one_that_cannot_be_followed() {
    let world = World::new();
    world.apply(&[Change::Set(resource("a", 1)), Change::Set(resource("b", 1))]);
    world.write(("commit/x".into(), r#"{"format":2}"#.into()));
    let refused = apply(&world.log, &world.topic, &world.author(), |_| {
        Ok::<_, Infallible>(vec![Change::Set(resource("a", 2))])
    });
    assert!(refused.unwrap_err().to_string().contains("later version"));
    let set = [resource("b", 1), resource("c", 3)];
    let restored = restore::<Infallible>(&world.log, &world.topic, &world.author(), set).unwrap();
    assert_eq!((restored.revision, restored.changes), (2, 2));
    assert_eq!(world.rates(), BTreeMap::from([("b".to_owned(), 1), ("c".to_owned(), 3)]));
    world.apply(&[Change::Set(resource("a", 2))]);
    assert_eq!(world.rates().len(), 3);
}

#[test]
fn who_misses_documents_keeps_the_last_whole_set_until_reading_from_the_beginning_helps() {
    let world = World::new();
    world.apply(&[Change::Set(resource("a", 1))]);
    let mut follower = world.follower();
    world.apply(&[Change::Set(resource("a", 2)), Change::Set(resource("b", 2))]);
    // The documents of revision 2 are missed, as if they had been removed before this reader came to them.
    let documents = world.log.entries(&world.topic);
    let missed = |record: &&tillrace_log::ConsumerRecord| record.offset != 2;
    let records: Vec<_> = documents.iter().skip(2).filter(missed).collect();
    for record in records {
        follower.feed(record);
    }
    assert!(follower.chain().is_not_whole());
    assert_eq!(rates(follower.chain()), BTreeMap::from([("a".to_owned(), 1)]));
    let changes = follower.reread(&world.log).unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!(rates(follower.chain()).len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is applied, lost, left undone, tidied and compacted, a reader from the beginning comes to what a plain map holds.
    #[test]
    fn any_upkeep_leaves_the_newest_set_as_it_is(
        steps in prop::collection::vec((0..6_u8, 0..5_u64, 0..60_i64), 1..60),
    ) {
        let mut world = World::new();
        let mut model = BTreeMap::new();
        let mut lagging: Option<Follower> = None;
        for (place, (what, number, wait)) in steps.into_iter().enumerate() {
            world.wait(wait);
            let (name, rate) = (number.to_string(), place as u64);
            match what {
                0 | 1 => {
                    world.apply(&[Change::Set(resource(&name, rate))]);
                    model.insert(name, rate);
                }
                2 if model.remove(&name).is_some() => world.apply(&[Change::Remove(id(&name))]),
                3 => drop(world.write(encode(Uuid::new_v4(), &Change::Set(resource(&name, rate))))),
                4 => {
                    model.retain(|known, _| *known != name);
                    let set: Vec<_> = model.iter().map(|(name, rate)| resource(name, *rate)).collect();
                    restore::<Infallible>(&world.log, &world.topic, &world.author(), set).unwrap();
                }
                5 => {
                    world.tidy();
                    let end = world.end();
                    world.log.compact(&world.topic, 0, end - end.min(number));
                }
                _ => lagging = Some(world.follower()),
            }
            prop_assert_eq!(&world.rates(), &model);
        }
        if let Some(mut lagging) = lagging {
            lagging.catch_up(&world.log, |_, _| {}).unwrap();
            if lagging.chain().is_not_whole() {
                lagging.reread(&world.log).unwrap();
            }
            prop_assert_eq!(rates(lagging.chain()), model);
        }
    }
}
