//! What the load test itself costs: CPU time of this process, as Linux counts it.

use std::time::Duration;

/// Ticks of a second in `/proc`: `USER_HZ`.
const TICK: Duration = Duration::from_millis(10);

/// Returns the user and system time of all threads so far; `None` where there is no `/proc`.
pub(super) fn of_this_process() -> Option<Duration> {
    parse(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Reads fields 14 and 15, `utime` and `stime`, of `proc_pid_stat(5)`. The second field is a name in
/// brackets that may hold anything, so counting begins after the last bracket.
fn parse(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u32>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(TICK * user.checked_add(system)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_whatever_the_name() {
        let stat = "42 (a) R b) (c) S 1 1 1 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 1 0 5 6 7";
        assert_eq!(parse(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(parse("42 (x) S 1"), None);
    }
}
