-- Legacy: one pool after the other; the first one that is short refuses.
CREATE FUNCTION credit_judge_legacy(blocked text, kinds text[], limits bigint[], used bigint[], ends timestamptz,
    bought bigint[], asked bigint[], OUT outcome text, OUT reason text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF blocked IS NOT NULL THEN
        outcome := 'denied_state'; reason := left(blocked, 300);
        RETURN;
    ELSIF cardinality(asked) > cardinality(kinds) THEN
        -- A limit that is not there would be none: an error charges nobody and lets nobody through.
        RAISE EXCEPTION 'There are % kinds of credits; asked for are %.', cardinality(kinds), cardinality(asked);
    END IF;
    FOR i IN 1..cardinality(asked) LOOP
        IF asked[i] > coalesce(bought[i], 0)
            AND coalesce(used[i], 0) + asked[i] > limits[i] + coalesce(bought[i], 0)
        THEN
            outcome := 'denied_limit';
            reason := credit_pool_short(kinds[i], asked[i], coalesce(used[i], 0), limits[i], coalesce(bought[i], 0),
                ends);
            RETURN;
        END IF;
    END LOOP;
    outcome := 'allowed'; reason := format('This month''s pools hold %s.', credit_amounts(kinds, asked));
END $$
