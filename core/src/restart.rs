//! The restart policy of a role: it reports why the role exited, and decides whether and when it starts again.
//!
//! Backoff is exponential with jitter, so that roles that failed together do not come back together (M. Brooker, “Exponential
//! Backoff and Jitter”, 2015: equal jitter). A role that has worked for a while counts as stable again. See ADR 83.

use std::time::{Duration, Instant};

use tillrace_log::explain::Explanation;
use tillrace_log::health::{Condition, Health, Impact};

const RESTARTING: &str = RESTARTING_ROLE.code;
const STOPPED: &str = STOPPED_ROLE.code;
const INITIAL_WAIT: Duration = Duration::from_millis(500);
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How long a role must work to be stable: longer than a start that fails by time limits.
const STABLE_AFTER: Duration = Duration::from_mins(1);

/// A role that exited and will start again.
pub const RESTARTING_ROLE: Explanation = Explanation {
    code: "role_restarting",
    meaning: "A role of the process ended and starts again by itself, after half a second to half a minute. It begins where the \
              log says; nothing is lost or counted twice. The condition goes when the role has worked for a minute.",
    remedy: "See its cause, and the code that its remedy names on this page.",
};

/// A role that exited for good.
pub const STOPPED_ROLE: Explanation = Explanation {
    code: "role_stopped",
    meaning: "A role of the process met what no restart helps and has stopped; the other roles go on. What it would have done \
              waits in the log.",
    remedy: "See its cause, do what its remedy says, and start the process again.",
};

/// What is known of a panic.
pub const PANICKED: Explanation = Explanation {
    code: "panicked",
    meaning: "A part of Tillrace met something it was not made for: a defect. The part starts again from the log, as after a \
              crash; nothing is lost.",
    remedy: "Report it with the text and the lines before. If it repeats, the same record may be the cause each time.",
};

/// Exponential backoff: each wait twice the last, up to half a minute, with jitter.
#[derive(Debug, Clone)]
pub struct Backoff {
    wait: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { wait: INITIAL_WAIT }
    }
}

impl Backoff {
    /// Returns how long to wait before the next try. `random` is any number, a fresh one each time.
    pub fn next_wait(&mut self, random: u64) -> Duration {
        let half = self.wait / 2;
        let jitter_ms = random % u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
        self.wait = (self.wait * 2).min(MAX_WAIT);
        half + Duration::from_millis(jitter_ms)
    }
}

/// Why a role exited.
#[derive(Debug, Clone, Copy)]
pub struct RoleExit<'a> {
    /// The error's text, its causes included.
    pub cause: &'a str,
    /// The explanation of the error.
    pub explanation: &'static Explanation,
    /// Whether a restart may help.
    pub is_restartable: bool,
}

/// The policy of one role.
#[derive(Debug)]
pub struct RestartPolicy {
    component: String,
    impact: Impact,
    health: Health,
    backoff: Backoff,
    /// When it started to work, unless it has exited.
    working_since: Option<Instant>,
    failed: bool,
}

impl RestartPolicy {
    /// Makes the policy of a role that starts now. Its conditions are raised under the name of `component`; `impact` is
    /// what they mean for its process.
    pub fn new(component: impl Into<String>, impact: Impact, health: Health, now: Instant) -> Self {
        let component = component.into();
        let working_since = Some(now);
        Self {
            component,
            impact,
            health,
            backoff: Backoff::default(),
            working_since,
            failed: false,
        }
    }

    /// Records that the role exited by itself. Returns how long to wait before it starts again, `None` if it never will.
    /// `random` is any number, a fresh one each time.
    pub fn ended(&mut self, exit: RoleExit<'_>, now: Instant, random: u64) -> Option<Duration> {
        self.observe(now);
        self.working_since = None;
        if self.failed {
            // The condition, which is told once, stands already.
            let (component, cause) = (&self.component, exit.cause);
            tracing::warn!(code = exit.explanation.code, component, cause, "it ended again");
        }
        self.failed = true;
        let code = if exit.is_restartable { RESTARTING } else { STOPPED };
        self.health.raise(Condition {
            component: self.component.clone(),
            code,
            subject: String::new(),
            impact: self.impact,
            cause: exit.cause.to_owned(),
            remedy: exit.explanation.remedy_and_page(),
        });
        if !exit.is_restartable {
            self.give_up();
            return None;
        }
        Some(self.backoff.next_wait(random))
    }

