//! Text for people on a terminal of 60 columns or more: paragraphs, and rows of a name and a figure.

use std::fmt::{Display, Formatter, Result};

/// Columns that a line has at most.
pub const WIDTH: usize = 60;

/// Columns of a row's name, and of its figure.
const NAME: usize = 36;
const FIGURE: usize = 14;

/// Stands behind a figure that must not be.
const FAULT: &str = "  <-";

/// Writes a paragraph, every line of it indented by so many columns.
///
/// # Errors
/// The formatter's.
pub fn paragraph(f: &mut Formatter<'_>, indent: usize, text: impl Display) -> Result {
    let margin = " ".repeat(indent);
    let options = textwrap::Options::new(WIDTH).initial_indent(&margin).subsequent_indent(&margin);
    for line in textwrap::wrap(&text.to_string(), options) {
        writeln!(f, "{line}")?;
    }
    Ok(())
}

/// Writes a row: a name, and at the right its figure, marked where that is a fault. A name that is too long
/// takes more lines.
///
/// # Errors
/// The formatter's.
pub fn row(
    f: &mut Formatter<'_>,
    name: impl Display,
    figure: impl Display,
    is_fault: bool,
) -> Result {
    let options = textwrap::Options::new(NAME).subsequent_indent("    ");
    let name = name.to_string();
    let mut lines = textwrap::wrap(&name, options);
    let last = lines.pop().unwrap_or_default();
    for line in lines {
        writeln!(f, "  {line}")?;
    }
    let mark = if is_fault { FAULT } else { "" };
    writeln!(f, "  {last:<NAME$}{:>FIGURE$}{mark}", figure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rows;

    impl Display for Rows {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            row(f, "lost", "4", true)?;
            row(f, "records delivered to a-sink-with-quite-a-long-name", "12,345,678,901", true)?;
            paragraph(f, 4, "store 12, terminal 4: a sentence that has to go on in the next line")
        }
    }

    #[test]
    fn what_is_too_long_goes_on_in_the_next_line() {
        let expected = "  lost                                             4  <-
  records delivered to a-sink-with-
      quite-a-long-name               12,345,678,901  <-
    store 12, terminal 4: a sentence that has to go on in
    the next line
";
        assert_eq!(Rows.to_string(), expected);
    }
}
