//! The owner's side: one thread that accepts, one a connection, few connections.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::Shutdown;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::bounded;
use parking_lot::Mutex;
use tracing::Span;
use uuid::Uuid;

use super::protocol::{self, Answer, Request};
use super::{PATH_BYTES, POINTER, SOCKET};
use crate::local::LocalLog;
use crate::local::errors::unavailable;
use crate::local::lines;
use crate::{LogError, LogView, Offset, OnDurable, ProducerRecord, Reader, WritableLog};

/// Connections at a time; more are closed at once.
const CONNECTIONS: usize = 64;
/// Longest wait of a read: the owner must be able to stop.
const WAIT: Duration = Duration::from_millis(500);
/// Pause before a full queue is offered records again.
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// A log being served; dropping it ends that.
#[derive(Debug)]
pub struct Serving {
    shared: Arc<Shared>,
    socket: PathBuf,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    log: Arc<LocalLog>,
    stopping: AtomicBool,
    /// To be shut and waited for when serving ends.
    connections: Mutex<Vec<(UnixStream, JoinHandle<()>)>>,
}

/// Lets other processes read this log and write to it, until what is returned is dropped. It keeps the log open.
///
/// # Errors
/// [`LogError::Unavailable`] when the socket cannot be made.
pub fn serve(log: &Arc<LocalLog>) -> Result<Serving, LogError> {
    let failed = unavailable("serve the local log", || log.dir.display().to_string());
    let socket = place(&log.dir).map_err(&failed)?;
    let listener = UnixListener::bind(&socket).map_err(&failed)?;
    let shared = Arc::new(Shared {
        log: Arc::clone(log),
        stopping: AtomicBool::new(false),
        connections: Mutex::default(),
    });
    let accepting = std::thread::Builder::new().name("local-log-serve".to_owned()).spawn({
        let (shared, span) = (Arc::clone(&shared), Span::current());
        move || span.in_scope(|| accept(&shared, &listener))
    });
    Ok(Serving { shared, socket, accepting: Some(accepting.map_err(&failed)?) })
}

/// Finds a place for the socket: whoever asks for it holds the folder's lock, so what is there is
/// a leftover.
fn place(dir: &Path) -> io::Result<PathBuf> {
    remove(&dir.join(POINTER))?;
    remove(&dir.join(SOCKET))?;
    let socket = dir.join(SOCKET);
    if socket.as_os_str().len() <= PATH_BYTES {
        return Ok(socket);
    }
    let private = std::env::temp_dir().join(format!("tillrace-{}", Uuid::new_v4().simple()));
    DirBuilder::new().mode(0o700).create(&private)?;
    let socket = private.join(SOCKET);
    let pointer = dir.join(POINTER);
    let text = socket.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    fs::write(&pointer, text)?;
    fs::set_permissions(&pointer, Permissions::from_mode(0o600))?;
    Ok(socket)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn accept(shared: &Arc<Shared>, listener: &UnixListener) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        let accepted = stream.and_then(|stream| {
            let mut connections = shared.connections.lock();
            connections.retain(|(_, session)| !session.is_finished());
            if connections.len() >= CONNECTIONS {
                return Err(io::Error::other("too many commands are connected"));
            }
            let (connection, shared) = (stream.try_clone()?, Arc::clone(shared));
            let thread = std::thread::Builder::new().name("local-log-session".to_owned());
            let span = Span::current();
            let session = thread.spawn(move || span.in_scope(|| answer_all(&shared, stream)))?;
            connections.push((connection, session));
            Ok(())
        });
        if let Err(error) = accepted {
            let code = lines::READER_NOT_SERVED.code;
            tracing::warn!(code, %error, "could not serve a reader of the local log");
        }
    }
}

/// Answers until the other side is gone.
fn answer_all(shared: &Shared, mut stream: UnixStream) {
    let mut reader = None;
    while let Ok(message) = protocol::receive(&mut stream, protocol::REQUEST_BYTES) {
        let Some(request) = Request::decode(&message) else { return };
        let answer = match answer(shared, &mut reader, request) {
            Ok(answer) => answer.encode(),
            Err(error) => protocol::encode_error(&error),
        };
        if protocol::send(&mut stream, &answer).is_err() {
            return;
        }
    }
}

fn answer(
    shared: &Shared,
    reader: &mut Option<Box<dyn Reader>>,
    request: Request,
) -> Result<Answer, LogError> {
    let log = &shared.log;
    Ok(match request {
        Request::Partitions => Answer::Partitions(log.partitions()),
        Request::Bounds { topic, partition } => Answer::Bounds(log.bounds(&topic, partition)?),
        Request::Committed { group, topic, partition } => {
            Answer::Committed(log.committed(&group, &topic, partition)?)
        }
        Request::Open { topic, partition, from } => {
            *reader = Some(log.reader(&topic, partition, from)?);
            Answer::Opened
        }
        Request::Read { max_records, wait } => match reader {
            None => Answer::Read(Vec::new(), 0),
            Some(reader) => {
                let max_records = usize::try_from(max_records).unwrap_or(usize::MAX);
                let entries = reader.read(max_records, wait.min(WAIT))?;
                Answer::Read(entries, reader.position())
            }
        },
        Request::Write { records } => Answer::Written(write(shared, records)?),
    })
}

/// Writes records for another process, and returns the outcome of each when it is known.
fn write(
    shared: &Shared,
    mut records: Vec<ProducerRecord>,
) -> Result<Vec<Result<Offset, LogError>>, LogError> {
    let producer = shared.log.producer()?;
    let (tell, told) = bounded(1);
    let mut done: OnDurable = Box::new(move |outcomes| {
        // The session is gone only if this process is ending.
        drop(tell.send(outcomes));
    });
    while let Err(full) = producer.send(records, done) {
        if shared.stopping.load(Ordering::Acquire) {
            return Err(LogError::TimedOut { action: "write to the local log" });
        }
        (records, done) = (full.rows, full.done);
        std::thread::sleep(FULL_PAUSE);
    }
    told.recv().map_err(|_dropped| LogError::TimedOut { action: "hear from the local log" })
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        // One last connection wakes the thread that accepts.
        let woken = UnixStream::connect(&self.socket).is_ok();
        if let Some(accepting) = self.accepting.take()
            && woken
            && accepting.join().is_err()
        {
            let code = lines::THREAD_PANICKED.code;
            tracing::error!(code, "the thread that serves the local log panicked");
        }
        let connections = std::mem::take(&mut *self.shared.connections.lock());
        for (connection, session) in connections {
            // It may be gone already, which is as good.
            drop(connection.shutdown(Shutdown::Both));
            if session.join().is_err() {
                let code = lines::THREAD_PANICKED.code;
                tracing::error!(code, "a session of the local log panicked");
            }
        }
        let private = self.socket.parent().filter(|parent| *parent != self.shared.log.dir);
        let removed = remove(&self.socket)
            .and_then(|()| remove(&self.shared.log.dir.join(POINTER)))
            .and_then(|()| private.map_or(Ok(()), fs::remove_dir));
        if let Err(error) = removed {
            let code = lines::SOCKET_LEFT.code;
            tracing::warn!(code, %error, "could not remove the socket of the local log");
        }
    }
}
