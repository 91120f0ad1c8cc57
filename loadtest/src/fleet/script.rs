//! Writes the next event of a terminal: header, body, and the new state.
//!
//! What only the full mix has is in [`super::trade`] and [`super::office`].

use rand::RngExt as _;

use super::bad::Fault;
use super::basket::{Assortment, Line, bring_back};
use super::country::Country;
use super::kind::{self, Kind};
use super::mix::Mix;
use super::order::MOST_OPEN;
use super::parked::Novelty;
use super::receipt::{self, Header};
use super::terminal::{Sale, Waiting};
use super::{Fleet, Transfer};
use crate::acks::fingerprint;
use crate::calendar::Date;
use crate::json;
use crate::source::{ExpectedOutcome, StockEffect, TerminalIndex};

/// Hours after midnight that still belong to yesterday's trading day.
const DAY_ENDS_AT_HOUR: i32 = 4;

/// Lines of a sale that a customer brings back at most.
const RETURNED_LINES: usize = 3;

impl Fleet {
    /// Appends the next event of a terminal; returns its number and expected outcome.
    pub(super) fn compose(
        &mut self,
        terminal: TerminalIndex,
        text: &mut Vec<u8>,
        effects: &mut Vec<StockEffect>,
    ) -> (u64, ExpectedOutcome) {
        let now_ms = self.now_ms();
        let country = Country::of_store(self.states[terminal as usize].store);
        let today = Date::of(now_ms, country.offset_minutes - DAY_ENDS_AT_HOUR * 60);
        let kind = self.next_kind(terminal, today);
        let state = &self.states[terminal as usize];
        let bad = kind == Kind::Sale && self.rng.random_bool(self.settings.bad.clamp(0.0, 1.0));
        let directory = std::sync::Arc::clone(&self.directory);
        let header = Header {
            store: &directory.stores[state.store as usize],
            terminal: &directory.terminals[terminal as usize].name,
            epoch: directory.epoch.as_deref(),
            sequence: state.sequence + 1,
            kind,
            occurred_ms: now_ms,
            business_date: match kind {
                Kind::Close | Kind::TillDeclaration => state.day.unwrap_or(today),
                _ => today,
            },
            country,
            currency: match kind {
                Kind::TillDeclaration if state.declares_notes() => country.notes.currency,
                _ => country.currency,
            },
            operator: terminal % 97 + 1,
        };
        if bad {
            let fault = Fault::draw(&mut self.rng);
            fault.write(&header, text);
            self.states[terminal as usize].sequence += u64::from(fault.uses_number);
            return (header.sequence, fault.expected());
        }
        let start = text.len();
        let state = &mut self.states[terminal as usize];
        state.sequence = header.sequence;
        self.owed -= state.owed();
        header.write(text);
        if self.settings.mix == Mix::Full {
            self.write_context(terminal, &header, text);
        }
        self.write_body(terminal, &header, text);
        text.push(b'}');
        self.owed += self.states[terminal as usize].owed();
        kind::effects(kind, &self.lines, &self.catalogue, effects);
        self.lines.clear();
        (header.sequence, self.outcome(kind, text, start))
    }

    /// Draws whether a sale that was just written is one of those that the new release writes otherwise.
    fn outcome(&mut self, kind: Kind, text: &mut Vec<u8>, start: usize) -> ExpectedOutcome {
        let parked = self.settings.parked.clamp(0.0, 1.0);
        // Nothing is drawn where none is asked for, so that a fleet without parked events stays the same.
        if kind != Kind::Sale || parked == 0.0 || !self.rng.random_bool(parked) {
            return ExpectedOutcome::Accepted;
        }
        let Some(novelty) = Novelty::draw(&text[start..], &mut self.rng) else {
            return ExpectedOutcome::Accepted;
        };
        let mended = Some(fingerprint(&text[start..]));
        novelty.apply(text, start);
        ExpectedOutcome::Parked { code: novelty.code, mended }
    }

    /// Draws the kind of a terminal's next event.
    fn next_kind(&mut self, terminal: TerminalIndex, today: Date) -> Kind {
        let state = &self.states[terminal as usize];
        let store = state.store as usize;
        if self.closing {
            return state.ending_kind();
        }
        let transfer = !self.transfers[store].is_empty();
        if self.settings.mix == Mix::Basic {
            return state.next_kind(today, transfer, &mut self.rng);
        }
        let order_step = self.orders[store].front().map(|order| order.next_step(&mut self.rng));
        let waiting = Waiting { transfer, order_step, sale: self.correctable(terminal).is_some() };
        match self.states[terminal as usize].next_full_kind(today, waiting, &mut self.rng) {
            Kind::OrderPlaced | Kind::LayawayPlaced if self.orders[store].len() >= MOST_OPEN => {
                Kind::Sale
            }
            kind => kind,
        }
    }

