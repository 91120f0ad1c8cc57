//! The text of control totals, published and in the state.
//!
//! It is written by hand, because each flush writes both for every day that changed, and serde searches each byte, even of
//! members' names, for what has to be escaped. A test compares both with what serde writes.

use bytes::{BufMut as _, BytesMut};

use super::{ControlTotals, TenderTotal};
use crate::aggregate::json_text::{boolean, integer};
use crate::text::{Currency, escape, put_minor};

impl ControlTotals {
    /// Writes the published members: amounts as decimal text, by currency, and by tender type.
    pub(in crate::aggregate) fn write_published(&self, text: &mut BytesMut) {
        text.extend_from_slice(br#""transactions":{"#);
        self.write_kinds(text);
        text.extend_from_slice(br#"},"totals":{"#);
        list(text, &self.sums, |text, sums| {
            name(text, sums.currency.code());
            text.put_u8(b'{');
            list(text, sums.by_name(), |text, (name, minor)| {
                member(text, name);
                text.put_u8(b'"');
                put_minor(text, minor, sums.exponent);
                text.put_u8(b'"');
            });
            text.put_u8(b'}');
        });
        text.extend_from_slice(br#"},"tenders":{"#);
        let currencies = self.tenders.chunk_by(|one, next| one.currency == next.currency);
        let currencies = currencies.filter_map(|types| Some((types.first()?.currency, types)));
        list(text, currencies, |text, (currency, types)| {
            name(text, currency.code());
            text.put_u8(b'{');
            list(text, types, |text, tender_total| {
                name(text, &tender_total.tender);
                text.put_u8(b'"');
                put_minor(text, tender_total.amount, tender_total.exponent);
                text.put_u8(b'"');
            });
            text.put_u8(b'}');
        });
        text.extend_from_slice(br#"},"truncated":"#);
        boolean(text, self.truncated);
    }

    /// Writes the state on `state.v1`.
    pub(in crate::aggregate) fn write_state(&self, text: &mut BytesMut) {
        text.extend_from_slice(br#"{"kinds":{"#);
        self.write_kinds(text);
        text.extend_from_slice(br#"},"sums":["#);
        list(text, &self.sums, |text, sums| {
            write_currency(text, sums.currency, sums.exponent);
            for (name, minor) in sums.by_name() {
                text.put_u8(b',');
                member(text, name);
                integer(text, minor);
            }
            text.put_u8(b'}');
        });
        text.extend_from_slice(br#"],"tenders":["#);
        list(text, &self.tenders, |text, tender_total| {
            let TenderTotal { currency, exponent, tender, amount } = tender_total;
            write_currency(text, *currency, *exponent);
            text.extend_from_slice(br#","tender":""#);
            escape(text, tender);
            text.extend_from_slice(br#"","amount":"#);
            integer(text, *amount);
            text.put_u8(b'}');
        });
        text.extend_from_slice(br#"],"truncated":"#);
        boolean(text, self.truncated);
        text.put_u8(b'}');
    }

    fn write_kinds(&self, text: &mut BytesMut) {
        list(text, &self.kinds, |text, (kind, count)| {
            name(text, kind.as_str());
            integer(text, *count);
        });
    }
}

/// The members that sums and tenders begin with.
fn write_currency(text: &mut BytesMut, currency: Currency, exponent: u32) {
    text.extend_from_slice(br#"{"currency":""#);
    text.extend_from_slice(currency.code().as_bytes());
    text.extend_from_slice(br#"","exponent":"#);
    integer(text, exponent);
}

/// Writes a member's name in which nothing has to be escaped.
fn member(text: &mut BytesMut, name: &str) {
    text.put_u8(b'"');
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(br#"":"#);
}

/// Writes a member's name.
fn name(text: &mut BytesMut, name: &str) {
    text.put_u8(b'"');
    escape(text, name);
    text.extend_from_slice(br#"":"#);
}

/// Writes elements or members, commas between them.
fn list<I>(
    text: &mut BytesMut,
    items: impl IntoIterator<Item = I>,
    mut write: impl FnMut(&mut BytesMut, I),
) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.put_u8(b',');
        }
        write(text, item);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::CurrencyTotals;
    use super::*;
    use crate::event::Kind;

    fn currency() -> impl Strategy<Value = Currency> {
        prop_oneof![Just(b"BHD"), Just(b"EUR"), Just(b"JPY")]
            .prop_map(|code| Currency::parse(code).unwrap())
    }

    fn amount() -> impl Strategy<Value = i128> {
        prop_oneof![-2..200_i128, any::<i64>().prop_map(i128::from), any::<i128>()]
    }

    prop_compose! {
        fn sums()(currency in currency(), amounts in prop::array::uniform9(amount())) -> CurrencyTotals {
            let [sales, returns, discounts, taxes, liabilities_issued, liabilities_redeemed, rest @ ..] = amounts;
            let [pass_through, tips, rounding] = rest;
            CurrencyTotals {
                sales, returns, discounts, taxes, liabilities_issued, liabilities_redeemed, pass_through, tips, rounding,
                ..CurrencyTotals::of(currency)
            }
        }
    }

    prop_compose! {
        fn tender_total()(
            currency in currency(),
            tender in prop_oneof!["[a-z]{1,4}", "\\PC{1,4}", "[ -~]{1,9}"],
            amount in amount(),
        ) -> TenderTotal {
            TenderTotal { currency, exponent: currency.exponent(), tender: tender.into(), amount }
        }
    }

    proptest! {
        #[test]
        fn serde_writes_the_same_bytes(
            kinds in prop::collection::btree_map(prop::sample::select(&[Kind::Sale, Kind::PostVoid, Kind::NoSale]), any::<u64>(), 0..3),
            mut sums in prop::collection::vec(sums(), 0..4),
            mut tenders in prop::collection::vec(tender_total(), 0..6),
            truncated: bool,
        ) {
            sums.sort_unstable();
            sums.dedup_by_key(|sums| sums.currency);
            tenders.sort_unstable();
            tenders.dedup_by(|one, next| (one.currency, &one.tender) == (next.currency, &next.tender));
            let control = ControlTotals { kinds, sums, tenders, truncated };
            let mut text = BytesMut::from("{");
            control.write_published(&mut text);
            text.put_u8(b'}');
            let expected = serde_json::to_string(&control.published()).unwrap();
            prop_assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
            text.clear();
            control.write_state(&mut text);
            let expected = serde_json::to_string(&control).unwrap();
            prop_assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
        }
    }
}
