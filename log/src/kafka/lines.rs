//! What the log lines mean that the Kafka log writes and that carry no error of its own.

use crate::explain::Explanation;

pub(super) const CLIENT: Explanation = Explanation {
    code: "kafka_client_line",
    meaning: "librdkafka, the Kafka client in this process, says in its own words that something failed. It goes on trying by itself; \
              of equal lines one a minute is shown, with the number of those that were not.",
    remedy: "Nothing, if it is rare. If it repeats, look at the broker that the line names. What stands still because of it is told \
             by `/readyz`.",
};
pub(super) const OUTCOME_ASKED: Explanation = Explanation {
    code: "kafka_outcome_asked",
    meaning: "Brokers did not answer whether a flush is committed, and are asked again until they do. Nothing is guessed.",
    remedy: "Nothing, if it is rare. If it repeats, look at the brokers, above all at __transaction_state.",
};
pub(super) const REBALANCE_FAILED: Explanation = Explanation {
    code: "kafka_rebalance_failed",
    meaning: "The client could not follow a change of a group. The partitions in question do not start, and the role starts again.",
    remedy: "Nothing, if it is rare. If it repeats, report it with the lines before.",
};
pub(super) const FETCHING_STOPPED: Explanation = Explanation {
    code: "kafka_fetching_stopped",
    meaning: "librdkafka stopped fetching a partition whose records are there, as when its leader changed; the role joins its group \
              anew and goes on where it was.",
    remedy: "Nothing, if it is rare. If it repeats, look at the partition's leader.",
};
pub(super) const THREAD_PANICKED: Explanation = Explanation {
    code: "kafka_thread_panicked",
    meaning: "The thread of a Kafka producer met something it was not made for: a defect. What it held is answered as not durable, \
              and comes again.",
    remedy: "Report it with the lines before.",
};

/// What is known of each line.
pub const LINES: &[Explanation] =
    &[CLIENT, OUTCOME_ASKED, REBALANCE_FAILED, FETCHING_STOPPED, THREAD_PANICKED];