    /// Records that the role does not start again, for a reason that is reported elsewhere.
    pub fn give_up(&self) {
        self.health.clear(&self.component, RESTARTING, "");
    }

    /// Records that the role starts again.
    pub fn started(&mut self, now: Instant) {
        self.working_since = Some(now);
    }

    /// Checks whether the role has worked for long enough to count as stable; to be called now and then.
    pub fn observe(&mut self, now: Instant) {
        let worked = self.working_since.map(|since| now.saturating_duration_since(since));
        if self.failed && worked.is_some_and(|worked| worked >= STABLE_AFTER) {
            self.failed = false;
            self.backoff = Backoff::default();
            self.health.clear(&self.component, RESTARTING, "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Explanation =
        Explanation { code: "log_unavailable", meaning: "", remedy: "Look at the brokers." };

    fn exit(is_restartable: bool) -> RoleExit<'static> {
        static EXPLANATION: Explanation = KNOWN;
        RoleExit { cause: "no broker", explanation: &EXPLANATION, is_restartable }
    }

    fn told(health: &Health) -> Vec<(&'static str, String)> {
        let standing = health.active_conditions().into_iter();
        standing.map(|standing| (standing.condition.code, standing.condition.remedy)).collect()
    }

    #[test]
    fn waits_grow_with_jitter_until_the_role_has_worked_for_a_while() {
        let (health, now) = (Health::default(), Instant::now());
        let mut policy = RestartPolicy::new("aggregator", Impact::NotReady, health.clone(), now);
        let mut wait = |now, random| {
            let wait = policy.ended(exit(true), now, random).map(|wait| wait.as_millis());
            policy.started(now);
            wait
        };
        assert_eq!(wait(now, 0), Some(250));
        assert_eq!(wait(now, 0), Some(500));
        assert_eq!(wait(now, 499), Some(1_499));
        let longest: Vec<_> = (0..9).map(|_| wait(now, 0)).collect();
        assert_eq!(longest.last(), Some(&Some(15_000)));
        let remedy = "Look at the brokers. See docs/errors.md, log_unavailable.".to_owned();
        assert_eq!(told(&health), [(RESTARTING, remedy.clone())]);
        assert!(!health.is_ready());
        assert_eq!(wait(now + STABLE_AFTER, 0), Some(250), "it was well in between");
        assert_eq!(told(&health), [(RESTARTING, remedy)]);
    }

    #[test]
    fn the_condition_goes_when_the_role_has_worked_for_a_while() {
        let (health, now) = (Health::default(), Instant::now());
        let mut policy = RestartPolicy::new("sink/erp", Impact::Degraded, health.clone(), now);
        assert!(policy.ended(exit(true), now, 7).is_some());
        policy.observe(now + 2 * STABLE_AFTER);
        assert_eq!(told(&health).len(), 1, "it does not work while it waits");
        policy.started(now + STABLE_AFTER);
        policy.observe(now + STABLE_AFTER + STABLE_AFTER.mul_f32(0.99));
        assert_eq!(told(&health).len(), 1);
        policy.observe(now + 2 * STABLE_AFTER);
        assert_eq!(told(&health), []);
    }

    #[test]
    fn what_no_restart_helps_stops_the_role_for_good() {
        let (health, now) = (Health::default(), Instant::now());
        let mut policy = RestartPolicy::new("aggregator", Impact::Degraded, health.clone(), now);
        policy.ended(exit(true), now, 0);
        assert_eq!(policy.ended(exit(false), now, 0), None);
        policy.observe(now + STABLE_AFTER);
        assert_eq!(told(&health).iter().map(|(code, _)| *code).collect::<Vec<_>>(), [STOPPED]);
        assert!(health.is_ready(), "a degraded process keeps its traffic");
    }
}
