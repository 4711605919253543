CREATE FUNCTION credit_written(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT replace(to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '.000000', '') || 'Z'
$$
