-- One operation, once, and its answer as JSON. Nearly every one is allowed by both engines, of a user about whom there is
-- nothing special: five statements, and an array of what the caller can't know (`ShortResult` in
-- credits_engine/store/stored_procedures.py). Anything else, and whoever meets somebody at the same books, is left to
-- `credit_operate` before anything is written: an object with the whole row.
-- PL/pgSQL prepares each statement and each expression anew in every transaction, so few are used, and a row of the
-- journal, whose columns cost as much as a statement, is written and not read.
CREATE FUNCTION credit_answer(of_user text, of_key text, asked bigint[], by_actor text,
    moment timestamptz, in_environment text, override boolean, bucket integer, allowed_on_error boolean) RETURNS json
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    this_month timestamptz := date_trunc('month', moment, 'UTC');
    next_month timestamptz := (this_month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    seen record;
    by_v2 boolean;
    is_plain boolean := false;
    v2 record;
    legacy record;
    begun timestamptz;
    halfway timestamptz;
    finished timestamptz;
    limits bigint[];
    v2_us integer;
    legacy_us integer;
    number bigint;
BEGIN
    -- v2's row is locked before legacy's, as everywhere. Nobody is waited for, so what was read beside them still holds.
    -- Column by column: a row as a whole has other columns on another database, where none was ever dropped.
    SELECT c.period_start, c.period_end, c.limits, c.used, p.*, b.used AS pools,
            credit_routed(credit_state_in(r.state, r.latches_all, in_environment), l.expires_at, NULL, NULL,
                in_environment = ANY (w.environments),
                in_environment = 'production' AND w.allowlist,
                CASE in_environment WHEN 'production' THEN w.newcomers ELSE 0 END, w.newcomers_from,
                CASE in_environment WHEN 'production' THEN w.everyone ELSE 0 END,
                of_user, u.signed_up_at, u.beta, moment, in_environment, override, bucket) AS why,
            CASE WHEN r.flag IS NULL THEN 0 ELSE coalesce((SELECT max(x.id) FROM change x), 0) END AS revision,
            EXISTS (SELECT FROM credit_retirement) AS legacy_retired
        INTO seen
        FROM directory_user u
        JOIN usage_counters c ON c.user_id = of_user AND c.period_start <= moment AND c.period_end > moment
        CROSS JOIN LATERAL (
            SELECT x.name AS plan, x.kinds, x.v2 AS v2_grants, x.legacy AS legacy_grants
                FROM credit_plan x WHERE x.called = u.plan AND x.name = c.plan OFFSET 0) p
        JOIN legacy_book b ON b.user_id = of_user AND b.month_start = this_month
        LEFT JOIN rollout r ON r.flag = 'ENABLE_CREDITS_V2'
        LEFT JOIN credit_route w ON w.flag = 'ENABLE_CREDITS_V2' AND w.version = r.version
        LEFT JOIN lease l ON l.name = 'guard'
        WHERE u.user_id = of_user AND (r.flag IS NULL OR w.flag IS NOT NULL)
            -- An environment's own rollout is read by the long way.
            AND NOT EXISTS (SELECT FROM rollout o WHERE o.flag = 'ENABLE_CREDITS_V2@' || in_environment)
            AND NOT EXISTS (SELECT FROM credit_freeze f WHERE f.user_id IN (of_user, '*'))
            AND NOT EXISTS (SELECT FROM billing_account a
                WHERE a.user_id = of_user AND (a.blocked IS NOT NULL OR a.due_at <= moment))
            AND NOT EXISTS (SELECT FROM credit_pack g
                WHERE g.user_id = of_user AND g.remaining > 0 AND g.expires_at > moment)
            AND NOT EXISTS (SELECT FROM flag_override o WHERE o.flag = 'ENABLE_CREDITS_V2' AND o.user_id = of_user)
        FOR UPDATE OF c, b SKIP LOCKED;
    IF FOUND THEN
        by_v2 := credit_enables(seen.why);
        limits := seen.limits;
        IF cardinality(limits) < cardinality(seen.v2_grants) THEN
            limits := credit_limits(limits, seen.plan);
        END IF;
        begun := clock_timestamp();
        BEGIN
            v2 := credit_judge_v2(NULL, seen.kinds, limits, seen.used, seen.period_end, '{}', asked);
            halfway := clock_timestamp();
            IF seen.legacy_retired AND by_v2 THEN
                legacy := credit_unasked();
            ELSE
                legacy := credit_judge_legacy(NULL, seen.kinds, seen.legacy_grants, seen.pools, next_month, '{}', asked);
            END IF;
            finished := clock_timestamp();
            is_plain := v2.outcome = 'allowed' AND coalesce(legacy.outcome, 'allowed') = 'allowed';
        EXCEPTION WHEN OTHERS THEN
            is_plain := false; -- an engine that fails costs nobody anything: the long way asks each on its own
        END;
    END IF;
    IF is_plain THEN
        -- Before anything else is written: whose key was used is answered what was answered then. Whoever is using it at
        -- this moment, for another month, is waited for.
        number := nextval('credit_journal_id_seq');
        INSERT INTO operation_key (user_id, key, fingerprint, journal_id, created_at)
            VALUES (of_user, of_key, 'consume ' || array_to_string(asked, ' '), number, moment) ON CONFLICT DO NOTHING;
        is_plain := FOUND;
    END IF;
    IF NOT is_plain THEN
        RETURN (SELECT row_to_json(o) FROM credit_operate(of_user, of_key, asked, by_actor, moment,
            in_environment, override, bucket, allowed_on_error) o);
    END IF;
    v2_us := extract(epoch FROM halfway - begun) * 1000000;
    legacy_us := CASE WHEN legacy.outcome IS NULL THEN 0 ELSE extract(epoch FROM finished - halfway) * 1000000 END;
    UPDATE usage_counters c SET used = credit_sum(c.used, asked)
        WHERE c.user_id = of_user AND c.period_start = seen.period_start;
    UPDATE legacy_book b SET used = credit_sum(b.used, asked)
        WHERE b.user_id = of_user AND b.month_start = this_month;
    INSERT INTO credit_journal (id, occurred_at, user_id, type, operation_key, requested, charged, served_engine, outcome,
            reason, shadow_reason, flag_revision, evaluation_reason, variance, cause, actor,
            v2_period_start, v2_period_end, v2_posted, v2_outcome, v2_charged, v2_used, v2_limit, v2_us,
            legacy_period_start, legacy_period_end, legacy_posted, legacy_outcome, legacy_charged, legacy_used,
            legacy_limit, legacy_us)
        VALUES (number, moment, of_user, 'consume', of_key, asked, asked,
            CASE WHEN by_v2 THEN 'v2' ELSE 'legacy' END, 'allowed',
            CASE WHEN by_v2 THEN v2.reason ELSE legacy.reason END,
            CASE WHEN by_v2 THEN legacy.reason ELSE v2.reason END,
            seen.revision, seen.why, CASE WHEN legacy.outcome IS NOT NULL THEN 'match' END, '', by_actor,
            seen.period_start, seen.period_end, asked, v2.outcome, asked,
            seen.used, limits, v2_us,
            this_month, next_month, asked, legacy.outcome,
            CASE WHEN legacy.outcome IS NULL THEN '{0,0}' ELSE asked END, seen.pools, seen.legacy_grants,
            legacy_us);
    RETURN json_build_array(number, by_v2, seen.why, seen.revision,
        seen.period_start, seen.period_end, v2.reason, seen.used, limits, v2_us,
        legacy.outcome, legacy.reason, seen.pools, seen.legacy_grants, legacy_us);
END $$
