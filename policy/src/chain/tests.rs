use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use tillrace_log::{Topic, publish};

use super::*;
use crate::record::encode;
use crate::resource::{Resource, ResourceId};

fn set(name: &str, rate: u64) -> Change {
    let id = ResourceId::new("Client", "demo", name);
    Change::Set(Arc::new(Resource { id, spec: json!({"rate": rate}) }))
}

/// A partition of the topic, as text.
#[derive(Default)]
struct Log(Vec<ConsumerRecord>);

impl Log {
    fn push(&mut self, (key, value): (bytes::Bytes, bytes::Bytes)) {
        self.0.push(ConsumerRecord {
            topic: Topic::new("policy.v1"),
            partition: 0,
            offset: self.0.len() as u64,
            appended_ms: 0,
            key,
            value: Some(value),
        });
    }

    fn chain(&self) -> Chain {
        let mut chain = Chain::default();
        for record in &self.0 {
            chain.feed(record);
        }
        chain
    }
}

/// A writer between its look at the log and its commit.
struct Writer {
    commit: Commit,
    changes: Vec<Change>,
    written: usize,
}

impl Writer {
    fn begin(chain: &Chain, changes: Vec<Change>) -> Self {
        let mut after = chain.set().clone();
        for change in &changes {
            after.change(change);
        }
        let commit = Commit {
            format: Commit::FORMAT,
            apply: Uuid::new_v4(),
            base: chain.head().map(|head| head.apply),
            whole: false,
            revision: chain.revision() + 1,
            changes: changes.len() as u64,
            count: after.len(),
            digest: after.digest(),
            at_ms: 0,
            operator: "ada".to_owned(),
            reason: String::new(),
        };
        Self { commit, changes, written: 0 }
    }

    /// Writes its next record; returns false after the commit.
    fn step(&mut self, log: &mut Log) -> bool {
        self.written += 1;
        match self.changes.get(self.written - 1) {
            Some(change) => log.push(encode(self.commit.apply, change)),
            None if self.written == self.changes.len() + 1 => log.push(self.commit.encode()),
            None => return false,
        }
        true
    }
}

fn write(log: &mut Log, changes: Vec<Change>) {
    let mut writer = Writer::begin(&log.chain(), changes);
    while writer.step(log) {}
}

#[test]
fn of_two_writers_at_once_the_first_commit_counts() {
    let mut log = Log::default();
    write(&mut log, vec![set("a", 1)]);
    let chain = log.chain();
    let mut writers = [set("a", 2), set("b", 3)].map(|change| Writer::begin(&chain, vec![change]));
    let [one, other] = &mut writers;
    one.step(&mut log);
    other.step(&mut log);
    other.step(&mut log);
    one.step(&mut log);
    let chain = log.chain();
    assert_eq!((chain.revision(), chain.set().len()), (2, 2));
    assert_eq!(chain.head().map(|head| head.apply), Some(writers[1].commit.apply));
    let id = ResourceId::new("Client", "demo", "a");
    assert_eq!(chain.set().get(&id).unwrap().spec, json!({"rate": 1}));
}

#[test]
fn a_commit_of_other_documents_than_it_says_stops_the_reader_where_it_is() {
    let mut log = Log::default();
    write(&mut log, vec![set("a", 1)]);
    let mut writer = Writer::begin(&log.chain(), vec![set("a", 2), set("b", 1)]);
    writer.step(&mut log);
    log.push(writer.commit.encode());
    let chain = log.chain();
    assert_eq!((chain.revision(), chain.served_revision()), (2, 1));
    assert_eq!(chain.set().digest(), Log(log.0[..2].to_vec()).chain().set().digest());
    let cause = chain.broken().unwrap();
    assert!(cause.contains("record 3") && cause.contains("revision 2"), "{cause}");
}

