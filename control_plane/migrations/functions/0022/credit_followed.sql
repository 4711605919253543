-- An upgrade counts at once and keeps what was used; a downgrade waits for the next period.
CREATE FUNCTION credit_followed(counter usage_counters, granted credit_plan, moment timestamptz)
RETURNS usage_counters LANGUAGE plpgsql AS $$
DECLARE
    old_rank integer;
    old_plan text := counter.plan;
BEGIN
    SELECT p.rank INTO old_rank FROM credit_plan p WHERE p.called = counter.plan;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Plan ''%'' is not in the catalogue.', counter.plan USING ERRCODE = 'CRPLN';
    ELSIF granted.rank > old_rank THEN
        UPDATE usage_counters c
            SET plan = granted.name, limits = granted.v2
            WHERE c.user_id = counter.user_id AND c.period_start = counter.period_start
            RETURNING c.* INTO counter;
        INSERT INTO credit_journal (occurred_at, user_id, type, reason, actor, requested, charged, v2_posted, legacy_posted,
                v2_period_start, v2_period_end, v2_used, v2_limit)
            VALUES (moment, counter.user_id, 'limit_change',
                format('Upgraded from %s to %s: new limits at once, usage kept.', old_plan, granted.name),
                'credits', '{0,0}', '{0,0}', '{0,0}', '{0,0}', counter.period_start, counter.period_end, counter.used,
                granted.v2);
    END IF;
    RETURN counter;
END $$
