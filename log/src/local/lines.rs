//! What the log lines mean that the Local log writes and that carry no error of its own.

use crate::explain::Explanation;

pub(super) const INDEX_UNREADABLE: Explanation = Explanation {
    code: "local_log_index_unreadable",
    meaning: "The index beside a segment is missing, cut or damaged. It holds nothing that the segment does not, so it is made anew \
              by a scan of the segment; nothing is lost.",
    remedy: "Nothing, if it happens once after a crash or a copy. If it repeats, check this disk.",
};
pub(super) const TORN_TAIL: Explanation = Explanation {
    code: "local_log_torn_tail",
    meaning: "The process before ended while it wrote, and the frame at the end is not whole. It was never acknowledged, so it was cut \
              off; its senders send it again.",
    remedy: "Nothing after a crash or a power cut. After a clean end, check this disk.",
};
pub(super) const GROUP_STALLED: Explanation = Explanation {
    code: "local_log_group_stalled",
    meaning: "A consumer group has not read records that are older than `log.local.stalled_after`. The log keeps them past their \
              retention, so its disk fills.",
    remedy: "Start the role or the sink of that group, or see in `/readyz` why it stands still.",
};
pub(super) const READER_NOT_SERVED: Explanation = Explanation {
    code: "local_log_reader_not_served",
    meaning: "Another command, such as `tap` or `release`, wanted to use the log through this process and could not be served; the words \
              of the system are in the text.",
    remedy: "Run the command again. If the text speaks of too many open files, raise their limit: `ulimit -n`, `LimitNOFILE`.",
};
pub(super) const SOCKET_LEFT: Explanation = Explanation {
    code: "local_log_socket_left",
    meaning: "The socket through which others read this log could not be removed at the end. The next owner replaces it.",
    remedy: "Nothing, unless the folder is not writable any more.",
};
pub(super) const THREAD_PANICKED: Explanation = Explanation {
    code: "local_log_thread_panicked",
    meaning: "A thread of the local log met something it was not made for while the log was closed: a defect. What was acknowledged \
              is kept.",
    remedy: "Report it with the lines before.",
};

/// What is known of each line.
pub const LINES: &[Explanation] =
    &[INDEX_UNREADABLE, TORN_TAIL, GROUP_STALLED, READER_NOT_SERVED, SOCKET_LEFT, THREAD_PANICKED];
