//! The trail of one sale: when it was admitted, what it was judged, what it moved, and what became of it at each sink.
//!
//! One statement for each part, by index: a test reads the query plans.

use std::path::Path;

use rusqlite::{Connection, Row, ToSql};
use serde_json::{Map, Value, json};
use tillrace_core::topics::Topics;

use crate::sqlite::{failed, open_to_read};
use crate::store::StoreError;

/// Rows of a part at most: a number that a terminal sent again and again does not flood the answer.
const MOST_ROWS: usize = 1_000;

/// Which sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sale {
    /// By the terminal's number.
    Number {
        /// Tenant.
        tenant: String,
        /// Store.
        store: String,
        /// Terminal.
        terminal: String,
        /// Number.
        sequence: i64,
    },
    /// By the sender's id.
    EventId(String),
    /// By the order.
    Order(String),
}

const TRANSACTION: &str = "SELECT * FROM transactions";
const BY_NUMBER: &str = " WHERE tenant = ?1 AND store = ?2 AND terminal = ?3 AND sequence = ?4";
const BY_EVENT_ID: &str = " WHERE event_id = ?1";
const BY_ORDER: &str = " WHERE order_id = ?1";
const LINES: &str = "SELECT * FROM transaction_lines WHERE transaction_id = ?1";
const TENDERS: &str = "SELECT * FROM tenders WHERE transaction_id = ?1";
const PARKED: &str = "SELECT * FROM parked";
const CONFLICTS: &str = "SELECT * FROM conflicts";
const REJECTED: &str = "SELECT * FROM rejected";
const DELTAS: &str = "SELECT d.delta_offset, d.sku, d.unit, d.reason, d.location, d.net_millionths, d.from_offset, d.to_offset \
     FROM stock_deltas d WHERE d.partition = ?1 AND d.to_offset = (SELECT MIN(f.to_offset) FROM stock_deltas f WHERE f.partition = ?1 \
     AND f.to_offset > ?2) AND d.tenant = ?3 AND d.store = ?4 AND d.from_offset <= ?2 AND d.sku IN (SELECT l.sku FROM \
     transaction_lines l WHERE l.transaction_id = ?5)";
const DELIVERIES: &str = "SELECT sink, outcome, status, attempts, started_at, elapsed_ms, is_redriven, topic, first_offset, past_offset \
     FROM deliveries WHERE topic = ?1 AND partition = ?2 AND span = ?3 AND first_offset <= ?4 AND past_offset > ?4";
const DEAD_LETTERS: &str = "SELECT sink, reason, code, attempts, died_at, dead_topic, dead_offset FROM dead_letters WHERE topic = ?1 AND \
     partition = ?2 AND source_offset = ?3";

/// A data store that trails are read from.
#[derive(Debug)]
pub struct Trails {
    connection: Connection,
    path: std::path::PathBuf,
    topics: Topics,
}

impl Trails {
    /// Opens the store; its owner may be at work.
    ///
    /// # Errors
    /// As [`open_to_read`].
    pub fn open(path: &Path, topics: Topics) -> Result<Self, StoreError> {
        let connection = open_to_read(path)?;
        Ok(Self { connection, path: path.to_owned(), topics })
    }

