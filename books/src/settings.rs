//! What is set of the data store.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// The data store: the log's topics as tables, for reports and questions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BooksSettings {
    /// Whether `tillrace up` keeps the data store. `tillrace books` always does.
    pub enabled: bool,
    /// The SQLite file; `books.sqlite` in the folder of the domain's data where absent. With several domains it is a folder, in
    /// which each domain has a file of its name.
    pub path: Option<PathBuf>,
}

impl Default for BooksSettings {
    fn default() -> Self {
        Self { enabled: true, path: None }
    }
}
