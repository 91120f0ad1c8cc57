//! CPU time of a process, read from outside or inside.

use std::path::Path;
use std::{fs, io};

/// Ticks of `/proc/PID/stat`, which Linux fixes for all programs.
const TICKS_PER_S: f64 = 100.0;

/// Reads the CPU time of a process in seconds, user and system, of all its threads (proc(5), `/proc/PID/stat`).
///
/// # Errors
/// There is no such process, or the kernel writes its figures in another form.
pub fn cpu_s(pid: u32) -> io::Result<f64> {
    parse(&fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?)
}

fn parse(stat: &str) -> io::Result<f64> {
    // The name may hold blanks and brackets; it ends with the last bracket. `utime` and `stime` are the 14th and 15th field.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: Vec<f64> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)?;
    match ticks[..] {
        [user, system] => Ok((user + system) / TICKS_PER_S),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added_whatever_the_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 3 4 20 0 1 0 99";
        assert!((parse(stat).unwrap() - 3.0).abs() < 1e-9);
        assert!(parse("7 (cut) S 1").is_err());
    }

    #[test]
    fn this_process_can_be_read() {
        assert!(cpu_s(std::process::id()).unwrap() >= 0.0);
    }
}
