-- What both engines say of an operation about whose user there is nothing special, and how long each took. `is_plain` is
-- false where either refuses or fails: then nothing is known, and the long way asks each on its own.
CREATE FUNCTION credit_judge_plain(granted credit_plan, INOUT limits bigint[], used bigint[], period_end timestamptz,
    pools bigint[], next_month timestamptz, legacy_is_asked boolean, asked bigint[],
    OUT is_plain boolean, OUT v2_reason text, OUT v2_us integer,
    OUT legacy_outcome text, OUT legacy_reason text, OUT legacy_us integer)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    begun timestamptz;
    halfway timestamptz;
    v2 record;
    legacy record;
BEGIN
    is_plain := false;
    IF cardinality(limits) < cardinality(granted.v2) THEN
        limits := credit_limits(limits, granted.name);
    END IF;
    begun := clock_timestamp();
    v2 := credit_judge_v2(NULL, granted.kinds, limits, used, period_end, '{}', asked);
    halfway := clock_timestamp();
    legacy := CASE WHEN legacy_is_asked
        THEN credit_judge_legacy(NULL, granted.kinds, granted.legacy, pools, next_month, '{}', asked)
        ELSE credit_unasked() END;
    legacy_us := CASE WHEN legacy_is_asked THEN extract(epoch FROM clock_timestamp() - halfway) * 1000000 ELSE 0 END;
    v2_us := extract(epoch FROM halfway - begun) * 1000000;
    v2_reason := v2.reason;
    legacy_outcome := legacy.outcome;
    legacy_reason := legacy.reason;
    is_plain := v2.outcome = 'allowed' AND coalesce(legacy.outcome, 'allowed') = 'allowed';
EXCEPTION WHEN OTHERS THEN
    is_plain := false; -- an engine that fails costs nobody anything
END $$
