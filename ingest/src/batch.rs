//! `POST /v1/events:batch`: many events, streamed, in bounded memory.
//!
//! The body is read in chunks; each is judged and handed to the log while the next is read, up to a
//! few at a time, and reading waits for the oldest. The first event that cannot be settled ends the
//! reading. Whatever happens, events judged before are settled and counted, and `resume_from` says
//! where to go on.

use std::collections::VecDeque;

use tillrace_core::decode::MAX_EVENT_BYTES;
use tokio::task::yield_now;

use crate::body::{BodyReader, STEP_BYTES};
use crate::credit::{Lease, NoCredit};
use crate::problem::Problem;
use crate::reply::{self, Reply};
use crate::route::{Admitted, Front};
use crate::settle::{Request, Submitted, credit_bytes};
use crate::single::{problem_of, retry_after};
use crate::split::{Format, Splitter};
use crate::tally::{Setback, Tally};

/// Text that is judged and published together.
const CHUNK_BYTES: usize = 128 * 1024;
/// Events in a chunk, so that tiny ones do not make a large one of their records.
const CHUNK_EVENTS: usize = 512;
/// A lease changes by steps of this, or it would with every read.
const LEASE_STEP_BYTES: u64 = 16 * 1024;
/// Chunks on their way to the log at a time, if there is credit for them.
const CHUNKS_IN_FLIGHT: usize = 4;

/// Takes a batch and answers when its events are settled, or one of them cannot be.
pub(crate) async fn take(front: &Front, admitted: Admitted<'_>) -> Reply {
    let Admitted { caller, format, mut body, traceparent, lease } = admitted;
    let request = Request { front, caller, traceparent: traceparent.as_deref() };
    let mut batch = Batch::new(request, format, lease);
    let ended = batch.run(&mut body).await;
    front.metrics.body_bytes.inc_by(body.taken_bytes());
    if !matches!(ended, Ended::Whole) {
        body.linger();
    }
    let mut tally = batch.tally;
    request.count(&tally);
    drop(batch.lease);
    let fault = match ended {
        Ended::Whole | Ended::Setback => None,
        Ended::Faulty(problem) => {
            tally.stop_before(batch.judged);
            Some(problem)
        }
    };
    let setback = tally.setback;
    let problem = setback.map(Setback::problem).or(fault);
    let retry_after = match setback {
        Some(setback) => Some(front.jitter.retry_after_seconds(setback.wait())),
        None => fault.and_then(|fault| retry_after(front, fault)),
    };
    reply::batch(&tally, problem, retry_after)
}

/// How the reading of a batch ended.
enum Ended {
    /// With the body.
    Whole,
    /// With an event that could not be settled.
    Setback,
    /// With a body that is not what it should be.
    Faulty(Problem),
}

struct Batch<'a> {
    request: Request<'a>,
    lease: Lease,
    /// Bytes that text and decoder take.
    reading_bytes: u64,
    splitter: Splitter,
    /// Events judged, which is the index of the next.
    judged: u64,
    in_flight: VecDeque<Submitted>,
    tally: Tally,
    /// Bytes read since other tasks were last let run.
    since_way_given: usize,
}

impl<'a> Batch<'a> {
    fn new(request: Request<'a>, format: Format, lease: Lease) -> Self {
        Self {
            request,
            lease,
            reading_bytes: 0,
            splitter: Splitter::new(format, MAX_EVENT_BYTES, CHUNK_EVENTS),
            judged: 0,
            in_flight: VecDeque::with_capacity(CHUNKS_IN_FLIGHT),
            tally: Tally::default(),
            since_way_given: 0,
        }
    }

    async fn run(&mut self, body: &mut BodyReader) -> Ended {
        let ended = self.read_and_submit(body).await;
        while let Some(chunk) = self.in_flight.pop_front() {
            self.request.settle(chunk, &mut self.tally).await;
        }
        ended
    }

