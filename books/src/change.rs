//! What a record does to the tables: statements with their values, and how far the log was read with them.

use tillrace_log::{Offset, Partition};

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Absent.
    Null,
    /// An integer: minor units, millionths, numbers, or 0 and 1.
    Integer(i64),
    /// Text.
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

/// Numbers of ours end far below the bound; one above it is kept as the bound.
impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

/// Sums of one event end far below the bound: at most 2,000 lines of an `i64` that the decoder bounds.
impl From<i128> for Value {
    fn from(value: i128) -> Self {
        let bound = if value < 0 { i64::MIN } else { i64::MAX };
        Self::Integer(i64::try_from(value).unwrap_or(bound))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// What is done to a table. `columns` of the first two name every column that is given, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Inserts a row.
    Insert,
    /// Inserts a row in place of the one with the same primary key.
    Replace,
    /// Deletes the rows whose column has the value.
    Delete,
    /// Marks a parked event as settled: the value is its `record_key`.
    Settle,
}

/// One statement with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is done.
    pub action: Action,
    /// To which table.
    pub table: &'static str,
    /// The columns that `values` are of.
    pub columns: &'static [&'static str],
    /// The values, one a column.
    pub values: Vec<Value>,
}

/// How far one partition was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadTo {
    /// Topic name, namespace included.
    pub topic: String,
    /// Its partition.
    pub partition: Partition,
    /// The next offset to read.
    pub next_offset: Offset,
}

/// Changes of some records, and how far the log was read with them: committed together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// The places, one a partition.
    pub positions: Vec<ReadTo>,
}

impl Batch {
    /// Adds a row that no other has the key of.
    pub fn insert<const N: usize>(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str; N],
        values: [Value; N],
    ) {
        let (action, values) = (Action::Insert, values.into());
        self.changes.push(Change { action, table, columns, values });
    }

    /// Adds a row, or puts it in place of the one that has its key.
    pub fn replace<const N: usize>(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str; N],
        values: [Value; N],
    ) {
        let (action, values) = (Action::Replace, values.into());
        self.changes.push(Change { action, table, columns, values });
    }

    /// Deletes what a compacted record said before.
    pub fn delete_record(&mut self, table: &'static str, record_key: &str) {
        let values = vec![record_key.into()];
        self.changes.push(Change {
            action: Action::Delete,
            table,
            columns: &["record_key"],
            values,
        });
    }

    /// Marks a parked event as settled.
    pub fn settle(&mut self, record_key: &str) {
        let values = vec![record_key.into()];
        self.changes.push(Change {
            action: Action::Settle,
            table: "parked",
            columns: &["record_key"],
            values,
        });
    }
}
