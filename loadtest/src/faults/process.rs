//! A process under test: started, killed, frozen, stopped, as an operator or a kernel does it.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// What the usual shell gives a process: more would hide what runs out.
const SOFT_DESCRIPTORS: &str = "--nofile=1024:";

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// All of it.
    Up,
    Ingest,
    Aggregate,
    Deliver,
}

impl Role {
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Ingest => "ingest",
            Self::Aggregate => "aggregate",
            Self::Deliver => "deliver",
        }
    }

    /// Whether tills post to it.
    pub(crate) fn has_gateway(self) -> bool {
        matches!(self, Self::Up | Self::Ingest)
    }
}

/// How a process is started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) role: Role,
    pub(crate) config: PathBuf,
    pub(crate) listen: u16,
    pub(crate) status: u16,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) output: PathBuf,
}

/// A process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) launch: Launch,
    child: Option<Child>,
    /// Zero while it does not run; the watch reads it.
    pub(crate) id: Arc<AtomicU32>,
}

impl Process {
    pub(crate) fn new(name: String, launch: Launch) -> Self {
        Self { name, launch, child: None, id: Arc::default() }
    }

    /// Starts it; its output goes on in the same file. The kernel kills it when the harness ends, however that ends.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let launch = &self.launch;
        let output = append(&launch.output)?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "prlimit", SOFT_DESCRIPTORS])
            .arg(&launch.program)
            .arg(launch.role.command())
            .arg("--config")
            .arg(&launch.config)
            .env("TILLRACE__INGEST__LISTEN", format!("127.0.0.1:{}", launch.listen))
            .env("TILLRACE__STATUS", format!("127.0.0.1:{}", launch.status))
            .envs(launch.variables.iter().map(|(name, value)| (name, value)))
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("share the output file")?)
            .stderr(output);
        let child = command.spawn().with_context(|| format!("start {}", self.name))?;
        self.id.store(child.id(), Relaxed);
        self.child = Some(child);
        Ok(())
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.id.store(0, Relaxed);
        if let Some(mut child) = self.child.take() {
            child.kill().with_context(|| format!("kill {}", self.name))?;
            child.wait().with_context(|| format!("reap {}", self.name))?;
        }
        Ok(())
    }

    /// SIGTERM; returns how it ended, `None` where it did not end in time and was killed.
    pub(crate) fn terminate(&mut self, within: Duration) -> anyhow::Result<Option<ExitStatus>> {
        self.signal("TERM")?;
        let ended = self.wait(within)?;
        self.kill()?;
        Ok(ended)
    }

    /// SIGSTOP: nothing of it runs until [`Self::thaw`].
    pub(crate) fn freeze(&self) -> anyhow::Result<()> {
        self.signal("STOP")
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) -> anyhow::Result<()> {
        self.signal("CONT")
    }

    /// Returns how it ended, if it ended by itself.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let ended = child.try_wait().with_context(|| format!("look at {}", self.name))?;
        if ended.is_some() {
            self.child = None;
            self.id.store(0, Relaxed);
        }
        Ok(ended)
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, within: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(ended) = self.ended()? {
                return Ok(Some(ended));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let Some(child) = &self.child else { return Ok(()) };
        let status = Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .with_context(|| format!("send SIG{signal} to {}", self.name))?;
        anyhow::ensure!(status.success(), "send SIG{signal} to {}: {status}", self.name);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            crate::console::say(format_args!("{error:#}"));
        }
    }
}

/// Opens a file to write at its end.
fn append(path: &std::path::Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))
}
