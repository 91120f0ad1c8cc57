//! Where a command's report goes: a text for people, and JSON for programs where it is asked for.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// Prints a report, and writes it as JSON to a file. The file `-` is standard output; people then read on
/// standard error.
///
/// # Errors
/// Something cannot be written.
pub(crate) fn report(
    text: impl Display,
    json: Option<(&Path, &impl Serialize)>,
) -> anyhow::Result<()> {
    write(&mut io::stdout().lock(), &mut io::stderr().lock(), text, json)
}

fn write(
    stdout: &mut impl Write,
    stderr: &mut impl Write,
    text: impl Display,
    json: Option<(&Path, &impl Serialize)>,
) -> anyhow::Result<()> {
    let Some((path, value)) = json else {
        return write!(stdout, "{text}").context("print the report");
    };
    let mut written = serde_json::to_vec_pretty(value).context("write the report as JSON")?;
    written.push(b'\n');
    if path.as_os_str() == "-" {
        write!(stderr, "{text}").context("print the report")?;
        stdout.write_all(&written).context("write the report to standard output")
    } else {
        write!(stdout, "{text}").context("print the report")?;
        std::fs::write(path, &written).with_context(|| format!("write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &Path) -> (String, String) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        write(&mut stdout, &mut stderr, "all holds\n", Some((path, &[7]))).unwrap();
        [stdout, stderr].map(|text| String::from_utf8(text).unwrap()).into()
    }

    #[test]
    fn a_dash_is_standard_output_and_nothing_else_is_printed_there() {
        assert_eq!(written(Path::new("-")), ("[\n  7\n]\n".to_owned(), "all holds\n".to_owned()));
        assert!(!Path::new("-").exists());
    }

    #[test]
    fn a_file_takes_the_json_and_standard_output_the_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        assert_eq!(written(&path), ("all holds\n".to_owned(), String::new()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[\n  7\n]\n");
    }
}
