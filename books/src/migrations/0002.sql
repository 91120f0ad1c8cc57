-- Store-days with their completeness, as published.
CREATE TABLE store_days (
  record_key TEXT PRIMARY KEY NOT NULL,
  tenant TEXT NOT NULL,
  store TEXT NOT NULL,
  business_date TEXT NOT NULL,
  status TEXT NOT NULL, -- open, complete, open_ended, sealed
  terminals INTEGER NOT NULL,
  closed INTEGER NOT NULL, -- terminals that have closed
  missing INTEGER NOT NULL, -- numbers that nothing had
  refused INTEGER NOT NULL,
  parked INTEGER NOT NULL,
  completeness TEXT NOT NULL, -- JSON: who is silent, unclosed or unexpected by the register
  declared_drawers INTEGER NOT NULL,
  undeclared_drawers INTEGER NOT NULL,
  is_truncated INTEGER NOT NULL -- 1: further currencies or tenders were left out
) STRICT, WITHOUT ROWID;
CREATE INDEX store_days_by_date ON store_days (tenant, business_date, store);

-- Totals of store-days by currency; amendments of sealed days are rows of their own: add them up.
CREATE TABLE store_day_totals (
  record_key TEXT NOT NULL,
  tenant TEXT NOT NULL,
  store TEXT NOT NULL,
  business_date TEXT NOT NULL,
  is_amendment INTEGER NOT NULL,
  currency TEXT NOT NULL,
  sales_minor INTEGER NOT NULL,
  returns_minor INTEGER NOT NULL,
  discounts_minor INTEGER NOT NULL,
  taxes_minor INTEGER NOT NULL,
  liabilities_issued_minor INTEGER NOT NULL,
  liabilities_redeemed_minor INTEGER NOT NULL,
  pass_through_minor INTEGER NOT NULL,
  tips_minor INTEGER NOT NULL,
  rounding_minor INTEGER NOT NULL,
  PRIMARY KEY (record_key, currency)
) STRICT, WITHOUT ROWID;

-- Drawer, safe and bank sums of a store-day by currency.
CREATE TABLE till_balances (
  record_key TEXT NOT NULL,
  tenant TEXT NOT NULL,
  store TEXT NOT NULL,
  business_date TEXT NOT NULL,
  currency TEXT NOT NULL,
  expected_minor INTEGER NOT NULL,
  declared_minor INTEGER NOT NULL,
  over_minor INTEGER NOT NULL,
  short_minor INTEGER NOT NULL,
  undeclared_minor INTEGER NOT NULL,
  loans_minor INTEGER NOT NULL,
  pickups_minor INTEGER NOT NULL,
  bank_minor INTEGER NOT NULL,
  safe_minor INTEGER NOT NULL,
  PRIMARY KEY (record_key, currency)
) STRICT, WITHOUT ROWID;

-- Terminals of a store-day.
CREATE TABLE store_day_terminals (
  record_key TEXT NOT NULL,
  tenant TEXT NOT NULL,
  store TEXT NOT NULL,
  business_date TEXT NOT NULL,
  terminal TEXT NOT NULL,
  epoch TEXT NOT NULL,
  is_opened INTEGER NOT NULL,
  is_closed INTEGER NOT NULL,
  missing INTEGER NOT NULL,
  PRIMARY KEY (record_key, terminal, epoch)
) STRICT, WITHOUT ROWID;

-- Drawer sessions: what should lie in them, what was declared, over and short.
CREATE TABLE drawers (
  record_key TEXT NOT NULL,
  tenant TEXT NOT NULL,
  store TEXT NOT NULL,
  business_date TEXT NOT NULL,
  terminal TEXT NOT NULL,
  session TEXT NOT NULL, -- empty: the terminal's business date
  operator TEXT NOT NULL, -- who declared last; empty where nobody did
  currency TEXT NOT NULL,
  tender TEXT NOT NULL,
  expected_minor INTEGER NOT NULL,
  declared_minor INTEGER, -- null: not declared
  over_short_minor INTEGER, -- over positive, short negative
  PRIMARY KEY (record_key, currency, tender)
) STRICT, WITHOUT ROWID;