    /// Writes what follows the header; leaves the event's lines in `self.lines`.
    fn write_body(&mut self, terminal: TerminalIndex, header: &Header<'_>, text: &mut Vec<u8>) {
        let country = header.country;
        match header.kind {
            Kind::Sale => self.write_sale(terminal, header, text),
            Kind::Return => self.write_return(terminal, header, text),
            Kind::Exchange => self.write_exchange(terminal, header, text),
            Kind::PostVoid => self.write_post_void(terminal, header, text),
            Kind::Void | Kind::Training | Kind::Suspend => {
                self.write_uncounted(terminal, header, text);
            }
            Kind::Resume => {
                if let Some(sequence) = self.states[terminal as usize].suspended.take() {
                    let basket = Sale { sequence, business_date: header.business_date };
                    write_reference(text, header, header.terminal, basket);
                }
            }
            Kind::NoSale => {}
            Kind::Open => {
                let state = &mut self.states[terminal as usize];
                state.day = Some(header.business_date);
                state.is_declared = false;
                state.is_float_due = state.declares();
                self.open.insert(terminal);
                self.write_basic_amount(country, text);
            }
            Kind::Close => {
                self.states[terminal as usize].day = None;
                self.open.remove(&terminal);
                self.write_basic_amount(country, text);
            }
            Kind::PaidIn | Kind::PaidOut | Kind::Loan | Kind::Pickup => match self.settings.mix {
                Mix::Basic => self.write_basic_amount(country, text),
                Mix::Full => self.write_cash(terminal, header, text),
            },
            Kind::InventoryAdjustment | Kind::InventoryCount => self.write_stock(header, text),
            Kind::TransferOut => self.write_transfer_out(header, text),
            Kind::TransferIn => self.write_transfer_in(terminal, country, text),
            Kind::TillDeclaration => self.write_declaration(terminal, country, text),
            Kind::TipAdjustment => self.write_tip_adjustment(terminal, header, text),
            Kind::GoodsReceipt | Kind::VendorReturn | Kind::StockMove => {
                self.write_office_stock(header, text);
            }
            Kind::BankDeposit => self.write_bank_deposit(header, text),
            Kind::Correction => self.write_correction(terminal, header, text),
            Kind::ParkingTicket => self.write_parking_ticket(text),
            Kind::OrderPlaced
            | Kind::OrderPaid
            | Kind::OrderPicked
            | Kind::OrderHandedOver
            | Kind::OrderCancelled
            | Kind::LayawayPlaced
            | Kind::LayawayPaid
            | Kind::LayawayHandedOver
            | Kind::LayawayCancelled => self.write_order(terminal, header, text),
        }
    }

    fn write_sale(&mut self, terminal: TerminalIndex, header: &Header<'_>, text: &mut Vec<u8>) {
        self.draw_sale(header.country);
        if self.rng.random_bool(0.45) {
            json::member(text, "loyalty_id");
            text.extend_from_slice(b"\"928");
            json::padded(text, self.rng.random_range(0..10_000_000_000_000_000), 16);
            text.push(b'"');
        }
        if self.settings.mix == Mix::Full {
            self.add_classes(header.country);
        }
        self.write_lines_and_payment(terminal, header, text);
        let state = &mut self.states[terminal as usize];
        state.sale_lines.clone_from(&self.lines);
        state.last_sale =
            Some(Sale { sequence: header.sequence, business_date: header.business_date });
    }

    /// Brings back part of the last sale, or, one time in ten and where there is none, goods
    /// without a receipt.
    fn write_return(&mut self, terminal: TerminalIndex, header: &Header<'_>, text: &mut Vec<u8>) {
        let blind = self.rng.random_bool(0.1);
        let state = &mut self.states[terminal as usize];
        let goods = |line: &&Line| line.sells_goods();
        let sale = state.last_sale.filter(|_| !blind && state.sale_lines.iter().any(|l| goods(&l)));
        if let Some(sale) = sale {
            state.last_sale = None;
            self.lines.extend(state.sale_lines.iter().filter(goods).take(RETURNED_LINES).copied());
            bring_back(&mut self.lines, &mut self.rng);
            write_reference(text, header, header.terminal, sale);
        } else {
            json::member(text, "blind");
            text.extend_from_slice(b"true");
            let assortment = Assortment { catalogue: &self.catalogue, country: header.country };
            assortment.draw_return(1, &mut self.lines, &mut self.rng);
        }
        self.write_lines_and_payment(terminal, header, text);
    }

