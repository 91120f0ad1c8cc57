//! WIP
mod hashes;
mod ledger;
mod numbers;
mod verdict;
