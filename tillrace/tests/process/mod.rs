//! The executable in a process of its own, as a user starts, asks, kills and stops it.

#![expect(clippy::expect_used, reason = "a test process that cannot be driven is a failed test")]
#![allow(dead_code, reason = "each test binary uses the part it needs")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The API key of every test.
pub(super) const KEY: &str = "a-key-for-tests";
/// How long a condition may take to come true; generous, since machines are slow and shared.
const PATIENCE: Duration = Duration::from_secs(90);

/// The command line against one data folder, and against Kafka where the arguments say so.
#[derive(Debug, Clone)]
pub(super) struct CommandLine {
    /// Absent where a configuration says where data is.
    data: Option<PathBuf>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    open_files: Option<&'static str>,
    /// Where the lines of processes go that are started.
    lines: Option<PathBuf>,
}

impl CommandLine {
    /// Makes a command line; `arguments` are added to every call.
    pub(super) fn new(data: &Path, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&text| text.to_owned()).collect();
        let data = Some(data.to_owned());
        Self { data, arguments, variables: Vec::new(), open_files: None, lines: None }
    }

    /// Makes a command line with a configuration file.
    pub(super) fn configured(file: &Path) -> Self {
        let arguments = vec!["--config".to_owned(), file.display().to_string()];
        Self { data: None, arguments, variables: Vec::new(), open_files: None, lines: None }
    }

    /// Adds an environment variable to every call.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes what processes say of themselves to a file.
    pub(super) fn with_lines(mut self, file: &Path) -> Self {
        self.lines = Some(file.to_owned());
        self
    }

    fn errors(&self) -> Stdio {
        let file =
            self.lines.as_ref().map(|path| File::options().append(true).create(true).open(path));
        file.map_or_else(Stdio::inherit, |file| file.expect("a file for lines").into())
    }

    /// Gives every call a limit of open files, as the option of the shell's `ulimit` says.
    pub(super) fn with_open_files(mut self, option: &'static str) -> Self {
        self.open_files = Some(option);
        self
    }

    fn command(&self, words: &[&str]) -> Command {
        let executable = env!("CARGO_BIN_EXE_tillrace");
        let mut command = match self.open_files {
            None => Command::new(executable),
            Some(option) => {
                let mut shell = Command::new("sh");
                let limited = format!("ulimit {option} && exec \"$0\" \"$@\"");
                shell.args(["-c", &limited, executable]);
                shell
            }
        };
        command.args(words).args(&self.arguments);
        if let Some(data) = &self.data {
            command.arg("--data").arg(data);
        }
        command.env("TILLRACE_DEV_KEY", KEY).env("TILLRACE__AGGREGATE__FLUSH_INTERVAL", "100ms");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts all roles on a free port and waits until they listen.
    pub(super) fn up(&self) -> Tillrace {
        self.start("up")
    }

    /// Starts one role, or `up`, on free ports and waits until it listens.
    pub(super) fn start(&self, role: &str) -> Tillrace {
        self.await_started(self.spawn(role, "127.0.0.1:0"))
    }

    /// Starts one role, or `up`, and does not wait; its status listener has the address that is given.
    pub(super) fn spawn(&self, role: &str, status: &str) -> Child {
        let mut command = self.command(&[role, "--status", status]);
        if matches!(role, "up" | "ingest") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.stdout(Stdio::piped()).stderr(self.errors()).spawn().expect("start tillrace")
    }

    /// Starts a process by its words, on free ports, and does not wait.
    pub(super) fn spawn_with(&self, words: &[&str]) -> Child {
        let mut command = self.command(words);
        command.args(["--listen", "127.0.0.1:0", "--status", "127.0.0.1:0"]);
        command.stdout(Stdio::piped()).stderr(self.errors()).spawn().expect("start tillrace")
    }

    /// Waits until a process that was spawned listens.
    pub(super) fn await_started(&self, mut child: Child) -> Tillrace {
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut gateway = None;
        let status = loop {
            let line =
                lines.next().expect("it says where it listens before it ends").expect("text");
            let mut words = line.split_whitespace();
            match (words.next(), words.next().and_then(|url| url.split_once("://"))) {
                (Some("listening"), Some((_, address))) => gateway = Some(address.to_owned()),
                (Some("status"), Some((_, url))) => {
                    break url.trim_end_matches("/readyz").to_owned();
                }
                _ => {}
            }
        };
        // Whatever else it prints must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        Tillrace { child, gateway, status, command_line: self.clone() }
    }

    /// Reads a topic from its start to its end.
    pub(super) fn tap(&self, topic: &str) -> Vec<Value> {
        let output = self.run(&["tap", topic, "--from", "start", "--until-end", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("one JSON object a line"))
            .collect()
    }

    /// Prints a topic from its start until it is killed; returns when the first record was printed.
    pub(super) fn follow(&self, topic: &str) -> Child {
        let mut command = self.command(&["tap", topic, "--from", "start", "--json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("start tillrace");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        lines.next().expect("a record").expect("text");
        thread::spawn(move || lines.for_each(drop));
        child
    }

    /// Runs `tillrace verify`.
    pub(super) fn verify(&self) -> Output {
        self.run(&["verify"])
    }

    /// Asserts that the conservation law holds.
    pub(super) fn assert_verified(&self) {
        let output = self.verify();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("run tillrace")
    }
}

/// A running process of the executable; killed when dropped.
#[derive(Debug)]
pub(super) struct Tillrace {
    child: Child,
    /// Address of the gateway, where the role has one.
    gateway: Option<String>,
    /// Address of the status listener.
    status: String,
    command_line: CommandLine,
}

impl Tillrace {
    /// Posts a body and returns status and body of the answer.
    pub(super) fn post(&self, path: &str, body: &str) -> (u16, String) {
        self.post_as(KEY, path, body)
    }

    /// Posts a body under a key and returns status and body of the answer.
    pub(super) fn post_as(&self, key: &str, path: &str, body: &str) -> (u16, String) {
        answer(self.send_as(key, path, body)).expect("an answer")
    }

    /// Sends a body and leaves the answer to be read by [`answer`].
    pub(super) fn send(&self, path: &str, body: &str) -> TcpStream {
        self.send_as(KEY, path, body)
    }

    fn send_as(&self, key: &str, path: &str, body: &str) -> TcpStream {
        let length = body.len();
        let gateway = self.gateway.as_ref().expect("a role with a gateway");
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: tillrace\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(gateway).expect("connect");
        stream.write_all(request.as_bytes()).expect("send");
        stream
    }

    /// Address of its gateway.
    pub(super) fn gateway(&self) -> &str {
        self.gateway.as_ref().expect("a role with a gateway")
    }

    /// Opens connections to the gateway and says nothing on them.
    pub(super) fn connect_silently(&self, connections: usize) -> Vec<TcpStream> {
        let gateway = self.gateway.as_ref().expect("a role with a gateway");
        (0..connections).map(|_| TcpStream::connect(gateway).expect("connect")).collect()
    }

    /// Address of the gateway, and that of the status listener.
    pub(super) fn addresses(&self) -> (&str, &str) {
        (self.gateway.as_ref().expect("a role with a gateway"), &self.status)
    }

    /// Number of its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the status listener.
    pub(super) fn status(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: tillrace\r\nconnection: close\r\n\r\n");
        ask(&self.status, &request)
    }

    /// Returns the sum of a metric's series whose line begins so.
    pub(super) fn metric(&self, start: &str) -> f64 {
        let (status, text) = self.status("/metrics");
        assert_eq!(status, 200, "{text}");
        let series = text.lines().filter(|line| line.starts_with(start));
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Posts a sale and asserts that it is answered 202.
    pub(super) fn sell(&self, sequence: u64, sku: &str, quantity: &str) {
        let (status, body) = self.post("/v1/events", &sale(sequence, sku, quantity));
        assert_eq!(status, 202, "{body}");
    }

    /// Reads a topic again and again until it has as many records.
    pub(super) fn wait_for(&self, topic: &str, records: usize) -> Vec<Value> {
        until(&format!("{topic} has {records} records"), || {
            Some(self.command_line.tap(topic)).filter(|found| found.len() >= records)
        })
    }

    /// SIGKILL: what a power cut does to a process.
    pub(super) fn kill_9(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("reap");
    }

    /// SIGTERM, and how it ended.
    pub(super) fn terminate(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
        self.child.wait().expect("reap")
    }
}

impl Drop for Tillrace {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.child.kill().and_then(|()| self.child.wait()).expect("kill and reap");
        }
    }
}

/// Asks a status listener that may not be there yet.
pub(super) fn try_status(address: &str, path: &str) -> Option<(u16, String)> {
    TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: tillrace\r\nconnection: close\r\n\r\n");
    Some(ask(address, &request))
}

fn ask(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.write_all(request.as_bytes()).expect("send");
    answer(stream).expect("an answer")
}

/// Reads an answer to its end: status and body; `None` if who was asked died before it had answered.
pub(super) fn answer(mut stream: TcpStream) -> Option<(u16, String)> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Some((status, body.to_owned()))
}

/// Looks again and again until there is something to see.
pub(super) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A sale of one line.
pub(super) fn sale(sequence: u64, sku: &str, quantity: &str) -> String {
    sale_in("12", sequence, sku, quantity)
}

/// A sale of one line in a store.
pub(super) fn sale_in(store: &str, sequence: u64, sku: &str, quantity: &str) -> String {
    format!(
        r#"{{"store":"{store}","terminal":"3","sequence":{sequence},"event_id":"e-{sequence}","kind":"sale","occurred_at":"2026-11-20T08:15:30+01:00","business_date":"2026-11-20","lines":[{{"line":1,"type":"sale","sku":"{sku}","quantity":"{quantity}"}}]}}"#
    )
}
