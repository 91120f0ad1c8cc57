//! What a till of the full mix writes: sales with money that is no sale, orders and layaways, sessions and declarations.

use rand::RngExt as _;

use super::Fleet;
use super::basket::{Assortment, Bill, Disposition, Line, LineType, bill};
use super::country::Country;
use super::kind::Kind;
use super::line_class::LineClass;
use super::order::Order;
use super::payment::Payment;
use super::receipt::{self, Header};
use super::script::write_reference;
use super::terminal::Drawer;
use crate::json;
use crate::source::TerminalIndex;

/// Why customers bring goods back.
const RETURN_REASONS: [&str; 4] = ["unwanted", "defect", "wrong_size", ""];

/// One store in so many says where in it the goods were sold.
const NAMES_LOCATIONS_ONE_IN: u32 = 4;

/// Kinds of a till that its fiscal device records.
const RECORDED: [Kind; 6] = [
    Kind::Sale,
    Kind::Return,
    Kind::Exchange,
    Kind::PostVoid,
    Kind::OrderHandedOver,
    Kind::LayawayHandedOver,
];

impl Fleet {
    /// Writes what tills of the full mix say of every event: the drawer's session, the fiscal device, who approved.
    pub(super) fn write_context(
        &mut self,
        terminal: TerminalIndex,
        header: &Header<'_>,
        text: &mut Vec<u8>,
    ) {
        let state = &mut self.states[terminal as usize];
        if !state.declares() {
            return;
        }
        json::member(text, "session");
        text.extend_from_slice(b"{\"id\":\"s-");
        text.extend_from_slice(header.terminal.as_bytes());
        text.push(b'-');
        state.day.unwrap_or(header.business_date).write(text);
        text.extend_from_slice(b"\",\"drawer\":\"1\"}");
        if matches!(header.kind, Kind::Return | Kind::PostVoid) {
            json::member(text, "approvals");
            text.extend_from_slice(b"[{\"approver\":\"op-1\",\"method\":\"card\"}]");
        }
        let Some(scheme) = header.country.fiscal_scheme.filter(|_| RECORDED.contains(&header.kind))
        else {
            return;
        };
        state.fiscal_counter += 1;
        json::member(text, "fiscal");
        text.push(b'{');
        json::text_member(text, "scheme", scheme);
        json::member(text, "device");
        text.extend_from_slice(b"\"");
        // A fleet that begins a new epoch has new devices.
        text.extend_from_slice(header.epoch.unwrap_or("tse").as_bytes());
        text.push(b'.');
        text.extend_from_slice(header.terminal.as_bytes());
        text.push(b'"');
        json::member(text, "counter");
        json::unsigned(text, state.fiscal_counter);
        text.push(b'}');
    }

    /// Adds to a basket what is no goods: deposits and empties, levies, gift cards, donations, tips, payments on account.
    pub(super) fn add_classes(&mut self, country: &'static Country) {
        let assortment = Assortment { catalogue: &self.catalogue, country };
        let rng = &mut self.rng;
        for (class, likely, cents) in [
            (LineClass::Deposit, 0.08, 25),
            (LineClass::Fee, 0.04, 20),
            (LineClass::GiftCard, 0.012, 2_500),
            (LineClass::Donation, 0.01, 100),
            (LineClass::Tip, 0.005, 150),
            (LineClass::PaymentOnAccount, 0.003, 5_000),
        ] {
            if rng.random_bool(likely) {
                let pieces = if class == LineClass::Deposit { rng.random_range(1..=12) } else { 1 };
                self.lines.push(assortment.class_line(class, pieces, cents));
            }
        }
        if rng.random_bool(0.03) {
            let empties = assortment.class_line(LineClass::Deposit, rng.random_range(1..=20), 25);
            self.lines.push(Line { what: LineType::Return(Disposition::None), ..empties });
        }
    }

    /// Says where goods were sold from, and why they come back.
    pub(super) fn name_places(&mut self, store: u32) {
        let location = if store.is_multiple_of(NAMES_LOCATIONS_ONE_IN) { "floor" } else { "" };
        for line in self.lines.iter_mut().filter(|line| line.class.is_none()) {
            line.location = location;
            if matches!(line.what, LineType::Return(_)) {
                line.reason = RETURN_REASONS[self.rng.random_range(0..RETURN_REASONS.len())];
            }
        }
    }

