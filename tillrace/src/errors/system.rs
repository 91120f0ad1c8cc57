//! What is known of an error that is only the system's: what a command met when it wrote, read or made something.

use std::io::{self, ErrorKind};

use rustix::io::Errno;
use tillrace_log::explain::Explanation;

const OUTPUT_CLOSED: Explanation = Explanation {
    code: "system_output_closed",
    meaning: "What read the output of this command ended before it, as `head` does.",
    remedy: "Nothing, if that was meant.",
};
const NO_SPACE: Explanation = Explanation {
    code: "system_no_space",
    meaning: "A disk, or a quota on it, is full; the text says what was to be written.",
    remedy: "Make room there, or write to another place.",
};
const READ_ONLY: Explanation = Explanation {
    code: "system_read_only",
    meaning: "A file system takes no writes; the text says what was to be written.",
    remedy: "Write to another place, or mount the file system for writing.",
};
const NOT_PERMITTED: Explanation = Explanation {
    code: "system_not_permitted",
    meaning: "The user of this process may not do what the text says.",
    remedy: "Give that user the right, or use another place.",
};
const NOT_FOUND: Explanation = Explanation {
    code: "system_not_found",
    meaning: "The file or folder that the text names is not there.",
    remedy: "Correct the path, or make its folder.",
};
const NO_DESCRIPTORS: Explanation = Explanation {
    code: "system_no_descriptors",
    meaning: "This process, or the machine, has as many files and connections open as it may.",
    remedy: "Raise the limit of open files: `ulimit -n`, or `LimitNOFILE` of the service.",
};
const NO_THREADS: Explanation = Explanation {
    code: "system_no_threads",
    meaning: "The system gives this process no more threads or memory.",
    remedy: "Raise its limits: `ulimit -u` and `ulimit -v`, `TasksMax` and `MemoryMax` of systemd, or those of the container.",
};
const FAILED: Explanation = Explanation {
    code: "system_failed",
    meaning: "The system could not do what the text says; its words are at the end.",
    remedy: "See those words, and what the system's log says at this time.",
};

/// What is known of all of them.
#[cfg(test)]
pub(super) const EXPLANATIONS: &[Explanation] = &[
    OUTPUT_CLOSED,
    NO_SPACE,
    READ_ONLY,
    NOT_PERMITTED,
    NOT_FOUND,
    NO_DESCRIPTORS,
    NO_THREADS,
    FAILED,
];

/// Returns what is known of an error of the system.
pub(super) fn of_io(error: &io::Error) -> &'static Explanation {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => return &NO_DESCRIPTORS,
        Some(Errno::AGAIN | Errno::NOMEM) => return &NO_THREADS,
        _ => {}
    }
    match error.kind() {
        ErrorKind::BrokenPipe => &OUTPUT_CLOSED,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => &NO_SPACE,
        ErrorKind::ReadOnlyFilesystem => &READ_ONLY,
        ErrorKind::PermissionDenied => &NOT_PERMITTED,
        ErrorKind::NotFound => &NOT_FOUND,
        _ => &FAILED,
    }
}