    /// Returns what the store knows of a sale: `transactions` with `lines`, `tenders`, `deltas`, `deliveries` and `dead_letters`
    /// each; and by the number what was `parked`, `conflicts` and `rejected`. `holes` are what the store lacks.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find(&self, sale: &Sale) -> Result<Value, StoreError> {
        self.read(sale).map_err(failed(&self.path, "read a trail"))
    }

    fn read(&self, sale: &Sale) -> rusqlite::Result<Value> {
        let mut transactions = match sale {
            Sale::Number { tenant, store, terminal, sequence } => {
                let number: [&dyn ToSql; 4] = [tenant, store, terminal, sequence];
                self.rows(&format!("{TRANSACTION}{BY_NUMBER}"), &number)?
            }
            Sale::EventId(id) => self.rows(&format!("{TRANSACTION}{BY_EVENT_ID}"), &[id])?,
            Sale::Order(id) => self.rows(&format!("{TRANSACTION}{BY_ORDER}"), &[id])?,
        };
        for transaction in &mut transactions {
            self.add_parts(transaction)?;
        }
        let mut trail = json!({ "transactions": transactions });
        if let Sale::Number { tenant, store, terminal, sequence } = sale {
            let number: [&dyn ToSql; 4] = [tenant, store, terminal, sequence];
            for (name, table) in
                [("parked", PARKED), ("conflicts", CONFLICTS), ("rejected", REJECTED)]
            {
                trail[name] = self.rows(&format!("{table}{BY_NUMBER}"), &number)?.into();
            }
        }
        trail["holes"] = self.rows("SELECT * FROM holes", &[])?.into();
        Ok(trail)
    }

    fn add_parts(&self, transaction: &mut Value) -> rusqlite::Result<()> {
        let integer = |name: &str| transaction[name].as_i64().unwrap_or_default();
        let text = |name: &str| transaction[name].as_str().unwrap_or_default().to_owned();
        let (id, partition) = (integer("transaction_id"), integer("partition"));
        let (journal, own) = (integer("journal_offset"), integer("transaction_offset"));
        let (tenant, store) = (text("tenant"), text("store"));
        let lines = self.rows(LINES, &[&id])?;
        let tenders = self.rows(TENDERS, &[&id])?;
        let mut deltas = self.rows(DELTAS, &[&partition, &journal, &tenant, &store, &id])?;
        for delta in &mut deltas {
            let offset = delta["delta_offset"].as_i64().unwrap_or_default();
            delta["deliveries"] =
                self.deliveries(self.topics.deltas.as_str(), partition, offset)?.into();
        }
        let topic = self.topics.transactions.as_str();
        let deliveries = self.deliveries(topic, partition, own)?;
        let dead = self.rows(DEAD_LETTERS, &[&topic, &partition, &own])?;
        transaction["lines"] = lines.into();
        transaction["tenders"] = tenders.into();
        transaction["deltas"] = deltas.into();
        transaction["deliveries"] = deliveries.into();
        transaction["dead_letters"] = dead.into();
        Ok(())
    }

    fn deliveries(&self, topic: &str, partition: i64, offset: i64) -> rusqlite::Result<Vec<Value>> {
        let span = offset / i64::try_from(crate::fold::SPAN_OFFSETS).unwrap_or(1);
        self.rows(DELIVERIES, &[&topic, &partition, &span, &offset])
    }

    fn rows(&self, query: &str, values: &[&dyn ToSql]) -> rusqlite::Result<Vec<Value>> {
        let mut statement = self.connection.prepare_cached(query)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let rows = statement.query_map(values, |row| object(&names, row))?;
        rows.take(MOST_ROWS).collect()
    }
}

fn object(names: &[String], row: &Row<'_>) -> rusqlite::Result<Value> {
    use rusqlite::types::ValueRef;
    let mut members = Map::new();
    for (index, name) in names.iter().enumerate() {
        let value = match row.get_ref(index)? {
            ValueRef::Null | ValueRef::Blob(_) => Value::Null,
            ValueRef::Integer(value) => value.into(),
            ValueRef::Real(value) => json!(value),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        };
        members.insert(name.clone(), value);
    }
    Ok(Value::Object(members))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteStore;

    /// No part of a trail reads a table from end to end; only `holes` is, which has a row for each loss.
    #[test]
    fn every_part_is_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("books.sqlite");
        drop(SqliteStore::open(&path).unwrap());
        let connection = open_to_read(&path).unwrap();
        let by_number = |table: &str| format!("{table}{BY_NUMBER}");
        let queries = [
            by_number(TRANSACTION),
            by_number(PARKED),
            by_number(CONFLICTS),
            by_number(REJECTED),
            format!("{TRANSACTION}{BY_EVENT_ID}"),
            format!("{TRANSACTION}{BY_ORDER}"),
            LINES.to_owned(),
            TENDERS.to_owned(),
            DELTAS.to_owned(),
            DELIVERIES.to_owned(),
            DEAD_LETTERS.to_owned(),
        ];
        for query in queries {
            let plan = format!("EXPLAIN QUERY PLAN {query}");
            let mut statement = connection.prepare(&plan).unwrap();
            let count = statement.parameter_count();
            for place in 1..=count {
                statement.raw_bind_parameter(place, 1).unwrap();
            }
            let mut rows = statement.raw_query();
            let mut steps = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                steps.push(row.get::<_, String>(3).unwrap());
            }
            let scans: Vec<_> = steps.iter().filter(|step| step.starts_with("SCAN")).collect();
            assert!(!steps.is_empty() && scans.is_empty(), "{query}: {steps:?}");
        }
    }
}
