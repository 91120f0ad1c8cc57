//! The side of a command that reads, or writes.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::protocol::{self, Answer, Request};
use super::socket_of;
use crate::local::errors::unavailable;
use crate::local::identity;
use crate::local::reader::deadline;
use crate::{
    Bounds, Committed, ConsumerRecord, Full, LogError, LogView, Offset, OnDurable, Partition,
    Producer, ProducerRecord, Reader, Topic, WritableLog,
};

/// How long the owner may take for an answer, waiting not counted.
const PATIENCE: Duration = Duration::from_secs(30);
const ACTION: &str = "use the log through its owner";

/// A log that another process owns, seen through it.
#[derive(Debug)]
pub struct RemoteLog {
    dir: PathBuf,
    partitions: Partition,
    connection: Mutex<Connection>,
}

impl RemoteLog {
    /// Connects to the owner of the log in a folder.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when nobody serves it.
    pub fn connect(dir: &Path) -> Result<Self, LogError> {
        let mut connection = Connection::open(dir)?;
        let Answer::Partitions(partitions) = connection.ask(&Request::Partitions)? else {
            return Err(connection.nonsense());
        };
        Ok(Self { dir: dir.to_owned(), partitions, connection: Mutex::new(connection) })
    }

    fn ask(&self, request: &Request) -> Result<Answer, LogError> {
        self.connection.lock().ask(request)
    }
}

/// A connection to the owner; after a failure it is of no more use.
#[derive(Debug)]
struct Connection {
    /// The folder of the log.
    place: String,
    stream: UnixStream,
    lane: (Topic, Partition),
    broken: bool,
}

impl Connection {
    fn open(dir: &Path) -> Result<Self, LogError> {
        let place = dir.display().to_string();
        let failed = unavailable(ACTION, || place.clone());
        let stream = socket_of(dir).and_then(UnixStream::connect).map_err(&failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(&failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(&failed)?;
        drop(failed);
        Ok(Self { place, stream, lane: (Topic::new(""), 0), broken: false })
    }

    fn failed(&self, error: io::Error) -> LogError {
        unavailable(ACTION, || self.place.clone())(error)
    }

    fn nonsense(&self) -> LogError {
        let detail = "the answer makes no sense: use the version of this program that owns the log";
        self.failed(io::Error::new(io::ErrorKind::InvalidData, detail))
    }

    fn ask(&mut self, request: &Request) -> Result<Answer, LogError> {
        if self.broken {
            let error = io::Error::new(io::ErrorKind::NotConnected, "the connection broke before");
            return Err(self.failed(error));
        }
        let message = request.encode();
        let (bytes, limit) = (message.len(), protocol::REQUEST_BYTES);
        if bytes > limit {
            return Err(LogError::TooLarge { bytes, limit });
        }
        let message = self.exchange(&message).map_err(|error| {
            self.broken = true;
            self.failed(error)
        })?;
        if message.first() == Some(&0) {
            let answer = Answer::decode(&message, request, &self.lane);
            return answer.ok_or_else(|| self.nonsense());
        }
        Err(protocol::decode_error(&message).unwrap_or_else(|| self.nonsense()))
    }

    fn exchange(&mut self, message: &[u8]) -> io::Result<Bytes> {
        protocol::send(&mut self.stream, message)?;
        protocol::receive(&mut self.stream, protocol::ANSWER_BYTES)
    }
}

impl LogView for RemoteLog {
    fn identity(&self) -> Result<String, LogError> {
        identity::read(&self.dir)
    }

    fn partitions(&self) -> Partition {
        self.partitions
    }

    fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError> {
        match self.ask(&Request::Bounds { topic: topic.clone(), partition })? {
            Answer::Bounds(bounds) => Ok(bounds),
            _ => Err(self.connection.lock().nonsense()),
        }
    }

    fn reader(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        let mut connection = Connection::open(&self.dir)?;
        connection.lane = (topic.clone(), partition);
        connection.ask(&Request::Open { topic: topic.clone(), partition, from })?;
        Ok(Box::new(RemoteReader { connection, position: from }))
    }

    fn committed(
        &self,
        group: &str,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        let (group, topic) = (group.to_owned(), topic.clone());
        match self.ask(&Request::Committed { group, topic, partition })? {
            Answer::Committed(committed) => Ok(committed),
            _ => Err(self.connection.lock().nonsense()),
        }
    }
}

impl WritableLog for RemoteLog {
    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        Ok(Box::new(RemoteProducer { connection: Mutex::new(Connection::open(&self.dir)?) }))
    }
}

/// A producer with a connection of its own: [`Producer::send`] returns when the owner has answered.
struct RemoteProducer {
    connection: Mutex<Connection>,
}

impl RemoteProducer {
    fn write(
        &self,
        records: Vec<ProducerRecord>,
    ) -> Result<Vec<Result<Offset, LogError>>, LogError> {
        let count = records.len();
        let request = Request::Write { records };
        let mut connection = self.connection.lock();
        match connection.ask(&request)? {
            Answer::Written(outcomes) if outcomes.len() == count => Ok(outcomes),
            _ => Err(connection.nonsense()),
        }
    }
}

impl Producer for RemoteProducer {
    fn send(&self, rows: Vec<ProducerRecord>, done: OnDurable) -> Result<(), Full> {
        let count = rows.len();
        done(self.write(rows).unwrap_or_else(|error| vec![Err(error); count]));
        Ok(())
    }

    fn flush(&self, _wait: Duration) -> Result<(), LogError> {
        Ok(())
    }
}

/// A reader of one partition, with a connection of its own.
struct RemoteReader {
    connection: Connection,
    position: Offset,
}

impl Reader for RemoteReader {
    fn read(
        &mut self,
        max_records: usize,
        wait: Duration,
    ) -> Result<Vec<ConsumerRecord>, LogError> {
        let until = deadline(wait);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let request = Request::Read { max_records: max_records as u64, wait: left };
            let Answer::Read(entries, position) = self.connection.ask(&request)? else {
                return Err(self.connection.nonsense());
            };
            self.position = position;
            if !entries.is_empty() || max_records == 0 || Instant::now() >= until {
                return Ok(entries);
            }
        }
    }

    fn position(&self) -> Offset {
        self.position
    }
}
