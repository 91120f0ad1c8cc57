//! Follows the policy set of a domain, and keeps the gateway's clients as it says.
//!
//! What is on the log when a domain starts is in force before its first caller is let in. Afterwards a thread reads on: a new client is
//! known, and a revoked key ended, within a fraction of a second. While the log cannot be read the clients stay as they are.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tillrace_core::topics::Topics;
use tillrace_ingest::{ClientSettings, DirectoryChange, Tenants};
use tillrace_log::explain::Explanation;
use tillrace_log::health::{Condition, Health, Impact};
use tillrace_log::{Log, LogError, LogView};
use tillrace_policy::{Chain, Change, Follower, PolicySet, Resource, ResourceId, Seen, compare};
use tracing::Span;

/// The kind of a client among the resources of the policy set.
pub(crate) const KIND: &str = "Client";

const COMPONENT: &str = "policy";
/// Longest wait for a record: the thread must be able to stop.
const POLL: Duration = Duration::from_millis(200);
/// Pause before the log is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// The policy set could not be read.
pub(crate) const POLICY_UNREADABLE: Explanation = Explanation {
    code: "policy_unreadable",
    meaning: "The policy set of a domain cannot be read or followed. Clients stay as they were when it last could; revocations that can \
              be read are obeyed all the same.",
    remedy: "If the cause is the log, put that right. If it names a record of a later version, upgrade this process.",
};

/// A client of the policy set that cannot be used here.
pub(crate) const CLIENT_UNUSABLE: Explanation = Explanation {
    code: "client_unusable",
    meaning: "A client of the policy set is not taken by this gateway: it belongs to a tenant that the configuration lacks, or this \
              version cannot read what it says. The others are.",
    remedy: "Add the tenant to `tenants`, or upgrade this process; `tillrace client list` shows all clients.",
};

/// A thread that follows; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct PolicyFollower {
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The clients of a domain, as the policy set has them.
struct Clients {
    tenants: Tenants,
    domain: usize,
    /// The set that the gateway has.
    set: PolicySet,
    /// Whose a key is, by its hash.
    owners: HashMap<String, ResourceId>,
    /// The revision for whose documents the log was read from the beginning.
    reread: u64,
    health: Health,
}

impl PolicyFollower {
    /// Puts in force what is on the log, and follows it from then on.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(super) fn start(
        log: Arc<dyn Log>,
        topics: &Topics,
        (tenants, domain): (Tenants, usize),
        health: Health,
    ) -> Result<Self, LogError> {
        let topic = topics.policy.clone();
        let (set, owners) = (PolicySet::default(), HashMap::new());
        let mut clients = Clients { tenants, domain, set, owners, reread: 0, health };
        let mut follower = Follower::open(&*log, &topic)?;
        follower.catch_up(&*log, |_, _| {})?;
        clients.become_as(follower.chain());
        let is_stopping = Arc::new(AtomicBool::new(false));
        let (stopping, span) = (Arc::clone(&is_stopping), Span::current());
        let follow = move || {
            let mut follower = Some(follower);
            while !stopping.load(Ordering::Acquire) {
                let polled = match &mut follower {
                    Some(follower) => clients.follow(&*log, follower),
                    None => Follower::open(&*log, &topic).and_then(|mut opened| {
                        opened.catch_up(&*log, |_, _| {})?;
                        clients.become_as(opened.chain());
                        follower = Some(opened);
                        Ok(())
                    }),
                };
                if let Err(error) = polled {
                    clients.tell_unreadable(error.to_string());
                    follower = None;
                    std::thread::sleep(RETRY);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("policy-follower".to_owned())
            .spawn(move || span.in_scope(follow));
        let thread = thread.map_err(|error| LogError::Unavailable {
            action: "start the thread that follows the policy set",
            cause: Arc::new(error),
        })?;
        Ok(Self { is_stopping, thread: Some(thread) })
    }

    /// Tells whether the thread ended by itself, which it never does unless it met a defect.
    pub(super) fn has_stopped(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }
}

impl Drop for PolicyFollower {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic was printed where it happened.
            drop(thread.join());
        }
    }
}

