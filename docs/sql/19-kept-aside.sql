-- What else counts nowhere, and why?
SELECT tenant, store, reason, detail, COUNT(*) AS events FROM conflicts GROUP BY tenant, store, reason, detail
UNION ALL
SELECT tenant, store, 'rejected', code, COUNT(*) FROM rejected GROUP BY tenant, store, code
ORDER BY events DESC;
