-- Why was something taken off?
SELECT t.tenant, t.store, t.business_date, t.currency, d.reason, SUM(d.discounts_minor) AS discounts
FROM transactions t JOIN line_discounts d ON d.transaction_id = t.transaction_id
GROUP BY t.tenant, t.store, t.business_date, t.currency, d.reason ORDER BY t.tenant, t.store, t.business_date, d.reason;
