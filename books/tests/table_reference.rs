//! `docs/DATA_STORE_TABLES.md` is what the migrations say of their tables. The test writes it to `target/tmp`, to be copied.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::fmt::Write as _;
use std::path::Path;

use tillrace_books::migrations::MIGRATIONS;

const HEAD: &str = "# Tables of the data store\n\nMade from the migrations by a test; do not edit it here. \
[DATA_STORE.md](DATA_STORE.md) says how to use them.\n";

/// Makes a section for each table and view of a text of SQL: comments above are its meaning, comments behind a column that of the column.
fn sections(sql: &str, page: &mut String) {
    let (mut meaning, mut in_table) = (Vec::new(), false);
    for line in sql.lines() {
        if let Some(comment) = line.strip_prefix("-- ") {
            meaning.push(comment);
        } else if let Some(name) = line.strip_prefix("CREATE TABLE ") {
            let name = name.trim_end_matches(" (");
            write!(
                page,
                "\n## {name}\n\n{}\n\n| column | type | meaning |\n|---|---|---|\n",
                meaning.join(" ")
            )
            .unwrap();
            in_table = true;
        } else if let Some(name) = line.strip_prefix("CREATE VIEW ") {
            let name = name.split(' ').next().unwrap();
            write!(page, "\n## {name}\n\nA view. {}\n", meaning.join(" ")).unwrap();
        } else if line.starts_with(')') || line.is_empty() {
            in_table = false;
            meaning.clear();
        } else if in_table && !line.contains("PRIMARY KEY (") {
            let (column, comment) = line.split_once(" -- ").unwrap_or((line, ""));
            let mut words = column.trim().trim_end_matches(',').split(' ');
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            writeln!(page, "| `{name}` | {} | {comment} |", kind.to_lowercase()).unwrap();
        }
    }
}

#[test]
fn the_page_of_tables_is_what_the_migrations_say() {
    let mut page = HEAD.to_owned();
    for migration in MIGRATIONS {
        sections(migration.sql, &mut page);
    }
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("data-store-tables.md");
    std::fs::write(made, &page).unwrap();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/DATA_STORE_TABLES.md");
    let kept = std::fs::read_to_string(kept).unwrap();
    assert!(kept == page, "copy target/tmp/data-store-tables.md to docs/DATA_STORE_TABLES.md");
}
