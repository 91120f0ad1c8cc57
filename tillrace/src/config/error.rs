//! Why there are no settings to start with.

use std::io;
use std::path::PathBuf;

use tillrace_log::explain;

use super::Report;

/// Why a configuration cannot be read or used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigurationError {
    #[error("read configuration {path}")]
    File { path: PathBuf, source: io::Error },
    #[error("the configuration cannot be used:{0}")]
    Unusable(Report),
    #[error("the path of the data folder is not UTF-8: {0}")]
    DataFolder(PathBuf),
    #[error("{action} {path}")]
    DevelopmentKey { action: &'static str, path: PathBuf, source: io::Error },
}

explain!(ConfigurationError {
    File: "configuration_unread",
        "The configuration file is missing, may not be read, or is no UTF-8; the words of the system are in the text. Nothing was \
         started.",
        "Correct the path of --config, or let this process's user read the file.";
    Unusable: "configuration_unusable",
        "The configuration is no YAML 1.2, has keys that do not exist, lacks some, or has values that cannot be: the text has a \
         line for each, with the file's line or the variable, the key, what is wrong, and the remedy. It covers `ingest`, \
         `tenants`, `sinks`, `log`, `aggregate` and the secrets they name. Nothing was started.",
        "Correct each line of the text. `tillrace check` says the same without starting anything, and warnings too; \
         docs/configuration.md lists every key with its bounds.";
    DataFolder: "data_folder_not_text",
        "Without a configuration file, Parquet files go below the data folder, and locations of files are UTF-8.",
        "Choose another folder with --data, or write a configuration file.";
    DevelopmentKey: "development_key",
        "Without a configuration file there is a tenant for development, whose key is kept in the data folder; that cannot be read \
         or written. Nothing was started.",
        "Let this process's user read and write the data folder, choose another with --data, or give the key as TILLRACE_DEV_KEY.";
});
