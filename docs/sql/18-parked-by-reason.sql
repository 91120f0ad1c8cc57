-- What is parked, by the rule that it breaks?
SELECT tenant, code, pointer, COUNT(*) AS events, MIN(received_at) AS oldest
FROM parked WHERE is_settled = 0 GROUP BY tenant, code, pointer ORDER BY events DESC, code;
