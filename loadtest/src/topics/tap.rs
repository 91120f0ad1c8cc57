//! Reads topics through a command that prints them, such as `tillrace tap`.
//!
//! The command is run with `TOPIC --from start --until-end --json` appended and prints one JSON
//! object a line: `topic`, `partition`, `offset`, `appended_ms`, `key`, `value`, the last being the
//! record's own JSON text, byte for byte. No shell is involved: the command is split at spaces.

use std::borrow::Cow;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Positions, ReadError, Record, TopicReader};

/// Longest part of a line that an error quotes.
const QUOTED_CHARS: usize = 120;

/// A reader that runs a command for each topic.
#[derive(Debug, Clone)]
pub struct TapReader {
    command: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    partition: i32,
    offset: i64,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: &'a RawValue,
}

impl TapReader {
    /// Names the command, such as `tillrace tap --data DIR`.
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned() }
    }

    fn start(&self, topic: &str) -> std::io::Result<std::process::Child> {
        let mut words = self.command.split_whitespace();
        let program = words.next().unwrap_or_default();
        Command::new(program)
            .args(words)
            .args([topic, "--from", "start", "--until-end", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
    }

    fn pass(
        &self,
        line: &str,
        positions: &mut Positions,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<(), ReadError> {
        let Line { partition, offset, key, value } =
            serde_json::from_str(line).map_err(|source| ReadError::TapLine {
                command: self.command.clone(),
                line: line.chars().take(QUOTED_CHARS).collect(),
                source,
            })?;
        let next = positions.entry(partition).or_insert(0);
        if offset >= *next {
            *next = offset + 1;
            let key = key.as_deref().unwrap_or_default().as_bytes();
            let value = if value.get() == "null" { &[] } else { value.get().as_bytes() };
            each(&Record { partition, offset, key, value });
        }
        Ok(())
    }
}

impl TopicReader for TapReader {
    fn read(
        &mut self,
        topic: &str,
        positions: &mut Positions,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<(), ReadError> {
        let error = |source| ReadError::Tap { command: self.command.clone(), source };
        let mut child = self.start(topic).map_err(error)?;
        if let Some(output) = child.stdout.take() {
            let mut output = BufReader::with_capacity(1 << 18, output);
            let mut line = String::new();
            while output.read_line(&mut line).map_err(error)? > 0 {
                self.pass(&line, positions, each)?;
                line.clear();
            }
        }
        let status = child.wait().map_err(error)?;
        if !status.success() {
            return Err(ReadError::TapStatus { command: self.command.clone(), status });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A command that prints a file whatever it is asked for, and how it was asked.
    fn tap(dir: &tempfile::TempDir, lines: &str) -> TapReader {
        let path = dir.path().join("tap");
        let mut script = std::fs::File::create(&path).unwrap();
        write!(
            script,
            "#!/bin/sh\necho \"$@\" > {0}.asked\ncat <<'END'\n{lines}END\n",
            path.display()
        )
        .unwrap();
        script.set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
        TapReader::new(&format!("/bin/sh {} --data here", path.display()))
    }

    #[test]
    fn records_come_byte_for_byte_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut reader = tap(
            &dir,
            concat!(
                r#"{"topic":"t","partition":0,"offset":4,"appended_ms":1,"key":"a/b","value":{"b":1,"a":[ 2]}}"#,
                "\n",
                r#"{"topic":"t","partition":1,"offset":0,"appended_ms":1,"key":null,"value":null}"#,
                "\n",
            ),
        );
        let mut positions = Positions::new();
        let mut seen = Vec::new();
        for _ in 0..2 {
            reader
                .read("t", &mut positions, &mut |record| {
                    seen.push((record.partition, record.offset, record.key.to_vec()));
                    let value: &[u8] =
                        if record.key.is_empty() { b"" } else { br#"{"b":1,"a":[ 2]}"# };
                    assert_eq!(record.value, value, "a tombstone has none");
                })
                .unwrap();
        }
        assert_eq!(
            seen,
            [(0, 4, b"a/b".to_vec()), (1, 0, Vec::new())],
            "a second reading begins where the first ended"
        );
        assert_eq!(positions, Positions::from([(0, 5), (1, 1)]));
        let asked = std::fs::read_to_string(dir.path().join("tap.asked")).unwrap();
        assert_eq!(asked, "--data here t --from start --until-end --json\n");
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let read = tap(&dir, "nonsense\n").read("t", &mut Positions::new(), &mut |_| {});
        assert!(matches!(read, Err(ReadError::TapLine { .. })), "{read:?}");
        let read = TapReader::new("/bin/false").read("t", &mut Positions::new(), &mut |_| {});
        assert!(matches!(read, Err(ReadError::TapStatus { .. })), "{read:?}");
        let read = TapReader::new("/no/such").read("t", &mut Positions::new(), &mut |_| {});
        assert!(matches!(read, Err(ReadError::Tap { .. })), "{read:?}");
    }
}
