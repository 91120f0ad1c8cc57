-- Which numbers are missing, at which terminal?
SELECT l.tenant, l.store, l.terminal, l.epoch, l.device, g.first_number, g.last_number, g.reason
FROM gaps g JOIN ledgers l ON l.record_key = g.record_key ORDER BY l.tenant, l.store, l.terminal, g.first_number;
