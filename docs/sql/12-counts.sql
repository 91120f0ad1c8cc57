-- What was counted?
SELECT tenant, store, business_date, sku, unit, location, quantity_millionths AS quantity, counted_at
FROM stock_counts ORDER BY tenant, store, business_date, sku, location;
