-- Legacy: one pool after the other; the first one that is short refuses.
CREATE FUNCTION credit_judge_legacy(blocked text, granted credit_plan, analysis_used bigint, roast_used bigint,
    ends timestamptz, bought_analysis bigint, bought_roast bigint, analysis bigint, roast bigint,
    OUT outcome text, OUT reason text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF blocked IS NOT NULL THEN
        outcome := 'denied_state'; reason := left(blocked, 300);
    ELSIF analysis > bought_analysis AND analysis_used + analysis > granted.legacy_analysis + bought_analysis THEN
        outcome := 'denied_limit';
        reason := credit_pool_short('analysis', analysis, analysis_used, granted.legacy_analysis, bought_analysis,
            ends);
    ELSIF roast > bought_roast AND roast_used + roast > granted.legacy_roast + bought_roast THEN
        outcome := 'denied_limit';
        reason := credit_pool_short('roast', roast, roast_used, granted.legacy_roast, bought_roast, ends);
    ELSE
        outcome := 'allowed'; reason := format('This month''s pools hold %s.', credit_amounts(analysis, roast));
    END IF;
END $$
