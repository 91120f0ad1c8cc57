-- Which taxes were taken, by code and rate?
SELECT t.tenant, t.store, t.business_date, t.currency, x.code, x.rate, SUM(x.taxes_minor) AS taxes
FROM transactions t JOIN line_taxes x ON x.transaction_id = t.transaction_id
GROUP BY t.tenant, t.store, t.business_date, t.currency, x.code, x.rate ORDER BY t.tenant, t.store, t.business_date, x.code, x.rate;
