CREATE FUNCTION credit_pool_short(kind text, asked bigint, used bigint, granted bigint, bought bigint, ends timestamptz)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('%s %s asked for, %s of %s used this calendar month%s; the pool refills at %s.', asked, kind, used,
        granted, CASE WHEN bought > 0 THEN format(' and %s bought besides', bought) END, credit_instant(ends))
$$
