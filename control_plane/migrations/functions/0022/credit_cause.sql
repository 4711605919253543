-- Which declared differences, neutralised in the shadow's book, turn its verdict into the served one.
CREATE FUNCTION credit_cause(expected boolean, v2_serves boolean, v2_limits bigint[], legacy_limits bigint[],
    v2_used bigint[], legacy_used bigint[], bought bigint[], same_period boolean, asked bigint[])
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    served_limits bigint[] := CASE WHEN v2_serves THEN v2_limits ELSE legacy_limits END;
    shadow_limits bigint[] := CASE WHEN v2_serves THEN legacy_limits ELSE v2_limits END;
    served_used bigint[] := CASE WHEN v2_serves THEN v2_used ELSE legacy_used END;
    shadow_used bigint[] := CASE WHEN v2_serves THEN legacy_used ELSE v2_used END;
    sufficient text := concat_ws('|',
        CASE WHEN served_limits IS DISTINCT FROM shadow_limits
            AND credit_fits(served_limits, shadow_used, bought, asked) = expected THEN 'limit_table' END,
        CASE WHEN (NOT same_period OR 0 <> ANY (credit_sum(served_used, credit_negative(shadow_used))))
            AND credit_fits(shadow_limits, served_used, bought, asked) = expected THEN 'window' END);
BEGIN
    RETURN 'policy:' || CASE sufficient WHEN '' THEN 'limit_table+window' ELSE sufficient END;
END $$
