//! Reads the events of a shape again and again in one way, for `benches/peers/decode_instructions` to count and time.
//!
//!     read_events fast_path_index m 10        # ten times all events of shape m
//!     read_events --write m events.json   # the same events for other programs, one a line

#![expect(clippy::print_stdout, reason = "it is a program")]

use std::hint::black_box;

use anyhow::{Context, Result, bail};
use tillrace_benches::decoders::way;
use tillrace_benches::sales::{SHAPES, sales};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [way, shape, last] = arguments.as_slice() else {
        bail!("usage: read_events WAY SHAPE ROUNDS")
    };
    let shape = SHAPES.into_iter().find(|(name, ..)| name == shape).context("find the shape")?;
    let events = sales(shape);
    if way == "--write" {
        let mut lines = events.join(&b'\n');
        lines.push(b'\n');
        return std::fs::write(last, lines).context("write the events");
    }
    let rounds: u64 = last.parse().context("read how many rounds")?;
    let mut read = self::way(way).context("find the way to read")?;
    let mut seen = 0_u64;
    for _ in 0..rounds {
        for event in &events {
            seen = seen.wrapping_add(read(black_box(event)));
        }
    }
    println!("{seen}");
    Ok(())
}
