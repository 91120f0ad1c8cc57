//! ISO 4217 currencies and the exponent of their minor unit.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// An ISO 4217 currency; in JSON its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Currency {
    code: [u8; 3],
    exponent: u8,
}

/// Codes in alphabetical order, each followed by the number of decimals of its minor unit: ISO 4217
/// list one of 2026, without metals, bonds and tests, and with those withdrawn since 2023 (ANG, BGN,
/// HRK, SLL, ZWL), as terminals may send late.
const TABLE: &[u8] = b"\
    AED2AFN2ALL2AMD2ANG2AOA2ARS2AUD2AWG2AZN2BAM2BBD2BDT2BGN2BHD3BIF0BMD2BND2BOB2BOV2\
    BRL2BSD2BTN2BWP2BYN2BZD2CAD2CDF2CHE2CHF2CHW2CLF4CLP0CNY2COP2COU2CRC2CUP2CVE2CZK2\
    DJF0DKK2DOP2DZD2EGP2ERN2ETB2EUR2FJD2FKP2GBP2GEL2GHS2GIP2GMD2GNF0GTQ2GYD2HKD2HNL2\
    HRK2HTG2HUF2IDR2ILS2INR2IQD3IRR2ISK0JMD2JOD3JPY0KES2KGS2KHR2KMF0KPW2KRW0KWD3KYD2\
    KZT2LAK2LBP2LKR2LRD2LSL2LYD3MAD2MDL2MGA2MKD2MMK2MNT2MOP2MRU2MUR2MVR2MWK2MXN2MXV2\
    MYR2MZN2NAD2NGN2NIO2NOK2NPR2NZD2OMR3PAB2PEN2PGK2PHP2PKR2PLN2PYG0QAR2RON2RSD2RUB2\
    RWF0SAR2SBD2SCR2SDG2SEK2SGD2SHP2SLE2SLL2SOS2SRD2SSP2STN2SVC2SYP2SZL2THB2TJS2TMT2TND3\
    TOP2TRY2TTD2TWD2TZS2UAH2UGX0USD2USN2UYI0UYU2UYW4UZS2VED2VES2VND0VUV0WST2XAD2XAF0\
    XCD2XCG2XOF0XPF0YER2ZAR2ZMW2ZWG2ZWL2";

impl Currency {
    /// Parses an upper-case code of ISO 4217.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let code: [u8; 3] = text.try_into().ok()?;
        // A code with the highest digit comes right behind its row, or is it.
        let [first, second, third] = code;
        let number = u32::from_be_bytes([first, second, third, b'9']);
        let (rows, _) = TABLE.as_chunks::<4>();
        let behind = rows.partition_point(|row| u32::from_be_bytes(*row) <= number);
        let [found @ .., exponent] = rows.get(behind.checked_sub(1)?)?;
        (*found == code).then_some(Self { code, exponent: exponent - b'0' })
    }

    /// Returns the three letters.
    pub fn code(&self) -> &str {
        str::from_utf8(&self.code).unwrap_or_default()
    }

    /// Returns the number of decimals of the minor unit.
    pub fn exponent(self) -> u32 {
        self.exponent.into()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        Self::parse(code.as_bytes()).ok_or(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_those_of_the_standard() {
        for (code, exponent) in [("EUR", 2), ("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)] {
            assert_eq!(Currency::parse(code.as_bytes()).unwrap().exponent(), exponent);
        }
        for unknown in ["eur", "EURO", "QQQ", "XXX", "EU2", ""] {
            assert_eq!(Currency::parse(unknown.as_bytes()), None, "{unknown}");
        }
    }

    #[test]
    fn every_code_of_the_table_is_found() {
        let (rows, rest) = TABLE.as_chunks::<4>();
        assert!(rest.is_empty() && rows.is_sorted());
        for [code @ .., exponent] in rows {
            let currency = Currency::parse(code).unwrap();
            assert_eq!(currency.to_string().as_bytes(), code);
            assert_eq!(currency.exponent(), u32::from(exponent - b'0'));
        }
    }
}
