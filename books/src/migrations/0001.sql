-- Every amount is an integer of minor units (`_minor`) of the currency beside it; every quantity an integer of millionths
-- (`_millionths`), so that SUM() is exact. Times are UTC text, RFC 3339; `local_` columns are as the terminal wrote them.

-- What this data store is of.
CREATE TABLE data_store (
  name TEXT PRIMARY KEY NOT NULL, -- log_identity, namespace
  value TEXT NOT NULL
) STRICT;

-- How far each partition was read: committed with the rows that came of it.
CREATE TABLE positions (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  next_offset INTEGER NOT NULL, -- the next offset to read
  PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- What the log no longer had when it was to be read. A sum over such a span is too low.
CREATE TABLE holes (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  first_offset INTEGER NOT NULL,
  past_offset INTEGER NOT NULL, -- one past the last that is gone
  PRIMARY KEY (topic, partition, first_offset)
) STRICT, WITHOUT ROWID;

-- Records that are of a shape that this version does not read. They count nowhere here.
CREATE TABLE unreadable (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  record_offset INTEGER NOT NULL,
  cause TEXT NOT NULL,
  PRIMARY KEY (topic, partition, record_offset)
) STRICT, WITHOUT ROWID;

-- One row for every counted event: sales, returns and all other kinds, once.
CREATE TABLE transactions (
  transaction_id INTEGER PRIMARY KEY, -- partition * 2^44 + offset on pos.transactions.v1
  partition INTEGER NOT NULL,
  transaction_offset INTEGER NOT NULL, -- offset on pos.transactions.v1
  journal_offset INTEGER NOT NULL, -- offset on pos.events.v1, same partition
  tenant TEXT NOT NULL,
  store TEXT NOT NULL,
  terminal TEXT NOT NULL,
  epoch TEXT NOT NULL, -- of the ledger; empty where there is none
  sequence INTEGER, -- the terminal's number
  event_id TEXT NOT NULL,
  kind TEXT NOT NULL, -- as in docs/samples/README.md
  business_date TEXT NOT NULL,
  occurred_at TEXT NOT NULL, -- UTC
  local_date TEXT NOT NULL, -- date by the terminal's clock
  local_hour INTEGER NOT NULL, -- hour by the terminal's clock, 0 to 23
  received_at TEXT NOT NULL, -- when the gateway had it, UTC
  gateway TEXT NOT NULL, -- which gateway admitted it
  admission TEXT NOT NULL, -- live or flood
  verdict TEXT NOT NULL, -- first or released
  flags TEXT, -- what the gateway noticed, comma separated
  parked_offset INTEGER, -- journal offset of the parked event that this one mends
  transforms TEXT, -- what was applied to mend or map it
  content_hash TEXT,
  traceparent TEXT, -- W3C trace context, where the client sent one
  currency TEXT, -- ISO 4217
  operator TEXT, -- operator of the terminal
  channel TEXT,
  session TEXT, -- drawer session
  order_id TEXT, -- customer order, layaway or purchase order
  reason TEXT,
  fiscal_device TEXT,
  fiscal_counter INTEGER,
  reference_store TEXT,
  reference_terminal TEXT,
  reference_sequence INTEGER,
  reference_event_id TEXT,
  transfer_id TEXT,
  is_blind INTEGER NOT NULL, -- 1: a return without a receipt
  has_loyalty INTEGER NOT NULL, -- 1: the customer gave an account; which is not kept here
  sales_minor INTEGER NOT NULL, -- amounts of lines that sell, before discounts
  returns_minor INTEGER NOT NULL,
  discounts_minor INTEGER NOT NULL,
  taxes_minor INTEGER NOT NULL,
  liabilities_issued_minor INTEGER NOT NULL,
  liabilities_redeemed_minor INTEGER NOT NULL,
  pass_through_minor INTEGER NOT NULL,
  tips_minor INTEGER NOT NULL,
  rounding_minor INTEGER NOT NULL
) STRICT;
CREATE INDEX transactions_by_number ON transactions (tenant, store, terminal, sequence);
CREATE INDEX transactions_by_day ON transactions (tenant, store, business_date);
CREATE INDEX transactions_by_event_id ON transactions (event_id);
CREATE INDEX transactions_by_order ON transactions (order_id) WHERE order_id IS NOT NULL;

-- The lines of a transaction, as sent, with what each does to money and stock.
CREATE TABLE transaction_lines (
  transaction_id INTEGER NOT NULL REFERENCES transactions,
  line INTEGER NOT NULL,
  line_type TEXT NOT NULL,
  line_class TEXT NOT NULL,
  sku TEXT NOT NULL,
  quantity_millionths INTEGER NOT NULL,
  unit TEXT NOT NULL,
  amount_minor INTEGER, -- as sent, before discounts
  is_void INTEGER NOT NULL,
  disposition TEXT NOT NULL,
  reason TEXT,
  location TEXT,
  to_location TEXT,
  approver TEXT,
  sales_minor INTEGER NOT NULL, -- what the line adds to sales, signed
  returns_minor INTEGER NOT NULL,
  discounts_minor INTEGER NOT NULL,
  taxes_minor INTEGER NOT NULL,
  stock_millionths INTEGER NOT NULL, -- change of stock on hand
  sold_millionths INTEGER NOT NULL,
  returned_millionths INTEGER NOT NULL,
  adjusted_millionths INTEGER NOT NULL,
  moved_millionths INTEGER NOT NULL, -- taken from location and brought to to_location
  PRIMARY KEY (transaction_id, line)
) STRICT, WITHOUT ROWID;

-- Taxes of lines by code.
CREATE TABLE line_taxes (
  transaction_id INTEGER NOT NULL REFERENCES transactions,
  line INTEGER NOT NULL,
  number INTEGER NOT NULL, -- place among the line's taxes, from 1
  code TEXT NOT NULL,
  rate TEXT, -- percent, as sent
  is_inclusive INTEGER NOT NULL,
  taxes_minor INTEGER NOT NULL, -- as it counts: 0 on a void line, negative on a return
  PRIMARY KEY (transaction_id, line, number)
) STRICT, WITHOUT ROWID;

-- Discounts of lines by reason.
CREATE TABLE line_discounts (
  transaction_id INTEGER NOT NULL REFERENCES transactions,
  line INTEGER NOT NULL,
  number INTEGER NOT NULL,
  reason TEXT NOT NULL,
  discounts_minor INTEGER NOT NULL, -- as it counts
  PRIMARY KEY (transaction_id, line, number)
) STRICT, WITHOUT ROWID;

-- Tenders. Tokens, accounts and digits of cards are not kept here.
CREATE TABLE tenders (
  transaction_id INTEGER NOT NULL REFERENCES transactions,
  number INTEGER NOT NULL, -- place in the transaction, from 1
  tender TEXT NOT NULL, -- cash, card, change, ...
  amount_minor INTEGER NOT NULL, -- as sent
  counted_minor INTEGER NOT NULL, -- as it counts in the store-day: 0 for training, suspended, rounding
  foreign_currency TEXT,
  foreign_minor INTEGER,
  PRIMARY KEY (transaction_id, number)
) STRICT, WITHOUT ROWID;

-- Inventory deltas, as published: add them up.
CREATE TABLE stock_deltas (
  partition INTEGER NOT NULL,
  delta_offset INTEGER NOT NULL, -- offset on inventory.deltas.v1
  from_offset INTEGER NOT NULL, -- first journal offset of its flush
  to_offset INTEGER NOT NULL, -- one past the last
  tenant TEXT NOT NULL,
  store TEXT NOT NULL,
  sku TEXT NOT NULL,
  unit TEXT NOT NULL,
  reason TEXT NOT NULL, -- empty where there is none
  location TEXT NOT NULL, -- empty where there is none
  window_start TEXT NOT NULL,
  window_seconds INTEGER NOT NULL,
  business_date TEXT NOT NULL,
  net_millionths INTEGER NOT NULL,
  sold_millionths INTEGER NOT NULL,
  returned_millionths INTEGER NOT NULL,
  adjusted_millionths INTEGER NOT NULL,
  events INTEGER NOT NULL,
  PRIMARY KEY (partition, delta_offset)
) STRICT, WITHOUT ROWID;
CREATE INDEX stock_deltas_by_flush ON stock_deltas (partition, to_offset, tenant, store, sku);
CREATE INDEX stock_deltas_by_day ON stock_deltas (tenant, store, business_date, sku);

-- Absolute counts of stock, as published.
CREATE TABLE stock_counts (
  partition INTEGER NOT NULL,
  count_offset INTEGER NOT NULL,
  journal_offset INTEGER NOT NULL,
  line INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  store TEXT NOT NULL,
  sku TEXT NOT NULL,
  unit TEXT NOT NULL,
  location TEXT NOT NULL, -- empty: the whole store
  quantity_millionths INTEGER NOT NULL,
  counted_at TEXT NOT NULL, -- UTC
  business_date TEXT NOT NULL,
  PRIMARY KEY (partition, count_offset)
) STRICT, WITHOUT ROWID;
CREATE INDEX stock_counts_by_sku ON stock_counts (tenant, store, sku, unit, location, counted_at);
