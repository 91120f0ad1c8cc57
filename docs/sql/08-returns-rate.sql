-- How much of what was sold came back? In hundredths of a percent.
SELECT tenant, store, business_date, currency, SUM(sales_minor) AS sales, SUM(returns_minor) AS returns,
  SUM(returns_minor) * 10000 / NULLIF(SUM(sales_minor), 0) AS rate_basis_points
FROM transactions WHERE currency IS NOT NULL
GROUP BY tenant, store, business_date, currency ORDER BY tenant, store, business_date, currency;
