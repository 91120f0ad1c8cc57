//! The random choices of a run, which its seed decides.

/// The generator of all random choices: named, so that a seed means the same in every release.
pub(crate) type FaultRng = rand::rngs::Xoshiro256PlusPlus;
