use super::effects::{movements, stock_effect};
use crate::event::{Disposition, Kind, Line, LineClass, LineType};
use crate::stock;
use crate::text::Decimal;

const LINE_TYPES: [(LineType, &str); 6] = [
    (LineType::Sale, "sale"),
    (LineType::Return, "return"),
    (LineType::Service, "service"),
    (LineType::Adjustment, "adjustment"),
    (LineType::Count, "count"),
    (LineType::Transfer, "transfer"),
];

const DISPOSITIONS: [(Disposition, &str); 4] = [
    (Disposition::Restock, "restock"),
    (Disposition::Damaged, "damaged"),
    (Disposition::Vendor, "vendor"),
    (Disposition::None, "none"),
];

fn line(line_type: LineType, disposition: Disposition, void: bool) -> Line<'static> {
    Line {
        line: 1,
        line_type,
        class: LineClass::default_of(line_type),
        sku: "milk",
        gtin: None,
        quantity: Decimal::ONE,
        unit: "C62",
        pieces: None,
        regular_unit_price: None,
        unit_price: None,
        amount: None,
        discount: 0,
        tax_exclusive: 0,
        tax_inclusive: 0,
        disposition,
        void,
        details: None,
    }
}

/// Two tables, written apart from each other, say the same of every kind of line there is.
#[test]
fn the_engines_table_and_this_one_agree() {
    let mut moving = 0;
    for kind in Kind::ALL {
        for (line_type, type_name) in LINE_TYPES {
            for (disposition, disposition_name) in DISPOSITIONS {
                for void in [false, true] {
                    let engine = stock::effect(kind, &line(line_type, disposition, void));
                    let engine = [engine.stock, engine.sold, engine.returned, engine.adjusted];
                    let own = stock_effect(kind.as_str(), type_name, Some(disposition_name), void)
                        .map(|sign| sign * Decimal::ONE.0);
                    assert_eq!(own, engine, "{kind:?} {type_name} {disposition_name} {void}");
                    moving += usize::from(own != [0; 4]);
                }
            }
        }
    }
    assert_eq!(moving, 4 * 19);
    assert_eq!(stock_effect("return", "return", None, false), [1, 0, 1, 0]);
}

/// What a line of an event moves at each location, as this table says and as the engine's does.
#[test]
fn both_say_where_goods_are_moved() {
    for (void, moved) in [(false, 1), (true, 0)] {
        let text = format!(
            r#"{{"line":1,"type":"transfer","sku":"milk","quantity":"1","void":{void},"location":"back","to_location":"floor"}}"#
        );
        let read = serde_json::from_str(&text).unwrap();
        let own = movements("stock_move", &read).unwrap();
        let one = moved * Decimal::ONE.0;
        assert_eq!(own, [(Some("back"), [-one, 0, 0, -one]), (Some("floor"), [one, 0, 0, one])]);
        let line = line(LineType::Transfer, Disposition::None, void);
        let engine = stock::relocation(Kind::StockMove, &line).unwrap_or_default();
        assert_eq!([engine.stock, engine.sold, engine.returned, engine.adjusted], [one, 0, 0, one]);
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::StockMove) {
            assert_eq!(stock::relocation(kind, &line), None);
        }
    }
}
