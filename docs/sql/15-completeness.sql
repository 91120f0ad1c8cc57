-- Is a store-day complete, and what does it lack?
SELECT tenant, store, business_date, status, terminals, closed, missing, refused, parked, completeness
FROM store_days ORDER BY tenant, business_date, store;
