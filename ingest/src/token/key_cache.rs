//! When an issuer is asked for its keys, and what is answered while it cannot be.
//!
//! Pure: time is passed in, and who holds a [`FetchPermit`] asks the issuer. There is one permit at a time, and none sooner than
//! the floor after the last, so that neither many requests nor made-up key ids become a load on the issuer. A key id that the
//! issuer was asked about and did not have is remembered by itself. A token is refused only if the issuer was asked since it came;
//! where it cannot be asked now, its sender is told to wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::fault::TokenFault;
use super::key_set::{KeySet, VerifyingKey};
use super::parse::UnverifiedToken;

/// Key ids that are remembered: of more, the one that came first is forgotten.
const MAX_KEY_IDS: usize = 1_024;

/// The times of a key cache, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCacheTimes {
    /// Keys this old are used, and asked for anew.
    pub fresh_ms: i64,
    /// Keys this old are not used: the issuer may have withdrawn them.
    pub usable_ms: i64,
    /// The issuer is not asked again sooner, whatever it answered.
    pub floor_ms: i64,
    /// A key id that the issuer did not have is not asked about again sooner.
    pub absent_ms: i64,
}

impl Default for KeyCacheTimes {
    /// Ten minutes, a day, ten seconds, five minutes.
    fn default() -> Self {
        Self { fresh_ms: 600_000, usable_ms: 86_400_000, floor_ms: 10_000, absent_ms: 300_000 }
    }
}

/// The keys of one issuer.
#[derive(Debug)]
pub struct KeyCache {
    times: KeyCacheTimes,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<(Arc<KeySet>, i64)>,
    /// When the issuer was last asked, and whether it is being asked.
    asked_ms: Option<i64>,
    is_asking: bool,
    /// Ids that no key has, and when: first seen, or known to be absent.
    missing: HashMap<String, Missing>,
}

#[derive(Debug, Clone, Copy)]
enum Missing {
    Since(i64),
    Absent(i64),
}

/// The right to ask the issuer, once. Dropped without an answer, it counts as one that failed.
#[derive(Debug)]
#[must_use = "nobody else asks the issuer while it is held"]
pub struct FetchPermit {
    state: Arc<Mutex<State>>,
}

/// What can be said of a token's key.
#[derive(Debug)]
pub enum KeyLookup {
    /// The token is to be verified by this key; with the permit, newer ones are to be asked for meanwhile.
    Found(VerifyingKey, Option<FetchPermit>),
    /// The issuer is to be asked, and the token looked up again.
    Ask(FetchPermit),
    /// The issuer cannot be asked now: neither a yes nor a no, to be tried again after this long.
    Wait(Duration),
    /// The issuer was asked and has no such key.
    Refused(TokenFault),
}

impl KeyCache {
    /// Makes an empty cache.
    pub fn new(times: KeyCacheTimes) -> Self {
        Self { times, state: Arc::default() }
    }

    /// Looks up the key of a token at `now_ms`, milliseconds since any fixed origin that never go back.
    pub fn look_up(&self, token: &UnverifiedToken<'_>, now_ms: i64) -> KeyLookup {
        let mut state = self.state.lock();
        let Some((keys, age_ms)) = state.usable(now_ms, self.times.usable_ms) else {
            return self.ask_or_wait(&mut state, now_ms);
        };
        if let Ok(key) = keys.key_of(token) {
            let is_old = age_ms >= self.times.fresh_ms;
            let permit = if is_old { self.permit(&mut state, now_ms) } else { None };
            return KeyLookup::Found(key.clone(), permit);
        }
        let id = token.key_id().unwrap_or_default();
        match state.missing.get(id) {
            Some(Missing::Absent(since)) if now_ms - since < self.times.absent_ms => {
                return KeyLookup::Refused(TokenFault::UnknownKey);
            }
            Some(Missing::Since(_)) => {}
            Some(Missing::Absent(_)) | None => state.note(id, now_ms),
        }
        self.ask_or_wait(&mut state, now_ms)
    }

    /// Takes the answer to a permit: a key set, or nothing where the issuer could not be reached or what it sent is none. A set
    /// without a usable key is no answer; the keys before it stay.
    pub fn answer(&self, permit: FetchPermit, keys: Option<KeySet>, now_ms: i64) {
        {
            let mut state = self.state.lock();
            let asked_ms = state.asked_ms.unwrap_or(now_ms);
            if let Some(keys) = keys.filter(|keys| keys.counts().0 > 0) {
                state.missing.retain(|id, missing| match *missing {
                    // What has come while the issuer was asked is asked about again.
                    Missing::Since(since) if since <= asked_ms => {
                        *missing = Missing::Absent(now_ms);
                        !keys.has_id(id)
                    }
                    Missing::Since(_) => true,
                    Missing::Absent(since) => now_ms - since < self.times.absent_ms,
                });
                state.keys = Some((Arc::new(keys), now_ms));
            }
        }
        drop(permit);
    }

    /// Takes keys that were kept by an earlier process, `age_ms` ago, unless there are newer ones or they are too old.
    pub fn restore(&self, keys: KeySet, age_ms: i64, now_ms: i64) {
        let mut state = self.state.lock();
        if state.keys.is_none() && (0..self.times.usable_ms).contains(&age_ms) {
            state.keys = Some((Arc::new(keys), now_ms - age_ms));
        }
    }

    fn ask_or_wait(&self, state: &mut State, now_ms: i64) -> KeyLookup {
        if let Some(permit) = self.permit(state, now_ms) {
            return KeyLookup::Ask(permit);
        }
        let again_ms = state.asked_ms.unwrap_or(now_ms) + self.times.floor_ms - now_ms;
        let wait_ms = u64::try_from(again_ms.max(1_000)).unwrap_or(1_000);
        KeyLookup::Wait(Duration::from_millis(wait_ms))
    }

    fn permit(&self, state: &mut State, now_ms: i64) -> Option<FetchPermit> {
        let is_too_soon =
            state.asked_ms.is_some_and(|asked_ms| now_ms - asked_ms < self.times.floor_ms);
        if state.is_asking || is_too_soon {
            return None;
        }
        state.is_asking = true;
        state.asked_ms = Some(now_ms);
        Some(FetchPermit { state: Arc::clone(&self.state) })
    }
}

impl State {
    /// Returns the keys and their age, unless they are too old.
    fn usable(&self, now_ms: i64, usable_ms: i64) -> Option<(Arc<KeySet>, i64)> {
        let (keys, since) = self.keys.as_ref()?;
        let age_ms = now_ms - since;
        (age_ms < usable_ms).then(|| (Arc::clone(keys), age_ms))
    }

    fn note(&mut self, id: &str, now_ms: i64) {
        let is_new = !self.missing.contains_key(id);
        if is_new && self.missing.len() >= MAX_KEY_IDS {
            let first = self.missing.iter().min_by_key(|(_, missing)| match missing {
                Missing::Since(since) | Missing::Absent(since) => *since,
            });
            let first = first.map(|(id, _)| id.clone());
            first.and_then(|id| self.missing.remove(&id));
        }
        self.missing.insert(id.to_owned(), Missing::Since(now_ms));
    }
}

impl Drop for FetchPermit {
    fn drop(&mut self) {
        self.state.lock().is_asking = false;
    }
}
