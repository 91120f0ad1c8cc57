//! What the back office of the full mix writes: goods that come, move and go, the bank, corrections of what tills rang up.

use rand::RngExt as _;

use super::Fleet;
use super::basket::{Assortment, Line, LineType, bill};
use super::kind::Kind;
use super::mix::Mix;
use super::payment::Payment;
use super::receipt::{self, Header};
use super::script::write_reference;
use crate::json;
use crate::source::{ONE, TerminalIndex};

/// Why stock is adjusted.
const ADJUSTMENT_REASONS: [&str; 3] = ["broken", "theft", "found"];

impl Fleet {
    /// Draws goods that are received, moved, sent back, counted or adjusted; the basic mix names no places and reasons.
    pub(super) fn draw_stock_lines(&mut self, header: &Header<'_>) {
        let line_type = match header.kind {
            Kind::InventoryAdjustment => LineType::Adjustment,
            Kind::InventoryCount => LineType::Count,
            _ => LineType::Transfer,
        };
        let assortment = Assortment { catalogue: &self.catalogue, country: header.country };
        assortment.draw_stock(line_type, &mut self.lines, &mut self.rng);
        if self.settings.mix == Mix::Basic {
            return;
        }
        for line in &mut self.lines {
            match header.kind {
                Kind::InventoryAdjustment => {
                    line.location = "floor";
                    line.reason =
                        ADJUSTMENT_REASONS[self.rng.random_range(0..ADJUSTMENT_REASONS.len())];
                }
                Kind::InventoryCount => line.location = "floor",
                Kind::StockMove => {
                    (line.location, line.to_location) = ("back", "floor");
                    line.reason = "replenish";
                }
                Kind::VendorReturn => (line.location, line.reason) = ("back", "damaged"),
                _ => line.location = "back",
            }
        }
    }

    /// Writes goods that move without being sold; those from and to a vendor name the purchase order.
    pub(super) fn write_office_stock(&mut self, header: &Header<'_>, text: &mut Vec<u8>) {
        if matches!(header.kind, Kind::GoodsReceipt | Kind::VendorReturn) {
            json::member(text, "order");
            text.extend_from_slice(b"{\"id\":\"po-");
            json::unsigned(text, self.rng.random_range(1_000..10_000));
            text.extend_from_slice(b"\"}");
        }
        self.draw_stock_lines(header);
        receipt::write_lines(text, &self.lines, &self.catalogue, header.country);
    }

    pub(super) fn write_bank_deposit(&mut self, header: &Header<'_>, text: &mut Vec<u8>) {
        let amount = header.country.price(self.rng.random_range(50_000..500_000));
        receipt::write_money(text, "amount", amount, header.country);
    }

    /// Finds a till of a store, and a line of its last sale, that the office can correct.
    pub(super) fn correctable(&self, terminal: TerminalIndex) -> Option<(TerminalIndex, Line)> {
        let terminals = self.settings.terminals.max(1);
        let first = terminal / terminals * terminals;
        (first..first + terminals).find_map(|till| {
            let state = &self.states[till as usize];
            let is_plain = |line: &&Line| line.sells_goods() && line.discount == 0;
            state.last_sale?;
            Some((till, *state.sale_lines.iter().find(is_plain)?))
        })
    }

    /// Corrects a line that was rung up and not sold: its quantity and amounts with the other sign; one in three corrects the
    /// stock record of the goods too.
    pub(super) fn write_correction(
        &mut self,
        terminal: TerminalIndex,
        header: &Header<'_>,
        text: &mut Vec<u8>,
    ) {
        let Some((till, line)) = self.correctable(terminal) else { return };
        let directory = std::sync::Arc::clone(&self.directory);
        if let Some(sale) = self.states[till as usize].last_sale {
            write_reference(text, header, &directory.terminals[till as usize].name, sale);
        }
        json::text_member(text, "reason", "rung_up_twice");
        let (quantity, amount, tax) = (-line.quantity, -line.amount, -line.tax);
        self.lines.push(Line { quantity, amount, tax, ..line });
        if self.rng.random_bool(0.3) {
            let found = LineType::Adjustment;
            let mut lines = Vec::new();
            let assortment = Assortment { catalogue: &self.catalogue, country: header.country };
            assortment.draw_stock(found, &mut lines, &mut self.rng);
            self.lines.extend(lines.first().map(|line| Line {
                quantity: ONE,
                reason: "found",
                location: "floor",
                ..*line
            }));
        }
        receipt::write_lines(text, &self.lines, &self.catalogue, header.country);
        let bill = bill(&self.lines, header.country, false);
        Payment::by_card(bill.total).write(text, header.country, &mut self.rng);
        receipt::write_totals(text, &bill, self.lines.len(), &[], header.country);
    }

    pub(super) fn write_parking_ticket(&mut self, text: &mut Vec<u8>) {
        json::member(text, "ticket");
        text.extend_from_slice(b"{\"id\":\"P-");
        json::unsigned(text, self.rng.random_range(1..10_000));
        text.extend_from_slice(b"\",\"minutes\":90}");
    }
}
