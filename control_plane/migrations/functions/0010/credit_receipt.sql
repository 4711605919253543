CREATE FUNCTION credit_receipt(entry credit_journal, replayed boolean) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    v2 boolean := entry.served_engine = 'v2';
    limits bigint[] := CASE WHEN v2 THEN ARRAY[entry.v2_limit_analysis, entry.v2_limit_roast]
        ELSE ARRAY[entry.legacy_limit_analysis, entry.legacy_limit_roast] END;
    used bigint[] := CASE WHEN v2 THEN ARRAY[entry.v2_used_analysis, entry.v2_used_roast]
        ELSE ARRAY[entry.legacy_used_analysis, entry.legacy_used_roast] END;
    posted bigint[] := CASE WHEN v2 THEN ARRAY[entry.v2_posted_analysis, entry.v2_posted_roast]
        ELSE ARRAY[entry.legacy_posted_analysis, entry.legacy_posted_roast] END;
    bought bigint[] := ARRAY[coalesce((entry.context -> 'bought' ->> 0)::bigint, 0),
        coalesce((entry.context -> 'bought' ->> 1)::bigint, 0)];
BEGIN
    RETURN jsonb_build_object('operationId', entry.id, 'userId', entry.user_id, 'idempotencyKey', entry.operation_key,
        'outcome', entry.outcome, 'reason', entry.reason, 'replayed', replayed,
        'requested', jsonb_build_object('analysis', entry.requested_analysis, 'roast', entry.requested_roast),
        'charged', jsonb_build_object('analysis', entry.charged_analysis, 'roast', entry.charged_roast),
        'fromPacks', jsonb_build_object('analysis', entry.charged_analysis - posted[1],
            'roast', entry.charged_roast - posted[2]),
        'uncharged', coalesce((entry.context ->> 'uncharged')::boolean, false),
        'limit', jsonb_build_object('analysis', limits[1], 'roast', limits[2]),
        'remaining', jsonb_build_object(
            'analysis', limits[1] - least(used[1] + posted[1], limits[1]) + bought[1],
            'roast', limits[2] - least(used[2] + posted[2], limits[2]) + bought[2]),
        'periodStart', credit_written(CASE WHEN v2 THEN entry.v2_period_start ELSE entry.legacy_period_start END),
        'periodEnd', credit_written(CASE WHEN v2 THEN entry.v2_period_end ELSE entry.legacy_period_end END),
        'occurredAt', credit_written(entry.occurred_at),
        'engine', entry.served_engine, 'creditsV2Enabled', v2, 'fallback', NOT v2);
END $$
