use super::*;
use crate::event::{Disposition, Kind, Line, LineType};
use crate::stock;

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
    assert_eq!(moving, 4 * 10);
    assert_eq!(stock_effect("return", "return", None, false), [1, 0, 1, 0]);
}
