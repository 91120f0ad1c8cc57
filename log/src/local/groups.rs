//! How far the consumer groups are, and which of them hold old records in the log.

use std::collections::HashSet;
use std::sync::Arc;

use super::frame::Lane;
use super::lines;
use super::segment::{self, SegmentName};
use super::state::{RecordLocation, Shared, State};
use crate::explain::code_of;
use crate::{LogError, Offset, Topic};

/// A registered group on one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupReport {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: Topic,
    /// Offsets between its places and the ends.
    pub unread: u64,
    /// Append time of the oldest record it has not committed past, milliseconds since the epoch.
    pub oldest_unread_ms: Option<i64>,
    /// Whether that record is older than the log's `stalled_after`.
    pub stalled: bool,
}

/// Reports on every registered group.
pub(super) fn report(shared: &Shared) -> Result<Vec<GroupReport>, LogError> {
    let places = {
        let state = shared.state.read();
        let mut places = Vec::new();
        for (group, topics) in &state.catalog.groups {
            for (id, committed) in topics {
                let Some(topic) = state.catalog.topic(*id) else { continue };
                let mut lanes = Vec::new();
                for (partition, end) in (0..).zip(&topic.ends) {
                    let lane = Lane { topic: *id, partition };
                    let start = state.bounds(lane).start;
                    let place = committed.get(&partition).map_or(0, |one| one.committed.offset);
                    lanes.push((lane, place.max(start), *end));
                }
                places.push((group.clone(), topic.name.clone(), lanes));
            }
        }
        places
    };
    let now_ms = (shared.clock)();
    let mut reports = Vec::new();
    for (group, topic, lanes) in places {
        let (mut unread, mut oldest_unread_ms) = (0, None);
        for (lane, place, end) in lanes {
            unread += end.saturating_sub(place);
            let time = if place < end { time_of(shared, lane, place)? } else { None };
            oldest_unread_ms = oldest_unread_ms.into_iter().chain(time).min();
        }
        let limit_ms = i64::try_from(shared.tuning.stalled_after.as_millis()).unwrap_or(i64::MAX);
        let stalled =
            oldest_unread_ms.is_some_and(|oldest| now_ms.saturating_sub(oldest) > limit_ms);
        reports.push(GroupReport { group, topic, unread, oldest_unread_ms, stalled });
    }
    Ok(reports)
}

/// Names the groups that have yet to commit past records of closed segments, with their topics.
pub(super) fn lagging(state: &State) -> String {
    let mut names = Vec::new();
    for (group, topics) in &state.catalog.groups {
        for id in topics.keys() {
            let lags = |segment: &Arc<segment::Segment>| {
                segment.lanes.iter().any(|(lane, summary)| {
                    let place = topics[id].get(&lane.partition);
                    let place = place.map_or(0, |place| place.committed.offset);
                    lane.topic == *id && summary.last >= place
                })
            };
            if state.sealed.iter().any(lags)
                && let Some(topic) = state.catalog.topic(*id)
            {
                names.push(format!("{group} on {}", topic.name));
            }
        }
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// When the first record at or behind an offset was appended.
fn time_of(shared: &Shared, lane: Lane, offset: Offset) -> Result<Option<i64>, LogError> {
    let located = shared.state.read().locate(lane, offset);
    let (file, name, salt, runs): (_, SegmentName, _, _) = match located {
        RecordLocation::End(_) => return Ok(None),
        RecordLocation::Active { name, salt, file, runs } => (file, name, salt, runs),
        RecordLocation::Sealed(segment) => {
            let runs = shared.runs(&segment, lane)?;
            let file = segment::open(&*shared.disk, &segment.name)?;
            (file, segment.name, segment.salt, runs)
        }
    };
    let Some(run) = runs.iter().find(|run| run.last() >= offset) else { return Ok(None) };
    let (head, _) = segment::read_section(&*shared.disk, (&*file, &name, salt), lane, run)?;
    Ok(Some(head.appended_ms))
}

/// Shows the groups in the metrics, and says once of each that it stalled.
pub(super) fn watch(shared: &Arc<Shared>, known: &mut HashSet<(String, Topic)>) {
    let reports = match report(shared) {
        Ok(reports) => reports,
        Err(error) => {
            let code = code_of(&error);
            tracing::warn!(code, %error, "could not look at the local log's consumer groups");
            return;
        }
    };
    let now_ms = (shared.clock)();
    shared.metrics.show_groups(reports.iter().map(|report| {
        let age_ms = report.oldest_unread_ms.map_or(0, |oldest| now_ms.saturating_sub(oldest));
        (report.group.clone(), report.topic.to_string(), age_ms / 1_000)
    }));
    known.retain(|(group, topic)| {
        reports.iter().any(|one| one.stalled && one.group == *group && one.topic == *topic)
    });
    for report in reports.into_iter().filter(|report| report.stalled) {
        if known.insert((report.group.clone(), report.topic.clone())) {
            tracing::error!(
                code = lines::GROUP_STALLED.code,
                group = report.group,
                topic = %report.topic,
                unread = report.unread,
                "a consumer group stalled; the local log keeps what it has not committed"
            );
        }
    }
}
