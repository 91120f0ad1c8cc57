-- How large is a basket?
SELECT tenant, store, business_date, currency, COUNT(*) AS baskets, SUM(sales_minor) AS sales,
  SUM(sales_minor) / COUNT(*) AS average_minor_rounded_down
FROM transactions WHERE kind = 'sale' AND currency IS NOT NULL
GROUP BY tenant, store, business_date, currency ORDER BY tenant, store, business_date, currency;
