//! `tillrace tap`: prints the records of a topic, from either log, one a line.

use std::borrow::Cow;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde_json::value::RawValue;
use tillrace_log::{ConsumerRecord, LogView, Reader};

use crate::cli::{From, TapArgs};
use crate::config::{Domain, Settings};
use crate::roles;
use crate::terminal::printable;
use crate::usage::UsageError;

const RECORDS_A_READ: usize = 1_000;
const WAIT_FOR_MORE: Duration = Duration::from_millis(200);

/// Prints until the topic's end with `--until-end`, otherwise until interrupted.
pub(crate) fn run(args: &TapArgs) -> anyhow::Result<ExitCode> {
    let domain = Settings::load_domain(&args.log)?;
    let view = roles::open_view(&domain)?;
    let mut taps = open_taps(args, &domain, view.as_ref())?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    loop {
        let mut printed = 0;
        for tap in &mut taps {
            let wait = if printed == 0 { WAIT_FOR_MORE } else { Duration::ZERO };
            let wait = if args.until_end && tap.is_done() { continue } else { wait };
            for entry in tap.reader.read(RECORDS_A_READ, wait)? {
                if args.until_end && entry.offset >= tap.until {
                    break;
                }
                if let Err(error) = print(&mut out, &entry, args.json) {
                    return closed_pipe_is_the_end(error);
                }
                printed += 1;
            }
        }
        if let Err(error) = out.flush() {
            return closed_pipe_is_the_end(error);
        }
        if args.until_end && taps.iter().all(Tap::is_done) {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

struct Tap {
    reader: Box<dyn Reader>,
    until: u64,
}

impl Tap {
    fn is_done(&self) -> bool {
        self.reader.position() >= self.until
    }
}

fn open_taps(args: &TapArgs, domain: &Domain, view: &dyn LogView) -> anyhow::Result<Vec<Tap>> {
    let topic = domain.topics().named(&args.topic);
    let count = view.partitions();
    if let Some(partition) = args.partition.filter(|&partition| partition >= count) {
        return Err(
            UsageError::NoPartition { place: format!("--partition {partition}"), count }.into()
        );
    }
    (0..count)
        .filter(|partition| args.partition.is_none_or(|only| only == *partition))
        .map(|partition| {
            let bounds = view.bounds(&topic, partition).context("read the topic's bounds")?;
            let from = match args.from {
                From::Start => bounds.start,
                From::End => bounds.stable_end,
            };
            let reader = view.reader(&topic, partition, from).context("open the topic")?;
            Ok(Tap { reader, until: bounds.stable_end })
        })
        .collect()
}

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    partition: u32,
    offset: u64,
    appended_ms: i64,
    key: &'a str,
    value: Value<'a>,
}

/// Values are JSON, but for the aggregator's private state: that is shown as text.
#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Tombstone,
    Json(&'a RawValue),
    Text(Cow<'a, str>),
}

fn print(out: &mut impl Write, entry: &ConsumerRecord, json: bool) -> io::Result<()> {
    let key = String::from_utf8_lossy(&entry.key);
    let flat = entry.value.as_deref().map(on_one_line);
    let value = match &flat {
        None => Value::Tombstone,
        Some(bytes) => serde_json::from_slice(bytes)
            .map_or_else(|_not_json| Value::Text(String::from_utf8_lossy(bytes)), Value::Json),
    };
    let (topic, partition, offset) = (entry.topic.as_str(), entry.partition, entry.offset);
    let line = if json {
        let appended_ms = entry.appended_ms;
        serde_json::to_string(&Line { topic, partition, offset, appended_ms, key: &key, value })?
    } else {
        format!("{partition}/{offset} {key} {}", serde_json::to_string(&value)?)
    };
    writeln!(out, "{}", printable(&line))
}

/// Puts spaces for line breaks: in JSON they stand between tokens only, since a string cannot hold one as it is.
fn on_one_line(value: &[u8]) -> Cow<'_, [u8]> {
    let breaks = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !value.iter().any(breaks) {
        return Cow::Borrowed(value);
    }
    value.iter().map(|byte| if breaks(byte) { b' ' } else { *byte }).collect()
}

/// A reader such as `head` closes the pipe when it has enough; that is no failure.
fn closed_pipe_is_the_end(error: io::Error) -> anyhow::Result<ExitCode> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(ExitCode::SUCCESS);
    }
    Err(error).context("print a record")
}

#[cfg(test)]
mod tests {
    use tillrace_log::Topic;

    use super::*;

    fn printed(value: Option<&'static str>, json: bool) -> String {
        let entry = ConsumerRecord {
            topic: Topic::new("t"),
            partition: 1,
            offset: 2,
            appended_ms: 3,
            key: "k".into(),
            value: value.map(Into::into),
        };
        let mut out = Vec::new();
        print(&mut out, &entry, json).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_is_one_line_however_its_sender_broke_it() {
        assert_eq!(printed(Some("{\r\n\"a\": 1.50\n}"), false), "1/2 k {  \"a\": 1.50 }\n");
        let line = r#"{"topic":"t","partition":1,"offset":2,"appended_ms":3,"key":"k","value":"#;
        assert_eq!(printed(Some("{\"a\":1.50}"), true), format!("{line}{{\"a\":1.50}}}}\n"));
        assert_eq!(printed(None, true), format!("{line}null}}\n"));
        assert_eq!(printed(Some("no\nJSON"), true), format!("{line}\"no JSON\"}}\n"));
    }

    #[test]
    fn what_would_steer_the_terminal_is_shown_and_stays_the_same_json() {
        let value = "{\"a\":\"\u{9b}31m\u{202e}\u{7f}\"}";
        assert_eq!(printed(Some(value), false), "1/2 k {\"a\":\"\\u009b31m\\u202e\\u007f\"}\n");
        let line: serde_json::Value = serde_json::from_str(&printed(Some(value), true)).unwrap();
        assert_eq!(line["value"], serde_json::from_str::<serde_json::Value>(value).unwrap());
    }
}
