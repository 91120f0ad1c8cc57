//! What kind of money a row holds, why and where; files of the columns before, and the page that lists them all.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arrow_schema::DataType;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use tillrace_core::decode::Decoder;
use tillrace_core::text::Decimal;
use tillrace_log::LogView;

use super::super::body::{self, Origin};
use super::super::file_sequence::FileSequence;
use super::*;

fn line(number: u32, rest: &str) -> String {
    format!(r#"{{"line":{number},"sku":"A","quantity":"1",{rest}}}"#)
}

fn priced(kind: &str, rest: &str, lines: &[String]) -> String {
    event(kind, &format!(r#","currency":"CHF"{rest},"lines":[{}]"#, lines.join(",")))
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned()).filter(|text| !text.is_empty())).collect()
}

fn sale_of_several_classes() -> String {
    let lines = [
        line(1, r#""type":"sale","amount":"9.00""#),
        line(2, r#""type":"service","amount":"50.00","class":"gift_card""#),
        line(3, r#""type":"return","amount":"2.00","class":"deposit""#),
        line(4, r#""type":"service","amount":"0.30","class":"fee""#),
        line(5, r#""type":"service","amount":"1.00","class":"tip""#),
        line(6, r#""type":"sale","amount":"5.00","void":true"#),
        line(7, r#""type":"sale""#),
    ];
    priced("sale", "", &lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_says_what_kind_of_money_its_amount_is_and_which_way_it_counts() {
    let back = [
        line(1, r#""type":"sale","amount":"9.00""#),
        line(2, r#""type":"return","amount":"4.00""#),
    ];
    let back = priced("post_void", r#","reference":{"sequence":1}"#, &back);
    let order = [
        line(1, r#""type":"sale","amount":"80.00""#),
        line(2, r#""type":"service","amount":"20.00","class":"payment_on_account""#),
    ];
    let order = priced("order_placed", r#","order":{"id":"O-1"}"#, &order);
    let (sale, open) = (sale_of_several_classes(), event("open", ""));
    let events = [("sale", &sale), ("post_void", &back), ("order_placed", &order), ("open", &open)];
    let rows = lines_of(&events.map(|(kind, text)| (kind, text.as_str()))).await;
    let expected = [
        ("merchandise", "sales", Some(90_000)),
        ("gift_card", "liability", Some(500_000)),
        ("deposit", "liability", Some(-20_000)),
        ("fee", "pass_through", Some(3_000)),
        ("tip", "tip", Some(10_000)),
        // Void, and without an amount.
        ("merchandise", "", None),
        ("merchandise", "sales", None),
        // A post-void counts the other way.
        ("merchandise", "sales", Some(-90_000)),
        ("merchandise", "sales", Some(40_000)),
        // Ordered goods count when they are handed over.
        ("merchandise", "", None),
        ("payment_on_account", "liability", Some(200_000)),
        ("", "", None),
    ];
    assert_eq!(texts(&rows, "class"), some(&expected.map(|(class, _, _)| class)));
    assert_eq!(texts(&rows, "counts_as"), some(&expected.map(|(_, counts_as, _)| counts_as)));
    assert_eq!(decimals(&rows, "counted_amount"), expected.map(|(_, _, counted)| counted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_says_why_and_where() {
    let adjusted = event(
        "inventory_adjustment",
        &format!(
            r#","lines":[{},{}]"#,
            line(1, r#""type":"adjustment","reason":"theft","location":"floor""#),
            line(2, r#""type":"adjustment""#)
        ),
    );
    let moved = event(
        "stock_move",
        &format!(
            r#","lines":[{}]"#,
            line(1, r#""type":"transfer","location":"back","to_location":"floor""#)
        ),
    );
    let opened = event("no_sale", r#","reason":"change""#);
    let rows = lines_of(&[
        ("inventory_adjustment", &adjusted),
        ("stock_move", &moved),
        ("no_sale", &opened),
    ])
    .await;
    assert_eq!(texts(&rows, "reason"), some(&["theft", "", "", ""]));
    assert_eq!(texts(&rows, "location"), some(&["floor", "", "back", ""]));
    assert_eq!(texts(&rows, "to_location"), some(&["", "", "floor", ""]));
    assert_eq!(texts(&rows, "transaction_reason"), some(&["", "", "", "change"]));
}

fn read_doc(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file)).unwrap()
}

/// Adds up a column over the rows that a condition holds for.
fn sum(rows: &RecordBatch, column: &str, is_meant: impl Fn(usize) -> bool) -> i128 {
    let values = decimals(rows, column).into_iter().enumerate();
    values.filter(|(row, _)| is_meant(*row)).filter_map(|(_, value)| value).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_day_add_up_to_its_books() {
    let day = read_doc("samples/day/events.ndjson");
    let kind = |text: &str| Decoder::new().decode(text.as_bytes()).unwrap().kind.as_str();
    let events: Vec<_> = day.lines().map(|text| (kind(text), text)).collect();
    let rows = lines_of(&events).await;
    let books: Value = serde_json::from_str(&read_doc("samples/day/books.json")).unwrap();
    let (types, counts_as) = (texts(&rows, "line_type"), texts(&rows, "counts_as"));
    let is = |texts: &[Option<String>], row: usize, text: &str| texts[row].as_deref() == Some(text);
    for (name, counted_as, is_return, tenders) in [
        ("sales", "sales", false, 0),
        ("returns", "sales", true, 0),
        ("liabilities_issued", "liability", false, 0),
        // What was paid with a gift card, or in advance, is in no line.
        ("liabilities_redeemed", "liability", true, 2_780_000),
    ] {
        let of_lines = sum(&rows, "counted_amount", |row| {
            is(&counts_as, row, counted_as) && is(&types, row, "return") == is_return
        });
        let of_books = Decimal::parse(books["totals"][name].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(of_lines.abs() + tenders, i128::from(of_books.0) / 100, "{name}");
    }
    let passed = sum(&rows, "counted_amount", |row| is(&counts_as, row, "pass_through"));
    assert_eq!((passed, &books["totals"]["pass_through"]), (23_000, &"2.30".into()));
    assert_eq!(stock_by_place(&rows), books_by_place(&books));
}

type ByPlace = BTreeMap<[String; 3], i128>;

/// Change of stock by SKU, location and reason, with what a move takes from one location to the other.
fn stock_by_place(rows: &RecordBatch) -> ByPlace {
    let [skus, locations, others, reasons, kinds] =
        ["sku", "location", "to_location", "reason", "kind"].map(|name| texts(rows, name));
    let (stock, quantities) = (decimals(rows, "stock"), decimals(rows, "quantity"));
    let mut sums = ByPlace::new();
    for row in 0..rows.num_rows() {
        let mut add = |locations: &[Option<String>], quantity: i128| {
            let key =
                [&skus, locations, &reasons].map(|texts| texts[row].clone().unwrap_or_default());
            *sums.entry(key).or_default() += quantity;
        };
        add(&locations, stock[row].unwrap_or(0));
        if kinds[row].as_deref() == Some("stock_move") {
            add(&locations, -quantities[row].unwrap());
            add(&others, quantities[row].unwrap());
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

fn books_by_place(books: &Value) -> ByPlace {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = books["locations"].as_array().unwrap().iter().map(|row| {
        let net = Decimal::parse(text(row, "net").as_bytes()).unwrap().0;
        (["sku", "location", "reason"].map(|name| text(row, name)), net.into())
    });
    rows.filter(|(_, net)| *net != 0).collect()
}

/// A delta with a reason and a location, as an engine writes it for lines that have them.
fn delta_with_reason(number: u64) -> String {
    delta(number)
        .replace(r#""unit":"C62","#, r#""unit":"C62","reason":"theft","location":"floor","#)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_says_why_and_where() {
    let fixture = fixture();
    let records = [delta(0), delta_with_reason(1)];
    let records = (0..).zip(records).map(|(offset, text)| Record::new(offset, 0, "acme/1/x", text));
    let batch = DeliveryBatch { partition: 0, delivered_to: 0, records: records.collect() };
    open(&fixture, SourceTopic::Deltas).deliver(&batch).await.unwrap();
    let rows = rows(&files(&folder(&fixture, "inventory.deltas.v1"))[0]).remove(0);
    assert_eq!(texts(&rows, "reason"), some(&["", "theft"]));
    assert_eq!(texts(&rows, "location"), some(&["", "floor"]));
}

/// Publishes a file with the first so many columns, whose footer says what is given as its version.
fn publish(fixture: &Fixture, columns: usize, version: Option<u32>, records: &[Record]) {
    let topic = fixture.topics.deltas.to_string();
    let sequence = FileSequence { generation: GENERATION.to_owned(), topic, partition: 0 };
    let origin = Origin { source: SourceTopic::Deltas, topic: &sequence.topic, partition: 0 };
    let (all, _) = body::rows(origin, records).unwrap();
    let kept = all.project(&(0..columns).collect::<Vec<_>>()).unwrap();
    let (first, next) = (records[0].offset, records[records.len() - 1].offset + 1);
    let mut footer = sequence.footer(first, next);
    footer.retain(|entry| entry.key != "tillrace.columns");
    footer.extend(
        version.map(|version| KeyValue::new("tillrace.columns".to_owned(), version.to_string())),
    );
    let properties = WriterProperties::builder().set_key_value_metadata(Some(footer)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), kept.schema(), Some(properties)).unwrap();
    writer.write(&kept).unwrap();
    let path = folder(fixture, "inventory.deltas.v1").join(sequence.name(first));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, writer.into_inner().unwrap()).unwrap();
}

/// Lets a sink go on in a folder where a file of its first seven records stands, and recounts.
async fn continued(columns: usize, version: Option<u32>) -> (Fixture, Vec<String>) {
    let fixture = fixture();
    let topic = fixture.topics.deltas.clone();
    let mut records = Vec::new();
    for offset in 0..20 {
        let value = if offset % 2 == 0 { delta(offset) } else { delta_with_reason(offset) };
        fixture.append(&topic, 0, "acme/1/x", value.as_bytes());
        records.push(Record::new(offset, 0, "acme/1/x", value));
    }
    open(&fixture, SourceTopic::Deltas).claim().await.unwrap();
    publish(&fixture, columns, version, &records[..7]);
    let delivery = fixture.start(&spec(&fixture, 7)).await;
    until("all is committed", || fixture.committed(SINK, &topic) == 20).await;
    delivery.drain().await;
    let lake = fixture.folder.path().join("lake");
    let settings = ParquetSettings::local(SourceTopic::Deltas, lake.to_str().unwrap());
    let view: Arc<dyn LogView> = Arc::clone(&fixture.log) as _;
    let check = recount::recount(&settings, view, &fixture.topics, SINK).await.unwrap();
    let told = check.differences.iter().map(|difference| difference.what.to_owned()).collect();
    (fixture, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_the_columns_before_goes_on_with_those_of_today() {
    let (fixture, differences) = continued(deltas::FIRST_COLUMNS, None).await;
    assert_eq!(differences, [""; 0]);
    let folder = folder(&fixture, "inventory.deltas.v1");
    assert_eq!(offsets(&folder), (0..20).collect::<Vec<_>>());
    let columns: Vec<_> = files(&folder).iter().map(|path| rows(path)[0].num_columns()).collect();
    assert_eq!(columns[0], deltas::FIRST_COLUMNS, "an old file stays as it is");
    assert!(columns[1..].iter().all(|&columns| columns == deltas::FIRST_COLUMNS + 2));
    // The older columns have the same places, names and types in both.
    let [old, new] = [0, 1].map(|file| rows(&files(&folder)[file])[0].schema());
    assert_eq!(old.fields()[..], new.fields()[..deltas::FIRST_COLUMNS]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_the_columns_of_its_version_is_not_what_it_was() {
    let first = deltas::FIRST_COLUMNS;
    for (columns, version, told) in [
        (first, Some(2), "a row does not match its record"),
        (first + 2, None, "a row does not match its record"),
        (first + 2, Some(3), "a file is not what it was"),
        (first + 2, Some(0), "a file is not what it was"),
    ] {
        let (_fixture, differences) = continued(columns, version).await;
        assert!(differences.contains(&told.to_owned()), "{columns} {version:?}: {differences:?}");
    }
    assert_eq!(continued(first + 2, Some(2)).await.1, [""; 0]);
}

fn name_of(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "text".to_owned(),
        DataType::Int32 => "int32".to_owned(),
        DataType::Int64 => "int64".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Decimal128(digits, after_point) => format!("decimal({digits}, {after_point})"),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        other => panic!("the page has no word for {other}"),
    }
}

#[test]
fn the_page_lists_every_column() {
    let page = read_doc("PARQUET.md");
    for (source, topic, first) in [
        (SourceTopic::Transactions, "pos.transactions.v1", lines::FIRST_COLUMNS),
        (SourceTopic::Deltas, "inventory.deltas.v1", deltas::FIRST_COLUMNS),
    ] {
        let (rows, _) = body::rows(Origin { source, topic, partition: 0 }, &[]).unwrap();
        let mut expected = String::new();
        for (index, field) in rows.schema().fields().iter().enumerate() {
            let since = if index < first { 1 } else { body::COLUMNS_VERSION };
            let null = if field.is_nullable() { "yes" } else { "" };
            let (name, data_type) = (field.name(), name_of(field.data_type()));
            writeln!(expected, "| `{name}` | {data_type} | {null} | {since} |").unwrap();
        }
        let section = page.split(&format!("`{topic}`\n")).nth(1).unwrap();
        let table = section.lines().skip_while(|line| !line.starts_with("| `"));
        let table = table.take_while(|line| line.starts_with("| `"));
        let mut found = String::new();
        for line in table {
            writeln!(found, "{}|", line.rsplitn(3, '|').nth(2).unwrap()).unwrap();
        }
        assert_eq!(found, expected, "{topic}");
    }
}
