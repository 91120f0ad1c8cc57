//! The lake: every transaction in one Parquet file, once.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;

use super::topics::{RecordPosition, Topics};
use crate::site::files_below;
use crate::stage::Stage;

/// Holds the files to the transactions.
pub(super) fn judge(stage: &mut Stage<'_>, topics: &Topics) -> anyhow::Result<()> {
    let (mut held, mut doubled) = (BTreeSet::new(), 0);
    for path in files_below(&stage.site.lake(), ".parquet")? {
        let places = match places(&path) {
            Ok(places) => places,
            Err(error) => {
                stage.fault(format!("{} does not read: {error:#}", path.display()));
                continue;
            }
        };
        let before = held.len();
        let count = places.len();
        held.extend(places);
        doubled += before + count - held.len();
    }
    let expected: BTreeSet<RecordPosition> = topics.transactions.iter().copied().collect();
    let missing = expected.difference(&held).count();
    let foreign = held.difference(&expected).count();
    if doubled + missing + foreign > 0 {
        stage.fault(format!(
            "Parquet files: of {} transactions {missing} are missing, {doubled} stand in two files, {foreign} should not \
             be there",
            expected.len()
        ));
    }
    Ok(())
}

/// Counts the transactions in all files that read.
pub(super) fn transactions(lake: &Path) -> anyhow::Result<usize> {
    let files = files_below(lake, ".parquet")?;
    Ok(files.iter().filter_map(|path| Some(places(path).ok()?.len())).sum())
}

/// Places on the topic of the transactions of one file; each has a row a line.
fn places(path: &Path) -> anyhow::Result<BTreeSet<RecordPosition>> {
    let reader = SerializedFileReader::new(File::open(path).context("open")?)?;
    let mut places = BTreeSet::new();
    for row in reader.get_row_iter(None)? {
        let row = row?;
        let (mut partition, mut offset) = (None, None);
        for (name, field) in row.get_column_iter() {
            match (name.as_str(), field) {
                ("partition", Field::Int(number)) => partition = Some(*number),
                ("offset", Field::Long(number)) => offset = Some(*number),
                _ => {}
            }
        }
        places.insert(partition.zip(offset).context("a row says its partition and offset")?);
    }
    Ok(places)
}
