//! `POST /v1/events:batch`: many events, streamed, in bounded memory.
//!
//! The body is read in chunks; each is evaluated and submitted to the log while the next is read, up
//! to a few at a time, and reading waits for the oldest. The first event that cannot be settled ends
//! the reading. In any case, events evaluated before are settled and counted, and `resume_from` tells
//! where to resume.

use std::collections::VecDeque;

use tillrace_core::decode::MAX_EVENT_BYTES;
use tokio::task::yield_now;

use crate::ack::{IngestRequest, SubmittedChunk, budget_bytes};
use crate::admitted_request::AdmittedRequest;
use crate::batch_result::{Backpressure, BatchResult};
use crate::body::{BodyReader, STEP_BYTES};
use crate::domain::DomainState;
use crate::identity::Scope;
use crate::memory_budget::{BudgetExhausted, MemoryPermit};
use crate::problem::Problem;
use crate::reply::{self, Reply};
use crate::single::{problem_of, retry_after};
use crate::split::{Format, Splitter};
use crate::tenant::Tenants;

/// Text that is evaluated and published together.
const CHUNK_BYTES: usize = 128 * 1024;
/// Most events in a chunk, because the records of tiny events are much larger than their text.
const CHUNK_EVENTS: usize = 512;
/// Step by which a permit is resized, so that it does not change with every read.
const PERMIT_STEP_BYTES: u64 = 16 * 1024;
/// Most chunks in flight to the log, as far as the memory budget allows.
const CHUNKS_IN_FLIGHT: usize = 4;

/// Takes a batch and answers when its events are settled, or one of them cannot be.
pub(crate) async fn take(
    tenants: &Tenants,
    state: &DomainState,
    admitted: AdmittedRequest,
) -> Reply {
    let AdmittedRequest { caller, format, mut body, traceparent, permit } = admitted;
    let request = IngestRequest { state, caller, traceparent: traceparent.as_deref() };
    let mut batch = BatchStream::new(tenants, request, format, permit);
    let ended = batch.run(&mut body).await;
    state.metrics.body_bytes.inc_by(body.taken_bytes());
    if !matches!(ended, BatchEnd::Complete) {
        body.drain();
    }
    let mut batch_result = batch.batch_result;
    batch.request.count(&batch_result);
    drop(batch.permit);
    let fault = match ended {
        BatchEnd::Complete | BatchEnd::Backpressure => None,
        BatchEnd::Faulty(problem) => {
            batch_result.stop_before(batch.evaluated);
            Some(problem)
        }
    };
    let backpressure = batch_result.backpressure;
    let problem = backpressure.map(Backpressure::problem).or(fault);
    let retry_after = match backpressure {
        Some(backpressure) => Some(state.jitter.retry_after_seconds(backpressure.wait())),
        None => fault.and_then(|fault| retry_after(state, fault)),
    };
    reply::batch(&batch_result, problem, retry_after)
}

/// How the reading of a batch ended.
enum BatchEnd {
    /// With the body.
    Complete,
    /// With an event that could not be settled.
    Backpressure,
    /// With a faulty body.
    Faulty(Problem),
}

struct BatchStream<'a> {
    tenants: &'a Tenants,
    request: IngestRequest<'a>,
    permit: MemoryPermit,
    /// Bytes that text and decoder take.
    reading_bytes: u64,
    splitter: Splitter,
    /// Events evaluated, which is the index of the next.
    evaluated: u64,
    in_flight: VecDeque<SubmittedChunk>,
    batch_result: BatchResult,
    /// Bytes read since the task last yielded.
    bytes_since_yield: usize,
}

impl<'a> BatchStream<'a> {
    fn new(
        tenants: &'a Tenants,
        request: IngestRequest<'a>,
        format: Format,
        permit: MemoryPermit,
    ) -> Self {
        Self {
            tenants,
            request,
            permit,
            reading_bytes: 0,
            splitter: Splitter::new(format, MAX_EVENT_BYTES, CHUNK_EVENTS),
            evaluated: 0,
            in_flight: VecDeque::with_capacity(CHUNKS_IN_FLIGHT),
            batch_result: BatchResult::default(),
            bytes_since_yield: 0,
        }
    }

    async fn run(&mut self, body: &mut BodyReader) -> BatchEnd {
        let ended = self.read_and_submit(body).await;
        while let Some(chunk) = self.in_flight.pop_front() {
            self.request.ack(chunk, &mut self.batch_result).await;
        }
        ended
    }

