//! What the log lines of the executable mean that carry no error of their own, and what a defect is.

use tillrace_log::explain::Explanation;

pub(crate) const SETTING_UNLIKELY: Explanation = Explanation {
    code: "setting_unlikely",
    meaning: "A setting can be used and is hardly meant; the text names its key, what is odd about it, and the remedy.",
    remedy: "Correct the key as the text says, or leave it if it is meant. `tillrace check` shows the same.",
};
pub(crate) const CONNECTIONS_FEW: Explanation = Explanation {
    code: "connections_few",
    meaning: "The limit of open files leaves fewer connections to the gateway than `ingest.max_connections`; it takes those that fit.",
    remedy: "Raise the limit to what the text says: `LimitNOFILE` of systemd, `ulimit -n` of a shell, `--ulimit nofile` of a \
             container. Or lower `ingest.max_connections`.",
};
pub(crate) const LIMIT_NOT_RAISED: Explanation = Explanation {
    code: "limit_not_raised",
    meaning: "The soft limit of open files could not be raised to the hard one; the process works with the soft one.",
    remedy: "Raise the soft limit where the process is started: `LimitNOFILE` of systemd, `ulimit -n` of a shell.",
};
pub(crate) const KEY_NOT_PRIVATE: Explanation = Explanation {
    code: "development_key_not_private",
    meaning: "The file of the development tenant's key belongs to another user, so it cannot be made readable for this one only.",
    remedy: "Remove the file, so that a new key is made, or change its owner.",
};

/// Something happened that no type explains.
pub(crate) const DEFECT: Explanation = Explanation {
    code: "defect",
    meaning: "The process met something that it was not made for: a defect of Tillrace. What was acknowledged is kept.",
    remedy: "Report it with the text and the lines before.",
};

/// What is known of each.
#[cfg(test)]
pub(crate) const LINES: &[Explanation] =
    &[SETTING_UNLIKELY, CONNECTIONS_FEW, LIMIT_NOT_RAISED, KEY_NOT_PRIVATE, DEFECT];
