-- v2: every kind is looked at, and what is missing is said of each.
CREATE FUNCTION credit_judge_v2(blocked text, kinds text[], limits bigint[], used bigint[], ends timestamptz,
    bought bigint[], asked bigint[], OUT outcome text, OUT reason text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    available bigint;
BEGIN
    IF blocked IS NOT NULL THEN
        outcome := 'denied_state'; reason := left(blocked, 300);
        RETURN;
    ELSIF cardinality(asked) > cardinality(kinds) THEN
        -- A limit that is not there would be none: an error charges nobody and lets nobody through.
        RAISE EXCEPTION 'There are % kinds of credits; asked for are %.', cardinality(kinds), cardinality(asked);
    END IF;
    FOR i IN 1..cardinality(asked) LOOP
        available := limits[i] - least(coalesce(used[i], 0), limits[i]) + coalesce(bought[i], 0);
        IF asked[i] > available THEN
            reason := concat_ws('; ', reason, format('%s %s asked for, %s left', asked[i], kinds[i], available));
        END IF;
    END LOOP;
    IF reason IS NULL THEN
        outcome := 'allowed'; reason := format('The billing period grants %s.', credit_amounts(kinds, asked));
    ELSE
        outcome := 'denied_limit';
        reason := reason || format(' until the billing period ends at %s.', credit_instant(ends));
    END IF;
END $$