    fn write_exchange(&mut self, terminal: TerminalIndex, header: &Header<'_>, text: &mut Vec<u8>) {
        let assortment = Assortment { catalogue: &self.catalogue, country: header.country };
        assortment.draw_return(1, &mut self.lines, &mut self.rng);
        assortment.draw_sale(2, &mut self.lines, &mut self.rng);
        self.write_lines_and_payment(terminal, header, text);
    }

    fn write_post_void(
        &mut self,
        terminal: TerminalIndex,
        header: &Header<'_>,
        text: &mut Vec<u8>,
    ) {
        let state = &mut self.states[terminal as usize];
        if let Some(sale) = state.last_sale.take() {
            write_reference(text, header, header.terminal, sale);
        }
        self.lines.append(&mut state.sale_lines);
        self.write_lines_and_payment(terminal, header, text);
    }

    /// A transaction that counts nothing; a void's quantities may have either sign.
    fn write_uncounted(
        &mut self,
        terminal: TerminalIndex,
        header: &Header<'_>,
        text: &mut Vec<u8>,
    ) {
        self.draw_sale(header.country);
        if header.kind == Kind::Void && self.rng.random_bool(0.4) {
            for line in &mut self.lines {
                line.quantity = -line.quantity;
            }
        }
        if header.kind == Kind::Suspend {
            self.states[terminal as usize].suspended = Some(header.sequence);
        }
        receipt::write_lines(text, &self.lines, &self.catalogue, header.country);
    }

    fn draw_sale(&mut self, country: &'static Country) {
        let count = Assortment::line_count(&mut self.rng);
        let assortment = Assortment { catalogue: &self.catalogue, country };
        assortment.draw_sale(count, &mut self.lines, &mut self.rng);
    }

    fn write_lines_and_payment(
        &mut self,
        terminal: TerminalIndex,
        header: &Header<'_>,
        text: &mut Vec<u8>,
    ) {
        let (country, reversed) = (header.country, header.kind == Kind::PostVoid);
        if self.settings.mix == Mix::Full {
            if !reversed {
                self.name_places(self.states[terminal as usize].store);
            }
            receipt::write_lines(text, &self.lines, &self.catalogue, country);
            return self.write_payment(terminal, header, 0, text);
        }
        receipt::write_lines(text, &self.lines, &self.catalogue, country);
        receipt::write_basic_payment(text, &self.lines, country, reversed, &mut self.rng);
    }

    /// Writes an amount as tills of the basic mix do; those of the full mix open and close without one.
    fn write_basic_amount(&mut self, country: &Country, text: &mut Vec<u8>) {
        if self.settings.mix == Mix::Basic {
            let amount = country.price(self.rng.random_range(1_000..40_000));
            receipt::write_money(text, "amount", amount, country);
        }
    }

    fn write_stock(&mut self, header: &Header<'_>, text: &mut Vec<u8>) {
        self.draw_stock_lines(header);
        receipt::write_lines(text, &self.lines, &self.catalogue, header.country);
    }

    fn write_transfer_out(&mut self, header: &Header<'_>, text: &mut Vec<u8>) {
        self.transfers_sent += 1;
        let epoch = self.directory.epoch.as_deref().unwrap_or("transfer");
        let id = format!("{epoch}.{}", self.transfers_sent);
        write_transfer_id(text, &id);
        self.write_stock(header, text);
        let destination = self.rng.random_range(0..self.transfers.len());
        self.transfers[destination].push_back(Transfer { id, lines: self.lines.clone() });
    }

    fn write_transfer_in(
        &mut self,
        terminal: TerminalIndex,
        country: &'static Country,
        text: &mut Vec<u8>,
    ) {
        let store = self.states[terminal as usize].store as usize;
        if let Some(transfer) = self.transfers[store].pop_front() {
            write_transfer_id(text, &transfer.id);
            self.lines = transfer.lines;
            receipt::write_lines(text, &self.lines, &self.catalogue, country);
        }
    }
}

fn write_transfer_id(text: &mut Vec<u8>, id: &str) {
    json::member(text, "reference");
    text.push(b'{');
    json::text_member(text, "transfer_id", id);
    text.push(b'}');
}

/// Appends a reference to an earlier transaction of a terminal of the same store.
pub(super) fn write_reference(text: &mut Vec<u8>, header: &Header<'_>, terminal: &str, sale: Sale) {
    json::member(text, "reference");
    text.push(b'{');
    json::text_member(text, "store", header.store);
    json::text_member(text, "terminal", terminal);
    if let Some(epoch) = header.epoch {
        json::text_member(text, "epoch", epoch);
    }
    json::member(text, "sequence");
    json::unsigned(text, sale.sequence);
    json::member(text, "business_date");
    text.push(b'"');
    sale.business_date.write(text);
    text.extend_from_slice(b"\"}");
}
