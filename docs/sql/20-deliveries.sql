-- How did deliveries go, and how long does a call take?
SELECT sink, topic, outcome, SUM(past_offset - first_offset) AS records, MAX(elapsed_ms) AS slowest_ms, MAX(started_at) AS latest
FROM deliveries GROUP BY sink, topic, outcome ORDER BY sink, topic, outcome;