impl Clients {
    /// Waits for records and obeys them. Where documents of the newest set are missing at the end, the log is read from the beginning,
    /// once for each revision.
    fn follow(&mut self, view: &dyn LogView, follower: &mut Follower) -> Result<(), LogError> {
        let mut is_at_end = true;
        follower.poll(POLL, |chain, seen| {
            is_at_end = false;
            match seen {
                Seen::Applied(changes) => self.take(chain, &changes),
                Seen::Revoked => self.obey_revocations(chain),
                Seen::Nothing
                | Seen::Followed(_)
                | Seen::Lost(_)
                | Seen::Abandoned(..)
                | Seen::NotFollowed => {}
            }
        })?;
        if is_at_end
            && follower.chain().is_not_whole()
            && self.reread != follower.chain().revision()
        {
            self.reread = follower.chain().revision();
            let changes = follower.reread(view)?;
            self.take(follower.chain(), &changes);
        }
        match follower.chain().broken() {
            Some(cause) => self.tell_unreadable(cause),
            None => self.health.clear(COMPONENT, POLICY_UNREADABLE.code, ""),
        }
        Ok(())
    }

    /// Changes what differs from a set that was read whole. Clients that are the same notice nothing.
    fn become_as(&mut self, chain: &Chain) {
        let changes = compare(&self.set, chain.set(), |_| true);
        self.take(chain, &changes);
        self.obey_revocations(chain);
    }

    fn take(&mut self, chain: &Chain, changes: &[Change]) {
        let of_clients = |change: &&Change| change.id().kind == KIND;
        for change in changes.iter().filter(of_clients) {
            match change {
                Change::Set(resource) => self.set_client(chain, resource),
                Change::Remove(id) => self.end_client(id),
            }
        }
        self.set = chain.set().clone();
    }

    fn set_client(&mut self, chain: &Chain, resource: &Resource) {
        let Resource { id, spec } = resource;
        let settings: ClientSettings = match serde_json::from_value(spec.clone()) {
            Ok(settings) => settings,
            Err(error) => {
                self.tell_unusable(id, &error.to_string());
                return self.end_client(id);
            }
        };
        for key in &settings.keys {
            self.owners.insert(key.hash.clone(), id.clone());
        }
        self.change(id, Some(without_revoked(settings, chain)));
    }

    fn end_client(&self, id: &ResourceId) {
        self.change(id, None);
    }

    fn change(&self, id: &ResourceId, settings: Option<ClientSettings>) {
        let (tenant, name) = (id.tenant.clone(), id.name.clone());
        let change = match settings {
            Some(settings) => {
                let client = Box::new(ClientSettings { name, ..settings });
                DirectoryChange::PutClient { tenant, client }
            }
            None => DirectoryChange::RemoveClient { tenant, name },
        };
        match self.tenants.apply(self.domain, vec![change]) {
            Ok(0) => self.health.clear(COMPONENT, CLIENT_UNUSABLE.code, &id.to_string()),
            Ok(_useless) => self.tell_unusable(id, "a key of it is another client's too"),
            Err(errors) => self.tell_unusable(id, &errors.to_string()),
        }
    }

    /// Ends the keys that are revoked: whose they are is looked up, so that it costs as many clients as there are revocations.
    fn obey_revocations(&mut self, chain: &Chain) {
        let hashes = chain.revocations().iter().map(|revocation| &revocation.hash);
        let owners: BTreeSet<&ResourceId> =
            hashes.filter_map(|hash| self.owners.get(hash)).collect();
        for id in owners {
            let Some(resource) = self.set.get(id) else { continue };
            if let Ok(settings) = serde_json::from_value(resource.spec.clone()) {
                self.change(id, Some(without_revoked(settings, chain)));
            }
        }
    }

    fn tell_unreadable(&self, cause: String) {
        self.raise(&POLICY_UNREADABLE, String::new(), cause);
    }

    fn tell_unusable(&self, id: &ResourceId, cause: &str) {
        let client = id.to_string();
        tracing::warn!(code = CLIENT_UNUSABLE.code, client, cause, "a client is not taken");
        self.raise(&CLIENT_UNUSABLE, client, cause.to_owned());
    }

    fn raise(&self, explanation: &Explanation, subject: String, cause: String) {
        self.health.raise(Condition {
            component: COMPONENT.to_owned(),
            code: explanation.code,
            subject,
            impact: Impact::Degraded,
            cause,
            remedy: explanation.remedy_and_page(),
        });
    }
}

/// Leaves out the keys that are revoked, whatever the set says.
fn without_revoked(mut settings: ClientSettings, chain: &Chain) -> ClientSettings {
    settings.keys.retain(|key| !chain.is_revoked(&key.hash));
    settings
}
