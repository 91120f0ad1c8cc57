-- Which stores have not closed a day yet?
SELECT tenant, store, business_date, status, terminals - closed AS unclosed, missing, parked
FROM store_days WHERE status IN ('open', 'open_ended') ORDER BY business_date, tenant, store;