#[test]
fn a_record_of_a_later_version_is_told_and_a_revocation_is_obeyed_all_the_same() {
    let mut log = Log::default();
    write(&mut log, vec![set("a", 1)]);
    log.push(("commit/x".into(), r#"{"format":2}"#.into()));
    let revocation = Revocation {
        hash: "sha256:00".into(),
        at_ms: 1,
        operator: "ada".into(),
        reason: String::new(),
    };
    log.push(revocation.encode());
    let chain = log.chain();
    assert!(chain.broken().unwrap().contains("later version"));
    assert!(chain.is_revoked("sha256:00") && !chain.is_revoked("sha256:01"));
    assert_eq!((chain.revision(), chain.revocations().len()), (1, 1));
}

proptest! {
    /// Writers look at the log at some time, write their records in between each other's, and some die on the way. The naive model
    /// takes a commit exactly if nobody committed between the look and it.
    #[test]
    fn any_interleaving_of_writers_comes_to_what_the_naive_model_says(
        steps in prop::collection::vec((0..4_usize, any::<bool>(), 0..6_u64), 1..120),
    ) {
        let mut log = Log::default();
        let mut writers: [Option<(Writer, u64)>; 4] = [const { None }; 4];
        let (mut model, mut commits) = (std::collections::BTreeMap::new(), 0_u64);
        for (place, dies, number) in steps {
            let Some((writer, seen)) = &mut writers[place] else {
                let changes = (0..=number % 3).map(|n| set(&(number + n).to_string(), commits)).collect();
                writers[place] = Some((Writer::begin(&log.chain(), changes), commits));
                continue;
            };
            let is_commit = writer.written == writer.changes.len();
            if dies && number == 0 {
                writers[place] = None;
                continue;
            }
            writer.step(&mut log);
            if is_commit {
                if *seen == commits {
                    commits += 1;
                    for change in &writer.changes {
                        model.insert(change.id().clone(), change.clone());
                    }
                }
                writers[place] = None;
            }
        }
        let chain = log.chain();
        prop_assert_eq!((chain.revision(), chain.set().len()), (commits, model.len() as u64));
        for (id, change) in model {
            let Change::Set(resource) = change else { unreachable!() };
            prop_assert_eq!(chain.set().get(&id), Some(&resource));
        }
        prop_assert_eq!(chain.broken(), None);
    }
}

mod on_a_log {
    use std::convert::Infallible;

    use tillrace_log::local::{LocalLog, LocalSettings};
    use tillrace_log::{Cleanup, Log, ProducerRecord, TopicSpec, WritableLog as _};

    use super::*;
    use crate::follower::Follower;
    use crate::writer::{Author, apply, revoke};

    #[test]
    fn writers_at_once_all_come_through_and_every_reader_sees_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let log = LocalLog::open(LocalSettings::new(folder.path(), 2)).unwrap();
        let topic = Topic::new("policy.v1");
        let spec = TopicSpec { topic: topic.clone(), cleanup: Cleanup::Compact };
        log.ensure_topics(&[spec]).unwrap();
        let author = Author { operator: "ada".into(), reason: "a test".into(), at_ms: 7 };
        std::thread::scope(|scope| {
            for writer in 0..3 {
                let (log, topic, author) = (&log, &topic, &author);
                scope.spawn(move || {
                    for number in 0..4 {
                        let change = set(&format!("{writer}-{number}"), 1);
                        let plan = |_: &Chain| Ok::<_, Infallible>(vec![change.clone()]);
                        apply(&**log, topic, author, plan).unwrap();
                    }
                });
            }
        });
        let hashes = ["sha256:00".to_owned()];
        revoke(&*log, &topic, &author, &hashes).unwrap();
        let nothing = apply(&*log, &topic, &author, |_| Ok::<_, Infallible>(Vec::new())).unwrap();
        assert_eq!((nothing.revision, nothing.changes), (12, 0));
        let mut follower = Follower::open(&*log, &topic).unwrap();
        follower.catch_up(&*log, |_, _| {}).unwrap();
        let chain = follower.chain();
        assert_eq!((chain.set().len(), chain.history().len()), (12, 12));
        assert!(chain.is_revoked("sha256:00"));
        let revisions: Vec<u64> = chain.history().iter().map(|commit| commit.revision).collect();
        assert_eq!(revisions, (1..=12).collect::<Vec<_>>());

        // A writer that dies between its documents and its commit has changed nothing.
        let (key, value) = encode(Uuid::new_v4(), &set("x", 1));
        let row = ProducerRecord { topic: topic.clone(), partition: 0, key, value: Some(value) };
        publish(&*log.producer().unwrap(), vec![row]).unwrap();
        let applied =
            apply(&*log, &topic, &author, |_| Ok::<_, Infallible>(vec![set("y", 1)])).unwrap();
        assert_eq!((applied.revision, applied.changes), (13, 1));
    }
}
