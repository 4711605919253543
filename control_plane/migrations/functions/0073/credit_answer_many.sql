-- Operations that waited at the same moment, answered by one transaction: an array of `credit_answer`'s short answers, each
-- behind the place of its question. Whatever `credit_answer` leaves to the long way is left out, with nothing written of it,
-- and is to be asked alone. `turns` counts the operations of one account, which see each other's.
CREATE FUNCTION credit_answer_many(users text[], keys text[], amounts text[], actors text[], moments timestamptz[],
    buckets integer[], turns integer[], in_environment text, override boolean) RETURNS json
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
    -- Planned while the tables were small, it would read them whole for good.
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    -- A key can be in use beside an account that nobody has locked, as at the turn of a month, and its insert waits: it may
    -- hold up its own operation alone.
    SET lock_timeout = '50ms' AS $$
DECLARE
    answers json[] := '{}';
    of_turn json[];
BEGIN
    -- One statement with many tables takes them in an order of its own. In this one nobody who takes them one after the
    -- other, as `credit_answer` and a migration do, can wait for it in a circle.
    LOCK TABLE usage_counters, legacy_book, operation_key, credit_journal IN ROW EXCLUSIVE MODE;
    FOR turn IN 1..(SELECT max(x) FROM unnest(turns) x) LOOP
        -- Nobody is waited for, so no two calls can wait for each other in a circle. v2's row is locked before legacy's.
        WITH question AS (
            SELECT q.*, q.amount::bigint[] AS asked, date_trunc('month', q.moment, 'UTC') AS this_month,
                (date_trunc('month', q.moment, 'UTC') AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
                    AS next_month
            FROM unnest(users, keys, amounts, actors, moments, buckets, turns) WITH ORDINALITY
                AS q(of_user, of_key, amount, by_actor, moment, bucket, turn_of, place)
            WHERE q.turn_of = turn
        ), seen AS MATERIALIZED (
            SELECT q.*, c.period_start, c.period_end, c.limits, c.used, b.used AS pools, p.granted,
                credit_routed(credit_state_in(r.state, r.latches_all, in_environment), l.expires_at, NULL, NULL,
                    in_environment = ANY (w.environments), in_environment = 'production' AND w.allowlist,
                    CASE in_environment WHEN 'production' THEN w.newcomers ELSE 0 END, w.newcomers_from,
                    CASE in_environment WHEN 'production' THEN w.everyone ELSE 0 END,
                    q.of_user, u.signed_up_at, u.beta, q.moment, in_environment, override, q.bucket) AS why,
                CASE WHEN r.flag IS NULL THEN 0 ELSE coalesce((SELECT max(x.id) FROM change x), 0) END AS revision,
                EXISTS (SELECT FROM credit_retirement) AS legacy_retired
            FROM question q
            JOIN directory_user u ON u.user_id = q.of_user
            JOIN usage_counters c ON c.user_id = q.of_user AND c.period_start <= q.moment AND c.period_end > q.moment
            CROSS JOIN LATERAL (
                SELECT x AS granted FROM credit_plan x WHERE x.called = u.plan AND x.name = c.plan OFFSET 0) p
            JOIN legacy_book b ON b.user_id = q.of_user AND b.month_start = q.this_month
            LEFT JOIN rollout r ON r.flag = 'ENABLE_CREDITS_V2'
            LEFT JOIN credit_route w ON w.flag = 'ENABLE_CREDITS_V2' AND w.version = r.version
            LEFT JOIN lease l ON l.name = 'guard'
            WHERE (r.flag IS NULL OR w.flag IS NOT NULL)
                AND NOT EXISTS (SELECT FROM rollout o WHERE o.flag = 'ENABLE_CREDITS_V2@' || in_environment)
                AND NOT EXISTS (SELECT FROM credit_freeze f WHERE f.user_id IN (q.of_user, '*'))
                AND NOT EXISTS (SELECT FROM billing_account a
                    WHERE a.user_id = q.of_user AND (a.blocked IS NOT NULL OR a.due_at <= q.moment))
                AND NOT EXISTS (SELECT FROM credit_pack g
                    WHERE g.user_id = q.of_user AND g.remaining > 0 AND g.expires_at > q.moment)
                AND NOT EXISTS (SELECT FROM flag_override o
                    WHERE o.flag = 'ENABLE_CREDITS_V2' AND o.user_id = q.of_user)
            FOR UPDATE OF c, b SKIP LOCKED
        ), judged AS MATERIALIZED (
            SELECT s.*, credit_enables(s.why) AS by_v2, j.limits AS in_force, j.v2_reason, j.v2_us,
                j.legacy_outcome, j.legacy_reason, j.legacy_us
            FROM seen s CROSS JOIN LATERAL credit_judge_plain(s.granted, s.limits, s.used, s.period_end, s.pools,
                s.next_month, NOT (s.legacy_retired AND credit_enables(s.why)), s.asked) j
            WHERE j.is_plain
        ), taken AS (
            -- Whose key was used is answered what was answered then, by the long way.
            INSERT INTO operation_key (user_id, key, fingerprint, journal_id, created_at)
                SELECT of_user, of_key, 'consume ' || array_to_string(asked, ' '), nextval('credit_journal_id_seq'),
                    moment FROM judged
                ON CONFLICT DO NOTHING RETURNING user_id, key, journal_id
        ), plain AS MATERIALIZED (
            SELECT j.*, t.journal_id AS number FROM judged j JOIN taken t ON t.user_id = j.of_user AND t.key = j.of_key
        ), v2 AS (
            UPDATE usage_counters c SET used = credit_sum(c.used, p.asked) FROM plain p
                WHERE c.user_id = p.of_user AND c.period_start = p.period_start
        ), legacy AS (
            UPDATE legacy_book b SET used = credit_sum(b.used, p.asked) FROM plain p
                WHERE b.user_id = p.of_user AND b.month_start = p.this_month
        ), journalled AS (
            INSERT INTO credit_journal (id, occurred_at, user_id, type, operation_key, requested, charged, served_engine,
                    outcome, reason, shadow_reason, flag_revision, evaluation_reason, variance, cause, actor,
                    v2_period_start, v2_period_end, v2_posted, v2_outcome, v2_charged, v2_used, v2_limit, v2_us,
                    legacy_period_start, legacy_period_end, legacy_posted, legacy_outcome, legacy_charged, legacy_used,
                    legacy_limit, legacy_us)
                SELECT number, moment, of_user, 'consume', of_key, asked, asked,
                    CASE WHEN by_v2 THEN 'v2' ELSE 'legacy' END, 'allowed',
                    CASE WHEN by_v2 THEN v2_reason ELSE legacy_reason END,
                    CASE WHEN by_v2 THEN legacy_reason ELSE v2_reason END,
                    revision, why, CASE WHEN legacy_outcome IS NOT NULL THEN 'match' END, '', by_actor,
                    period_start, period_end, asked, 'allowed', asked, used, in_force, v2_us,
                    this_month, next_month, asked, legacy_outcome,
                    CASE WHEN legacy_outcome IS NULL THEN '{0,0}' ELSE asked END, pools, (granted).legacy, legacy_us
                FROM plain
        )
        SELECT array_agg(json_build_array(place - 1, number, by_v2, why, revision, period_start, period_end, v2_reason,
                used, in_force, v2_us, legacy_outcome, legacy_reason, pools, (granted).legacy, legacy_us))
            INTO of_turn FROM plain;
        answers := answers || of_turn;
    END LOOP;
    RETURN array_to_json(answers);
END $$
