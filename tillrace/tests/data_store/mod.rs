//! The data store as a test asks it: a file of docs/sql, and every table whole.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};
use tillrace_core::text::{Decimal, format_minor};

/// A data store that is read.
pub(super) struct DataStore(Connection);

impl DataStore {
    pub(super) fn open(path: &Path) -> Self {
        Self(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap())
    }

    /// Asks one of the questions of docs/sql.
    pub(super) fn ask(&self, question: &str) -> Vec<Value> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sql");
        let sql = std::fs::read_to_string(folder.join(format!("{question}.sql"))).unwrap();
        self.rows(&sql)
    }

    /// Names the questions of docs/sql.
    pub(super) fn questions() -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sql");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let mut names: Vec<_> = files
            .filter(|file| file.extension().is_some_and(|kind| kind == "sql"))
            .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// Returns every table but those that say of the store itself, each with its rows as texts, sorted.
    pub(super) fn tables(&self) -> BTreeMap<String, Vec<String>> {
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('migrations', 'data_store')";
        let rows = |name: &str| {
            let rows = self.rows(&format!("SELECT * FROM {name}"));
            let mut texts: Vec<_> = rows.iter().map(Value::to_string).collect();
            texts.sort();
            texts
        };
        let name = |row: Value| row["name"].as_str().unwrap().to_owned();
        self.rows(names).into_iter().map(name).map(|name| (name.clone(), rows(&name))).collect()
    }

    pub(super) fn rows(&self, sql: &str) -> Vec<Value> {
        let mut statement = self.0.prepare(sql).unwrap();
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).unwrap();
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let member = |(index, name): (usize, &String)| {
                let value = match row.get_ref(index).unwrap() {
                    ValueRef::Integer(value) => json!(value),
                    ValueRef::Text(text) => json!(std::str::from_utf8(text).unwrap()),
                    _ => Value::Null,
                };
                (name.clone(), value)
            };
            found.push(Value::Object(names.iter().enumerate().map(member).collect::<Map<_, _>>()));
        }
        found
    }
}

/// An amount of two decimals as the books write it; nothing where there is none.
pub(super) fn amount(value: &Value) -> Value {
    json!(value.as_i64().map_or(String::new(), |minor| format_minor(minor, 2)))
}

/// A quantity as the books write it.
pub(super) fn quantity(value: &Value) -> Value {
    json!(Decimal(value.as_i64().unwrap()).to_string())
}
