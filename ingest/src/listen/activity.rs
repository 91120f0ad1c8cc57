//! What an HTTP/2 connection is busy with: requests under way, and replies that its client has not taken.
//!
//! hyper's timer is for the heads of HTTP/1.1, and a window of zero keeps replies back without a write that waits; so
//! both ends of an HTTP/2 connection's patience are told here.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// The requests of an HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Requests whose reply is not made or not taken yet.
    under_way: usize,
    /// Those of them whose reply is made.
    replies: usize,
    /// When the last one ended.
    silent_since: Instant,
    /// When a reply was last taken, or the only one made.
    reply_moved_at: Instant,
}

/// A request under way, until its reply is taken.
#[derive(Debug)]
pub(super) struct UnderWay {
    state: Arc<Mutex<State>>,
    is_replied: bool,
}

/// Why a connection should be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stall {
    /// Nothing is under way, for too long.
    Silent,
    /// The client takes none of its replies, for too long.
    NotReading,
}

impl Activity {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            under_way: 0,
            replies: 0,
            silent_since: now,
            reply_moved_at: now,
        })))
    }

    pub(super) fn begin(&self) -> UnderWay {
        self.0.lock().under_way += 1;
        UnderWay { state: Arc::clone(&self.0), is_replied: false }
    }

    /// Waits until the connection should be closed.
    pub(super) async fn stall(&self, silence: Duration, write_timeout: Duration) -> Stall {
        // Much may begin and end meanwhile: it looks again after the shorter of the two.
        let step = silence.min(write_timeout);
        loop {
            let now = Instant::now();
            let (until, stall) = {
                let state = self.0.lock();
                match *state {
                    State { under_way: 0, silent_since, .. } => {
                        (silent_since + silence, Stall::Silent)
                    }
                    State { replies: 0, .. } => (now + step, Stall::Silent),
                    State { reply_moved_at, .. } => {
                        (reply_moved_at + write_timeout, Stall::NotReading)
                    }
                }
            };
            if now >= until {
                return stall;
            }
            sleep_until(until.min(now + step)).await;
        }
    }
}

impl UnderWay {
    /// The reply is made: its body keeps the request under way until the client has taken it.
    pub(super) fn reply(mut self, body: Full<Bytes>) -> TrackedBody {
        let mut state = self.state.lock();
        if state.replies == 0 {
            state.reply_moved_at = Instant::now();
        }
        state.replies += 1;
        drop(state);
        self.is_replied = true;
        TrackedBody { body, _under_way: self }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.under_way -= 1;
        state.silent_since = now;
        if self.is_replied {
            state.replies -= 1;
            state.reply_moved_at = now;
        }
    }
}

/// A reply's body; hyper drops it when the client's window had room for it.
#[derive(Debug)]
pub(super) struct TrackedBody {
    body: Full<Bytes>,
    _under_way: UnderWay,
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_mins(1);
    const WRITE: Duration = Duration::from_secs(30);

    async fn stall_after(activity: &Activity) -> (Stall, Duration) {
        let asked_at = Instant::now();
        (activity.stall(SILENCE, WRITE).await, asked_at.elapsed())
    }

    /// Time is the runtime's, which goes on by itself when nothing else is to be done.
    #[tokio::test(start_paused = true)]
    async fn silence_and_replies_that_are_not_taken_end_a_connection_and_waiting_does_not() {
        let activity = Activity::new();
        assert_eq!(stall_after(&activity).await, (Stall::Silent, SILENCE));
        let (first, second) = (activity.begin(), activity.begin());
        let hours = tokio::time::timeout(SILENCE * 100, stall_after(&activity));
        assert!(hours.await.is_err(), "a request waits for the log, not for its client");
        let first = first.reply(Full::default());
        assert_eq!(stall_after(&activity).await, (Stall::NotReading, WRITE));
        drop(second.reply(Full::default()));
        assert_eq!(stall_after(&activity).await, (Stall::NotReading, WRITE), "one was taken");
        drop(first);
        assert_eq!(stall_after(&activity).await, (Stall::Silent, SILENCE));
    }
}