-- Ledgers of terminals and of fiscal devices: marks, and how many numbers are lacking.
CREATE TABLE ledgers (
  record_key TEXT PRIMARY KEY NOT NULL,
  tenant TEXT NOT NULL,
  store TEXT NOT NULL,
  terminal TEXT NOT NULL, -- empty for a fiscal device
  epoch TEXT NOT NULL,
  device TEXT NOT NULL, -- fiscal device; empty for a terminal
  lowest INTEGER,
  highest INTEGER,
  firsts INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  parked INTEGER NOT NULL,
  missing INTEGER NOT NULL,
  is_reset_suspected INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Numbers that are missing, as ranges; the ledger says how many there are if not all are listed.
CREATE TABLE gaps (
  record_key TEXT NOT NULL,
  first_number INTEGER NOT NULL,
  last_number INTEGER NOT NULL, -- included
  reason TEXT NOT NULL, -- missing, or jump
  PRIMARY KEY (record_key, reason, first_number)
) STRICT, WITHOUT ROWID;

-- Registers of stores, by the date from which they hold.
CREATE TABLE registers (
  record_key TEXT PRIMARY KEY NOT NULL,
  tenant TEXT NOT NULL,
  store TEXT NOT NULL,
  valid_from TEXT NOT NULL,
  revision TEXT NOT NULL,
  zone TEXT,
  currency TEXT,
  store_group TEXT
) STRICT, WITHOUT ROWID;

-- Terminals that a register names.
CREATE TABLE register_terminals (
  record_key TEXT NOT NULL,
  tenant TEXT NOT NULL,
  store TEXT NOT NULL,
  valid_from TEXT NOT NULL,
  terminal TEXT NOT NULL,
  terminal_kind TEXT NOT NULL,
  PRIMARY KEY (record_key, terminal)
) STRICT, WITHOUT ROWID;

-- Events kept aside: conflicts, quarantine, unverified duplicates, records that are no event. Their text is not kept here.
CREATE TABLE conflicts (
  partition INTEGER NOT NULL,
  conflict_offset INTEGER NOT NULL, -- names it for tillrace release
  journal_offset INTEGER NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL,
  tenant TEXT,
  store TEXT,
  terminal TEXT,
  sequence INTEGER,
  event_id TEXT,
  received_at TEXT,
  PRIMARY KEY (partition, conflict_offset)
) STRICT, WITHOUT ROWID;
CREATE INDEX conflicts_by_number ON conflicts (tenant, store, terminal, sequence);

-- Parked events: they broke a rule and count nowhere until they are settled.
CREATE TABLE parked (
  record_key TEXT PRIMARY KEY NOT NULL,
  partition INTEGER NOT NULL,
  journal_offset INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  store TEXT NOT NULL,
  terminal TEXT NOT NULL,
  sequence INTEGER,
  event_id TEXT,
  business_date TEXT,
  code TEXT NOT NULL, -- which rule it breaks
  pointer TEXT NOT NULL, -- where
  received_at TEXT NOT NULL,
  is_settled INTEGER NOT NULL -- 1: readmitted or dismissed. A rebuild no longer knows of these
) STRICT, WITHOUT ROWID;
CREATE INDEX parked_by_number ON parked (tenant, store, terminal, sequence);

-- Refused requests, without their text.
CREATE TABLE rejected (
  partition INTEGER NOT NULL,
  rejected_offset INTEGER NOT NULL,
  code TEXT NOT NULL,
  pointer TEXT NOT NULL,
  tenant TEXT NOT NULL,
  store TEXT,
  terminal TEXT,
  sequence INTEGER,
  event_id TEXT,
  received_at TEXT NOT NULL,
  PRIMARY KEY (partition, rejected_offset)
) STRICT, WITHOUT ROWID;
CREATE INDEX rejected_by_number ON rejected (tenant, store, terminal, sequence);

-- What became of each delivery call, by ranges of offsets. A range is cut where a span of 256 offsets ends, so that a record's
-- deliveries are found by its span.
CREATE TABLE deliveries (
  topic TEXT NOT NULL, -- topic that was delivered
  partition INTEGER NOT NULL,
  span INTEGER NOT NULL, -- first_offset / 256
  first_offset INTEGER NOT NULL,
  past_offset INTEGER NOT NULL, -- one past the last
  audit_partition INTEGER NOT NULL,
  audit_offset INTEGER NOT NULL,
  sink TEXT NOT NULL,
  outcome TEXT NOT NULL, -- delivered, dead, filtered, parked
  status INTEGER, -- of the protocol, where there was a call
  attempts INTEGER NOT NULL,
  started_at TEXT NOT NULL,
  elapsed_ms INTEGER NOT NULL,
  is_redriven INTEGER NOT NULL,
  PRIMARY KEY (topic, partition, span, first_offset, audit_partition, audit_offset)
) STRICT, WITHOUT ROWID;

-- What could not be delivered. The record itself and the words of the backend stay on the topic.
CREATE TABLE dead_letters (
  dead_topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  dead_offset INTEGER NOT NULL,
  sink TEXT NOT NULL,
  topic TEXT NOT NULL,
  source_offset INTEGER NOT NULL, -- same partition
  reason TEXT NOT NULL,
  code TEXT NOT NULL, -- of the error
  attempts INTEGER NOT NULL,
  died_at TEXT NOT NULL,
  PRIMARY KEY (dead_topic, partition, dead_offset)
) STRICT, WITHOUT ROWID;
CREATE INDEX dead_letters_by_record ON dead_letters (topic, partition, source_offset);

-- Movements of stock by location, one a line and location.
CREATE VIEW stock_movements AS
  SELECT t.tenant, t.store, t.business_date, t.occurred_at, t.transaction_id, t.kind, l.line, l.sku, l.unit,
    COALESCE(l.location, '') AS location, COALESCE(l.reason, '') AS reason,
    l.stock_millionths - l.moved_millionths AS net_millionths
  FROM transactions t JOIN transaction_lines l ON l.transaction_id = t.transaction_id
  WHERE l.stock_millionths <> 0 OR l.moved_millionths <> 0
  UNION ALL
  SELECT t.tenant, t.store, t.business_date, t.occurred_at, t.transaction_id, t.kind, l.line, l.sku, l.unit,
    COALESCE(l.to_location, ''), COALESCE(l.reason, ''), l.moved_millionths
  FROM transactions t JOIN transaction_lines l ON l.transaction_id = t.transaction_id
  WHERE l.moved_millionths <> 0;

-- The latest count of each SKU and location.
CREATE VIEW latest_counts AS
  SELECT c.* FROM stock_counts c WHERE NOT EXISTS (
    SELECT 1 FROM stock_counts n WHERE n.tenant = c.tenant AND n.store = c.store AND n.sku = c.sku AND n.unit = c.unit
      AND n.location = c.location AND (n.counted_at, n.count_offset) > (c.counted_at, c.count_offset));

-- Stock on hand where it was counted: the count, and the movements that occurred after it.
CREATE VIEW stock_on_hand AS
  SELECT c.tenant, c.store, c.sku, c.unit, c.location, c.counted_at AS anchor_at, c.quantity_millionths AS counted_millionths,
    c.quantity_millionths + COALESCE((SELECT SUM(m.net_millionths) FROM stock_movements m WHERE m.tenant = c.tenant
      AND m.store = c.store AND m.sku = c.sku AND m.unit = c.unit AND (c.location = '' OR m.location = c.location)
      AND m.occurred_at > c.counted_at), 0) AS on_hand_millionths
  FROM latest_counts c;

-- Net sales by line: what sells less what is returned, discounts taken off.
CREATE VIEW sales_lines AS
  SELECT t.tenant, t.store, t.terminal, t.business_date, t.local_date, t.local_hour, t.kind, t.channel, t.operator, t.currency,
    t.transaction_id, l.line, l.sku, l.unit, l.sold_millionths, l.returned_millionths,
    l.sales_minor, l.returns_minor, l.discounts_minor, l.taxes_minor,
    l.sales_minor - l.returns_minor - l.discounts_minor AS net_minor
  FROM transactions t JOIN transaction_lines l ON l.transaction_id = t.transaction_id
  WHERE l.sales_minor <> 0 OR l.returns_minor <> 0 OR l.discounts_minor <> 0 OR l.taxes_minor <> 0;
