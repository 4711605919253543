CREATE FUNCTION credit_fits(limits bigint[], used bigint[], bought bigint[], asked bigint[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(asked[1] <= greatest(limits[1] - used[1], 0 * limits[1]) + bought[1], true)
        AND coalesce(asked[2] <= greatest(limits[2] - used[2], 0 * limits[2]) + bought[2], true)
$$