    /// Reads until the body or the first setback ends it.
    async fn read_and_submit(&mut self, body: &mut BodyReader) -> Ended {
        loop {
            self.reading_bytes = body.memory_bytes(self.splitter.buffer()) as u64;
            if !self.hold(0).await {
                return Ended::Setback;
            }
            let read = body.read(self.splitter.buffer()).await;
            self.give_way(read.as_ref().map_or(0, |bytes| *bytes)).await;
            let (at_end, fault) = match &read {
                Ok(0) => (true, None),
                Ok(_) => (false, None),
                Err(error) => (false, Some(problem_of(error))),
            };
            if let Some(ended) = self.submit_ready(at_end, fault.is_some()).await {
                return ended;
            }
            match (fault, at_end) {
                (Some(problem), _) => return Ended::Faulty(problem),
                (None, true) => return Ended::Whole,
                (None, false) => {}
            }
        }
    }

    /// Makes sure that there is credit for what is read, for `more_bytes`, and for what is on its way to the log; where there is
    /// none that is waited for, and then for others. False when there is none at last.
    async fn hold(&mut self, more_bytes: u64) -> bool {
        loop {
            let on_its_way: u64 = self.in_flight.iter().map(Submitted::credit_bytes).sum();
            let bytes = self.reading_bytes + more_bytes + on_its_way;
            if self.lease.try_resize(bytes.next_multiple_of(LEASE_STEP_BYTES)) {
                return true;
            }
            let Some(oldest) = self.in_flight.pop_front() else { break };
            self.request.settle(oldest, &mut self.tally).await;
        }
        let held = self.lease.resize(self.reading_bytes + more_bytes).await;
        held.inspect_err(|NoCredit| self.tally.stop(self.judged, Setback::NoCredit)).is_ok()
    }

    /// Lets other tasks run after each so many bytes: a body that is all there, and of which nothing waits for the log,
    /// would hold its thread to the end.
    async fn give_way(&mut self, bytes: usize) {
        self.since_way_given += bytes;
        if self.since_way_given >= STEP_BYTES {
            self.since_way_given = 0;
            yield_now().await;
        }
    }

    /// Submits whole chunks, and what is left if nothing more will come; tells if reading must end.
    async fn submit_ready(&mut self, at_end: bool, is_cut: bool) -> Option<Ended> {
        loop {
            let scanned = self.splitter.scan(at_end);
            let is_full = scanned == Ok(false) || self.splitter.ready_bytes() >= CHUNK_BYTES;
            let is_last = at_end || is_cut || scanned.is_err();
            let is_blank = self.splitter.pieces().is_empty();
            if (is_full || is_last) && is_blank && !self.pay_for_blank(is_last) {
                return Some(Ended::Setback);
            }
            if (is_full || is_last) && !is_blank && !self.submit().await {
                return Some(Ended::Setback);
            }
            match scanned {
                Ok(true) => return None,
                Ok(false) => {}
                Err(_malformed) => return Some(Ended::Faulty(Problem::MalformedBatch)),
            }
        }
    }

    /// Lets the caller pay for text without events; false when it can not, and must come back. Behind the last event it
    /// need not: all is settled.
    fn pay_for_blank(&mut self, is_last: bool) -> bool {
        let paid = self.request.pay_for_blank(self.splitter.ready_bytes() as u64);
        self.splitter.advance();
        match paid {
            Err(setback) if !is_last || self.judged == 0 => {
                self.tally.stop(self.judged, setback);
                false
            }
            Ok(()) | Err(_) => true,
        }
    }

    /// Judges and publishes the pieces at hand; false when an event could not be settled.
    async fn submit(&mut self) -> bool {
        let bytes = self.splitter.ready_bytes() as u64;
        if !self.hold(credit_bytes(bytes, self.splitter.pieces())).await {
            return false;
        }
        let (text, pieces) = (self.splitter.text(), self.splitter.pieces());
        let chunk = self.request.submit(text, pieces, bytes, self.judged).await;
        self.judged += pieces.len() as u64;
        self.splitter.advance();
        let goes_on = chunk.goes_on();
        self.in_flight.push_back(chunk);
        if self.in_flight.len() >= CHUNKS_IN_FLIGHT
            && let Some(oldest) = self.in_flight.pop_front()
        {
            self.request.settle(oldest, &mut self.tally).await;
        }
        goes_on && !self.tally.is_stopped()
    }
}
