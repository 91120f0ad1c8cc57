//! Posts a file of events to any HTTP endpoint and prints what that cost the process behind it.
//!
//! It knows nothing of the endpoint but its URL, so that a gateway and its rival get the same bytes from the same sender.
//! All requests are made before the first is sent. Each connection has a thread that writes a request, reads its answer and
//! goes on; a terminal always uses the same connection, so that its events arrive in order. After a warm-up the CPU time of
//! the watched process is read, the rest is sent, and it is read again. With `--rate`, latency counts from the moment a
//! request was due.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use serde::Deserialize;
use serde_json::json;
use tillrace_benches::cpu::cpu_s;

/// Posts a file of events, each once, and prints CPU time, rate and latency as one JSON object.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address of the endpoint
    #[arg(long)]
    address: SocketAddr,
    /// Path of the endpoint
    #[arg(long)]
    path: String,
    /// API key, sent as a bearer token
    #[arg(long)]
    key: String,
    /// Process whose CPU time is measured
    #[arg(long)]
    pid: u32,
    /// Events, one a line
    #[arg(long)]
    feed: PathBuf,
    /// Events in a request; 1 sends each as a body of its own
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Share of the requests sent before measuring, percent
    #[arg(long, default_value_t = 20)]
    warm_up: usize,
    /// Events a second, evenly spaced [default: as fast as they are answered]
    #[arg(long)]
    rate: Option<f64>,
}

/// What one connection has seen.
#[derive(Debug, Default)]
struct Seen {
    latencies: Vec<Duration>,
    /// Answers by their status, with one body of each.
    answers: BTreeMap<u16, (usize, String)>,
}

#[derive(Deserialize)]
struct Origin<'a> {
    #[serde(borrow)]
    store: &'a str,
    #[serde(borrow)]
    terminal: &'a str,
}

