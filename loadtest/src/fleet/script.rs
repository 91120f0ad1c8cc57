//! Writes the next event of a terminal: header, body, and the new state.

use rand::RngExt as _;

use super::bad::Fault;
use super::basket::{Assortment, Line, LineType, bring_back};
use super::country::Country;
use super::receipt::{self, Header, Kind};
use super::terminal::Sale;
use super::{Fleet, Transfer};
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
        let state = &self.states[terminal as usize];
        let country = Country::of_store(state.store);
        let today = Date::of(now_ms, country.offset_minutes - DAY_ENDS_AT_HOUR * 60);
        let kind = if self.closing {
            Kind::Close
        } else {
            let incoming = !self.transfers[state.store as usize].is_empty();
            state.next_kind(today, incoming, &mut self.rng)
        };
        let bad = kind == Kind::Sale && self.rng.random_bool(self.settings.bad.clamp(0.0, 1.0));
        let directory = std::sync::Arc::clone(&self.directory);
        let header = Header {
            store: &directory.stores[state.store as usize],
            terminal: &directory.terminals[terminal as usize].name,
            epoch: directory.epoch.as_deref(),
            sequence: state.sequence + 1,
            kind,
            occurred_ms: now_ms,
            business_date: if kind == Kind::Close { state.day.unwrap_or(today) } else { today },
            country,
            operator: terminal % 97 + 1,
        };
        if bad {
            let fault = Fault::draw(&mut self.rng);
            fault.write(&header, text);
            self.states[terminal as usize].sequence += u64::from(fault.uses_number);
            return (header.sequence, fault.expected());
        }
        self.states[terminal as usize].sequence = header.sequence;
        header.write(text);
        self.write_body(terminal, &header, text);
        text.push(b'}');
        receipt::effects(kind, &self.lines, &self.catalogue, effects);
        self.lines.clear();
        (header.sequence, ExpectedOutcome::Accepted)
    }

    /// Writes what follows the header; leaves the event's lines in `self.lines`.
    fn write_body(&mut self, terminal: TerminalIndex, header: &Header<'_>, text: &mut Vec<u8>) {
        let country = header.country;
        match header.kind {
            Kind::Sale => self.write_sale(terminal, header, text),
            Kind::Return => self.write_return(terminal, header, text),
            Kind::Exchange => self.write_exchange(country, text),
            Kind::PostVoid => self.write_post_void(terminal, header, text),
            Kind::Void | Kind::Training | Kind::Suspend => {
                self.write_uncounted(terminal, header, text);
            }
            Kind::Resume => {
                if let Some(suspended) = self.states[terminal as usize].suspended.take() {
                    write_reference(text, header, suspended, header.business_date);
                }
            }
            Kind::NoSale => {}
            Kind::Open => {
                self.states[terminal as usize].day = Some(header.business_date);
                self.open.insert(terminal);
                self.write_amount(country, text);
            }
            Kind::Close => {
                self.states[terminal as usize].day = None;
                self.open.remove(&terminal);
                self.write_amount(country, text);
            }
            Kind::PaidIn | Kind::PaidOut | Kind::Loan | Kind::Pickup => {
                self.write_amount(country, text);
            }
            Kind::InventoryAdjustment => self.write_stock(LineType::Adjustment, country, text),
            Kind::InventoryCount => self.write_stock(LineType::Count, country, text),
            Kind::TransferOut => self.write_transfer_out(country, text),
            Kind::TransferIn => self.write_transfer_in(terminal, country, text),
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
        self.write_lines_and_payment(header.country, false, text);
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
        let goods = |line: &&Line| line.what == LineType::Sale && !line.void;
        let sale = state.last_sale.filter(|_| !blind && state.sale_lines.iter().any(|l| goods(&l)));
        if let Some(sale) = sale {
            state.last_sale = None;
            self.lines.extend(state.sale_lines.iter().filter(goods).take(RETURNED_LINES).copied());
            bring_back(&mut self.lines, &mut self.rng);
            write_reference(text, header, sale.sequence, sale.business_date);
        } else {
            json::member(text, "blind");
            text.extend_from_slice(b"true");
            let assortment = Assortment { catalogue: &self.catalogue, country: header.country };
            assortment.draw_return(1, &mut self.lines, &mut self.rng);
        }
        self.write_lines_and_payment(header.country, false, text);
    }

    fn write_exchange(&mut self, country: &'static Country, text: &mut Vec<u8>) {
        let assortment = Assortment { catalogue: &self.catalogue, country };
        assortment.draw_return(1, &mut self.lines, &mut self.rng);
        assortment.draw_sale(2, &mut self.lines, &mut self.rng);
        self.write_lines_and_payment(country, false, text);
    }

    fn write_post_void(
        &mut self,
        terminal: TerminalIndex,
        header: &Header<'_>,
        text: &mut Vec<u8>,
    ) {
        let state = &mut self.states[terminal as usize];
        if let Some(sale) = state.last_sale.take() {
            write_reference(text, header, sale.sequence, sale.business_date);
        }
        self.lines.append(&mut state.sale_lines);
        self.write_lines_and_payment(header.country, true, text);
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
        country: &'static Country,
        reversed: bool,
        text: &mut Vec<u8>,
    ) {
        receipt::write_lines(text, &self.lines, &self.catalogue, country);
        receipt::write_payment(text, &self.lines, country, reversed, &mut self.rng);
    }

    fn write_amount(&mut self, country: &Country, text: &mut Vec<u8>) {
        let amount = country.price(self.rng.random_range(1_000..40_000));
        receipt::write_money(text, "amount", amount, country);
    }

    fn write_stock(&mut self, line_type: LineType, country: &'static Country, text: &mut Vec<u8>) {
        let assortment = Assortment { catalogue: &self.catalogue, country };
        assortment.draw_stock(line_type, &mut self.lines, &mut self.rng);
        receipt::write_lines(text, &self.lines, &self.catalogue, country);
    }

    fn write_transfer_out(&mut self, country: &'static Country, text: &mut Vec<u8>) {
        self.transfers_sent += 1;
        let epoch = self.directory.epoch.as_deref().unwrap_or("transfer");
        let id = format!("{epoch}.{}", self.transfers_sent);
        write_transfer_id(text, &id);
        self.write_stock(LineType::Transfer, country, text);
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

/// Appends a reference to an earlier transaction of the same terminal.
fn write_reference(text: &mut Vec<u8>, header: &Header<'_>, sequence: u64, business_date: Date) {
    json::member(text, "reference");
    text.push(b'{');
    json::text_member(text, "store", header.store);
    json::text_member(text, "terminal", header.terminal);
    if let Some(epoch) = header.epoch {
        json::text_member(text, "epoch", epoch);
    }
    json::member(text, "sequence");
    json::unsigned(text, sequence);
    json::member(text, "business_date");
    text.push(b'"');
    business_date.write(text);
    text.extend_from_slice(b"\"}");
}
