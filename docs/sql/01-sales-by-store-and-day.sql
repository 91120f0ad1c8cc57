-- What did each store take and give back on each business date?
SELECT tenant, store, business_date, currency, SUM(sales_minor) AS sales, SUM(returns_minor) AS returns,
  SUM(discounts_minor) AS discounts, SUM(taxes_minor) AS taxes, SUM(liabilities_issued_minor) AS liabilities_issued,
  SUM(liabilities_redeemed_minor) AS liabilities_redeemed, SUM(pass_through_minor) AS pass_through, SUM(tips_minor) AS tips,
  SUM(rounding_minor) AS rounding
FROM transactions
WHERE sales_minor <> 0 OR returns_minor <> 0 OR discounts_minor <> 0 OR taxes_minor <> 0 OR liabilities_issued_minor <> 0
  OR liabilities_redeemed_minor <> 0 OR pass_through_minor <> 0 OR tips_minor <> 0 OR rounding_minor <> 0
GROUP BY tenant, store, business_date, currency ORDER BY tenant, store, business_date, currency;
