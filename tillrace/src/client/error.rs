//! Why a client is not changed.

use tillrace_log::LogError;
use tillrace_log::explain;
use tillrace_policy::ApplyError;

use crate::policy::PolicyError;

/// Why clients cannot be made, changed or shown. Nothing was written, where the text does not say otherwise.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("no tenant {tenant} is configured")]
    NoTenant { tenant: String },
    #[error("{name:?} cannot be the name of a client")]
    Name { name: String },
    #[error("{client} exists already")]
    Exists { client: String },
    #[error("there is no {client}")]
    NoClient { client: String },
    #[error("{client} has two keys")]
    TwoKeys { client: String },
    #[error("{client} has no such key")]
    NoSuchKey { client: String },
    #[error("the key would expire later than can be written")]
    Expiry,
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("use the policy set on the log")]
    Log(#[from] LogError),
}

impl From<ApplyError<ClientError>> for ClientError {
    fn from(error: ApplyError<ClientError>) -> Self {
        match error {
            ApplyError::Plan(error) => error,
            ApplyError::Log(error) => Self::Log(error),
            ApplyError::NotFollowed(cause) => PolicyError::NotFollowed { cause }.into(),
            ApplyError::Contended => PolicyError::Contended.into(),
            other @ ApplyError::TooLarge { .. } => {
                PolicyError::TooLarge { document: other.to_string() }.into()
            }
        }
    }
}

explain!(ClientError {
    => Log, Policy;
    NoTenant: "client_tenant",
        "The configuration has no such tenant, so nobody could send for it.",
        "Correct `--tenant`, name the right `--domain` or `--config`, or add the tenant to `tenants` first.";
    Name: "client_name",
        "The name is empty, longer than 64 bytes, or has control characters.",
        "Choose another name.";
    Exists: "client_exists",
        "A client of that name is there already; its keys stay as they are.",
        "Give it another key with `tillrace client rotate`, or choose another name.";
    NoClient: "client_missing",
        "The policy set has no such client.",
        "`tillrace client list` shows all; keys of the configuration are changed there.";
    TwoKeys: "client_two_keys",
        "A client has two keys at most: the one in use, and the one that replaces it.",
        "When every till has the new one, `tillrace client revoke --old`; then rotate again.";
    NoSuchKey: "client_no_such_key",
        "None of the client's keys is the one that was named, or it has no key left.",
        "`tillrace client list` shows the beginning of each hash.";
    Expiry: "client_expiry",
        "The time after which the key would expire is beyond the year 9999.",
        "Choose a shorter one, or leave `--expires` out.";
});
