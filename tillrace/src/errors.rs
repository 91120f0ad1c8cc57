//! The remedy of an error that ends a command, and the page of all of them.

mod system;

use std::error::Error;
use std::sync::Arc;

use tillrace_books::store::StoreError;
use tillrace_core::aggregate::AggregateError;
use tillrace_ingest::{DrainError, GatewayError, ListenError, TlsError};
use tillrace_log::LogError;
use tillrace_log::explain::{Explained, Explanation};
use tillrace_log::setting::{SecretError, SettingErrors};
use tillrace_sinks::connector::CallError;
use tillrace_sinks::connector_config::ConnectorError;
use tillrace_sinks::engine::{AuditWriterError, SinkError};
use tillrace_sinks::http::BackendError;
use tillrace_sinks::parquet::{FileStoreError, OwnerError, RecountError};
use tillrace_sinks::redrive::RedriveError;
use tillrace_sinks::{ProbeError, StartError};

use crate::client::ClientError;
use crate::config::ConfigurationError;
use crate::demo::DemoError;
use crate::descriptors::DescriptorError;
use crate::lines::DEFECT;
use crate::parked::ParkedError;
use crate::policy::PolicyError;
use crate::register::RegisterError;
use crate::release::ReleaseError;
use crate::roles::RoleError;
use crate::telemetry::TelemetryError;
use crate::usage::UsageError;

/// Lists the types that can be the cause of a failed command, each with its explanations.
macro_rules! operator_errors {
    ($($error:ident)+) => {
        /// Returns what is known of one cause.
        fn of_cause(cause: &(dyn Error + 'static)) -> Option<&'static Explanation> {
            $(if let Some(error) = cause.downcast_ref::<$error>() {
                return Some(error.explanation());
            })+
            if let Some(error) = cause.downcast_ref::<ConnectorError>() {
                return Some(error.explanation());
            }
            cause.downcast_ref::<Arc<SinkError>>().map(|error| error.explanation())
        }

        #[cfg(test)]
        const OPERATOR_ERRORS: &[(&str, &[Explanation])] =
            &[$((stringify!($error), $error::EXPLANATIONS)),+];
    };
}

operator_errors! {
    UsageError ConfigurationError SettingErrors SecretError TelemetryError DescriptorError ListenError TlsError
    GatewayError DrainError RoleError AggregateError LogError
    StartError BackendError FileStoreError OwnerError SinkError AuditWriterError CallError
    ProbeError RecountError RedriveError StoreError ReleaseError ParkedError PolicyError RegisterError
    ClientError DemoError
}

/// Returns what is known of the first cause that is explained, or of what the system said.
pub(crate) fn explanation(error: &anyhow::Error) -> &'static Explanation {
    let of_system = || error.chain().find_map(|cause| cause.downcast_ref().map(system::of_io));
    error.chain().find_map(of_cause).or_else(of_system).unwrap_or(&DEFECT)
}

#[cfg(test)]
mod tests;
