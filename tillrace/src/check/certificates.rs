//! Reads the certificates that listeners are configured with, as the listeners would.

use tillrace_ingest::TlsSettings;
use tillrace_log::explain::Explained as _;

use crate::config::Settings;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// Those that cannot be used, by their keys.
    pub(super) errors: Vec<String>,
    /// How long the others are good for.
    pub(super) outlooks: Vec<String>,
}

/// Examines the certificate of each listener.
pub(super) fn examine(settings: &Settings) -> Certificates {
    let mut found = Certificates::default();
    found.examine("ingest.tls", settings.ingest.tls.as_ref());
    found.examine("status_listener.tls", settings.status_listener.tls.as_ref());
    found
}

impl Certificates {
    fn examine(&mut self, section: &str, tls: Option<&TlsSettings>) {
        let Some(tls) = tls else { return };
        match tls.days_left() {
            Ok(days) => {
                let days = days.floor();
                self.outlooks.push(format!("{section}: the certificate is good for {days} days"));
            }
            Err(error) => {
                let (key, remedy) = (error.file().key(), error.explanation().remedy);
                let error = anyhow::Error::new(error);
                self.errors.push(format!("{section}.{key}: {error:#}; {remedy}"));
            }
        }
    }
}
