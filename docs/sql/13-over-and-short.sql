-- Who was over or short?
SELECT tenant, store, business_date, terminal, session, operator, currency, tender, expected_minor AS expected,
  declared_minor AS declared, over_short_minor AS over_short
FROM drawers ORDER BY tenant, store, business_date, terminal, session, currency, tender;
