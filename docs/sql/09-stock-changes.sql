-- How did stock change?
SELECT tenant, store, sku, unit, SUM(sold_millionths) AS sold, SUM(returned_millionths) AS returned,
  SUM(adjusted_millionths) AS adjusted, SUM(net_millionths) AS net
FROM stock_deltas GROUP BY tenant, store, sku, unit ORDER BY tenant, store, sku, unit;