    /// Writes tenders and totals of the event's lines, of which `prepaid` was paid before, and fills the drawer.
    pub(super) fn write_payment(
        &mut self,
        terminal: TerminalIndex,
        header: &Header<'_>,
        prepaid: i64,
        text: &mut Vec<u8>,
    ) {
        let bill = bill(&self.lines, header.country, header.kind == Kind::PostVoid);
        let takes_notes = self.takes_notes(terminal);
        let payment =
            Payment::draw(bill.total, prepaid, takes_notes, header.country, &mut self.rng);
        self.write_paid(terminal, header, &bill, &payment, text);
    }

    fn write_paid(
        &mut self,
        terminal: TerminalIndex,
        header: &Header<'_>,
        bill: &Bill,
        payment: &Payment,
        text: &mut Vec<u8>,
    ) {
        payment.write(text, header.country, &mut self.rng);
        let beside = [("tip", payment.tip), ("rounding", payment.rounding)];
        receipt::write_totals(text, bill, self.lines.len(), &beside, header.country);
        self.fill_drawer(terminal, payment.drawer());
    }

    fn fill_drawer(&mut self, terminal: TerminalIndex, paid: Drawer) {
        let drawer = &mut self.states[terminal as usize].drawer;
        drawer.cash += paid.cash;
        drawer.card += paid.card;
        drawer.notes += paid.notes;
    }

    /// Tells whether the event that is being written may put foreign notes into a drawer, which owes a declaration of them then:
    /// of the events that were asked for enough must be left.
    fn takes_notes(&self, terminal: TerminalIndex) -> bool {
        let state = &self.states[terminal as usize];
        let left = self.settings.events.map(|events| events.saturating_sub(self.made));
        state.drawer.notes > 0 || left.is_none_or(|left| left > self.owed + state.owed() + 1)
    }

    /// Writes a movement of cash: the float, more change, notes to the safe, what is put in or taken out.
    pub(super) fn write_cash(
        &mut self,
        terminal: TerminalIndex,
        header: &Header<'_>,
        text: &mut Vec<u8>,
    ) {
        let state = &mut self.states[terminal as usize];
        let country = header.country;
        let drawn = country.price(self.rng.random_range(500..5_000));
        let (amount, sign) = match header.kind {
            Kind::Loan => (country.price(20_000), 1),
            Kind::PaidIn => (drawn, 1),
            Kind::Pickup => ((state.drawer.cash / 2).max(1), -1),
            _ => (drawn, -1),
        };
        state.is_float_due = false;
        state.drawer.cash += sign * amount;
        receipt::write_money(text, "amount", amount, country);
    }

    /// Declares the drawer, or the foreign notes in it once it is declared: one count in five is a little over or short.
    pub(super) fn write_declaration(
        &mut self,
        terminal: TerminalIndex,
        country: &Country,
        text: &mut Vec<u8>,
    ) {
        let state = &mut self.states[terminal as usize];
        let is_off = self.rng.random_bool(0.2);
        json::member(text, "declarations");
        text.push(b'[');
        if state.declares_notes() {
            let off = if is_off { self.rng.random_range(-2..=2) } else { 0 };
            let counted = (std::mem::take(&mut state.drawer.notes) + off).max(0);
            receipt::open_element(text);
            json::text_member(text, "tender", "cash");
            json::member(text, "amount");
            json::fixed(text, counted, 0);
            text.extend_from_slice(b"}]");
            return;
        }
        let off = if is_off { self.rng.random_range(-500..=500) } else { 0 };
        let counted = [("cash", (state.drawer.cash + off).max(0)), ("card", state.drawer.card)];
        state.is_declared = true;
        state.drawer = Drawer { notes: state.drawer.notes, ..Drawer::default() };
        for (tender, amount) in counted {
            receipt::open_element(text);
            json::text_member(text, "tender", tender);
            receipt::write_money(text, "amount", amount, country);
            text.push(b'}');
        }
        text.push(b']');
    }

