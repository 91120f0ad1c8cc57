//! The line at the bottom of a terminal that says how far something is; where there is no terminal, a plain line now and then.

mod plain;

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::plain::PlainLines;

/// How often the line is drawn when nothing else moves it.
const TICK: Duration = Duration::from_millis(120);

/// What is sure to fit comes first; the message is cut where the terminal ends.
const KNOWN_LENGTH: &str =
    "{prefix} {elapsed:>4} {bar:12.cyan/blue} {human_pos}/{human_len} {wide_msg}";
const UNKNOWN_LENGTH: &str = "{prefix} {elapsed:>4} {spinner} {human_pos} {wide_msg}";

/// In a file or a pipe nothing is drawn over: a line says all of it, and the next one comes ten seconds later.
const PLAIN_KNOWN_LENGTH: &str = "{prefix} {elapsed}: {human_pos} of {human_len}; {msg}";
const PLAIN_UNKNOWN_LENGTH: &str = "{prefix} {elapsed}: {human_pos}; {msg}";
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Shows on standard error how far something is, for so many things or nobody knows how many; nothing if `is_quiet`. A
/// terminal has one line that moves, anything else gets a line every ten seconds.
pub fn line(total: Option<u64>, is_quiet: bool) -> ProgressBar {
    let line = if is_quiet {
        on(ProgressDrawTarget::hidden(), total)
    } else if stderr().is_terminal() {
        on(ProgressDrawTarget::stderr(), total)
    } else {
        plain_on(PlainLines::new(stderr(), PLAIN_EVERY), total)
    };
    line.enable_steady_tick(TICK);
    line
}

fn on(target: ProgressDrawTarget, total: Option<u64>) -> ProgressBar {
    let template = if total.is_some() { KNOWN_LENGTH } else { UNKNOWN_LENGTH };
    with(target, total, template)
}

fn plain_on(lines: PlainLines, total: Option<u64>) -> ProgressBar {
    let template = if total.is_some() { PLAIN_KNOWN_LENGTH } else { PLAIN_UNKNOWN_LENGTH };
    with(ProgressDrawTarget::term_like(Box::new(lines)), total, template)
}

fn with(target: ProgressDrawTarget, total: Option<u64>, template: &str) -> ProgressBar {
    let line = ProgressBar::with_draw_target(total, target);
    // The templates are constants; were one wrong, the default would do.
    if let Ok(style) = ProgressStyle::with_template(template) {
        line.set_style(style.progress_chars("━╸─"));
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use indicatif::TermLike;
    use parking_lot::Mutex;

    use super::*;

    /// A terminal of a width that remembers the longest line it was given.
    #[derive(Debug, Clone)]
    struct NarrowTerminal {
        width: u16,
        longest: Arc<Mutex<usize>>,
    }

    impl TermLike for NarrowTerminal {
        fn width(&self) -> u16 {
            self.width
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
        fn write_str(&self, text: &str) -> io::Result<()> {
            let mut longest = self.longest.lock();
            *longest = (*longest).max(text.trim_end().chars().count());
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A file that can be read while it is written.
    #[derive(Debug, Clone, Default)]
    struct SharedFile(Arc<Mutex<Vec<u8>>>);

    impl io::Write for SharedFile {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn without_a_terminal_there_is_a_plain_line_now_and_then() {
        let drawn = |every, total| {
            let file = SharedFile::default();
            let line = plain_on(PlainLines::new(file.clone(), every), total);
            line.set_prefix("sending");
            for position in [1_000, 2_000] {
                line.set_position(position);
                line.set_message("3 sent again");
                line.force_draw();
            }
            line.finish_and_clear();
            let written = file.0.lock().clone();
            String::from_utf8(written).unwrap()
        };
        let often = drawn(Duration::ZERO, Some(5_000));
        assert!(often.contains("sending 0s: 2,000 of 5,000; 3 sent again\n"), "{often:?}");
        assert!(drawn(Duration::ZERO, None).contains("sending 0s: 2,000; 3 sent again\n"));
        let rarely = drawn(Duration::from_hours(1), Some(5_000));
        assert_eq!(rarely.lines().count(), 1, "{rarely:?}");
        assert!(!often.contains('\x1b'), "{often:?}");
    }

    #[test]
    fn the_line_never_outgrows_the_terminal() {
        for width in [60, 80, 110] {
            for total in [Some(12_345_678), None] {
                let longest = Arc::default();
                let terminal = NarrowTerminal { width, longest: Arc::clone(&longest) };
                let line = on(ProgressDrawTarget::term_like(Box::new(terminal)), total);
                line.set_prefix("delivering");
                line.set_position(12_345_678);
                line.set_message("to go: a-sink 1,234,567, b-sink 1,234,567, ".repeat(4));
                line.force_draw();
                let longest = *longest.lock();
                assert!((40..=usize::from(width)).contains(&longest), "{longest} of {width}");
            }
        }
    }
}
