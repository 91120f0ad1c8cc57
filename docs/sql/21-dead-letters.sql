-- What could not be delivered, and why?
SELECT sink, reason, code, COUNT(*) AS letters, MAX(died_at) AS latest
FROM dead_letters GROUP BY sink, reason, code ORDER BY letters DESC;
