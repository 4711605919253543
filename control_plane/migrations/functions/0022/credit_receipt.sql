CREATE FUNCTION credit_receipt(entry credit_journal, replayed boolean) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    v2 boolean := entry.served_engine = 'v2';
    limits bigint[] := CASE WHEN v2 THEN entry.v2_limit ELSE entry.legacy_limit END;
    used bigint[] := CASE WHEN v2 THEN entry.v2_used ELSE entry.legacy_used END;
    posted bigint[] := CASE WHEN v2 THEN entry.v2_posted ELSE entry.legacy_posted END;
    remaining bigint[] := '{}';
BEGIN
    FOR i IN 1..cardinality(limits) LOOP
        remaining[i] := limits[i] - least(coalesce(used[i], 0) + coalesce(posted[i], 0), limits[i])
            + coalesce((entry.context -> 'bought' ->> (i - 1))::bigint, 0);
    END LOOP;
    RETURN jsonb_build_object('operationId', entry.id, 'userId', entry.user_id, 'idempotencyKey', entry.operation_key,
        'outcome', entry.outcome, 'reason', entry.reason, 'replayed', replayed,
        'requested', credit_by_kind(entry.requested), 'charged', credit_by_kind(entry.charged),
        'fromPacks', credit_by_kind(credit_sum(entry.charged, credit_negative(posted))),
        'uncharged', coalesce((entry.context ->> 'uncharged')::boolean, false),
        'limit', credit_by_kind(limits), 'remaining', credit_by_kind(remaining),
        'periodStart', credit_written(CASE WHEN v2 THEN entry.v2_period_start ELSE entry.legacy_period_start END),
        'periodEnd', credit_written(CASE WHEN v2 THEN entry.v2_period_end ELSE entry.legacy_period_end END),
        'occurredAt', credit_written(entry.occurred_at),
        'engine', entry.served_engine, 'creditsV2Enabled', v2, 'fallback', NOT v2);
END $$
