//! Which Kafka clusters the domains of this process are on.
//!
//! The configuration takes clusters for different whose addresses differ. One cluster may have many addresses, so a domain
//! whose log is open says which it is before its first topic is made, and is refused beside one that it would mix with.

use std::sync::Arc;

use parking_lot::Mutex;

use super::error::RoleError;
use crate::config::{Domain, namespaces_meet};

/// The clusters and namespaces of the domains so far; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Clusters(Arc<Mutex<Vec<Entered>>>);

#[derive(Debug)]
struct Entered {
    cluster: String,
    namespace: String,
    domain: String,
}

impl Clusters {
    /// Notes that a domain is on a cluster.
    ///
    /// # Errors
    /// When another is on it whose topics could be its own.
    pub(super) fn enter(&self, domain: &Domain, cluster: &str) -> Result<(), RoleError> {
        let mut all = self.0.lock();
        let meets = |other: &&Entered| {
            other.cluster == cluster && namespaces_meet(&other.namespace, &domain.namespace)
        };
        if let Some(other) = all.iter().find(meets) {
            let (name, other) = (domain.name.clone(), other.domain.clone());
            return Err(RoleError::SameCluster { name, other });
        }
        all.push(Entered {
            cluster: cluster.to_owned(),
            namespace: domain.namespace.clone(),
            domain: domain.name.clone(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn a_domain_that_would_mix_with_another_on_its_cluster_is_refused() {
        let domain = |name: &str, namespace: &str| {
            let mut domain = Settings::default().domains().remove(0);
            (domain.name, domain.namespace) = (name.to_owned(), namespace.to_owned());
            domain
        };
        let clusters = Clusters::default();
        assert!(clusters.enter(&domain("a", "eu"), "kafka/1").is_ok());
        assert!(clusters.enter(&domain("b", "eu"), "kafka/2").is_ok());
        assert!(clusters.enter(&domain("c", "us"), "kafka/1").is_ok());
        for namespace in ["eu", "", "eu.fr"] {
            let refused = clusters.enter(&domain("d", namespace), "kafka/1").unwrap_err();
            assert!(refused.to_string().contains("domain d is on the same Kafka cluster as a"));
        }
    }
}
