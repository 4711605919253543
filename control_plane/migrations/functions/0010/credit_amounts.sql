CREATE FUNCTION credit_amounts(analysis bigint, roast bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(
        nullif(concat_ws(' and ', nullif(analysis, 0) || ' analysis', nullif(roast, 0) || ' roast'), ''), '0')
$$
