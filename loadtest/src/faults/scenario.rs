//! What a scenario is: one kind of fault, what it needs, how it is injected, and what must hold.

use crate::cli::LogKind;
use crate::plan::Plan;
use crate::site::Site;
use crate::stage::Stage;

/// One kind of fault.
pub(crate) trait Scenario {
    /// Its name, for `--only`.
    fn name(&self) -> &'static str;

    /// What is done, in a line.
    fn about(&self) -> &'static str;

    /// The log it is about; `None` where it is about either.
    fn log(&self) -> Option<LogKind> {
        None
    }

    /// Whether it is quick and deterministic enough for the short set.
    fn is_short(&self) -> bool {
        false
    }

    /// What it needs of the machine beyond the program.
    fn tools(&self) -> &'static [Tool] {
        &[]
    }

    /// Says how the processes are laid out and set.
    fn set_up(&self, _site: &Site, _plan: &mut Plan) -> anyhow::Result<()> {
        Ok(())
    }

    /// Injects the fault while the fleet sends, and heals it. Whatever holds for every scenario is judged afterwards;
    /// what must hold for this one alone is noted on the stage.
    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()>;
}

/// Something of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// A C compiler, for the libraries that make a disk fail and a clock jump.
    Compiler,
    /// At least this many file descriptors for the harness.
    Descriptors(u64),
}
