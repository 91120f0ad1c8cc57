-- When does each store sell, by the clocks of its terminals?
SELECT tenant, store, local_date, local_hour, currency, SUM(sales_minor) AS sales, COUNT(*) AS transactions
FROM transactions WHERE sales_minor <> 0
GROUP BY tenant, store, local_date, local_hour, currency ORDER BY tenant, store, local_date, local_hour, currency;
