-- What should lie in drawers and safe, and what went to the bank?
SELECT tenant, store, business_date, currency, expected_minor AS expected, declared_minor AS declared, over_minor AS over_,
  short_minor AS short, undeclared_minor AS undeclared, loans_minor AS loans, pickups_minor AS pickups, bank_minor AS bank,
  safe_minor AS safe
FROM till_balances ORDER BY tenant, store, business_date, currency;
