//! What kind of money a line is, where it is neither goods nor service.

/// Classes of money that is neither goods nor service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineClass {
    Deposit,
    Fee,
    Tip,
    Donation,
    GiftCard,
    PaymentOnAccount,
}

impl LineClass {
    pub(super) const ALL: [Self; 6] = [
        Self::Deposit,
        Self::Fee,
        Self::Tip,
        Self::Donation,
        Self::GiftCard,
        Self::PaymentOnAccount,
    ];

    /// Returns its name in an event.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Fee => "fee",
            Self::Tip => "tip",
            Self::Donation => "donation",
            Self::GiftCard => "gift_card",
            Self::PaymentOnAccount => "payment_on_account",
        }
    }

    /// Returns the SKU that tills ring it up with.
    pub(super) fn sku(self) -> &'static str {
        match self {
            Self::Deposit => "bottle-deposit",
            Self::Fee => "bag-levy",
            Self::Tip => "tip",
            Self::Donation => "donation",
            Self::GiftCard => "gift-card",
            Self::PaymentOnAccount => "on-account",
        }
    }
}