    /// Reads until the body ends or an event cannot be settled.
    async fn read_and_submit(&mut self, body: &mut BodyReader) -> BatchEnd {
        loop {
            self.reading_bytes = body.memory_bytes(self.splitter.buffer()) as u64;
            if !self.reserve(0).await {
                return BatchEnd::Backpressure;
            }
            let read = body.read(self.splitter.buffer()).await;
            self.yield_if_due(read.as_ref().map_or(0, |bytes| *bytes)).await;
            let (at_end, fault) = match &read {
                Ok(0) => (true, None),
                Ok(_) => (false, None),
                Err(error) => (false, Some(problem_of(error))),
            };
            if let Some(ended) = self.submit_ready(at_end, fault.is_some()).await {
                return ended;
            }
            match (fault, at_end) {
                (Some(problem), _) => return BatchEnd::Faulty(problem),
                (None, true) => return BatchEnd::Complete,
                (None, false) => {}
            }
        }
    }

    /// Reserves memory budget for what is read, for `more_bytes`, and for chunks in flight. Without budget it waits for its own
    /// chunks, and then for other requests. Returns false if there is none in the end.
    async fn reserve(&mut self, more_bytes: u64) -> bool {
        loop {
            let on_its_way: u64 = self.in_flight.iter().map(SubmittedChunk::budget_bytes).sum();
            let bytes = self.reading_bytes + more_bytes + on_its_way;
            if self.permit.try_resize(bytes.next_multiple_of(PERMIT_STEP_BYTES)) {
                return true;
            }
            let Some(oldest) = self.in_flight.pop_front() else { break };
            self.request.ack(oldest, &mut self.batch_result).await;
        }
        let held = self.permit.resize(self.reading_bytes + more_bytes).await;
        held.inspect_err(|BudgetExhausted| {
            self.batch_result.stop(self.evaluated, Backpressure::MemoryLimit);
        })
        .is_ok()
    }

    /// Yields to other tasks now and then: a body that has arrived completely, and of which nothing waits for the log, would
    /// block its thread to the end.
    async fn yield_if_due(&mut self, bytes: usize) {
        self.bytes_since_yield += bytes;
        if self.bytes_since_yield >= STEP_BYTES {
            self.bytes_since_yield = 0;
            yield_now().await;
        }
    }

    /// Submits complete chunks, and the rest at the end of the body; returns the end if reading must stop.
    async fn submit_ready(&mut self, at_end: bool, is_cut: bool) -> Option<BatchEnd> {
        loop {
            let scanned = self.splitter.scan(at_end);
            let is_full = scanned == Ok(false) || self.splitter.ready_bytes() >= CHUNK_BYTES;
            let is_last = at_end || is_cut || scanned.is_err();
            let is_blank = self.splitter.pieces().is_empty();
            if (is_full || is_last)
                && let Err(problem) = self.refresh()
            {
                return Some(BatchEnd::Faulty(problem));
            }
            if (is_full || is_last) && is_blank && !self.charge_blank(is_last) {
                return Some(BatchEnd::Backpressure);
            }
            if (is_full || is_last) && !is_blank && !self.submit().await {
                return Some(BatchEnd::Backpressure);
            }
            match scanned {
                Ok(true) => return None,
                Ok(false) => {}
                Err(_malformed) => return Some(BatchEnd::Faulty(Problem::MalformedBatch)),
            }
        }
    }

    /// Takes the newest settings of the caller: a long upload goes no further than its key and its rights.
    ///
    /// # Errors
    /// The [`Problem`] of a key or a right that was taken away.
    fn refresh(&mut self) -> Result<(), Problem> {
        let now = self.request.state.clock.now();
        self.tenants.refresh(&mut self.request.caller, now)?;
        if self.request.caller.has(Scope::EventsWrite) {
            Ok(())
        } else {
            Err(Problem::ScopeMissing)
        }
    }

    /// Charges the caller for text without events; returns false if a rate limit is exceeded. After the last event that does
    /// not matter: all is settled.
    fn charge_blank(&mut self, is_last: bool) -> bool {
        let charged = self.request.charge_blank(self.splitter.ready_bytes() as u64);
        self.splitter.advance();
        match charged {
            Err(backpressure) if !is_last || self.evaluated == 0 => {
                self.batch_result.stop(self.evaluated, backpressure);
                false
            }
            Ok(()) | Err(_) => true,
        }
    }

    /// Evaluates and publishes the current pieces; returns false if an event could not be settled.
    async fn submit(&mut self) -> bool {
        let bytes = self.splitter.ready_bytes() as u64;
        if !self.reserve(budget_bytes(bytes, self.splitter.pieces())).await {
            return false;
        }
        let (text, pieces) = (self.splitter.text(), self.splitter.pieces());
        let chunk = self.request.submit(text, pieces, bytes, self.evaluated).await;
        self.evaluated += pieces.len() as u64;
        self.splitter.advance();
        let goes_on = chunk.goes_on();
        self.in_flight.push_back(chunk);
        if self.in_flight.len() >= CHUNKS_IN_FLIGHT
            && let Some(oldest) = self.in_flight.pop_front()
        {
            self.request.ack(oldest, &mut self.batch_result).await;
        }
        goes_on && !self.batch_result.is_stopped()
    }
}
