//! The data store in SQLite: one file, write-ahead log, `synchronous=FULL`, one writer.
//!
//! Readers of any program see committed rows while the writer works (<https://sqlite.org/wal.html>).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, ToSql, params, params_from_iter};
use tillrace_log::{Offset, Partition};

use crate::change::{Action, Batch, Change, ReadTo, Value};
use crate::migrations::MIGRATIONS;
use crate::owner::Owner;
use crate::store::{Store, StoreError};

/// How long a statement waits for another program that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages that the writer keeps in memory, in KiB.
const CACHE_KIB: i64 = 16_384;
/// Size that the write-ahead log is cut back to after a checkpoint.
const JOURNAL_BYTES: i64 = 67_108_864;

/// A SQLite file that this process owns.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    /// Texts of statements by what they do.
    statements: HashMap<(Action, &'static str), String>,
    _owner: Owner,
}

impl SqliteStore {
    /// Opens the file, makes it where there is none, and brings its schema forward.
    ///
    /// # Errors
    /// [`StoreError::Owned`] when another process has it, [`StoreError::OtherSchema`] when another version made it; when the file
    /// cannot be opened or written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let owner = Owner::take(path)?;
        let connection = Connection::open(path).map_err(failed(path, "open a file"))?;
        let mut store =
            Self { connection, path: path.to_owned(), statements: HashMap::new(), _owner: owner };
        store.prepare().map_err(failed(path, "set up"))?;
        store.migrate()?;
        Ok(store)
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        let connection = &self.connection;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES)
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        const APPLIED: &str = "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL) STRICT";
        let path = self.path.clone();
        let failed = || failed(&path, "bring the schema forward");
        self.connection.execute_batch(APPLIED).map_err(failed())?;
        let applied = || -> rusqlite::Result<Vec<(i64, String)>> {
            let query = "SELECT number, checksum FROM migrations ORDER BY number";
            let mut statement = self.connection.prepare(query)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        let applied = applied().map_err(failed())?;
        for (index, (number, checksum)) in applied.iter().enumerate() {
            let ours = MIGRATIONS.get(index);
            if ours.is_none_or(|ours| ours.number != *number || ours.checksum() != *checksum) {
                return Err(StoreError::OtherSchema { path: self.path.clone(), number: *number });
            }
        }
        for migration in MIGRATIONS.iter().skip(applied.len()) {
            let transaction = self.connection.transaction().map_err(failed())?;
            transaction.execute_batch(migration.sql).map_err(failed())?;
            let row = params![migration.number, migration.checksum()];
            transaction.execute("INSERT INTO migrations VALUES (?1, ?2)", row).map_err(failed())?;
            transaction.commit().map_err(failed())?;
        }
        Ok(())
    }
}

impl Store for SqliteStore {
    fn claim(&mut self, log_identity: &str, namespace: &str) -> Result<(), StoreError> {
        let failed = || failed(&self.path, "say which log it is of");
        let insert = "INSERT INTO data_store VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        let select = "SELECT value FROM data_store WHERE name = ?1";
        for (name, value) in [("log_identity", log_identity), ("namespace", namespace)] {
            self.connection.execute(insert, [name, value]).map_err(failed())?;
            let found: String =
                self.connection.query_row(select, [name], |row| row.get(0)).map_err(failed())?;
            if found != value {
                let (path, expected) = (self.path.clone(), value.to_owned());
                return Err(StoreError::OtherLog { path, found, expected });
            }
        }
        Ok(())
    }

    fn positions(&mut self) -> Result<Vec<ReadTo>, StoreError> {
        let read = || -> rusqlite::Result<Vec<ReadTo>> {
            let query = "SELECT topic, partition, next_offset FROM positions";
            let mut statement = self.connection.prepare_cached(query)?;
            let rows = statement.query_map([], |row| {
                let (partition, next): (i64, i64) = (row.get(1)?, row.get(2)?);
                Ok(ReadTo {
                    topic: row.get(0)?,
                    partition: Partition::try_from(partition).unwrap_or_default(),
                    next_offset: Offset::try_from(next).unwrap_or_default(),
                })
            })?;
            rows.collect()
        };
        read().map_err(failed(&self.path, "read positions"))
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let Self { connection, path, statements, .. } = self;
        write(connection, statements, batch).map_err(failed(path, "write rows"))
    }
}

fn write(
    connection: &mut Connection,
    statements: &mut HashMap<(Action, &'static str), String>,
    batch: &Batch,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for change in &batch.changes {
        let text =
            statements.entry((change.action, change.table)).or_insert_with(|| statement_of(change));
        transaction.prepare_cached(text)?.execute(params_from_iter(&change.values))?;
    }
    let place = "INSERT OR REPLACE INTO positions VALUES (?1, ?2, ?3)";
    for ReadTo { topic, partition, next_offset } in &batch.positions {
        let next = i64::try_from(*next_offset).unwrap_or(i64::MAX);
        transaction.prepare_cached(place)?.execute(params![topic, partition, next])?;
    }
    transaction.commit()
}

fn statement_of(change: &Change) -> String {
    let Change { table, columns, .. } = change;
    let (names, places) = (columns.join(", "), vec!["?"; columns.len()].join(", "));
    match change.action {
        Action::Insert => format!("INSERT INTO {table} ({names}) VALUES ({places})"),
        Action::Replace => format!("INSERT OR REPLACE INTO {table} ({names}) VALUES ({places})"),
        Action::Delete => format!("DELETE FROM {table} WHERE {names} = ?"),
        Action::Settle => format!("UPDATE {table} SET is_settled = 1 WHERE {names} = ?"),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Self::Null => Ok(rusqlite::types::Null.into()),
            Self::Integer(value) => value.to_sql(),
            Self::Text(text) => text.to_sql(),
        }
    }
}

/// Opens a file to ask it only; its owner may be at work.
///
/// # Errors
/// [`StoreError::Missing`] when there is none; when it cannot be opened.
pub fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing { path: path.to_owned() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(connection)
    };
    open().map_err(failed(path, "open a file to read"))
}

/// Makes the error of a failed statement.
pub(crate) fn failed(
    path: &Path,
    action: &'static str,
) -> impl FnOnce(rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Database { action, path, source }
}

/// Brings the write-ahead log into the file, and empties it.
pub(crate) fn checkpoint(path: &Path) -> Result<(), StoreError> {
    let empty = || -> rusqlite::Result<()> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(()))
    };
    empty().map_err(failed(path, "bring the write-ahead log"))
}
