-- What is on hand, and which count is it reckoned from?
SELECT tenant, store, sku, unit, location, anchor_at, counted_millionths, on_hand_millionths
FROM stock_on_hand ORDER BY tenant, store, sku, location;
