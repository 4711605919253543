-- v2: both kinds are looked at, and what is missing is said of each.
CREATE FUNCTION credit_judge_v2(blocked text, counter usage_counters, bought_analysis bigint, bought_roast bigint,
    analysis bigint, roast bigint, OUT outcome text, OUT reason text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    analysis_left bigint := counter.analysis_limit - least(counter.analysis_used, counter.analysis_limit)
        + bought_analysis;
    roast_left bigint := counter.roast_limit - least(counter.roast_used, counter.roast_limit) + bought_roast;
BEGIN
    IF blocked IS NOT NULL THEN
        outcome := 'denied_state'; reason := left(blocked, 300);
    ELSIF analysis > analysis_left OR roast > roast_left THEN
        outcome := 'denied_limit';
        reason := concat_ws('; ',
            CASE WHEN analysis > analysis_left
                THEN format('%s analysis asked for, %s left', analysis, analysis_left) END,
            CASE WHEN roast > roast_left THEN format('%s roast asked for, %s left', roast, roast_left) END)
            || format(' until the billing period ends at %s.', credit_instant(counter.period_end));
    ELSE
        outcome := 'allowed'; reason := format('The billing period grants %s.', credit_amounts(analysis, roast));
    END IF;
END $$
