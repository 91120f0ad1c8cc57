-- What sells? Net of returns and discounts.
SELECT tenant, sku, unit, currency, SUM(sold_millionths) AS sold_millionths, SUM(returned_millionths) AS returned_millionths,
  SUM(net_minor) AS net
FROM sales_lines GROUP BY tenant, sku, unit, currency ORDER BY net DESC, sku;
