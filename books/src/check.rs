//! Compares the data store with itself: what its transactions add up to, and what the store-days and deltas say.
//!
//! The two ways meet only in the journal: transactions are added up here line by line, store-days and deltas were added up by
//! the aggregator, and each came by a topic of its own. So a row that is lost, doubled or altered on either way is found.

use std::path::Path;

use rusqlite::Connection;

use crate::sqlite::{failed, open_to_read};
use crate::store::StoreError;

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Store-days and SKUs that were compared.
    pub compared: u64,
    /// What differs, a sentence each; at most [`MOST_FINDINGS`].
    pub findings: Vec<String>,
    /// Offsets that the log no longer had when they were to be read.
    pub hole_offsets: u64,
    /// Records that could not be read.
    pub unreadable: u64,
}

/// Differences that are listed.
pub const MOST_FINDINGS: usize = 100;

const DAYS: &str = "WITH added AS (SELECT tenant, store, business_date, currency, SUM(sales_minor) AS sales, SUM(returns_minor) AS returns, \
     SUM(discounts_minor) AS discounts, SUM(taxes_minor) AS taxes, SUM(tips_minor) AS tips, SUM(rounding_minor) AS rounding FROM \
     transactions WHERE currency IS NOT NULL GROUP BY 1, 2, 3, 4), published AS (SELECT tenant, store, business_date, currency, \
     SUM(sales_minor) AS sales, SUM(returns_minor) AS returns, SUM(discounts_minor) AS discounts, SUM(taxes_minor) AS taxes, \
     SUM(tips_minor) AS tips, SUM(rounding_minor) AS rounding FROM store_day_totals GROUP BY 1, 2, 3, 4) \
     SELECT p.tenant || '/' || p.store || ' on ' || p.business_date || ' in ' || p.currency, \
     (p.sales, p.returns, p.discounts, p.taxes, p.tips, p.rounding) = (COALESCE(a.sales, 0), COALESCE(a.returns, 0), \
     COALESCE(a.discounts, 0), COALESCE(a.taxes, 0), COALESCE(a.tips, 0), COALESCE(a.rounding, 0)) \
     FROM published p LEFT JOIN added a USING (tenant, store, business_date, currency)";
const STOCK: &str = "WITH added AS (SELECT t.tenant, t.store, l.sku, l.unit, SUM(l.stock_millionths) AS net FROM transactions t JOIN \
     transaction_lines l USING (transaction_id) GROUP BY 1, 2, 3, 4), published AS (SELECT tenant, store, sku, unit, \
     SUM(net_millionths) AS net FROM stock_deltas GROUP BY 1, 2, 3, 4) \
     SELECT p.tenant || '/' || p.store || ', ' || p.sku || ' in ' || p.unit, p.net = COALESCE(a.net, 0) \
     FROM published p LEFT JOIN added a USING (tenant, store, sku, unit)";

/// Compares, in one snapshot of the store.
///
/// # Errors
/// When there is no store, or it fails.
pub fn check(path: &Path) -> Result<CheckReport, StoreError> {
    let mut connection = open_to_read(path)?;
    compare(&mut connection).map_err(failed(path, "compare sums"))
}

fn compare(connection: &mut Connection) -> rusqlite::Result<CheckReport> {
    let mut report = CheckReport::default();
    let snapshot = connection.transaction()?;
    for (query, said) in [
        (DAYS, "the store-day is not the sum of its transactions"),
        (STOCK, "the deltas are not the sum of the lines"),
    ] {
        let mut statement = snapshot.prepare(query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            report.compared += 1;
            if !row.get::<_, bool>(1)? && report.findings.len() < MOST_FINDINGS {
                report.findings.push(format!("{}: {said}", row.get::<_, String>(0)?));
            }
        }
    }
    let one = |query: &str| snapshot.query_row(query, [], |row| row.get::<_, i64>(0));
    let holes = one("SELECT COALESCE(SUM(past_offset - first_offset), 0) FROM holes")?;
    report.hole_offsets = u64::try_from(holes).unwrap_or_default();
    report.unreadable = u64::try_from(one("SELECT COUNT(*) FROM unreadable")?).unwrap_or_default();
    Ok(report)
}
