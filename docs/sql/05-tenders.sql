-- What was paid with?
SELECT t.tenant, t.store, t.business_date, t.currency, p.tender, SUM(p.counted_minor) AS amount
FROM transactions t JOIN tenders p ON p.transaction_id = t.transaction_id
WHERE p.counted_minor <> 0
GROUP BY t.tenant, t.store, t.business_date, t.currency, p.tender ORDER BY t.tenant, t.store, t.business_date, t.currency, p.tender;
