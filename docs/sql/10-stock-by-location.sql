-- How did stock change at each location, and why?
SELECT tenant, store, sku, location, reason, SUM(sold_millionths) AS sold, SUM(returned_millionths) AS returned,
  SUM(adjusted_millionths) AS adjusted, SUM(net_millionths) AS net
FROM stock_deltas GROUP BY tenant, store, sku, location, reason ORDER BY tenant, store, sku, location, reason;
