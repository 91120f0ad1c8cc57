//! Why a register is not applied.

use std::path::PathBuf;

use tillrace_log::explain;
use tillrace_log::setting::SettingErrors;

/// Why a file of registers cannot be used. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterError {
    #[error("read the register {}: {problem}", path.display())]
    Unreadable { path: PathBuf, problem: String },
    #[error("the register {} is larger than {most} bytes", path.display())]
    TooLarge { path: PathBuf, most: u64 },
    #[error("the register {} cannot be used:\n{faults}", path.display())]
    Faulty { path: PathBuf, faults: SettingErrors },
    #[error("no tenant {tenant} is configured for the log that {} would be applied to", path.display())]
    UnknownTenant { path: PathBuf, tenant: String },
    #[error("the register {} holds what may be a card number", path.display())]
    HoldsCard { path: PathBuf },
}

explain!(RegisterError {
    Unreadable: "register_unreadable",
        "The file is neither YAML nor JSON, or a member stands in it twice.",
        "Write it as docs/REGISTER.md shows.";
    TooLarge: "register_too_large",
        "The file is larger than what is read at once.",
        "Write several files; each may have some of the stores.";
    Faulty: "register_faulty",
        "Members of the file are missing, not known, or cannot be used. The text names each by its path, with the remedy.",
        "Change what the text names; `tillrace register check` reads the file again.";
    UnknownTenant: "register_tenant",
        "Nobody can send for the tenant that the file names, so that all its stores would be silent for ever.",
        "Correct `tenant` in the file, name the right `--domain`, or add the tenant to `tenants` of the configuration first.";
    HoldsCard: "register_card",
        "An id in the file looks like a card number.",
        "Take it out: card data is never stored.";
});