    /// Adjusts the tip of the last sale, which was paid by card.
    pub(super) fn write_tip_adjustment(
        &mut self,
        terminal: TerminalIndex,
        header: &Header<'_>,
        text: &mut Vec<u8>,
    ) {
        let state = &mut self.states[terminal as usize];
        if let Some(sale) = state.last_sale {
            write_reference(text, header, header.terminal, sale);
        }
        let amount = header.country.price(self.rng.random_range(50..500));
        receipt::write_money(text, "amount", amount, header.country);
        let payment = Payment::by_card(amount);
        payment.write(text, header.country, &mut self.rng);
        self.fill_drawer(terminal, payment.drawer());
    }

    /// Writes a step of an order or a layaway.
    pub(super) fn write_order(
        &mut self,
        terminal: TerminalIndex,
        header: &Header<'_>,
        text: &mut Vec<u8>,
    ) {
        let store = self.states[terminal as usize].store as usize;
        let country = header.country;
        let is_placed = matches!(header.kind, Kind::OrderPlaced | Kind::LayawayPlaced);
        let order =
            if is_placed { Some(self.place_order(header)) } else { self.orders[store].pop_front() };
        let Some(mut order) = order else { return };
        json::member(text, "order");
        text.push(b'{');
        json::text_member(text, "id", &order.id);
        text.push(b'}');
        let on_account = |minor| {
            let assortment = Assortment { catalogue: &self.catalogue, country };
            assortment.class_amount(LineClass::PaymentOnAccount, 1, minor)
        };
        match header.kind {
            Kind::OrderPlaced | Kind::LayawayPlaced => {
                self.lines.push(on_account(order.paid));
                self.write_advance(terminal, header, Some(&order), text);
            }
            Kind::OrderPaid | Kind::LayawayPaid => {
                let line = on_account(order.pay(&mut self.rng));
                self.lines.push(line);
                self.write_advance(terminal, header, None, text);
            }
            Kind::OrderCancelled | Kind::LayawayCancelled => {
                let back = LineType::Return(Disposition::None);
                self.lines.push(Line { what: back, ..on_account(order.paid) });
                self.write_advance(terminal, header, None, text);
                return;
            }
            Kind::OrderPicked => {
                order.is_picked = true;
                self.lines.clone_from(&order.lines);
                receipt::write_lines(text, &self.lines, &self.catalogue, country);
            }
            _ => {
                self.lines.clone_from(&order.lines);
                receipt::write_lines(text, &self.lines, &self.catalogue, country);
                self.write_payment(terminal, header, order.paid, text);
                return;
            }
        }
        self.orders[store].push_back(order);
    }

    fn place_order(&mut self, header: &Header<'_>) -> Order {
        self.orders_placed += 1;
        let is_layaway = header.kind == Kind::LayawayPlaced;
        let epoch = header.epoch.unwrap_or("order");
        let id = format!("{epoch}.{}{}", if is_layaway { 'l' } else { 'o' }, self.orders_placed);
        let assortment = Assortment { catalogue: &self.catalogue, country: header.country };
        let mut lines = Vec::new();
        assortment.draw_goods_lines(self.rng.random_range(1..=3), &mut lines, &mut self.rng);
        for line in &mut lines {
            line.location = "back";
        }
        Order::place(id, is_layaway, lines, header.country, &mut self.rng)
    }

    /// Writes a payment before anything is handed over; goods that are ordered stand before it and cost nothing yet.
    fn write_advance(
        &mut self,
        terminal: TerminalIndex,
        header: &Header<'_>,
        placed: Option<&Order>,
        text: &mut Vec<u8>,
    ) {
        let bill = bill(&self.lines, header.country, false);
        if let Some(order) = placed {
            const CHANNELS: [&str; 3] = ["store", "web", "phone"];
            json::text_member(text, "channel", CHANNELS[self.rng.random_range(0..CHANNELS.len())]);
            self.lines.splice(0..0, order.lines.iter().copied());
        }
        receipt::write_lines(text, &self.lines, &self.catalogue, header.country);
        let takes_notes = self.takes_notes(terminal);
        let payment = Payment::draw(bill.total, 0, takes_notes, header.country, &mut self.rng);
        self.write_paid(terminal, header, &bill, &payment, text);
    }
}
