//! Why a process that worked cannot go on.

use tillrace_log::explain;

/// Why a process that worked cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoleError {
    #[error("a task of the gateway ended unasked: a defect; the lines before say where")]
    GatewayEnded,
    #[error("no role of this process can work any more")]
    NoneLeft,
    #[error(
        "domain {name} is on the same Kafka cluster as {other}, under another address, and their namespaces begin alike"
    )]
    SameCluster { name: String, other: String },
    #[error(
        "the thread that follows the policy set ended unasked: a defect; the lines before say where"
    )]
    PolicyEnded,
    #[error("the aggregator panicked")]
    AggregatorPanicked,
    #[error("the reader of the data store panicked")]
    BooksPanicked,
    #[error(
        "the aggregator's last flush did not end within {}: the log does not answer",
        humantime::format_duration(*within)
    )]
    AggregatorHangs { within: std::time::Duration },
}

explain!(RoleError {
    GatewayEnded: "gateway_ended",
        "A task of the gateway ended although nobody had told it to: a defect. What was acknowledged is kept; the process ends, so \
         that a supervisor starts it anew.",
        "Start the process again, and report the lines before.";
    NoneLeft: "no_role_left",
        "Every role of the process has met what no restart helps, so it ends. What was acknowledged is kept in the log.",
        "See the conditions that were logged before, each with its code, and do what their remedies say; then start the process \
         again.";
    SameCluster: "same_cluster",
        "Two domains name different brokers of one Kafka cluster, and topics of one could be the other's. The later one was not \
         started, and nothing of it was written.",
        "Give each domain on a cluster a namespace that begins no other's, such as its name, or a cluster of its own.";
    PolicyEnded: "policy_follower_ended",
        "The thread that follows the policy set met something it was not made for: a defect. Clients stay as they were; the domain \
         stops, so that no revocation is missed.",
        "Start the process again, and report the lines before.";
    AggregatorPanicked: "aggregator_panicked",
        "The aggregator met something it was not made for while the process was ending: a defect. Nothing is lost; it begins at its \
         last flush when it is started again.",
        "Start the process again, and report the text and the lines before.";
    BooksPanicked: "books_panicked",
        "The reader of the data store met something it was not made for while the process was ending: a defect. Nothing is lost; it \
         begins at its last commit when it is started again.",
        "Start the process again, and report the text and the lines before.";
    AggregatorHangs: "aggregator_hangs",
        "The process was told to end while the log took what the aggregator had to write, and neither took nor refused it in time. \
         The process ended without it. Nothing is lost: that flush is either whole on the log or not there at all, and is folded anew \
         in that case.",
        "See why the log does not answer (brokers that are away, a disk that hangs), then start the process again. Where a flush \
         takes so long when all is well, raise `aggregate.drain_within`, and what the supervisor grants a stop with it.";
});
