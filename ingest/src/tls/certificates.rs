//! The certificate that is served with, and its successors: files are looked at again and again, and taken once they are sound.
//!
//! Contents are compared, not times: a file may be replaced within the second, or by a symbolic link to an older one. A
//! connection keeps the certificate it began with.

use std::sync::{Arc, Weak};
use std::time::Duration;

use openssl::ssl::SslContext;
use parking_lot::RwLock;
use prometheus_client::registry::Registry;
use tillrace_log::explain::{Explained as _, Explanation};
use tillrace_log::health::{Condition, Health, Impact};
use tokio::time::sleep;

use super::context::{Loaded, Material, Protocols};
use super::error::TlsError;
use super::metrics::TlsMetrics;
use super::settings::TlsSettings;

/// Days before the end from which operators are told.
const FEW_DAYS: f64 = 14.0;

/// New files were not taken.
pub const CERTIFICATE_KEPT: Explanation = Explanation {
    code: "certificate_kept",
    meaning: "The files of a listener's certificate changed, and what they hold now cannot be used; the cause says why. The listener \
              goes on with the certificate it had.",
    remedy: "Correct the files: they are looked at every few seconds. `tillrace check` says whether they are sound.",
};

/// A certificate ends soon.
pub const CERTIFICATE_EXPIRING: Explanation = Explanation {
    code: "certificate_expiring",
    meaning: "A listener's certificate, or an intermediate one behind it, expires within 14 days, or has. Clients refuse one that has.",
    remedy: "Renew it and put the new files in the place of the old; no restart is needed.",
};

/// New files were taken.
pub const CERTIFICATE_LOADED: Explanation = Explanation {
    code: "certificate_loaded",
    meaning: "The files of a listener's certificate changed and were taken: new connections get the new certificate, open ones keep theirs.",
    remedy: "Nothing.",
};

/// The certificate of a listener, kept up to date until it is dropped.
pub(crate) struct Certificates {
    settings: TlsSettings,
    protocols: Protocols,
    /// `gateway` or `status`.
    component: &'static str,
    health: Health,
    pub(super) metrics: TlsMetrics,
    current: RwLock<Loaded>,
}

/// What the files held when they were looked at last.
struct Seen {
    digest: Option<[u8; 32]>,
    /// It is in use, or was found to be of no use.
    is_settled: bool,
}

impl TlsSettings {
    /// Reads the files as a listener would, and returns for how many days the certificate is good.
    ///
    /// # Errors
    /// [`TlsError`] when a file cannot be read, the key does not fit, or the certificate is not valid now.
    pub fn days_left(&self) -> Result<f64, TlsError> {
        let loaded = Material::read(self)?.load(self, Protocols::Http1)?;
        loaded.days_left().map_err(TlsError::refused)
    }
}

impl Certificates {
    /// Loads the files, and looks at them again from now on.
    ///
    /// # Errors
    /// [`TlsError`] when they cannot be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn open(
        settings: &TlsSettings,
        protocols: Protocols,
        component: &'static str,
        health: Health,
        registry: &mut Registry,
    ) -> Result<Arc<Self>, TlsError> {
        let material = Material::read(settings)?;
        let current = material.load(settings, protocols)?;
        let certificates = Arc::new(Self {
            settings: settings.clone(),
            protocols,
            component,
            health,
            metrics: TlsMetrics::register(registry),
            current: RwLock::new(current),
        });
        certificates.tell_days_left();
        let seen = Seen { digest: Some(material.digest()), is_settled: true };
        tokio::spawn(watch(Arc::downgrade(&certificates), seen));
        Ok(certificates)
    }

    /// Returns what a handshake is made with.
    pub(super) fn context(&self) -> SslContext {
        self.current.read().context.clone()
    }

    pub(super) fn handshake_timeout(&self) -> Duration {
        self.settings.handshake_timeout
    }

    /// Looks at the files, and takes them if they are new and sound. Ones that are not are told when they are found twice: who
    /// replaces two files one after the other is not at fault.
    fn look(&self, seen: Seen) -> Seen {
        let material = Material::read(&self.settings);
        let digest = material.as_ref().ok().map(Material::digest);
        if seen.is_settled && digest == seen.digest {
            return seen;
        }
        match material.and_then(|material| material.load(&self.settings, self.protocols)) {
            Ok(loaded) => {
                *self.current.write() = loaded;
                self.metrics.count_load("loaded");
                self.health.clear(self.component, CERTIFICATE_KEPT.code, "");
                let code = CERTIFICATE_LOADED.code;
                tracing::info!(code, listener = self.component, "took a new certificate");
                Seen { digest, is_settled: true }
            }
            Err(error) if digest == seen.digest => {
                self.keep(&error);
                Seen { digest, is_settled: true }
            }
            Err(_perhaps_half_of_a_change) => Seen { digest, is_settled: false },
        }
    }

    fn keep(&self, error: &TlsError) {
        self.metrics.count_load("kept");
        self.health.raise(Condition {
            component: self.component.to_owned(),
            code: CERTIFICATE_KEPT.code,
            subject: String::new(),
            impact: Impact::Degraded,
            cause: format!("{error}. {}", error.explanation().remedy),
            remedy: CERTIFICATE_KEPT.remedy.to_owned(),
        });
    }

    fn tell_days_left(&self) {
        let Ok(days) = self.current.read().days_left() else { return };
        self.metrics.days_left.set(days);
        if days >= FEW_DAYS {
            self.health.clear(self.component, CERTIFICATE_EXPIRING.code, "");
            return;
        }
        let path = self.settings.certificate.display();
        self.health.raise(Condition {
            component: self.component.to_owned(),
            code: CERTIFICATE_EXPIRING.code,
            subject: String::new(),
            impact: Impact::Degraded,
            cause: if days < 0.0 {
                format!("the certificate in {path} has expired")
            } else {
                format!("the certificate in {path} expires within {} days", days.ceil())
            },
            remedy: CERTIFICATE_EXPIRING.remedy.to_owned(),
        });
    }
}

/// Looks at the files for as long as somebody serves with them.
async fn watch(certificates: Weak<Certificates>, mut seen: Seen) {
    loop {
        let Some(interval) = certificates.upgrade().map(|one| one.settings.reload_interval) else {
            return;
        };
        sleep(interval).await;
        let Some(one) = certificates.upgrade() else { return };
        // A file may stand on a disk that does not answer.
        let looking = tokio::task::spawn_blocking(move || {
            let seen = one.look(seen);
            one.tell_days_left();
            seen
        });
        // After a panic everything is looked at anew.
        seen = looking.await.unwrap_or(Seen { digest: None, is_settled: false });
    }
}
