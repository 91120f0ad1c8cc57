//! What takes the place of a terminal where there is none: lines, with so much time between them.

use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::TermLike;
use parking_lot::Mutex;

/// Wider than any line, so that none is cut.
const WIDTH: u16 = 400;

/// A file or a pipe that takes a line now and then, however often one is drawn.
pub(super) struct PlainLines {
    every: Duration,
    out: Mutex<Output>,
}

struct Output {
    to: Box<dyn Write + Send>,
    /// When the last line was written.
    last: Option<Instant>,
}

impl PlainLines {
    /// Writes to `to`, the first line at once and each further one not before `every` has passed.
    pub(super) fn new(to: impl Write + Send + 'static, every: Duration) -> Self {
        Self { every, out: Mutex::new(Output { to: Box::new(to), last: None }) }
    }
}

impl fmt::Debug for PlainLines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PlainLines").field("every", &self.every).finish_non_exhaustive()
    }
}

impl TermLike for PlainLines {
    fn width(&self) -> u16 {
        WIDTH
    }

    fn move_cursor_up(&self, _lines: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _lines: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _columns: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _columns: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    /// Takes a line as it is drawn; what only fills a terminal's line up is left out.
    fn write_str(&self, text: &str) -> io::Result<()> {
        let line = text.trim().trim_end_matches(';');
        let mut out = self.out.lock();
        if line.is_empty() || out.last.is_some_and(|last| last.elapsed() < self.every) {
            return Ok(());
        }
        out.last = Some(Instant::now());
        writeln!(out.to, "{line}")
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.out.lock().to.flush()
    }
}
