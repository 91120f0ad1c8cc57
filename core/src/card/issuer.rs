//! The number ranges that card networks have published: first digits and lengths.
//!
//! Sources: the networks' own range publications as ISO/IEC 7812 assigns them (Visa, Mastercard,
//! American Express, Diners Club, Discover, JCB, `UnionPay`, Maestro, Mir, `RuPay`, Troy, Dankort,
//! Elo, Verve, Napas, `UzCard`, Humo, Borica, `UkrCard`, Bancontact, Meeza, mada, `ArCa`, Belkart). Left out are ranges that no till meets (UATP, and
//! the withdrawn `InterPayment` and `InstaPayment`, which loyalty cards have since been given).

use super::digit_string::DigitString;

struct IssuerRange {
    /// First digits, from and to, both included.
    from: u64,
    to: u64,
    /// How many digits `from` and `to` have.
    prefix_digits: u32,
    /// Lengths that cards of this range have.
    lengths: &'static [u32],
}

const fn range(from: u64, to: u64, prefix_digits: u32, lengths: &'static [u32]) -> IssuerRange {
    IssuerRange { from, to, prefix_digits, lengths }
}

const SIXTEEN_TO_NINETEEN: &[u32] = &[16, 17, 18, 19];
const FOURTEEN_TO_NINETEEN: &[u32] = &[14, 15, 16, 17, 18, 19];
const MAESTRO: &[u32] = &[12, 13, 14, 15, 16, 17, 18, 19];

const RANGES: [IssuerRange; 60] = [
    // Visa
    range(4, 4, 1, &[13, 16, 19]),
    // Mastercard
    range(51, 55, 2, &[16]),
    range(2221, 2720, 4, &[16]),
    // American Express
    range(34, 34, 2, &[15]),
    range(37, 37, 2, &[15]),
    // Diners Club
    range(300, 305, 3, FOURTEEN_TO_NINETEEN),
    range(3095, 3095, 4, FOURTEEN_TO_NINETEEN),
    range(36, 36, 2, FOURTEEN_TO_NINETEEN),
    range(38, 39, 2, FOURTEEN_TO_NINETEEN),
    // Discover
    range(6011, 6011, 4, SIXTEEN_TO_NINETEEN),
    range(622_126, 622_925, 6, SIXTEEN_TO_NINETEEN),
    range(644, 649, 3, SIXTEEN_TO_NINETEEN),
    range(65, 65, 2, SIXTEEN_TO_NINETEEN),
    // JCB
    range(3528, 3589, 4, SIXTEEN_TO_NINETEEN),
    range(2131, 2131, 4, &[15]),
    range(1800, 1800, 4, &[15]),
    // UnionPay
    range(62, 62, 2, SIXTEEN_TO_NINETEEN),
    range(81, 81, 2, SIXTEEN_TO_NINETEEN),
    // Maestro
    range(5018, 5018, 4, MAESTRO),
    range(5020, 5020, 4, MAESTRO),
    range(5038, 5038, 4, MAESTRO),
    range(56, 58, 2, MAESTRO),
    range(6304, 6304, 4, MAESTRO),
    range(6390, 6390, 4, MAESTRO),
    range(6759, 6759, 4, MAESTRO),
    range(6761, 6763, 4, MAESTRO),
    range(676_770, 676_770, 6, MAESTRO),
    range(676_774, 676_774, 6, MAESTRO),
    // Mir
    range(2200, 2204, 4, SIXTEEN_TO_NINETEEN),
    // RuPay
    range(508, 508, 3, &[16]),
    range(60, 60, 2, &[16]),
    range(82, 82, 2, &[16]),
    range(353, 353, 3, &[16]),
    range(356, 356, 3, &[16]),
    // Troy
    range(9792, 9792, 4, &[16]),
    // Dankort
    range(5019, 5019, 4, &[16]),
    // Elo
    range(504_175, 504_175, 6, &[16]),
    range(506_699, 506_778, 6, &[16]),
    range(509_000, 509_999, 6, &[16]),
    range(627_780, 627_780, 6, &[16]),
    range(636_297, 636_297, 6, &[16]),
    range(636_368, 636_368, 6, &[16]),
    // Verve
    range(506_099, 506_198, 6, &[16, 18, 19]),
    range(507_865, 507_964, 6, &[16, 18, 19]),
    // Napas
    range(9704, 9704, 4, &[16, 19]),
    // UzCard
    range(8600, 8600, 4, &[16]),
    range(5614, 5614, 4, &[16]),
    // Humo
    range(9860, 9860, 4, &[16]),
    // Borica
    range(2205, 2205, 4, &[16]),
    // UkrCard
    range(604_001, 604_200, 6, SIXTEEN_TO_NINETEEN),
    // Hipercard
    range(384_100, 384_100, 6, &[16, 19]),
    range(606_282, 606_282, 6, &[16, 19]),
    // Bancontact
    range(6703, 6703, 4, SIXTEEN_TO_NINETEEN),
    // Meeza
    range(507_803, 507_811, 6, &[16]),
    // mada; what it shares with Visa, Mastercard, RuPay and Maestro is there already
    range(504_300, 504_300, 6, &[16]),
    range(506_968, 506_968, 6, &[16]),
    range(636_120, 636_120, 6, &[16]),
    range(968_201, 968_211, 6, &[16]),
    // ArCa
    range(9051, 9051, 4, &[16]),
    // Belkart
    range(9112, 9112, 4, &[16]),
];

/// By the first two digits, the lengths that cards beginning so may have, a bit each: what most numbers fail by.
const LENGTHS: [u32; 100] = {
    let mut table = [0; 100];
    let mut entry = 0;
    while entry < RANGES.len() * table.len() {
        let (range, pair) = (&RANGES[entry / table.len()], entry % table.len());
        if pair_of(range.from, range.prefix_digits) <= pair as u64
            && pair as u64 <= pair_of(range.to * 10 + 9, range.prefix_digits + 1)
        {
            let mut index = 0;
            while index < range.lengths.len() {
                table[pair] |= 1 << range.lengths[index];
                index += 1;
            }
        }
        entry += 1;
    }
    table
};

/// The first two of so many digits; a zero is added to one.
const fn pair_of(number: u64, digits: u32) -> u64 {
    number * 100 / 10_u64.pow(digits)
}

/// Tells whether a number is a card number: with a valid check digit, and of an issuer.
pub(super) fn is_card(number: DigitString) -> bool {
    number.has_check_digit() && is_issued(number)
}

/// Tells whether a number has the first digits and the length of some network's cards.
fn is_issued(number: DigitString) -> bool {
    let lengths = LENGTHS.get(usize::try_from(number.prefix(2)).unwrap_or_default());
    if lengths.is_none_or(|lengths| lengths & 1 << number.digits == 0) {
        return false;
    }
    RANGES.iter().any(|range| {
        range.lengths.contains(&number.digits)
            && (range.from..=range.to).contains(&number.prefix(range.prefix_digits))
    })
}
