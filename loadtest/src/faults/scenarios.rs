//! The kinds of fault, a file each.

mod backend;
mod churn;
mod clock;
mod damage;
mod disk;
mod doctored;
mod freeze;
mod hostile;
mod kill;
mod network;
mod owners;
mod power_cut;
mod quorum;

use crate::scenario::Scenario;

/// Lists all scenarios, the quick ones first.
pub(crate) fn all() -> Vec<Box<dyn Scenario>> {
    let mut all: Vec<Box<dyn Scenario>> = vec![
        Box::new(kill::Kill),
        Box::new(kill::KillDuringStart),
        Box::new(kill::KillDuringCompaction),
        Box::new(kill::KillRole),
        Box::new(kill::KillBroker),
        Box::new(freeze::Freeze),
        Box::new(freeze::FreezeBroker),
        Box::new(power_cut::PowerCut),
        Box::new(damage::Sidecars),
        Box::new(damage::Segments),
        Box::new(damage::Leftovers),
        Box::new(doctored::Doctored),
        Box::new(clock::ClockJumps),
        Box::new(owners::TwoOwners),
        Box::new(churn::Churn),
        Box::new(quorum::QuorumLoss),
    ];
    all.extend(disk::ALL.map(|fault| Box::new(fault) as _));
    all.extend(network::ALL.map(|link| Box::new(link) as _));
    all.extend(backend::ALL.map(|backend| Box::new(backend) as _));
    all.extend(hostile::ALL.map(|sender| Box::new(sender) as _));
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_some_scenarios_are_short() {
        let all = all();
        let names: BTreeSet<&str> = all.iter().map(|scenario| scenario.name()).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().filter(|scenario| scenario.is_short()).count() >= 4);
    }
}