fn main() -> ExitCode {
    let outcome = post(&Arguments::parse());
    match outcome.and_then(|report| writeln!(io::stdout(), "{report}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "post_events: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn post(arguments: &Arguments) -> io::Result<serde_json::Value> {
    let feed = fs::read(&arguments.feed)?;
    let lanes = lanes(&feed, arguments)?;
    let whole = arguments.rate.map(|rate| whole_time(&lanes, arguments.batch, rate));
    let (warm, ready) = (Barrier::new(lanes.len() + 1), Barrier::new(lanes.len() + 1));
    let (before, begun, seen) = thread::scope(|scope| {
        let threads: Vec<_> = lanes
            .iter()
            .enumerate()
            .map(|(lane, requests)| {
                let (warm, ready) = (&warm, &ready);
                scope.spawn(move || run_lane(arguments, lane, requests, whole, [warm, ready]))
            })
            .collect();
        warm.wait();
        let before = cpu_s(arguments.pid);
        ready.wait();
        let begun = Instant::now();
        let seen: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (before, begun, seen)
    });
    let (seconds, cpu_s) = (begun.elapsed().as_secs_f64(), cpu_s(arguments.pid)? - before?);
    let mut all = Seen::default();
    for lane in seen {
        let lane = lane.map_err(|_panic| io::Error::other("a connection's thread panicked"))??;
        all.take(lane);
    }
    let sent = lanes.iter().map(Vec::len).sum::<usize>() * arguments.batch.max(1);
    Ok(all.report(sent, arguments.batch.max(1), seconds, cpu_s))
}

impl Seen {
    fn take(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        for (status, (count, body)) in other.answers {
            self.answers.entry(status).or_insert((0, body)).0 += count;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
    fn report(mut self, sent: usize, batch: usize, seconds: f64, cpu_s: f64) -> serde_json::Value {
        self.latencies.sort_unstable();
        let percentile = |per_mille: usize| {
            let place = (self.latencies.len() * per_mille).div_ceil(1_000).saturating_sub(1);
            self.latencies.get(place).map(|latency| latency.as_secs_f64() * 1_000.0)
        };
        let events = self.latencies.len() * batch;
        json!({
            "sent": sent,
            "events": events,
            "seconds": seconds,
            "events_per_s": events as f64 / seconds,
            "cpu_s": cpu_s,
            "p50_ms": percentile(500),
            "p99_ms": percentile(990),
            "p999_ms": percentile(999),
            "answers": self.answers,
        })
    }
}

/// Makes every connection's requests: whole ones only, so that all have the same number of events.
fn lanes(feed: &[u8], arguments: &Arguments) -> io::Result<Vec<Vec<Vec<u8>>>> {
    let count = arguments.connections.max(1);
    let hasher = BuildHasherDefault::<DefaultHasher>::new();
    let mut lines: Vec<Vec<&[u8]>> = vec![Vec::new(); count];
    for line in feed.split_inclusive(|byte| *byte == b'\n') {
        let origin: Origin<'_> = serde_json::from_slice(line)?;
        let lane = hasher.hash_one((origin.store, origin.terminal)) % count as u64;
        lines[usize::try_from(lane).map_err(io::Error::other)?].push(line);
    }
    let batch = arguments.batch.max(1);
    let requests = |lines: &Vec<&[u8]>| {
        lines.chunks_exact(batch).map(|lines| request(arguments, &lines.concat())).collect()
    };
    Ok(lines.iter().map(requests).collect())
}

fn request(arguments: &Arguments, body: &[u8]) -> Vec<u8> {
    let content = if arguments.batch > 1 { "x-ndjson" } else { "json" };
    // What only separates lines may leave an empty one at the end.
    let body = body.trim_ascii_end();
    let mut request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/{content}\r\n\
         Content-Length: {}\r\n\r\n",
        arguments.path,
        arguments.address,
        arguments.key,
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

fn run_lane(
    arguments: &Arguments,
    lane: usize,
    requests: &[Vec<u8>],
    whole: Option<Duration>,
    [warm, ready]: [&Barrier; 2],
) -> io::Result<Seen> {
    let warm_up = requests.len() * arguments.warm_up.min(100) / 100;
    let mut connection = Connection::open(arguments.address);
    let mut warmed = Ok(());
    if let Ok(connection) = &mut connection {
        let mut answers = requests[..warm_up].iter().map(|request| connection.exchange(request));
        warmed = answers.try_for_each(|answer| answer.map(drop));
    }
    // Whatever happened, the others wait for this lane.
    warm.wait();
    ready.wait();
    warmed?;
    let mut connection = connection?;
    let mut seen = Seen::default();
    // Connections have unlike numbers of requests, and all take the same time for theirs.
    let between = whole.unwrap_or_default() / u32::try_from(requests.len()).unwrap_or(1).max(1);
    let begun = Instant::now() + between.mul_f64(fraction(lane, arguments.connections));
    for (request, turn) in requests[warm_up..].iter().zip(0_u32..) {
        let sent = if whole.is_some() { begun + between * turn } else { Instant::now() };
        thread::sleep(sent.saturating_duration_since(Instant::now()));
        let (status, body) = connection.exchange(request)?;
        seen.latencies.push(sent.elapsed());
        seen.answers.entry(status).or_insert((0, body)).0 += 1;
    }
    Ok(seen)
}

/// How long all requests take at a rate of events a second.
#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
fn whole_time(lanes: &[Vec<Vec<u8>>], batch: usize, rate: f64) -> Duration {
    let events = lanes.iter().map(Vec::len).sum::<usize>() * batch.max(1);
    Duration::from_secs_f64(events as f64 / rate)
}

#[expect(clippy::cast_precision_loss, reason = "settings are small")]
fn fraction(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// A keep-alive connection; it understands answers with a Content-Length, which both sides send.
struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), line: String::new() })
    }

    /// Sends a request and returns the status and body of its answer.
    fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, String)> {
        self.stream.get_mut().write_all(request)?;
        let unclear = || io::Error::other("the answer is no HTTP/1.1 with a status");
        let status = self.next_line()?.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(unclear)?;
        let mut length = 0;
        loop {
            let line = self.next_line()?;
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else { return Err(unclear()) };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(io::Error::other)?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(io::Error::other("the answer has no Content-Length"));
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    fn next_line(&mut self) -> io::Result<&str> {
        self.line.clear();
        if self.stream.read_line(&mut self.line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.line.trim_end())
    }
}
