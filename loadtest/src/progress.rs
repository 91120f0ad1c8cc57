//! The line at the bottom of a terminal that says how far something is.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line is drawn when nothing else moves it.
const TICK: Duration = Duration::from_millis(120);

/// What is sure to fit comes first; the message is cut where the terminal ends.
const KNOWN_LENGTH: &str =
    "{prefix} {elapsed:>4} {bar:12.cyan/blue} {human_pos}/{human_len} {wide_msg}";
const UNKNOWN_LENGTH: &str = "{prefix} {elapsed:>4} {spinner} {human_pos} {wide_msg}";

/// Shows a line on standard error if that is a terminal, for so many things or nobody knows how many; nothing if
/// `is_quiet`.
pub fn line(total: Option<u64>, is_quiet: bool) -> ProgressBar {
    let target = if is_quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let line = on(target, total);
    line.enable_steady_tick(TICK);
    line
}

fn on(target: ProgressDrawTarget, total: Option<u64>) -> ProgressBar {
    let line = ProgressBar::with_draw_target(total, target);
    let template = if total.is_some() { KNOWN_LENGTH } else { UNKNOWN_LENGTH };
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
