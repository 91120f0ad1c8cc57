//! WIP
mod hashes;
mod ids;
mod index;
mod ledger;
mod numbers;
mod verdict;
mod windows;
