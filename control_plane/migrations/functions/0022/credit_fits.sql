CREATE FUNCTION credit_fits(limits bigint[], used bigint[], bought bigint[], asked bigint[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT bool_and(coalesce(a <= greatest(l - coalesce(u, 0), 0 * l) + coalesce(b, 0), true))
        FROM unnest(limits, used, bought, asked) AS f(l, u, b, a)
$$
